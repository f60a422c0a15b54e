from pathlib import Path

from asvr.data.dataset import Source
from asvr.reports.figures import visual_losses
from asvr.reports.results import Arm as ArmResult
from asvr.reports.results import Run, StageResult
from asvr.studies.job import is_done, run_job
from asvr.studies.plan import Arm, Job, Study
from tests.parts import shrink
from tests.training.runs import QUIET, metrics


def test_an_arm_without_codes_runs_and_its_loss_is_drawn(parts: Path, tmp_path: Path) -> None:
    records = parts / "records"
    source = {name: Source(records / f"{name}.json", records / "images") for name in ("captions", "instruct", "eval")}
    arm = Arm(name="ross", recipe=shrink("ross-siglip-next-vicuna-7b", parts), note="")
    data = {"pretrain": (source["captions"],), "instruct": (source["instruct"],)}
    study = Study(title="a study", arms=(arm,), seeds=(0,), data=data, evaluation=source["eval"])
    job = Job(arm=arm, seed=0, folder=tmp_path, study=study, machine=QUIET)
    run_job(job)
    # What a head over features makes of pictures is no code that could be right or wrong.
    assert is_done(job) and not (tmp_path / "reconstruction.json").exists()

    stages = [
        StageResult(name, steps, 1.0, {}, {}, tuple(line for line in metrics(tmp_path / name) if "loss" in line))
        for name, steps in (("pretrain", 2), ("instruct", 3))
    ]
    run = Run(0, {}, ("semantic",), tuple(stages), {}, (), None)
    (figure,) = visual_losses(ArmResult("ross", "", "", (run,)), "semantic", num_codes=None)
    assert "Visual loss of ross over all steps" in figure
