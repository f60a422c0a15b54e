import re
from collections import Counter, defaultdict
from random import Random

import pytest

from asvr.world.questions import KINDS, ask
from asvr.world.scene import COLOURS, SHAPES, Scene, Thing, sample_scene
from asvr.world.words import EMPTY, caption, word_picture

SCENES = [sample_scene("train", index, seed=0) for index in range(1500)]


def matching(scene: Scene, words: str) -> list[Thing]:
    """Finds the things that a noun phrase such as `blue objects` or `lowest object` means."""
    ends = {"lowest": (max, "row"), "highest": (min, "row"), "rightmost": (max, "column"), "leftmost": (min, "column")}
    things = list(scene.things)
    for word in re.findall(r"\w+", words):
        if word in ends:
            pick, side = ends[word]
            farthest = pick(getattr(thing, side) for thing in things)
            things = [thing for thing in things if getattr(thing, side) == farthest]
        elif word in COLOURS:
            things = [thing for thing in things if thing.colour == word]
        elif word.rstrip("s") in SHAPES:
            things = [thing for thing in things if thing.shape == word.rstrip("s")]
    return things


def solve(scene: Scene, question: str) -> str:
    """Answers a question from its words and the scene, by none of the generator's code."""
    if found := re.fullmatch(r"Is there an? (.*)\?", question):
        return "yes" if matching(scene, found[1]) else "no"
    if found := re.fullmatch(r"How many (.*) are there\?", question):
        return str(len(matching(scene, found[1])))
    if found := re.fullmatch(r"Are there more (.*) than (.*)\?", question):
        return "yes" if len(matching(scene, found[1])) > len(matching(scene, found[2])) else "no"
    if found := re.fullmatch(r"Is the (.*) (left of|above) the (.*)\?", question):
        (one,), (other,) = matching(scene, found[1]), matching(scene, found[3])
        return "yes" if (one.column < other.column if found[2] == "left of" else one.row < other.row) else "no"
    if found := re.fullmatch(r"Which letter is on the (.*)\?", question):
        (thing,) = matching(scene, found[1])
        return thing.character
    found = re.fullmatch(r"What (colour|shape|size) is the (.*)\?", question)
    assert found, question
    (thing,) = matching(scene, found[2])
    return getattr(thing, found[1])


@pytest.mark.parametrize("category", KINDS)
def test_every_answer_is_true_and_every_name_means_one_thing(category: str) -> None:
    asked = [(scene, KINDS[category](scene, Random(index))) for index, scene in enumerate(SCENES)]
    drawn = [(scene, *question) for scene, question in asked if question is not None]
    assert len(drawn) > len(SCENES) / 3
    assert all(solve(scene, question) == answer for scene, question, answer in drawn)


@pytest.mark.parametrize("category", ["exist", "probe", "compare", "relation"])
def test_yes_and_no_are_equally_frequent(category: str) -> None:
    drawn = [KINDS[category](scene, Random(index)) for index, scene in enumerate(SCENES)]
    answers = Counter(question[1] for question in drawn if question is not None)
    # Four standard deviations of a fair coin.
    assert abs(answers["yes"] - answers["no"]) < 4 * answers.total() ** 0.5


@pytest.mark.parametrize(("category", "largest_share"), [("count", 0.4), ("reading", 0.2), ("colour", 0.2)])
def test_no_answer_dominates(category: str, largest_share: float) -> None:
    drawn = [KINDS[category](scene, Random(index)) for index, scene in enumerate(SCENES)]
    answers = Counter(question[1] for question in drawn if question is not None)
    assert answers.most_common(1)[0][1] < largest_share * answers.total()


def test_an_absent_thing_of_a_probe_is_plausible() -> None:
    for index, scene in enumerate(SCENES):
        drawn = KINDS["probe"](scene, Random(index))
        if drawn is not None and drawn[1] == "no":
            colour, shape = drawn[0].rstrip("?").split()[-2:]
            assert matching(scene, colour)
            assert matching(scene, shape)


def test_questions_of_one_scene_differ_and_go_round_the_kinds() -> None:
    kinds: dict[str, int] = defaultdict(int)
    for index, scene in enumerate(SCENES[:300]):
        asked = ask(scene, Random(index), number=8)
        assert len({question for _, question, _ in asked}) == len(asked) <= 8
        for category, _, _ in asked:
            kinds[category] += 1
    assert set(kinds) == set(KINDS)
    assert min(kinds.values()) > 100


def test_a_word_picture_has_a_word_for_each_visual_token() -> None:
    scene = Scene((Thing("star", "red", "small", "H", 0), Thing("heart", "blue", "large", "X", 5)))
    words = re.findall(r"\[[^]]*\]", word_picture(scene))
    star, heart, empty = "[small red star H]", "[large blue heart X]", EMPTY
    # Six rows of six: cell 0 is the first two words of the first two rows, cell 5 the last two of the next two.
    assert words == 2 * [star, star, *4 * [empty]] + 2 * [*4 * [empty], heart, heart] + 12 * [empty]


def test_a_caption_is_true_and_sparse() -> None:
    for index, scene in enumerate(SCENES[:300]):
        mentioned = re.findall(r"(\w+) (\w+)(?: with the letter (\w))?(?: and|\.)", caption(scene, Random(index)))
        assert 1 <= len(mentioned) <= 2
        for colour, shape, letter in mentioned:
            assert any(
                (thing.colour, thing.shape) == (colour, shape) and letter in ("", thing.character)
                for thing in scene.things
            )
