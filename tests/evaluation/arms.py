"""Arms made of marks instead of models."""

from collections.abc import Sequence

from asvr.evaluation.answer_file import Answer
from asvr.evaluation.arms import Arm


def make_arm(
    name: str,
    marks: Sequence[Sequence[bool]],
    *,
    questions_per_image: int = 1,
    num_categories: int = 1,
    prompt_hash: str = "hash",
) -> Arm:
    """An arm with a row of marks per seed; question i is of category i modulo their number."""
    runs = {
        f"seed-{seed}": tuple(
            Answer(
                id=f"q{index:05}",
                category=f"kind {index % num_categories}",
                images=(f"{index // questions_per_image}.png",),
                question="?",
                answer="right" if mark else "wrong",
                reference="right",
            )
            for index, mark in enumerate(row)
        )
        for seed, row in enumerate(marks)
    }
    return Arm(name=name, prompt_hash=prompt_hash, runs=runs)
