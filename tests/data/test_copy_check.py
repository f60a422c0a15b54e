import json
from dataclasses import replace
from pathlib import Path

import pytest

from asvr.data.copy_check import differences, inspect_copy
from asvr.data.dataset import Source
from asvr.data.manifest import MANIFEST
from tests.parts import talk

NAMES = ["0.png", "1.png", "2.png", "3.png", "gone.png"]


@pytest.fixture
def copy(image_folder: Path) -> Source:
    """Six records, of which the last is broken; of five pictures one is cut short and one is not there."""
    records = [talk(name, "<image> What is it?", "a box", image=name) for name in NAMES]
    (image_folder.parent / "data.json").write_text(json.dumps([*records, talk("broken", "Which?", "")]))
    cut = image_folder / "3.png"
    cut.write_bytes(cut.read_bytes()[:40])
    return Source(image_folder.parent / "data.json", image_folder)


def test_everything_is_counted_and_opened(copy: Source) -> None:
    found = inspect_copy(copy, progress=False)
    assert (found.records, len(found.broken), found.pictures) == (6, 1, 5)
    assert found.missing == ("gone.png",)
    (unreadable,) = found.unreadable
    assert "3.png: record '3.png' needs this image, but it cannot be read" in unreadable
    fast = inspect_copy(copy, decode=False, progress=False)
    assert fast == replace(found, unreadable=())


def test_what_differs_is_said_with_its_remedy(copy: Source) -> None:
    published = replace(MANIFEST["llava-558k"], num_records=7)
    said = differences(inspect_copy(copy, progress=False), copy, published)
    assert len(said) == 4
    assert "has 6 records, but LLaVA-558K has 7: fetch it again" in said[0]
    assert "1 record(s) are broken" in said[1] and "record 5 (id 'broken')" in said[1] and "--skip-bad" in said[1]
    assert "1 of 5 pictures are missing" in said[2] and "'gone.png'" in said[2]
    assert "1 picture(s) cannot be read" in said[3] and "Fetch the file again" in said[3]


@pytest.mark.parametrize(("found", "fits"), [(100, True), (95, True), (105, True), (94, False)])
def test_a_rounded_number_need_only_be_near(found: int, fits: bool, copy: Source) -> None:
    published = replace(MANIFEST["bunny-2m"], num_records=100)
    inspection = replace(inspect_copy(copy, decode=False, progress=False), records=found, broken=(), missing=())
    assert (differences(inspection, copy, published) == []) == fits
    exact = replace(published, about=False)
    assert (differences(inspection, copy, exact) == []) == (found == 100)


def test_the_real_pictures_are_all_there(nlvr: Path) -> None:
    found = inspect_copy(Source(nlvr / "eval_statements.json", nlvr / "images"), decode=False, progress=False)
    records = json.loads((nlvr / "eval_statements.json").read_text())
    assert found.records == len(records) and not found.broken and not found.missing
    shown = [record["image"] for record in records]
    assert found.pictures == len({name for names in shown for name in (names if isinstance(names, list) else [names])})


def test_the_manifest_says_of_every_data_set_how_to_get_it() -> None:
    for name, published in MANIFEST.items():
        assert published.num_records > 0 and published.licence and published.source.strip()
        # Commands are run in the folder above the copy, and the last word is its own folder.
        assert any(name in command for command in published.get), name
        assert not Path(published.file).is_absolute() and not Path(published.images).is_absolute()
        if published.file == "records.jsonl":
            assert any(command.startswith(f"asvr data unpack {name}/table {name}") for command in published.get), name


def test_onevision_s_middle_stage_has_about_four_million() -> None:
    names = (
        "recap-558k",
        "recap-118k",
        "recap-cc3m",
        "ureader-text",
        "evol-instruct-143k",
        "synthdog-en",
        "synthdog-zh",
    )
    # arXiv 2408.03326: 4M, of which the 92 thousand in Chinese were never released.
    assert sum(MANIFEST[name].num_records for name in names) + 92_000 == pytest.approx(4e6, rel=0.03)
