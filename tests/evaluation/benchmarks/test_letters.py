import pytest

from asvr.evaluation.benchmark import Benchmark
from asvr.evaluation.benchmarks.ai2d import AI2D
from asvr.evaluation.benchmarks.letters import (
    check_options,
    first_letter,
    likeliest_letter,
    number,
    only_letter,
    show,
    unwrap,
    vlmevalkit_prompt,
)
from asvr.evaluation.benchmarks.mmbench import MMBENCH
from asvr.evaluation.benchmarks.mmmu import MMMU
from asvr.evaluation.benchmarks.mmvp import MMVP
from asvr.evaluation.benchmarks.realworldqa import REALWORLDQA
from asvr.evaluation.benchmarks.seed_image import SEED_IMAGE

PETS = {"A": "a cat", "B": "a dog", "C": "it's a horse"}

ROWS = [
    (MMBENCH, {"index": 1, "question": "?", "hint": "nan", **PETS, "D": "nan", "answer": "B"}),
    (
        SEED_IMAGE,
        {
            **{"choice_a": "a cat", "choice_b": "a dog", "choice_c": "x", "choice_d": "y", "answer": "B"},
            **{"question": "?", "question_type_id": 1, "data_type": "image"},
        },
    ),
    (MMMU, {"question": "?", "options": "['a cat', 'a dog']", "answer": "B", "question_type": "multiple-choice"}),
    (MMMU, {"question": "?", "options": "[]", "answer": "dog", "question_type": "open"}),
    (AI2D, {"question": "?", "options": ["a cat", "a dog"], "answer": "1"}),
    (REALWORLDQA, {"question": "?\n\nA. a cat\nB. a dog", "answer": "B"}),
    (MMVP, {"Index": 1, "Question": "?", "Options": "(a) a cat (b) a dog", "Correct Answer": "(b)"}),
]
ids = [f"{benchmark.name}-{number}" for number, (benchmark, _) in enumerate(ROWS)]


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        # The consequences that benchmarks.md names in section 0.3.
        *[("b", "b"), ("(B) dog", "b"), ("dog", "d"), ("Both", "b"), ("A dog", "a"), ("The answer is: B", ":")],
        *[("**B**", "*"), ("[B]", "["), ("Option B", "o"), ("The answer is (B).", "b"), ("Answer: c", "c")],
        *[(" ", ""), (":", ""), ("x" * 10_000, "x"), ("答案", "答")],
    ],
)
def test_the_first_letter(answer: str, letter: str) -> None:
    assert first_letter(answer) == letter


def test_seed_bench_takes_only_full_stops_off_the_end() -> None:
    assert (first_letter("(:"), first_letter("(:", ends=".")) == ("", ":")


def test_mmvp_keeps_the_whole_answer() -> None:
    assert unwrap("The answer is (Open).") == "open"
    assert unwrap("A. Open") == "a. open"


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        # In the order in which places tell: each holds one place and every later one, with other letters.
        ("B, the answer is (C) or A: D", "b"),
        ("The answer is (C), A. or D) so B", "b"),
        ("The answer is C though (A) x", "a"),
        ("The best option is C, hence D: x", "d"),
        ("So (A) and C. x", "a"),
        ("So A. and C: x", "a"),
        ("So A: and C) x", "a"),
        ("So A) and C x", "a"),
        ("So A and xCx", "a"),
        ("xAx or xCx", "c"),
        # Of several in one place, the last.
        ("(A) or (C) maybe", "c"),
        # A letter that begins or ends a longer word is none of these two; only capitals count.
        ("Cat", "c"),
        ("(B) xA", "b"),
        ("cab", ""),
        *[("", ""), (".", ""), ("答案是A", "a"), ('"B"', "b"), ("E", "")],
    ],
)
def test_the_likeliest_letter(answer: str, letter: str) -> None:
    assert likeliest_letter(answer, "ABCD") == letter


def test_a_later_phrase_counts_for_the_letters_behind_it() -> None:
    # "answer is" is found first, "the answer is" later; the last place of any letter wins.
    assert likeliest_letter("My answer is B or so; the answer is D now", "ABCD") == "d"


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        *[("B", "b"), ("b", ""), ("(B).", "b"), ("B?", ""), ("A and B", ""), ("I say it is B", "b")],
        # An early letter may be an article; the last four words count.
        *[("A white animal in the park", ""), ("A small one here", "a")],
        # Stated, in either case, even where it begins a word.
        *[("the answer is b", "b"), ("answer is **C** since A and B", "c"), ("the answer is clearly B or A", "c")],
        # D is no option here.
        ("the answer is d", ""),
        # The text of exactly one option, in an answer of at most twice the options' length.
        *[("It's a Horse!", "c"), ("a cat or a dog", ""), ("a dog" + " " * 90 + "x", "")],
        # Z is nothing, unless there is a letter, here too early to count.
        *[("Z: a dog", ""), ("B is it? Z says: a dog", "b")],
        *[("Z", ""), ("Sorry, I can't help with images of people yet. B", ""), ("", "")],
    ],
)
def test_the_only_letter(answer: str, letter: str) -> None:
    assert only_letter(answer, PETS) == letter


def test_options_are_shown_line_by_line() -> None:
    assert show(number(["a cat", "it's", "ü"])) == "A. a cat\nB. it's\nC. ü"
    assert list(number([str(i) for i in range(9)])) == list("ABCDEFGHI")


def test_vlmevalkit_s_prompt() -> None:
    assert vlmevalkit_prompt("What?", number(["x", "y"]), hint="Look.") == (
        "<image>\nHint: Look.\nQuestion: What?\nOptions:\nA. x\nB. y\n"
        "Please select the correct answer from the options above."
    )
    assert vlmevalkit_prompt("How many?", {}) == "<image>\nQuestion: How many?"


@pytest.mark.parametrize("options", [{}, {"B": "y"}, {"A": " ", "B": "y"}, {"A": "x", "B": "", "C": "y"}])
def test_a_question_needs_two_options_and_the_right_one(options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="needs at least 2 options with a text, its answer among them"):
        check_options(options, "B")


@pytest.mark.parametrize(("benchmark", "row"), ROWS, ids=ids)
@pytest.mark.parametrize("preset", ["paper", "lmms-eval", "vlmevalkit"])
def test_odd_answers_are_wrong_and_empty_ones_unread(benchmark: Benchmark, row: dict, preset: str) -> None:
    benchmark.check(row)
    judge = benchmark.protocols[preset].judge
    for answer in ("", " \n\t", "　"):
        assert judge(row, answer) == (0.0, "")
    for answer in (
        "x" * 10_000,
        "x " * 5_000,
        "\n" * 5_000 + "?" * 5_000,
        "да",
        "👩‍👩‍👧",
        "\u2028",
        "İ" * 100,
        "{}",
        "%s",
    ):
        assert judge(row, answer).score == 0


@pytest.mark.parametrize(("benchmark", "row"), ROWS, ids=ids)
@pytest.mark.parametrize("preset", ["paper", "lmms-eval", "vlmevalkit"])
def test_the_right_answer_is_right(benchmark: Benchmark, row: dict, preset: str) -> None:
    assert benchmark.protocols[preset].judge(row, "dog" if row.get("question_type") == "open" else " B ").score == 1


@pytest.mark.parametrize(("benchmark", "row"), ROWS, ids=ids)
def test_readers_see_the_right_option_s_text(benchmark: Benchmark, row: dict) -> None:
    assert benchmark.reference(row) == ("dog" if row.get("question_type") == "open" else "B. a dog")
