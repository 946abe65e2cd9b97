"""The public verbs, as a user of the package calls them."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

import tuneport as tp
from tuneport import api, errors
from tuneport.search.searchers import plugins


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
            resources=tp.Resources(gpus=99),
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


def test_another_backend_is_one_word_and_what_it_lacks_is_told_before_anything_is_sent() -> None:
    with pytest.raises(errors.JobError, match="cannot run on vertex") as caught:
        tp.run(job(), on="vertex")
    assert {"/trial/image", "/trial/resources/machine"} <= {problem.pointer for problem in caught.value.problems}
    assert tp.attach("sagemaker:eu-west-1/my-job").ref == "sagemaker:eu-west-1/my-job"
    with pytest.raises(errors.BackendNotFoundError, match="azure"):
        tp.attach("azure:eu-west-1/my-job")


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


def interrupted_at(number: int, calls: list[float]) -> Callable[[float], float]:
    """What is to be tuned: it notes its calls, and in one of them comes what Ctrl-C sends."""

    def objective(x: float) -> float:
        calls.append(x)
        if len(calls) == number:
            os.kill(os.getpid(), 2)
            time.sleep(1)
        return x

    return objective


def test_an_interrupted_tune_is_resumed_by_its_reference() -> None:
    calls: list[float] = []
    objective = interrupted_at(3, calls)
    with pytest.raises(KeyboardInterrupt) as caught:
        tp.tune(objective, parameters=[tp.Float("x", 0, 1)], max_trials=5, algorithm=tp.Random(seed=1))
    (result,) = tp.runs()
    assert str(caught.value) == f"interrupted; go on with tuneport.tune(..., resume={result.ref!r})"
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


def test_a_tune_is_not_resumed_with_other_arguments() -> None:
    calls: list[float] = []
    objective = interrupted_at(1, calls)
    arguments = {"parameters": [tp.Float("x", 0, 1)], "algorithm": tp.Random(seed=1), "max_trials": 3}
    with pytest.raises(KeyboardInterrupt):
        tp.tune(objective, **arguments)  # type: ignore[arg-type]
    (before,) = tp.runs()
    others = {
        "/study/parameters": {"parameters": [tp.Float("x", 0, 2)]},
        "/study/objectives": {"goal": "maximize"},
        "/study/algorithm": {"algorithm": tp.Random(seed=2)},
        "/budget/max_trials": {"max_trials": 4},
        "/budget/max_seconds": {"max_seconds": 100},
    }
    for pointer, other in others.items():
        with pytest.raises(errors.JobError, match="cannot be resumed") as caught:
            tp.tune(objective, **(arguments | other), resume=before.ref)  # type: ignore[arg-type]
        assert [problem.pointer for problem in caught.value.problems] == [pointer]
    assert tp.runs() == [before]
    assert len(calls) == 1
    tp.tune(objective, **arguments, resume=before.ref)  # type: ignore[arg-type]
    assert len(calls) == 4


def test_sys_exit_and_strange_words_in_a_function_fail_only_their_trial() -> None:
    def objective(n: int) -> float:
        if n == 1:
            sys.exit("bye")
        if n == 2:
            raise ValueError("lone \ud800")
        return 1.0

    assert tp.tune(objective, [tp.Int("n", 1, 3)], algorithm=tp.Grid()).parameters == {"n": 3}
    failures = [trial.failure for trial in tp.runs()[0].trials if trial.failure]
    assert [failure.kind for failure in failures] == [tp.FailureKind.CODE, tp.FailureKind.CODE]
    assert failures[0].message == "SystemExit: bye"


def test_what_is_no_job_is_told_by_its_type() -> None:
    for verb in (tp.run, tp.submit, api.check):
        with pytest.raises(errors.JobError, match=r"must be a TuningJob .*read_job.*, not str"):
            verb("job.yaml")  # type: ignore[operator]
    with pytest.raises(errors.JobError, match="must be a function, not int"):
        tp.tune(3, [tp.Float("x", 0, 1)])  # type: ignore[arg-type]
    for verb in (tp.attach, tp.resume):
        with pytest.raises(TypeError, match=r"must be text .*, not int"):
            verb(3)
    assert not Path(".tuneport").exists()


def test_a_mapping_runs_as_the_job_that_it_says() -> None:
    data = job().model_dump(mode="json")
    data["study"]["objectives"].append({"metric": "gain", "goal": "maximize"})
    data["trial"]["metrics"]["gain"] = r"=(\S+)"
    run = tp.run(data)
    assert run.state is tp.RunState.SUCCEEDED
    assert run.job == tp.TuningJob.model_validate(data)
    assert run.pareto == run.trials, "each gains what it loses"
    with pytest.raises(errors.JobError, match="job 'Api Test' cannot run here") as caught:
        tp.run(data | {"budget": {"max_trials": 0}, "trial": {"command": ["no-such-program"]}})
    pointers = {problem.pointer for problem in caught.value.problems}
    assert pointers >= {"/budget/max_trials", "/trial/command/0"}
    assert len(tp.runs()) == 1


def test_a_run_of_another_registered_backend_is_not_looked_for_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tp.run(job(max_trials=1))
    info = tmp_path / "site" / "third-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tuneport.backends]\nthird = third_backend:BACKEND\n")
    (tmp_path / "site" / "third_backend.py").write_text(
        "from tuneport.backends.local import BACKEND as local\n"
        "class BACKEND:\n    name, protocol_version, settings_type = 'third', 1, local.settings_type\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    for verb in (tp.attach, tp.resume):
        with pytest.raises(errors.BackendNotFoundError, match="'third' runs jobs as they are and has no documents"):
            verb(run.ref.replace("local:", "third:"))


def test_only_the_configured_workspace_may_be_missing(tmp_path: Path) -> None:
    assert tp.runs() == []
    with pytest.raises(errors.RunNotFoundError, match="no workspace"):
        tp.runs(workspace=tmp_path / "nowhere")


def test_handles_of_one_run_are_equal(tmp_path: Path) -> None:
    run, other = tp.run(job(max_trials=1)), tp.run(job(max_trials=1))
    assert run == tp.attach(run.ref)
    assert len({run, tp.attach(run.ref, workspace=tmp_path / ".tuneport"), other}) == 2
    assert run != other
    assert run != run.ref


def test_a_stop_right_after_submit_is_not_lost() -> None:
    for _ in range(3):
        run = tp.submit(job("print('loss=1', flush=True); time.sleep(60)"))
        run.stop()
        assert run.wait(timeout=30).state is tp.RunState.STOPPED
        time.sleep(1.0)
        assert run.state is tp.RunState.STOPPED


def test_the_address_of_a_ray_cluster_is_a_backend():
    with pytest.raises(errors.BackendError, match=r"nothing answers at ray://127.0.0.1:9"):
        api.check(job(), on="ray://127.0.0.1:9")


def test_a_searcher_that_nobody_offers_is_told_before_anything_is_made():
    asked = job()
    (problem,) = api.check(asked.changed(study=asked.study.changed(algorithm=tp.Plugin(name="nimbus"))), on="local")
    assert problem.pointer == "/study/algorithm"
    assert "nimbus" in problem.message


@pytest.mark.parametrize(
    ("algorithm", "error"),
    [(tp.Plugin(name="nimbus"), errors.SearchError), (tp.CmaEs(), errors.MissingExtraError)],
    ids=["plugin", "cmaes"],
)
def test_a_tune_that_nothing_can_search_records_nothing(
    algorithm: tp.Algorithm, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cmaes", None)
    with pytest.raises(error):
        tp.tune(lambda x: x, [tp.Float("x", 0, 1)], algorithm=algorithm)
    assert not Path(".tuneport").exists()


@pytest.mark.parametrize("algorithm", [tp.Plugin(name="optuna"), tp.CmaEs()], ids=["plugin", "cmaes"])
def test_runs_are_read_without_what_searched_them_and_go_on_when_it_is_back(algorithm: tp.Algorithm) -> None:
    calls: list[float] = []
    objective = interrupted_at(3, calls)
    parameters = [tp.Float("x", 0, 1)]
    with pytest.raises(KeyboardInterrupt):
        tp.tune(objective, parameters, max_trials=4, algorithm=algorithm)
    before = tp.runs()
    with pytest.MonkeyPatch.context() as gone:
        gone.setitem(sys.modules, "cmaes", None)
        gone.setattr(plugins, "entry_points", lambda group: metadata.EntryPoints())
        assert tp.runs() == before
        with pytest.raises((errors.SearchError, errors.MissingExtraError)):
            tp.tune(objective, parameters, resume=before[0].ref)
        assert tp.runs() == before, "nothing has been begun"
    assert tp.tune(objective, parameters, resume=before[0].ref).metrics["objective"] == min(calls)
