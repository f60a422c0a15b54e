"""The sides of a comparison on benchmarks: which results there are, and whether they may be compared."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from asvr.evaluation.answer_file import HEADER, Header, read_complete, read_header
from asvr.evaluation.arms import EVALUATION, Arm, check_comparable, check_seeds, name_folders, seed_folders
from asvr.evaluation.benchmark import Protocol
from asvr.evaluation.benchmarks import BENCHMARKS


class Result(NamedTuple):
    """Answers of one run to one benchmark.

    Args:
        folder: Where they are.
        header: How they came about.
    """

    folder: Path
    header: Header


@dataclass(frozen=True)
class Suite:
    """Results of several arms on the benchmarks that every run of every arm has answered.

    Args:
        folders: What was given, by the arm's name; the baseline first.
        seeds: Names of the runs of every arm.
        results: By benchmark, in the paper's order, arm and seed.
        lacking: Who lacks a benchmark that another run has, by benchmark.
    """

    folders: Mapping[str, Path]
    seeds: tuple[str, ...]
    results: Mapping[str, Mapping[str, Mapping[str, Result]]]
    lacking: Mapping[str, tuple[str, ...]]

    def first(self, benchmark: str) -> Header:
        """Gives a header of a benchmark; what decides the questions is the same in all of them."""
        return next(iter(next(iter(self.results[benchmark].values())).values())).header

    def protocol(self, benchmark: str) -> Protocol:
        """Gives the protocol by which a benchmark was put."""
        return BENCHMARKS[benchmark].protocols[self.first(benchmark).protocol]

    @property
    def chat_templates(self) -> dict[str, tuple[str, ...]]:
        """Gives the hashes of the chat templates of each arm, each once; several arms with different ones may be
        compared, but the reader must know.
        """
        return {
            arm: tuple(
                dict.fromkeys(
                    result.header.chat_template_hash for runs in self.results.values() for result in runs[arm].values()
                )
            )
            for arm in self.folders
        }


def load_suite(folders: Sequence[Path]) -> Suite:
    """Finds results that can be compared with each other; the answers are read later, a benchmark at a time.

    Args:
        folders: One folder per arm, the baseline's first: a folder of results with a folder per benchmark, a run with
            such an `evaluation/`, or a folder of `seed-*` runs.

    Raises:
        FileNotFoundError: If a folder is missing or holds no result.
        ValueError: If a folder is given twice, arms have other seeds, no benchmark is in all of them, or a benchmark
            was put in different ways.
    """
    named = name_folders(folders)
    found = {name: {seed: _find(path) for seed, path in seed_folders(root).items()} for name, root in named.items()}
    baseline, *others = found
    for arm in others:
        check_seeds(baseline, list(found[baseline]), arm, list(found[arm]))
    runs = [(arm, seed) for arm in found for seed in found[baseline]]
    lacking = {name: tuple(_lacking(found, name)) for name in BENCHMARKS}
    everywhere = [name for name, arms in lacking.items() if not arms]
    if not everywhere:
        have = "; ".join(f"{arm} ({seed}) has {', '.join(found[arm][seed])}" for arm, seed in runs)
        raise ValueError(f"No benchmark is in all of the results: {have}. Evaluate all on the same benchmarks.")
    results = {
        name: {arm: {seed: found[arm][seed][name] for seed in found[baseline]} for arm in found} for name in everywhere
    }
    for name, arms in results.items():
        _check_headers(name, [result for of_arm in arms.values() for result in of_arm.values()])
    partly = {
        name: arms for name, arms in lacking.items() if arms and any(name in found[arm][seed] for arm, seed in runs)
    }
    return Suite(folders=named, seeds=tuple(found[baseline]), results=results, lacking=partly)


def read_arms(suite: Suite, benchmark: str) -> list[Arm]:
    """Reads the answers of every arm to one benchmark, the baseline's first.

    Raises:
        ValueError: If answers are broken or missing, or the questions are not the same.
    """
    arms = [
        Arm(
            name, suite.first(benchmark).prompt_hash, {seed: read_complete(run.folder)[1] for seed, run in runs.items()}
        )
        for name, runs in suite.results[benchmark].items()
    ]
    for arm in arms[1:]:
        try:
            check_comparable(arms[0], arm)
        except ValueError as error:
            raise ValueError(f"{benchmark}: {error}") from error
    return arms


def describe(suite: Suite) -> dict[str, Any]:
    """Gives, for a file, what was compared: folders, seeds, and of each benchmark how it was put, with all headers."""
    return {
        "runs": {name: str(folder) for name, folder in suite.folders.items()},
        "seeds": list(suite.seeds),
        "benchmarks": {name: _describe(suite, name) for name in suite.results},
        "lacking": {name: list(arms) for name, arms in suite.lacking.items()},
        "chat_templates": {name: list(hashes) for name, hashes in suite.chat_templates.items()},
    }


def _describe(suite: Suite, name: str) -> dict[str, Any]:
    header, protocol = suite.first(name), suite.protocol(name)
    return {
        "column": BENCHMARKS[name].column,
        "preset": header.protocol,
        "prompt_hash": header.prompt_hash,
        "headline": protocol.headline,
        "note": protocol.note,
        "source": BENCHMARKS[name].source,
        "num_questions": header.num_questions,
        "limit": header.limit,
        "left_out": header.left_out,
        "headers": {
            arm: {seed: asdict(result.header) for seed, result in runs.items()}
            for arm, runs in suite.results[name].items()
        },
    }


def _find(folder: Path) -> dict[str, Result]:
    """Finds the benchmarks that a run has answered."""
    root = folder / EVALUATION if (folder / EVALUATION).is_dir() else folder
    places = {name: root / name for name in BENCHMARKS if (root / name / HEADER).is_file()}
    if not places:
        raise FileNotFoundError(
            f"{root}: no results of a benchmark, such as {next(iter(BENCHMARKS))}/{HEADER}. Make them with "
            "`asvr evaluate MODEL --benchmarks all`, or compare answers to a file of records with --on NAME."
        )
    return {name: Result(place, read_header(place)) for name, place in places.items()}


def _lacking(found: Mapping[str, Mapping[str, Mapping[str, Result]]], benchmark: str) -> Iterator[str]:
    """Names the arms that lack a benchmark, or only some runs of an arm if the others have it."""
    for arm, runs in found.items():
        seeds = [seed for seed, results in runs.items() if benchmark not in results]
        if len(seeds) == len(runs):
            yield arm
        else:
            yield from (f"{arm} ({seed})" for seed in seeds)


def _check_headers(name: str, results: Sequence[Result]) -> None:
    first = results[0]
    for result in results:
        header = result.header
        if header.benchmark != name or header.protocol not in BENCHMARKS[name].protocols:
            raise ValueError(
                f"{result.folder}: not answers to the benchmark {name} under a known preset, but to "
                f"{header.benchmark or header.data!r} under {header.protocol or 'none'!r}. Move them to another folder."
            )
        if header.protocol != first.header.protocol:
            raise ValueError(
                f"{name}: {first.folder} was put under the preset {first.header.protocol!r} and {result.folder} under "
                f"{header.protocol!r}. Evaluate both under the same one."
            )
        if header.prompt_hash != first.header.prompt_hash:
            raise ValueError(
                f"{name}: {first.folder} and {result.folder} were not put in the same way: their prompt hashes are "
                f"{first.header.prompt_hash[:12]} and {header.prompt_hash[:12]}. Evaluate both on the same data, with "
                "the same preset, limit and longest answer."
            )
