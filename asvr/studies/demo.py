"""The demo: the embedded world, two tokenizers, four arms, one comparison and its report."""

from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from asvr.data.dataset import Source
from asvr.data.pictures import find_pictures
from asvr.derive import derive
from asvr.recipes import RECIPES
from asvr.recipes.derive import tokenizer_changes
from asvr.recipes.spec import Recipe
from asvr.reports.page import terminal_table, write_report
from asvr.studies.mechanism import write_probes
from asvr.studies.plan import Arm, Study
from asvr.studies.run import run_study
from asvr.targets.checkpoints import load_tower, resolve
from asvr.targets.features import PixelPatches
from asvr.targets.preparing import load_image_processor
from asvr.targets.storage import CONFIG
from asvr.targets.towers import TowerFeatures
from asvr.tokenizers.fit import fit_tokenizer
from asvr.tokenizers.settings import FitSettings
from asvr.world.generate import World, make_world

WORLD = World(seed=0, train=1000, unlabelled=2000, val=0, test=250, tower=0, language=0)
TOWER = "embedded:tower"
DEPTH, NUM_CODES, ITERATIONS = 4, 128, 10


def run_demo(out: Path, *, seeds: int, jobs: int, world: World = WORLD) -> Path:
    """Makes or reuses every part, trains and compares the arms, and writes the report.

    Args:
        out: Folder of the demo.
        seeds: Seeds per arm.
        jobs: Runs at a time.
        world: How many pictures of each kind.

    Returns:
        The report.
    """
    console = Console()
    _step(console, "1/5  pictures and questions", lambda: make_world(out / "world", world))
    _step(
        console, "2/5  visual tokenizers: semantic (tower features) and appearance (pixels)", lambda: _tokenizers(out)
    )
    if not (out / "probes.json").is_file():
        _step(
            console, "3/5  what the codes hold", lambda: write_probes(out / "tokenizer", out / "tokenizer-pixels", out)
        )
    console.print(f"[bold]4/5  four arms, {seeds} seed(s), {jobs} at a time[/]")
    run_study(demo_study(out, seeds=seeds), out, jobs=jobs)
    console.print("[bold]5/5  comparison and report[/]")
    report = write_report(out)
    console.print(terminal_table(out))
    return report


def demo_study(out: Path, *, seeds: int) -> Study:
    """Says what the demo compares: the paper's recipe at laptop size, and what may stand beside it."""
    images = out / "world" / "images"

    def source(name: str) -> Source:
        return Source(out / "world" / f"{name}.json", images)

    text_only = RECIPES["tiny-llava"]
    arms = (
        Arm(name="text-only", recipe=text_only, note="LLaVA: loss on the text alone"),
        Arm(name="asvr", recipe=_own(out, "tiny-asvr"), note="and the visual loss on the same pictures"),
        Arm(
            name="asvr-unlabelled",
            recipe=_own(out, "tiny-asvr-unlabelled"),
            note="and the visual loss on as many pictures without any text",
        ),
        Arm(
            name="text-only-longer", recipe=text_only, note="LLaVA for as many seconds as asvr", equal_time_with="asvr"
        ),
    )
    return Study(
        title="ASVR at laptop scale",
        arms=arms,
        seeds=tuple(range(seeds)),
        data={"pretrain": (source("train_captions"),), "instruct": (source("train_instruct"),)},
        companions=(source("unlabelled"),),
        evaluation=source("test_instruct"),
    )


def _own(out: Path, name: str) -> Recipe:
    recipe = RECIPES[name]
    return derive(recipe, tokenizer_changes(recipe, out / "tokenizer"))


def _tokenizers(out: Path) -> None:
    tower = load_tower(TOWER)
    processor = load_image_processor(resolve(TOWER))
    features = {
        "tokenizer": TowerFeatures(tower, processor),
        "tokenizer-pixels": PixelPatches(processor, tower.config.patch_size),
    }
    pictures = find_pictures(str(out / "world" / "unlabelled.json"), out / "world" / "images")
    settings = FitSettings(depth=DEPTH, num_codes=NUM_CODES, iterations=ITERATIONS)
    for name, each in features.items():
        if not (out / name / CONFIG).is_file():
            fit_tokenizer(each, pictures, settings=settings, out=out / name)


def _step(console: Console, title: str, do: Callable[[], object]) -> None:
    console.print(f"[bold]{title}[/]")
    do()
