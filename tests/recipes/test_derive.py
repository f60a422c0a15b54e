import json
from dataclasses import replace

import pytest

from asvr.derive import as_json, derive, flatten, recipe_hash
from asvr.recipes import RECIPES

ASVR = RECIPES["tiny-asvr"]
RATE = "stages.instruct.optimisation.learning_rate"
TARGET = "stages.pretrain.supervision.semantic.target"


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        (RATE, "1e-5", 1e-5),
        ("stages.pretrain.optimisation.batch_size", "64", 64),
        ("stages.pretrain.gradient_checkpointing", "true", True),
        (f"{TARGET}.own_tower", "false", False),
        (f"{TARGET}.tokenizer", "a/b", "a/b"),
        ("stages.pretrain.template", "chatml", "chatml"),
        ("stages.instruct.trainable", "vlm.lm_head.,supervision.", ("vlm.lm_head.", "supervision.")),
        ("alignment", "same", "same"),
        ("model.feature_layer", "-1", -1),
    ],
)
def test_a_field_is_changed_by_its_path_and_no_other(path: str, text: str, value: object) -> None:
    before, after = flatten(ASVR), flatten(derive(ASVR, {path: text}))
    assert after[path] == value and type(after[path]) is type(value)
    assert [key for key in before if before[key] != after[key]] == [path]


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("stages.instruct.optimisation.lerning_rate", "1", r"no 'lerning_rate' here: did you mean 'learning_rate'\?"),
        ("stages.instrukt.max_length", "1", r"did you mean 'instruct'\?"),
        ("stages.instruct.zzz", "1", "choose one of name, mixture, template"),
        ("stages.instruct.supervision.appearance.weight", "1", "there is no 'appearance' here: choose one of semantic"),
        ("stages.instruct.optimisation", "1", "a group of fields, not one: go on with a dot"),
        ("stages", "1", "a group of fields"),
        (f"{RATE}.x", "1", "what stands before 'x' is a plain value: end the path there"),
        (RATE, "fast", "the value must be of type float"),
        ("stages.instruct.max_length", "1.5", "the value must be of type int"),
        ("stages.instruct.gradient_checkpointing", "yes", "write true or false"),
        ("alignment", "previous", "choose one of next, same"),
        (RATE, "0", "optimisation.learning_rate is 0.0: it must be a number above zero"),
        (RATE, "nan", "it must be a number above zero"),
        ("stages.instruct.optimisation.epochs", "inf", "it must be a number above zero"),
        ("stages.instruct.optimisation.warmup_ratio", "3", "it is a share, from 0 to below 1"),
        ("stages.instruct.optimisation.weight_decay", "-1", "it must be zero or above"),
        ("stages.instruct.supervision.semantic.weight", "-1", "it must be a number from zero up"),
        ("stages.instruct.max_length", "0", "the length must be one at least"),
    ],
)
def test_a_bad_change_names_path_rule_and_remedy(path: str, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        derive(ASVR, {path: text})


def test_companions_without_a_visual_loss_are_refused() -> None:
    with pytest.raises(ValueError, match=r"no visual loss to learn from them: set companions=0, or use a recipe with"):
        derive(RECIPES["tiny-llava"], {"stages.instruct.companions": "1"})


def test_the_hash_is_of_what_decides_the_numbers() -> None:
    assert recipe_hash(replace(ASVR, name="other", source="elsewhere")) == recipe_hash(ASVR)
    hashes = {recipe_hash(recipe) for recipe in RECIPES.values()}
    assert len(hashes) == len(RECIPES)
    for path, value in flatten(ASVR).items():
        if isinstance(value, float):
            assert recipe_hash(derive(ASVR, {path: repr(value / 2 + 0.25)})) != recipe_hash(ASVR), path


def test_json_says_the_class_of_every_part() -> None:
    found = json.loads(json.dumps(as_json(ASVR)))
    assert found["class"] == "Recipe"
    assert [stage["class"] for stage in found["stages"]] == ["Stage", "Stage"]
    semantic = found["stages"][0]["supervision"]["semantic"]
    assert (semantic["target"]["class"], semantic["head"]["class"]) == ("CodesSpec", "DepthTransformerSpec")


@pytest.mark.parametrize("name", list(RECIPES))
def test_every_listed_path_can_be_set(name: str) -> None:
    recipe = RECIPES[name]
    for path, value in flatten(recipe).items():
        if path.endswith("supervision"):
            continue  # An empty group: a text-only stage has no visual loss to change.
        assert derive(recipe, {path: written(value)}) == recipe, path


def written(value: object) -> str:
    """As a user would write it."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
