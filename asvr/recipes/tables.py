"""The paper's tables as recipes: which row is which recipe, what it is compared with, what the paper claims of it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Args:
        label: What distinguishes it, as in `asvr.reports.published` where the paper has it.
        recipe: Name of its recipe.
        baseline: Recipe of the text-only row that it is compared with; None for such a row itself.
    """

    label: str
    recipe: str
    baseline: str | None = None


@dataclass(frozen=True)
class Claim:
    """A comparison from which the paper draws a conclusion.

    Args:
        text: The conclusion.
        arm: Label of the row that is said to be better.
        baseline: Label of the row that it is said to be better than.
    """

    text: str
    arm: str
    baseline: str


@dataclass(frozen=True)
class Table:
    """A table of the paper.

    Args:
        number: Its number.
        title: What it shows.
        rows: In its order; rows beyond the paper come last.
        claims: What the paper concludes from it.
        paper_labels: The paper's row for a row that it does not distinguish so finely.
        paper_baseline: Table and row of the text-only average, where this table does not print it.
    """

    number: int
    title: str
    rows: tuple[Row, ...]
    claims: tuple[Claim, ...]
    paper_labels: tuple[tuple[str, str], ...] = ()
    paper_baseline: tuple[int, str] | None = None

    def row(self, label: str) -> Row:
        """Finds a row."""
        return {row.label: row for row in self.rows}[label]

    def paper_label(self, label: str) -> str:
        """Gives what the paper calls a row."""
        return dict(self.paper_labels).get(label, label)


LLAVA, NEXT = "llava-vicuna-7b", "llava-next-vicuna-7b"
DISCRETE, S2, ANYRES = "llava-discrete-vicuna-7b", "llava-s2-next-vicuna-7b", "llava-anyres-next-vicuna-7b"
BUNNY, ONEVISION = "llava-bunny-vicuna-7b", "llava-onevision-vicuna-7b"
MISTRAL, VICUNA_13B, SIGLIP2 = "llava-mistral-7b", "llava-vicuna-13b", "llava-siglip2-next-vicuna-7b"

_TABLES = (
    Table(
        1,
        "what is reconstructed, and what enters the language model",
        (
            Row("discrete, LLaVA", DISCRETE),
            Row("discrete, ASVR", "asvr-discrete-vicuna-7b", DISCRETE),
            Row("LLaVA", LLAVA),
            Row("appearance", "appearance-vicuna-7b", LLAVA),
            Row("dual", "dual-vicuna-7b", LLAVA),
            Row("ASVR", "asvr-vicuna-7b", LLAVA),
            Row("ASVR, own position", "asvr-vicuna-7b-same", LLAVA),
        ),
        (
            Claim("semantic supervision helps", "ASVR", "LLaVA"),
            Claim("appearance supervision hurts", "LLaVA", "appearance"),
            Claim("semantic is better than dual supervision", "ASVR", "dual"),
            Claim("it helps with discrete input too", "discrete, ASVR", "discrete, LLaVA"),
            Claim("continuous input is better than discrete", "LLaVA", "discrete, LLaVA"),
        ),
    ),
    Table(
        2,
        "data scales and language models",
        (
            Row("2M/2M, LLaVA", BUNNY),
            Row("2M/2M, ASVR", "asvr-bunny-vicuna-7b", BUNNY),
            Row("558K/4M/4M, LLaVA", ONEVISION),
            Row("558K/4M/4M, ASVR", "asvr-onevision-vicuna-7b", ONEVISION),
            Row("Mistral-7B, LLaVA", MISTRAL),
            Row("Mistral-7B, ASVR", "asvr-mistral-7b", MISTRAL),
            Row("Vicuna-13B, LLaVA", VICUNA_13B),
            Row("Vicuna-13B, ASVR", "asvr-vicuna-13b", VICUNA_13B),
        ),
        (
            Claim("it helps with more data", "2M/2M, ASVR", "2M/2M, LLaVA"),
            Claim("it helps with a middle stage and most data", "558K/4M/4M, ASVR", "558K/4M/4M, LLaVA"),
            Claim("it helps another family of language models", "Mistral-7B, ASVR", "Mistral-7B, LLaVA"),
            Claim("it helps a larger language model", "Vicuna-13B, ASVR", "Vicuna-13B, LLaVA"),
        ),
    ),
    Table(
        3,
        "high resolution",
        (
            Row("S2, LLaVA", S2),
            Row("S2, ASVR", "asvr-s2-next-vicuna-7b", S2),
            Row("AnyRes, LLaVA", ANYRES),
            Row("AnyRes, ASVR", "asvr-anyres-next-vicuna-7b", ANYRES),
        ),
        (
            Claim("it helps at high resolution (S2)", "S2, ASVR", "S2, LLaVA"),
            Claim("it helps at high resolution (AnyRes)", "AnyRes, ASVR", "AnyRes, LLaVA"),
        ),
        paper_labels=(
            ("S2, LLaVA", "LLaVA"),
            ("S2, ASVR", "ASVR"),
            ("AnyRes, LLaVA", "LLaVA"),
            ("AnyRes, ASVR", "ASVR"),
        ),
    ),
    Table(
        4,
        "reconstruction by denoising (ROSS)",
        (
            Row("LLaVA", NEXT),
            Row("ROSS, VAE", "ross-vae-next-vicuna-7b", NEXT),
            Row("ROSS, SigLIP", "ross-siglip-next-vicuna-7b", NEXT),
            Row("ASVR", "asvr-next-vicuna-7b", NEXT),
            Row("ROSS, VAE, as many parameters", "ross-vae-next-vicuna-7b-parameter-matched", NEXT),
            Row("ROSS, VAE, as many FLOPs", "ross-vae-next-vicuna-7b-flop-matched", NEXT),
            Row("ROSS, SigLIP, as many parameters", "ross-siglip-next-vicuna-7b-parameter-matched", NEXT),
            Row("ROSS, SigLIP, as many FLOPs", "ross-siglip-next-vicuna-7b-flop-matched", NEXT),
            Row("VIRAL", "viral-next-vicuna-7b", NEXT),
        ),
        (
            Claim("ASVR is better than ROSS with VAE latents", "ASVR", "ROSS, VAE"),
            Claim("ASVR is better than ROSS with SigLIP features", "ASVR", "ROSS, SigLIP"),
            Claim("denoising SigLIP features is better than VAE latents", "ROSS, SigLIP", "ROSS, VAE"),
        ),
        paper_baseline=(9, "SigLIP, LLaVA"),
    ),
    Table(
        8,
        "tokenizer and training strategy",
        (
            Row("LLaVA", LLAVA),
            Row("tokenizer of 3M", "asvr-3m-vicuna-7b", LLAVA),
            Row("tuning only", "asvr-tuning-only-vicuna-7b", LLAVA),
            Row("ASVR", "asvr-vicuna-7b", LLAVA),
            Row("pre-training only", "asvr-pretraining-only-vicuna-7b", LLAVA),
        ),
        (
            Claim("a tokenizer of more data is better", "ASVR", "tokenizer of 3M"),
            Claim("supervision in both stages is better than in tuning alone", "ASVR", "tuning only"),
        ),
        paper_baseline=(1, "LLaVA"),
    ),
    Table(
        9,
        "a stronger vision tower",
        (
            Row("SigLIP, LLaVA", NEXT),
            Row("SigLIP, ASVR", "asvr-next-vicuna-7b", NEXT),
            Row("SigLIP2, LLaVA", SIGLIP2),
            Row("SigLIP2, ASVR", "asvr-siglip2-next-vicuna-7b", SIGLIP2),
        ),
        (
            Claim("it helps with SigLIP", "SigLIP, ASVR", "SigLIP, LLaVA"),
            Claim("it helps with SigLIP2", "SigLIP2, ASVR", "SigLIP2, LLaVA"),
            Claim("SigLIP2 is the better tower for ASVR", "SigLIP2, ASVR", "SigLIP, ASVR"),
        ),
    ),
    Table(
        10,
        "targets of another feature space than the input's",
        (
            Row("none", S2),
            Row("DINOv3", "dinov3-s2-next-vicuna-7b", S2),
            Row("Depth Anything", "depth-anything-s2-next-vicuna-7b", S2),
            Row("SigLIP", "asvr-s2-next-vicuna-7b", S2),
        ),
        (
            Claim("the input's own features are better targets than DINOv3's", "SigLIP", "DINOv3"),
            Claim("the input's own features are better targets than Depth Anything's", "SigLIP", "Depth Anything"),
        ),
    ),
)

TABLES: dict[int, Table] = {table.number: table for table in _TABLES}
"""Tables by number. Tables 5 to 7 hold prompts and FLOPs, and train nothing of their own."""
