"""The sagemaker SDK and AWS's command line, unchanged, as processes of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import tuneport as tp

TRAIN = "import tuneport_trial as t; p = t.params(); print(f\"loss={(p['lr'] - 0.01) ** 2 + p['depth'] / 9}\")"


@pytest.fixture
def run(cloud, tmp_path):
    """A process whose AWS is the emulator; gives what it prints, as JSON."""

    def started(*command, fails=False):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | {
            "AWS_ENDPOINT_URL": cloud.url,
            "AWS_ACCESS_KEY_ID": "emulated",
            "AWS_SECRET_ACCESS_KEY": "emulated",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_CONFIG_FILE": str(tmp_path / "none"),
            "AWS_PAGER": "",
            "HOME": str(tmp_path),
            "SAGEMAKER_VALIDATE_ROLE": "false",  # it would ask moto for a simulation that moto does not play
        }
        done = subprocess.run(
            [sys.executable, *command], capture_output=True, text=True, env=environment, timeout=120, check=False
        )
        assert bool(done.returncode) is fails, done.stderr
        return done.stderr if fails else json.loads(done.stdout)

    return started


def here(tmp_path):
    """The same search on this machine."""
    job = tp.TuningJob.model_validate(
        {
            "name": "here",
            "study": {
                "parameters": [
                    {"name": "depth", "kind": "int", "low": 2, "high": 9},
                    {"name": "lr", "kind": "float", "low": 1e-4, "high": 0.1, "scale": "log"},
                    {"name": "opt", "kind": "categorical", "choices": ["adam", "sgd"]},
                ],
                "objectives": [{"metric": "loss", "goal": "minimize"}],
                "algorithm": {"kind": "random", "seed": 7},
            },
            "trial": {"command": [sys.executable, "-c", TRAIN], "metrics": {"loss": "loss=([-+0-9.eE]+)"}},
            "budget": {"max_trials": 4, "parallel_trials": 2},
        }
    )
    return tp.run(job, on="local", workspace=tmp_path / "workspace").result


def test_the_sagemaker_sdk_tunes(cloud, image, run, tmp_path):
    cloud.host.programs.map(image, (sys.executable, "-c", TRAIN))
    said = run(str(Path(__file__).parent / "tune_by_sdk.py"), image)
    assert (said["status"], said["stopped"], said["description"]) == ("Completed", "Stopped", "Random")
    assert said["listed"] == ["stopped", "tuned"]
    mine = here(tmp_path)
    assert len(said["rows"]) == 4
    for row, trial in zip(said["rows"], mine.trials, strict=True):
        assert {name: row[name] for name in ("lr", "depth", "opt")} == trial.parameters
        assert row["FinalObjectiveValue"] == pytest.approx(trial.metrics["loss"], rel=1e-6)
    assert said["best"] == said["rows"][mine.best.id - 1]["TrainingJobName"]


def test_the_command_line_of_aws_does_too(cloud, run, request_of, tmp_path):
    (tmp_path / "request.json").write_text(json.dumps(request_of()))
    aws = ("-m", "awscli", "sagemaker", "--output", "json")
    made = run(*aws, "create-hyper-parameter-tuning-job", "--cli-input-json", f"file://{tmp_path}/request.json")
    assert made["HyperParameterTuningJobArn"].endswith("/demo-1")
    cloud.ended()
    named = ("--hyper-parameter-tuning-job-name", "demo-1")
    listed = run(*aws, "list-training-jobs-for-hyper-parameter-tuning-job", *named, "--page-size", "3")
    assert len(listed["TrainingJobSummaries"]) == 4
    refused = run(*aws, "stop-hyper-parameter-tuning-job", *named, fails=True)
    assert "ValidationException" in refused
