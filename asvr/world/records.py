"""LLaVA records about pictures of the world, one function per file of a made world."""

from random import Random

from asvr.world.language import conversation
from asvr.world.questions import KINDS, ask
from asvr.world.scene import GRID, Scene, Split, sample_scene
from asvr.world.words import CAPTION_REQUEST, caption

QUESTIONS_PER_PICTURE = 8

TOWER_THINGS = (3, 8)
"""Fuller scenes for the vision tower, which learns from each thing by itself."""

Record = dict[str, object]


def picture_scene(split: Split, index: int, *, seed: int) -> Scene:
    """Gives the scene of a picture; those of the tower's split hold more things than the others."""
    return sample_scene(split, index, seed=seed, num_things=TOWER_THINGS if split == "tower" else (2, 5))


def picture_name(split: Split, index: int) -> str:
    """Gives the file name of a picture."""
    return f"{split}-{index}.png"


def caption_record(split: Split, index: int, *, seed: int) -> Record:
    """Makes a picture's sparse caption."""
    words = caption(picture_scene(split, index, seed=seed), _rng("caption", split, index, seed))
    return _record(split, index, turns=[(f"<image>\n{CAPTION_REQUEST}", words)])


def instruct_record(split: Split, index: int, *, seed: int) -> Record:
    """Makes a conversation of several questions about a picture, which is shown before the first."""
    scene = picture_scene(split, index, seed=seed)
    asked = ask(scene, _rng("instruct", split, index, seed), number=QUESTIONS_PER_PICTURE)
    turns = [(question, answer) for _, question, answer in asked]
    return _record(split, index, turns=[(f"<image>\n{turns[0][0]}", turns[0][1]), *turns[1:]])


def question_records(split: Split, index: int, *, seed: int) -> list[Record]:
    """Makes one record for each kind of question that a picture allows, `category` its kind."""
    scene = picture_scene(split, index, seed=seed)
    rng = _rng("question", split, index, seed)
    records = []
    for category, kind in KINDS.items():
        drawn = kind(scene, rng)
        if drawn is not None:
            record = _record(split, index, turns=[(f"<image>\n{drawn[0]}", drawn[1])])
            records.append(record | {"id": f"{split}-{index}-{category}", "category": category})
    return records


def unlabelled_record(split: Split, index: int, *, seed: int) -> Record:
    """Makes a record of a picture alone; what it shows does not matter, so the seed does not either."""
    return {"id": f"{split}-{index}", "image": picture_name(split, index)}


def region_record(split: Split, index: int, *, seed: int) -> Record:
    """Makes a record for the vision tower: the cell of each thing, in fractions of the picture, and its phrase."""
    things = picture_scene(split, index, seed=seed).things
    regions = [
        {
            "box": [side / GRID for side in (thing.column, thing.row, thing.column + 1, thing.row + 1)],
            "text": thing.phrase,
        }
        for thing in things
    ]
    return unlabelled_record(split, index, seed=seed) | {"regions": regions}


def _record(split: Split, index: int, *, turns: list[tuple[str, str]]) -> Record:
    return {
        "id": f"{split}-{index}",
        "image": picture_name(split, index),
        "conversations": conversation(turns),
    }


def _rng(purpose: str, split: Split, index: int, seed: int) -> Random:
    return Random(f"{purpose} {seed} {split} {index}")
