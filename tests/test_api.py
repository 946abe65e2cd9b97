"""The public verbs, as a user of the package calls them."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import tuneport as tp
from tuneport import errors


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("TUNEPORT_")]:
        monkeypatch.delenv(name)


def job(script: str = "print('loss=' + sys.argv[1][4:])", **budget: int) -> tp.TuningJob:
    Path("train.py").write_text(f"import sys, time\n{script}\n")
    return tp.TuningJob(
        name="Api Test",
        study=tp.StudySpec(parameters=[tp.Float("x", 0, 1)], objectives=[tp.minimize("loss")]),
        trial=tp.TrialSpec(command=["python", "train.py"], metrics={"loss": r"loss=(\S+)"}),
        budget=tp.Budget(**({"max_trials": 4} | budget)),
    )


def test_run_waits_and_attach_finds_it_again() -> None:
    seen: list[int] = []
    run = tp.run(job(), progress=lambda result: seen.append(len(result.trials)))
    assert run.state is tp.RunState.SUCCEEDED
    assert run.best is not None
    assert run.best.metrics["loss"] == run.best.parameters["x"]
    assert len(run.trials) == 4
    assert seen[-1] == 4
    assert run.folder.is_dir()
    assert run.ref.startswith("local:api-test-")
    again = tp.attach(run.ref)
    assert again.result == run.result
    assert tp.attach(run.ref.partition(":")[2][:12]).ref == run.ref
    assert [result.ref for result in tp.runs()] == [run.ref]
    frame = run.to_dataframe()
    assert list(frame["metric.loss"]) == [trial.metrics["loss"] for trial in run.trials]
    assert "loss" in next(iter(run.logs(1)))


def test_submit_returns_at_once_and_the_run_outlives_the_submitter(tmp_path: Path) -> None:
    script = """
    import sys, time
    import tuneport as tp
    job = tp.TuningJob.model_validate_json(open("job.json").read())
    print(tp.submit(job).ref)
    """
    Path("job.json").write_text(job("time.sleep(0.5); print('loss=1')").model_dump_json())
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    run = tp.attach(done.stdout.strip())
    assert run.state in {tp.RunState.PENDING, tp.RunState.RUNNING}, time.monotonic() - began
    with pytest.raises(errors.WaitTimeoutError):
        run.wait(timeout=0.2)
    assert run.wait(timeout=60).state is tp.RunState.SUCCEEDED
    assert len(run.trials) == 4


def test_a_submitted_run_can_be_stopped_and_deleted() -> None:
    run = tp.submit(job("print('loss=1', flush=True); time.sleep(60)"))
    while not any(trial.measurements for trial in run.trials):
        time.sleep(0.05)
    run.stop()
    assert run.wait(timeout=30).state is tp.RunState.STOPPED
    run.delete()
    with pytest.raises(errors.RunNotFoundError):
        tp.attach(run.ref)


def test_nothing_is_recorded_if_anything_is_wrong() -> None:
    bad = tp.TuningJob(
        name="bad",
        study=tp.StudySpec(
            parameters=[tp.Float("x", 0, 1)], objectives=[tp.minimize("loss")], early_stopping=tp.CurveStopping()
        ),
        trial=tp.TrialSpec(
            command=["no-such-program"],
            resources=tp.Resources(gpus=99, replicas=2),
            inputs=[tp.Input(name="train", uri="nowhere")],
        ),
        budget=tp.Budget(parallel_trials=2),
    )
    with pytest.raises(errors.JobError) as caught:
        tp.run(bad, settings={"gpus": 2})
    pointers = {problem.pointer for problem in caught.value.problems}
    assert {
        "/trial/command/0",
        "/trial/resources/gpus",
        "/trial/resources/replicas",
        "/trial/inputs/0/uri",
        "/study/early_stopping",
    } <= pointers
    assert not Path(".tuneport").exists()


def test_more_at_once_than_exists_is_a_problem_with_a_way_out() -> None:
    crowded = job().changed(
        trial=job().trial.changed(resources=tp.Resources(gpus=1)), budget=tp.Budget(parallel_trials=4)
    )
    with pytest.raises(errors.JobError, match="set parallel_trials to 2"):
        tp.run(crowded, settings={"gpus": 2})


def test_another_backend_is_one_word_and_a_clear_error_for_now() -> None:
    with pytest.raises(errors.BackendNotFoundError, match="local"):
        tp.run(job(), on="vertex")
    with pytest.raises(errors.BackendNotFoundError):
        tp.attach("sagemaker:eu-west-1/my-job")


@pytest.mark.parametrize("contract", ["local", "vertex", "sagemaker", "modelarts"])
def test_one_trainer_runs_here_under_every_hosts_contract(contract: str) -> None:
    Path("train.py").write_text(
        "import tuneport_trial as t\np = t.params()\nfor s in (1, 2): t.report(step=s, loss=p['x'] / s + p['n'])\n"
    )
    portable = tp.TuningJob(
        name="portable",
        study=tp.StudySpec(
            parameters=[tp.Float("x", 1e-5, 1, scale="log"), tp.Int("n", 1, 9)],
            objectives=[tp.minimize("loss")],
            algorithm=tp.Random(seed=4),
        ),
        trial=tp.TrialSpec(command=["python", "train.py"]),
        budget=tp.Budget(max_trials=3),
    )
    run = tp.run(portable, settings={"contract": contract})
    for trial in run.trials:
        x, n = trial.parameters["x"], trial.parameters["n"]
        assert [m.metrics["loss"] for m in trial.measurements] == [x + n, x / 2 + n], contract


def test_tune_a_plain_function() -> None:
    def objective(x: float, opt: str, momentum: float = 0.0) -> float:
        assert (opt == "sgd") == (momentum != 0.0)
        return (x - 0.3) ** 2 + (opt == "adam")

    best = tp.tune(
        objective,
        parameters=[
            tp.Float("x", 0, 1),
            tp.Categorical("opt", ["adam", "sgd"]),
            tp.Float("momentum", 0.5, 0.99, when=tp.when("opt", "sgd")),
        ],
        max_trials=40,
        seed=1,
    )
    assert best.parameters["opt"] == "sgd"
    assert best.metrics["objective"] < 0.01


def test_tune_takes_a_dict_function_several_metrics_and_a_goal() -> None:
    best = tp.tune(
        lambda config: {"score": -abs(config["n"] - 4), "other": 1.0},
        parameters=[tp.Int("n", 1, 9)],
        goal="maximize",
        metric="score",
        algorithm=tp.Grid(),
        parallel_trials=3,
    )
    assert best.parameters == {"n": 4}
    assert best.metrics == {"score": 0.0, "other": 1.0}


def test_tune_stops_generators_early() -> None:
    calls: list[int] = []

    def objective(n: int):  # type: ignore[no-untyped-def]
        for _ in range(9):
            calls.append(n)
            yield float(n)
            time.sleep(0.01)

    best = tp.tune(
        objective,
        parameters=[tp.Int("n", 1, 6)],
        algorithm=tp.Grid(),
        max_trials=6,
        early_stopping=tp.MedianStopping(min_trials=2),
    )
    assert best.parameters == {"n": 1}
    assert len(calls) < 6 * 9
    (result,) = tp.runs()
    assert {trial.state for trial in result.trials} == {tp.TrialState.SUCCEEDED, tp.TrialState.STOPPED}


def test_tune_tells_failures_apart_and_raises_only_without_a_result() -> None:
    def objective(n: int) -> float:
        if n == 1:
            raise ValueError("one is not a number")
        return math.nan if n == 2 else float(n)

    best = tp.tune(objective, parameters=[tp.Int("n", 1, 4)], algorithm=tp.Grid())
    assert best.parameters == {"n": 3}
    (result,) = tp.runs()
    kinds = [trial.failure.kind if trial.failure else None for trial in result.trials]
    assert kinds == [tp.FailureKind.CODE, tp.FailureKind.INFEASIBLE, None, None]
    with pytest.raises(errors.TrialsFailedError, match="one is not a number"):
        tp.tune(objective, parameters=[tp.Int("n", 1, 1)], max_trials=1)


def test_an_interrupted_tune_is_resumed_by_its_reference() -> None:
    calls: list[float] = []

    def objective(x: float) -> float:
        calls.append(x)
        if len(calls) == 3:
            os.kill(os.getpid(), 2)
            time.sleep(1)
        return x

    with pytest.raises(KeyboardInterrupt):
        tp.tune(objective, parameters=[tp.Float("x", 0, 1)], max_trials=5, algorithm=tp.Random(seed=1))
    (result,) = tp.runs()
    assert result.state is tp.RunState.INTERRUPTED
    with pytest.raises(errors.ConflictError, match="tunes a function"):
        tp.resume(result.ref)
    best = tp.tune(objective, parameters=[tp.Float("x", 0, 1)], resume=result.ref)
    (result,) = tp.runs()
    assert result.state is tp.RunState.SUCCEEDED
    assert len(result.trials) == 5
    assert best == result.best
    assert calls[2] == calls[3], "only what was cut off ran again"
    assert len(calls) == 6
