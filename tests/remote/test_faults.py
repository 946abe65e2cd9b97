"""Three of ten calls go wrong, on every cloud: jobs are submitted once, trials are read back, nothing hangs."""

from __future__ import annotations

import sys

import pytest

import tuneport as tp
from tuneport.backends import retries
from tuneport.emulators.faults import Kind
from tuneport.model.results import RunState, TrialState

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:huaweicloudsdkcore")

CALLS = (Kind.LOST, Kind.RESET, Kind.ERROR, Kind.THROTTLE)
EACH = 1 - 0.7 ** (1 / len(CALLS))
TRIALS = {
    "vertex": {"image": "gcr.io/p/trainer:1", "resources": {"machine": "n1-standard-4"}},
    "sagemaker": {"image": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/trainer:1", "timeout": 3600,
                  "resources": {"machine": "ml.m5.large"}},
    "modelarts": {"image": "team/trainer:1", "command": ["python", "fit.py"],
                  "resources": {"machine": "modelarts.vm.cpu.8u"}},
}  # fmt: skip
SETTINGS = {"sagemaker": {"role": "arn:aws:iam::123456789012:role/tuning", "output": "s3://bucket/output"}}


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Attempts cost no time here, and are many enough that none of the tests is unlucky."""
    monkeypatch.setattr(retries, "SLOWEST", 0.001)
    monkeypatch.setattr(retries, "ATTEMPTS", 20)


def job_for(cloud):
    space = [
        {"name": "layers", "kind": "int", "low": 1, "high": 8, "scale": "linear"},
        {"name": "lr", "kind": "float", "low": 1e-4, "high": 0.1, "scale": "linear"},
    ]
    return tp.TuningJob.model_validate(
        {
            "name": "digits",
            "study": {"parameters": space, "objectives": [{"metric": "loss", "goal": "minimize"}],
                      "algorithm": {"kind": "random"}},
            "trial": TRIALS[cloud],
            "budget": {"max_trials": 4},
        }
    )  # fmt: skip


def runs_of(host):
    """The runs behind what a client sees."""
    return {one.run for one in host.documents.with_runs()}


SEEDED = [
    pytest.param(cloud, marks=pytest.mark.tuneport_cloud(seed=seed), id=f"{cloud}-{seed}")
    for cloud in TRIALS
    for seed in range(3)
]


@pytest.mark.parametrize("cloud", SEEDED)
def test_jobs_are_submitted_once_and_read_back(tuneport_cloud, tmp_path, cloud):
    host, faults = tuneport_cloud.host, tuneport_cloud.faults
    faults.add(Kind.LOST, "Create*", calls=[1, 3])
    for kind in CALLS:
        faults.add(kind, "*", probability=EACH)
    job, settings = job_for(cloud), SETTINGS.get(cloud, {})
    sent = [tp.submit(job, on=cloud, settings=settings, workspace=tmp_path) for _ in range(3)]
    assert len({run.ref for run in sent}) == len(runs_of(host)) == 3
    there = [host.wait(run, 20) for run in runs_of(host)]
    for run in sent:
        result = run.wait(timeout=30)
        assert result.state is RunState.SUCCEEDED
        assert [one.state for one in result.trials] == [TrialState.SUCCEEDED] * 4
        losses = [pytest.approx([one.metrics["loss"] for one in other.trials]) for other in there]
        assert [one.metrics["loss"] for one in result.trials] in losses
        assert any("synthetic" in line for line in run.logs(1))
        run.delete()
        with pytest.raises(tp.errors.RunNotFoundError):
            tp.attach(run.ref, workspace=tmp_path / "elsewhere").result()
    assert len(faults.struck) > 3


@pytest.mark.parametrize("cloud", ["sagemaker", "modelarts"])
def test_a_single_trial_is_stopped_by_its_number(tuneport_cloud, until, tmp_path, cloud):
    tuneport_cloud.map(TRIALS[cloud]["image"], [sys.executable, "-c", "import time; time.sleep(60)"])
    job, settings = job_for(cloud), SETTINGS.get(cloud, {})
    run = tp.submit(job, on=cloud, settings=settings, workspace=tmp_path)
    assert until(lambda: [one.state for one in run.trials] == [TrialState.RUNNING])
    run.stop(1)
    states = until(lambda: (found := [one.state for one in run.trials]) and len(found) == 2 and found)
    assert states[0].ended
    (there,) = runs_of(tuneport_cloud.host)
    assert tuneport_cloud.host.result(there).trials[0].state is TrialState.STOPPED
    run.stop()
    assert run.wait(timeout=30).state is RunState.STOPPED
