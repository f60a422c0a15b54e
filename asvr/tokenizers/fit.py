"""Fits a visual tokenizer: the codebooks of a residual quantiser, from pictures alone.

1. Sample. Features of some visual tokens of every picture; one picture in ten is held out.
2. Project, if asked to: onto the principal components of the sample.
3. Residual k-means on the sample: Lloyd's algorithm for each depth on what the depths before it left over. A shared
   codebook is fitted on what is left before each of its depths at once.
4. Refine, if asked to: passes over all visual tokens of all pictures, each step moving the codes by moving averages.
5. Judge on the held-out pictures.

First codes are drawn as in k-means||, and a code that stands for nothing begins anew at a vector drawn with a
probability in proportion to its error. All random draws follow from the seed and from what they are for, and sums are
fp64: several processes make the codebooks of one, and a fit that was cut short continues from its state and makes
those of one that was not.
"""

import tempfile
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

from torch import nn

from asvr.data.pictures import Pictures, names_sha256
from asvr.disk import write_whole, writing
from asvr.environment import environment
from asvr.targets.features import FeatureSource
from asvr.targets.residual_quantizer import ResidualQuantizer
from asvr.targets.storage import CONFIG
from asvr.targets.tokenizer import VisualTokenizer
from asvr.tokenizers.health import health, verdict
from asvr.tokenizers.kmeans import fit_codebooks, refuse_too_few
from asvr.tokenizers.projection import principal_projection
from asvr.tokenizers.ranks import Ranks
from asvr.tokenizers.reading import VectorReader
from asvr.tokenizers.refine import MovingAverages, refine, step_size
from asvr.tokenizers.sample import Sample, draw_sample
from asvr.tokenizers.settings import FitSettings, OnProgress, Selection, select
from asvr.tokenizers.workspace import Workspace

QUARANTINE = "quarantine.txt"


def silent(what: str, done: int, total: int) -> None:
    """Tells nobody of the progress."""


def fit_tokenizer(
    features: FeatureSource,
    pictures: Pictures,
    *,
    settings: FitSettings,
    out: Path | None = None,
    left_out: list[str] | None = None,
    workers: int = 0,
    on_progress: OnProgress = silent,
) -> VisualTokenizer:
    """Makes a visual tokenizer for any features.

    Under `torchrun` every process calls it, with a folder that all of them see.

    Args:
        features: What is quantised.
        pictures: The pictures.
        settings: Everything else that decides the codebooks.
        out: Folder of the tokenizer. Until it is finished its state is kept beside it, in `<out>.fitting`, and the
            same call continues from there. None keeps nothing.
        left_out: Gets the reason for each picture that cannot be read, which is then left out; reasons that it has
            already are written down with them. None makes the first such picture an error.
        workers: Data worker processes.
        on_progress: Told of each part of the work that is done.

    Returns:
        A tokenizer whose `about` says how it was made, and its `health` and `verdict` on held-out pictures.

    Raises:
        ValueError: If the pictures give fewer vectors than codes, one cannot be read, the width is not below that of
            the features, or the folder holds a tokenizer or the state of another fit.
        OSError: If the disk does not take the tokenizer or its state.
    """
    begun, ranks = perf_counter(), Ranks()
    assert isinstance(features, nn.Module)
    reader = VectorReader(
        features.to(ranks.device),
        pictures,
        grid=settings.grid or features.grid,
        device=ranks.device,
        workers=workers,
        skip_bad=left_out is not None,
    )
    selection = select(settings, len(pictures), reader.positions)
    _refuse_in_time(settings, reader, selection, out)
    listing = {"count": len(pictures), "names_sha256": names_sha256(pictures)}
    decisive = {"settings": asdict(settings), "pictures": listing, "features": features.describe()}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) if out is None else out.with_name(f"{out.name}.fitting")
        workspace = Workspace(
            folder, {**decisive, "preprocessing": features.processor.to_dict()}, ranks, on_progress=on_progress
        )
        tokenizer, reasons = _fit(reader, selection, settings, workspace)
        tokenizer.about |= {
            "settings": decisive["settings"],
            "pictures": decisive["pictures"],
            "processes": ranks.count,
            "seconds": round(perf_counter() - begun, 1),
            "environment": environment(),
        }
        if left_out is not None:
            left_out += reasons
        if out is not None:
            _finish(tokenizer, out, left_out or [], workspace)
    return tokenizer


def _refuse_in_time(settings: FitSettings, reader: VectorReader, selection: Selection, out: Path | None) -> None:
    if out is not None and (out / CONFIG).is_file():
        raise ValueError(f"{out} holds a visual tokenizer already: choose another --out, or delete it")
    if settings.width is not None and settings.width > reader.width:
        raise ValueError(
            f"width {settings.width} is more than the {reader.width} of the features: choose a lower one, or none"
        )
    kept = len(selection.sampled) - len(selection.held_out)
    refuse_too_few(kept * selection.positions, settings.num_codes)


def _fit(
    reader: VectorReader, selection: Selection, settings: FitSettings, workspace: Workspace
) -> tuple[VisualTokenizer, list[str]]:
    sample = draw_sample(reader, selection, seed=settings.seed, workspace=workspace)
    down = up = None
    if settings.width is not None:
        down, up = principal_projection(sample.vectors, settings.width, workspace)
        reader.project(down)
        vectors, held_out = (reader.projected(each[None])[0] for each in (sample.vectors, sample.held_out))
        sample = Sample(vectors, held_out, sample.bad)
    books = fit_codebooks(sample.vectors, settings, workspace)
    if settings.passes:
        unread = {index for index, _ in sample.bad}
        pictures = [index for index in selection.chosen if index not in selection.held_out | unread]
        averages = MovingAverages.of_sample(
            books,
            sample.vectors,
            per_step=step_size(pictures) * reader.positions,
            settings=settings,
            ranks=workspace.ranks,
        )
        refine(averages, reader, pictures, workspace)
        books = averages.codebooks
    bad = dict(sorted(sample.bad + reader.bad))
    quantizer = ResidualQuantizer(books, settings.depth)
    about = {
        "images": len(selection.chosen) - len(bad),
        "left_out": len(bad),
        "positions_per_image": selection.positions,
        **_judge(sample, quantizer),
    }
    parts = {"pre": None if down is None else down.cpu(), "post": up}
    assert isinstance(reader.features, nn.Module)
    return VisualTokenizer(reader.features.cpu(), quantizer.cpu(), **parts, grid=settings.grid, about=about), list(
        bad.values()
    )


def _judge(sample: Sample, quantizer: ResidualQuantizer) -> dict[str, Any]:
    # Fewer vectors than codes could not use them, however good the codes.
    enough = len(sample.held_out) >= quantizer.num_codes
    vectors = sample.held_out if enough else sample.vectors
    figures = health(vectors, quantizer.codebooks)
    judged_on = {"pictures": "held out" if enough else "fitted", "vectors": len(vectors)}
    return {"health": figures, "verdict": verdict(figures), "judged_on": judged_on}


def _finish(tokenizer: VisualTokenizer, out: Path, left_out: list[str], workspace: Workspace) -> None:
    if workspace.ranks.is_first:
        with writing(out):
            out.mkdir(parents=True, exist_ok=True)
        if left_out:
            write_whole(out / QUARANTINE, "".join(f"{reason}\n" for reason in left_out))
        tokenizer.save_pretrained(out)
        workspace.remove()
    workspace.ranks.wait()
