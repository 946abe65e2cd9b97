"""A submission that is killed between any two of its calls, by SIGKILL, makes one job when it is submitted again."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import tuneport as tp

ARN = "arn:aws:iam::123456789012:role/tuning"
STUDY = {
    "parameters": [{"name": "x", "kind": "float", "low": 0, "high": 1}],
    "objectives": [{"metric": "loss", "goal": "minimize"}],
}
CLOUDS = {
    "vertex": {"trial": {"image": "gcr.io/p/t:1", "resources": {"machine": "n1-standard-4"}}},
    "sagemaker": {
        "trial": {
            "image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/t:1",
            "resources": {"machine": "ml.m5.large"},
            "timeout": 3600,
        },
        "settings": {"role": ARN, "output": "s3://bucket/out"},
    },
    "modelarts": {
        "trial": {
            "image": "team/t:1",
            "command": ["python", "t.py"],
            "resources": {"machine": "modelarts.vm.cpu.8u"},
        },
    },
}
CALLS = {"vertex": [1, 2], "sagemaker": [1, 2], "modelarts": [2, 3]}
"""Calls of a submission, and of one whose first answer is lost: it is made, looked for, and tagged."""


@pytest.mark.parametrize(("cloud", "form"), [("vertex", "pipeline"), ("sagemaker", None), ("modelarts", None)])
def test_killed_between_any_two_calls_and_submitted_again_it_is_one_job(tuneport_cloud, tmp_path, cloud, form):
    job = {"study": STUDY, "labels": {"team": "vision"}, "budget": {"max_trials": 1}, "trial": CLOUDS[cloud]["trial"]}
    asked = {"on": cloud, "form": form, "job": job, "settings": CLOUDS[cloud].get("settings", {})}
    program = Path(__file__).with_name("submitting.py")
    done = subprocess.run(  # noqa: PLW1510 - said below, with what it wrote
        [sys.executable, program, json.dumps(asked)], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["calls"] for one in said if "calls" in one] == CALLS[cloud], "each call was a moment to die"
    again = {one["name"]: one["ref"] for one in said if "ref" in one}
    assert len(again) == sum(CALLS[cloud]) + 2  # before each call, and after the last one
    jobs = len(again) + 2  # two came through unharmed
    assert len({one.run for one in tuneport_cloud.host.documents.with_runs()}) == jobs
    for name, ref in again.items():
        assert [one.ref for one in tp.runs(workspace=tmp_path / name)] == [ref]
    found = tp.attach(ref, workspace=tmp_path / "elsewhere")
    assert found.result.name.startswith(name)
    if cloud == "modelarts":  # a call of its own
        assert found.job.labels == job["labels"]
