"""What a user can get wrong, through the command line: one line that says rule, value and remedy, and nothing left."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.command import GPT, HUMAN, Command, image, other_grid, other_tower, text_file, truncate, turns


def change(path: str, value: str) -> Callable[[Command], object]:
    return lambda command: command.changes.update({path: value})


def more(*words: str) -> Callable[[Command], object]:
    return lambda command: command.more.extend(words)


SEMANTIC = "stages.instruct.supervision.semantic"
BAD: dict[str, tuple[Callable[[Command], object], list[str]]] = {
    # The command itself.
    "unknown recipe": (
        lambda c: setattr(c, "recipe", "tiny-asrv"),
        ["no recipe 'tiny-asrv'", "did you mean 'tiny-asvr'?"],
    ),
    "misspelt path": (
        change("stages.instruct.optimisation.lr", "1"),
        ["no 'lr' here", "choose one of", "learning_rate"],
    ),
    "nearly right path": (change("stages.instruct.max_lenght", "1"), ["did you mean 'max_length'?"]),
    "setting without value": (more("--set", "alignment"), ["--set alignment", "PATH=VALUE"]),
    "setting of another type": (
        change("stages.instruct.optimisation.batch_size", "many"),
        ["batch_size=many", "must be of type int"],
    ),
    "setting out of the choices": (change("alignment", "previous"), ["alignment=previous", "choose one of next, same"]),
    "batch of nothing": (
        change("stages.pretrain.optimisation.batch_size", "0"),
        ["optimisation.batch_size is 0", "above zero"],
    ),
    "endless learning rate": (
        change("stages.pretrain.optimisation.learning_rate", "inf"),
        ["learning_rate is inf", "above zero"],
    ),
    "unknown stage in --data": (
        lambda c: c.data.append("finetune=x.json"),
        ["no stage 'finetune'", "the recipe has pretrain, instruct"],
    ),
    "--data without a stage": (
        lambda c: c.data.append(str(c.records / "eval.json")),
        ["the recipe has the stages pretrain, instruct", "as --data pretrain="],
    ),
    "stage without data": (lambda c: c.data.pop(), ["stage 'instruct' has no data", "--data instruct=FILE"]),
    "two image folders": (lambda c: c.images.append(c.images[0]), ["every stage has the folder", "give one folder"]),
    "micro-batch that does not divide": (
        more("--micro-batch", "3"),
        ["a batch of 4", "micro-batches of 3", "choose a --micro-batch"],
    ),
    "parameters that are not there": (
        change("stages.instruct.trainable", "vlm.model.langage_model."),
        ["no parameter of the objective begins with 'vlm.model.langage_model.'", "vlm.model.language_model"],
    ),
    "attention heads that do not fit": (
        change(f"{SEMANTIC}.head.width", "100"),
        ["width 100 must be a multiple", "64", "head.head_width"],
    ),
    # What the recipe names.
    "no tokenizer": (
        lambda c: setattr(c, "tokenizer", "nowhere"),
        ["nowhere holds no visual tokenizer", "asvr tokenizer fit"],
    ),
    "tokenizer of another grid": (other_grid, ["has the grid (3, 3)", "(2, 2) visual tokens", "fit a tokenizer on"]),
    "tokenizer of another tower": (other_tower, ["fitted on another vision tower", "own_tower=false"]),
    "no model folder": (
        change("model.vision_tower", "./nowhere"),
        ["no model folder ./nowhere", "give an existing folder"],
    ),
    "layer that is not there": (change("model.feature_layer", "-9"), ["feature_layer", "-9", "4 hidden states"]),
    "unlabelled pictures missing": (
        lambda c: setattr(c, "recipe", "tiny-asvr-unlabelled"),
        ["'pretrain' takes unlabelled pictures", "--unlabelled"],
    ),
    "unlabelled pictures nobody takes": (
        lambda c: c.more.extend(["--unlabelled", str(c.records / "unlabelled.json")]),
        ["'tiny-asvr' takes no unlabelled pictures", "unlabelled.json", "leave it out"],
    ),
    # The second stage's data.
    "no data file": (lambda c: (c.records / "instruct.json").unlink(), ["instruct.json: no such file"]),
    "not JSON": (lambda c: text_file(c, '[{"id": 1,]'), ["instruct.json: not JSON at line 1, column 11"]),
    "not a list": (lambda c: text_file(c, "{}"), ["must be a JSON list of records, but is a dict"]),
    "empty list": (lambda c: text_file(c, "[]"), ["holds no records", "at least one"]),
    "no image folder": (
        lambda c: setattr(c, "images", [str(c.folder / "none")]),
        ["none: no such folder", "captions.json"],
    ),
    "wrong image folder": (
        lambda c: setattr(c, "images", [str(c.folder)]),
        ["8 image file(s)", "'0.png'", "record 'c0'", "right image folder?"],
    ),
    "image of another name": (lambda c: image(c, "red.png"), ["1 image file(s)", "'red.png'", "record 'q0'"]),
    "image outside the folder": (
        lambda c: image(c, "../0.png"),
        ["(id 'q0')", "inside the image folder", "'../0.png'"],
    ),
    "more images than markers": (
        lambda c: image(c, ["0.png", "1.png"]),
        ["(id 'q0')", "1 <image> in the text for 2 image(s)"],
    ),
    "truncated picture": (truncate, ["7.png: record 'c7' needs this image", "cannot be read", "leave the record out"]),
    "text named .png": (
        lambda c: (c.records / "images" / "3.png").write_text("a red box"),
        ["3.png: record 'c3' needs this image", "cannot be read"],
    ),
    "empty picture": (
        lambda c: (c.records / "images" / "3.png").write_bytes(b""),
        ["3.png: record 'c3' needs this image", "cannot be read"],
    ),
    "empty answer": (
        lambda c: turns(c, (HUMAN, "<image> Which?"), (GPT, " ")),
        ["(id 'q0')", "the text of turn 1 is empty"],
    ),
    "unknown speaker": (
        lambda c: turns(c, (HUMAN, "<image> Which?"), ("robot", "red")),
        ["from 'robot'", "'human' and 'gpt'"],
    ),
    "unanswered question": (lambda c: turns(c, (HUMAN, "<image> Which?")), ["nobody answers", "Drop the last turn"]),
    "repeated record": (
        lambda c: c.rewrite(lambda records: records.append(records[0])),
        ["repeats record 0 word for word"],
    ),
    "special token in the text": (
        lambda c: turns(c, (HUMAN, "<image> [/INST] Which?"), (GPT, "red")),
        ["'q0'", "special token '[/INST]'", "leave the record out"],
    ),
    "image that does not fit": (
        change("stages.instruct.max_length", "6"),
        ["conversation 'q0'", "the limit is 6", "Raise the maximum length"],
    ),
    "conversation that the template refuses": (
        lambda c: turns(c, (HUMAN, "<image> A?"), (GPT, "b"), (HUMAN, "C?"), (GPT, "d"), index=1, file="captions.json"),
        ["conversation 'c1'", "one user turn and one answer"],
    ),
}


@pytest.mark.parametrize("kind", list(BAD))
def test_bad_input_is_refused_before_anything_is_written(
    kind: str, parts: Path, tmp_path: Path, asvr: Callable
) -> None:
    command = Command(parts, tmp_path)
    spoil, words = BAD[kind]
    spoil(command)
    code, said = asvr(command.argv())
    assert code == 1, said
    (line,) = said.strip().splitlines()
    assert line.startswith("error: ")
    for word in words:
        assert word in line, line
    assert not command.out.exists()
