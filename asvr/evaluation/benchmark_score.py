"""From the answers to a benchmark to its scores; neither model nor data set is near."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from asvr.evaluation.answer_file import Answer, Header, read_complete
from asvr.evaluation.benchmark import Benchmark, Judged, Protocol
from asvr.evaluation.benchmarks import BENCHMARKS
from asvr.evaluation.score import SCORES
from asvr.evaluation.sums import add_up, divide, measure


@dataclass(frozen=True)
class BenchmarkScores:
    """What one model's answers to one benchmark are worth.

    Args:
        benchmark: Its name.
        protocol: The preset by which it was asked and scored.
        headline: Name of the metric that enters the average.
        metrics: By name, in percent; a sum of percentages, such as MME's total, is no percentage itself. None where
            nothing that was asked or said counts in it.
        ratios: What the metrics are made of, in percent, by name.
        num_questions: Questions, all of them scored.
        num_empty: Answers of nothing but white space.
        num_unread: Answers with words in which the rule found nothing it could read.
        left_out: Rows of the data that are not part of the benchmark, by reason.
        note: What a reader of the numbers must know.
    """

    benchmark: str
    protocol: str
    headline: str
    metrics: dict[str, float | None]
    ratios: dict[str, float]
    num_questions: int
    num_empty: int
    num_unread: int
    left_out: dict[str, int]
    note: str

    @property
    def value(self) -> float | None:
        """Gives the headline metric."""
        return self.metrics[self.headline]


def find_protocol(benchmark: str, preset: str) -> tuple[Benchmark, Protocol]:
    """Gives a benchmark and one of its protocols by their names.

    Raises:
        ValueError: If there is none of that name; the message says which there are.
    """
    if benchmark not in BENCHMARKS:
        raise ValueError(f"There is no benchmark {benchmark!r}. Choose of {', '.join(BENCHMARKS)}.")
    found = BENCHMARKS[benchmark]
    if preset not in found.protocols:
        raise ValueError(f"There is no preset {preset!r}. Choose of {', '.join(found.protocols)}.")
    return found, found.protocols[preset]


def judge_answers(benchmark: Benchmark, preset: str, answers: Sequence[Answer]) -> list[Judged]:
    """Judges answers by a preset's rule, in their order."""
    judge = benchmark.protocols[preset].judge
    return [
        Judged(answer.id, answer.item, answer.images, answer.category, judge(answer.item, answer.answer))
        for answer in answers
    ]


def score_benchmark(
    benchmark: Benchmark, preset: str, answers: Sequence[Answer], *, left_out: dict[str, int]
) -> BenchmarkScores:
    """Scores the answers of one model to one benchmark; their order makes no difference.

    Args:
        benchmark: Which.
        preset: The protocol's name.
        answers: At least one.
        left_out: Rows that are not part of the benchmark, by reason.
    """
    protocol = benchmark.protocols[preset]
    judged = judge_answers(benchmark, preset, sorted(answers, key=lambda answer: answer.id))
    sums = add_up(protocol.mark(judged))
    ratios = divide(sums.ratios, sums.values.sum(0), sums.counts.sum(0))
    metrics = {name: float(measure(protocol, name, ratios)) for name in protocol.metrics}
    is_empty = [not answer.answer.strip() for answer in answers]
    is_read = {each.id: bool(each.judgement.extracted) for each in judged}
    return BenchmarkScores(
        benchmark=benchmark.name,
        protocol=preset,
        headline=protocol.headline,
        metrics={name: None if math.isnan(value) else value for name, value in metrics.items()},
        ratios={name: 100 * float(ratio) for name, ratio in ratios.items()},
        num_questions=len(judged),
        num_empty=sum(is_empty),
        num_unread=sum(not is_read[answer.id] and not empty for answer, empty in zip(answers, is_empty, strict=True)),
        left_out=left_out,
        note=protocol.note,
    )


def write_benchmark_scores(folder: Path) -> BenchmarkScores:
    """Scores a folder of answers and writes `scores.json` beside them: the scores, and the header as `provenance`.

    Raises:
        FileNotFoundError: If the folder holds no evaluation.
        ValueError: If the evaluation is broken, not finished, or not of a benchmark.
    """
    header, answers = read_complete(folder)
    scores = _score(folder, header, answers)
    content = {**asdict(scores), "provenance": asdict(header)}
    (folder / SCORES).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return scores


def _score(folder: Path, header: Header, answers: Sequence[Answer]) -> BenchmarkScores:
    try:
        benchmark, _ = find_protocol(header.benchmark, header.protocol)
        return score_benchmark(benchmark, header.protocol, answers, left_out=header.left_out)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error
    except KeyError as error:
        raise ValueError(
            f"{folder}: an answer does not say {error} of its question, which scoring it takes. Evaluate again."
        ) from error
