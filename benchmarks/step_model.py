"""The models, batches and arms of `benchmarks/step.py` and `benchmarks/scaling.py`: random weights, real sizes."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, SiglipVisionConfig

from asvr.heads.depth_transformer import DepthTransformer, checkpoint_heads
from asvr.interfaces import HeadLoss, TargetEncoder
from asvr.objective import Objective, Supervision
from asvr.studies.costs import UNCOUNTED
from asvr.targets.residual_quantizer import ResidualQuantizer

STOCK, TEXT, NAIVE, OURS, QUARTER = "stock", "text-only", "ASVR naive", "ASVR", "ASVR, a quarter"
ARMS = (STOCK, TEXT, NAIVE, OURS, QUARTER)
TEXT_TOKENS = 64


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes of everything that a step runs; the defaults are those of issue 6, `SEVEN` those of LLaVA-1.5-7B."""

    width: int = 256
    inner: int = 688
    layers: int = 4
    heads: int = 4
    vocabulary: int = 32_000
    tower_width: int = 128
    tower_layers: int = 27
    tower_heads: int = 2
    side: int = 384
    head_width: int = 256
    code_dim: int = 128
    depth: int = 8
    codes: int = 16_384
    batch: int = 2
    dtype: str = "float32"
    checkpointing: bool = False

    @property
    def tokens(self) -> int:
        """Visual tokens of one picture."""
        return (self.side // 14) ** 2


SMALL = Shape()
SEVEN = Shape(
    width=4096,
    inner=11_008,
    layers=32,
    heads=32,
    tower_width=1152,
    tower_heads=16,
    head_width=2048,
    code_dim=1152,
    batch=16,
    dtype="bfloat16",
    checkpointing=True,
)


class CachedCodes(TargetEncoder):
    """Codes that come with the batch."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.depth = depth

    def encode(self, prepared: Tensor) -> Tensor:
        """Gives them as they are."""
        return prepared

    def encode_none(self, device: torch.device) -> Tensor:
        """Gives the codes of no token."""
        return torch.zeros(0, self.depth, dtype=torch.long, device=device)


class OnlineCodes(CachedCodes):
    """A second tower, and for each of its vectors all distances to each depth's codebook at once, as the release."""

    def __init__(self, tower: nn.Module, books: Tensor) -> None:
        super().__init__(len(books))
        self.tower, self.quantizer = tower, ResidualQuantizer(books)

    def encode(self, prepared: Tensor) -> Tensor:
        """Runs pictures through the tower and searches every codebook for every vector."""
        vectors = self.tower(prepared).last_hidden_state
        residual, codes = vectors.flatten(0, 1), []
        for book in self.quantizer.codebooks.to(residual.dtype):
            norms = residual.square().sum(1, keepdim=True) + book.square().sum(1)
            codes.append(torch.addmm(norms, residual, book.t(), alpha=-2).argmin(1))
            residual = residual - book[codes[-1]]
        return torch.stack(codes, 1).unflatten(0, vectors.shape[:2])


class NaiveHead(DepthTransformer):
    """The same head with all logits of a depth at once and torch's own cross-entropy."""

    def forward(self, hidden: Tensor, target: Tensor) -> HeadLoss:
        """Scores every visual token."""
        states = self.states(hidden, target)
        logits = [classifier(slot) for classifier, slot in zip(self.classifiers, states.unbind(1), strict=True)]
        both = zip(logits, target.unbind(1), strict=True)
        loss = torch.stack([F.cross_entropy(each.float(), codes, reduction="none") for each, codes in both]).mean(0)
        return HeadLoss(loss.sum(), loss.detach(), {})


DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

HEADS: dict[str, type[DepthTransformer]] = {NAIVE: NaiveHead, OURS: DepthTransformer, QUARTER: DepthTransformer}


@dataclass(frozen=True)
class Arm:
    """One way to compute a step.

    Args:
        step: Runs forward and backward pass; gradients add to those that are there.
        modules: What has gradients.
        head: Bytes of the visual head's gradients, which no arm without one needs.
        tokens: Tokens of a batch, visual ones among them.
    """

    step: Callable[[], None]
    modules: nn.Module
    head: int
    tokens: int


def make_model(shape: Shape) -> LlavaForConditionalGeneration:
    """Makes the stock model, of the current default device and dtype, with its tower frozen as LLaVA's is."""
    vision = SiglipVisionConfig(
        hidden_size=shape.tower_width,
        intermediate_size=4 * shape.tower_width,
        num_hidden_layers=shape.tower_layers,
        num_attention_heads=shape.tower_heads,
        image_size=shape.side,
        patch_size=14,
    )
    text = LlamaConfig(
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        vocab_size=shape.vocabulary,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=shape.vocabulary - 1,
        vision_feature_select_strategy="full",
        vision_feature_layer=-1 if shape.tower_layers == 1 else -2,
    )
    model = LlavaForConditionalGeneration(config).train()
    model.model.vision_tower.requires_grad_(False)
    if shape.checkpointing:
        model.model.language_model.gradient_checkpointing_enable({"use_reentrant": False})
    return model


def make_batch(shape: Shape) -> dict[str, Tensor]:
    """Makes pictures between a first token and a text, of which all is to be predicted but its first token."""
    image = shape.vocabulary - 1
    ids = torch.randint(0, image, (shape.batch, 1 + shape.tokens + TEXT_TOKENS))
    ids[:, 1 : 1 + shape.tokens] = image
    labels = ids.clone()
    labels[:, : 2 + shape.tokens] = -100
    pixels = torch.randn(shape.batch, 3, shape.side, shape.side)
    return {"input_ids": ids, "labels": labels, "pixel_values": pixels, "attention_mask": torch.ones_like(ids)}


def make_arm(name: str, shape: Shape, device: str = "cpu") -> Arm:
    """Makes an arm by its name in `ARMS`; all arms of a shape have the same model, batch and head."""
    torch.manual_seed(0)
    torch.set_default_dtype(DTYPES[shape.dtype])
    with torch.device(device):
        vlm, batch = make_model(shape), make_batch(shape)
        if name == STOCK:
            return Arm(lambda: vlm(**batch).loss.backward(), vlm, 0, batch["input_ids"].numel())
        supervision, targets = {}, {}
        if name in HEADS:
            books = torch.randn(shape.depth, shape.codes, shape.code_dim)
            head = HEADS[name](shape.width, books, width=shape.head_width, head_width=min(128, shape.head_width))
            codes = torch.randint(shape.codes, (shape.batch, shape.tokens, shape.depth))
            target = (
                OnlineCodes(make_model(shape).model.vision_tower, books) if name == NAIVE else CachedCodes(shape.depth)
            )
            supervision = {"semantic": Supervision(target, head, fraction=0.25 if name == QUARTER else 1.0)}
            targets = {"semantic": batch["pixel_values"] if name == NAIVE else codes}
    objective = Objective(vlm, supervision).train()
    if shape.checkpointing:
        checkpoint_heads(objective)
    mask = batch["input_ids"] == shape.vocabulary - 1
    head_bytes = sum(each.nbytes for each in objective.supervision.parameters() if each.requires_grad)

    def step() -> None:
        objective(visual_mask=mask, targets=targets, **batch)["loss"].backward()

    return Arm(step, objective, head_bytes, batch["input_ids"].numel())


def step_flops(name: str, shape: Shape, device: str = "cpu") -> float:
    """Counts a step's matrix products, two operations per multiplication with its addition, none of them twice.

    A step of one picture is run, without checkpointing, and taken `shape.batch` times: all of it grows with the batch.
    """
    arm = make_arm(name, replace(shape, batch=1, checkpointing=False), device)
    with FlopCounterMode(display=False, custom_mapping=UNCOUNTED) as counter:
        arm.step()
    return float(counter.get_total_flops()) * shape.batch
