"""What ModelArts says of a training job without a search, what it is asked for one, and its log read on."""

import pytest

from tuneport import driven
from tuneport.backends.modelarts.jobs import ModelArtsJobs
from tuneport.backends.modelarts.training import status_of
from tuneport.model.job import TuningJob
from tuneport.model.results import FailureKind

K = FailureKind


@pytest.mark.parametrize(
    ("phase", "message", "kind"),
    [
        ("Completed", "", None),
        ("Terminated", "", K.CANCELLED),
        ("Failed", "exit code 3", K.CODE),
        ("Failed", "CUDA out of memory", K.OUT_OF_MEMORY),
        ("Failed", "the job was preempted", K.INFRASTRUCTURE),
        ("Abnormal", "", K.INFRASTRUCTURE),
    ],
)
def test_how_a_job_ended(phase, message, kind):
    tasks = [{"task": "worker-0", "exit_code": 3, "message": message}] if message else []
    status = {"phase": phase, "start_time": 1000, "duration": 2000, "task_statuses": tasks}
    said = status_of({"metadata": {"create_time": 500}, "status": status})
    assert (said.started, said.ended) == (1.0, 3.0)
    assert (said.failure and said.failure.kind) == kind


@pytest.mark.parametrize(("phase", "begun"), [("Creating", False), ("Pending", False), ("Running", True)])
def test_how_a_job_goes(phase, begun):
    said = status_of({"metadata": {"create_time": 500}, "status": {"phase": phase, "start_time": 1000 if begun else 0}})
    assert said.ended is None
    assert (said.started is not None) is begun


def test_a_trial_is_a_job_without_a_search():
    job = TuningJob.model_validate(
        {
            "name": "digits",
            "labels": {"team": "vision"},
            "study": {
                "parameters": [
                    {"name": "x", "kind": "float", "low": 1e-5, "high": 1, "scale": "log"},
                    {"name": "b", "kind": "categorical", "choices": [True, False]},
                ],
                "objectives": [{"metric": "loss", "goal": "minimize"}],
            },
            "trial": {
                "image": "team/t:1",
                "command": ["python", "train.py"],
                "parameters": {"fixed": 3},
                "resources": {"machine": "modelarts.vm.cpu.2u"},
                "output": {"uri": "obs://bucket/runs/"},
            },
        }
    )
    document = driven.preview(job, "modelarts", {"region": "cn-north-4"})
    assert document["metadata"]["name"] == "run-00000000-1-1"
    algorithm = document["algorithm"]
    assert "policies" not in algorithm
    parameters = {one["name"]: (one["constraint"]["type"], one["value"]) for one in algorithm["parameters"]}
    assert parameters["fixed"] == ("Integer", "3")
    assert parameters["b"] in {("Boolean", "True"), ("Boolean", "False")}
    assert parameters["x"][0] == "Float"
    assert algorithm["environments"]["TUNEPORT_SPACE"] == '{"fixed": "int", "x": "float", "b": "bool"}'
    assert "bucket/runs/run-00000000/1" in str(algorithm["outputs"])
    assert document["tags"] == [{"key": "team", "value": "vision"}]


class Log:
    """A log of which only the newest bytes can be had."""

    emulated = True

    def __init__(self, window):
        self.text, self.window = b"", window

    def newest(self, _):
        newest = self.text[-self.window :]
        content = newest.decode(errors="replace")
        return {"content": content, "current_size": len(newest), "full_size": len(self.text)}


def test_a_log_is_read_on_though_only_its_newest_part_is_shown():
    log = Log(window=24)
    jobs, said = ModelArtsJobs(log, "run"), []
    for piece in (b"one\ntw", b"o\n(pid=7) three\n", b"", b"four\nfive", b"", b""):
        log.text += piece
        said.append(jobs.lines(["r/1"])["r/1"])
    assert said == [["one"], ["two", "three"], [], ["four"], ["five"], []]
