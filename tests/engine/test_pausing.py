"""Trials that pause and go on from their checkpoints, and heirs that begin with those of others. Real processes."""

from __future__ import annotations

import json
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tuneport import api
from tuneport.backends.local.client import LocalClient
from tuneport.backends.local.launch import launch
from tuneport.backends.local.settings import RaySettings
from tuneport.engine.checkpoints import inherit
from tuneport.engine.store import Event
from tuneport.model.job import TuningJob
from tuneport.model.results import FailureKind, RunState, StudyResult, Trial, TrialState
from tuneport.model.study import Asha, Bayesian, Pbt
from tuneport.model.word import Scalar
from tuneport.search.events import Asked, Resumed
from tuneport.search.events import Event as SearchEvent
from tuneport.search.protocols import Decision
from tuneport.search.study import Study

StartDriver = Callable[..., subprocess.Popen[bytes]]

TRAINER = """
import json, signal
stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
trial = json.load(open(os.environ["TUNEPORT_TRIAL"]))
os.makedirs(trial["checkpoint_dir"], exist_ok=True)
path = os.path.join(trial["checkpoint_dir"], "state.json")
state = json.load(open(path)) if os.path.exists(path) else {"sum": 0.0, "trained": []}
while len(state["trained"]) < int(os.environ.get("STEPS", 1000)) and not stop:
    time.sleep(0.03)
    state["sum"] += x
    state["trained"].append([trial["trial"], trial["attempt"], os.getpid()])
    with open(path + ".part", "w") as file:
        json.dump(state, file)
    os.replace(path + ".part", path)
    step = len(state["trained"])
    loss = state["sum"] / step + trial["trial"] * int(os.environ.get("HANDICAP", 0))
    line = json.dumps({"time": time.time(), "step": step, "metrics": {"loss": loss}})
    with open(trial["report"], "a") as file:
        file.write(line + "\\n")
    while step % int(os.environ.get("WAITS", 1000)) == 0 and not stop:
        time.sleep(0.02)
"""
"""Trains, saves before it reports, and notes in its checkpoint who trained each step.

It ends between two steps when it is asked to.
"""

PROMOTION = {"early_stopping": Asha(form="promotion", reduction_factor=2, max_resource=8)}
POPULATION = {"algorithm": Pbt(population=4, interval=2, max_resource=6, seed=3)}


@pytest.fixture
def job(make_job: Callable[..., TuningJob]) -> Callable[..., TuningJob]:
    def make(study: dict[str, Any], *, warm: bool = False, handicap: int = 0, **budget: Any) -> TuningJob:
        trial: dict[str, Any] = {"metrics": {}, "resumable": True, "warm_workers": warm}
        trial["env"] = {"HANDICAP": str(handicap)}
        if study is POPULATION:
            trial["env"]["WAITS"] = "2"  # at the end of a generation for the word to pause
        return make_job(TRAINER, study=study, trial=trial, budget=budget)

    return make


def trained(client: LocalClient, result: StudyResult, trial: int) -> list[tuple[int, int, int]]:
    """Who trained each step of a trial's checkpoint: trial, attempt, process."""
    folder = client._store.trial_folder(result.ref.partition(":")[2], trial) / "checkpoints"
    assert [path.name for path in folder.iterdir()] == ["state.json"]
    return [tuple(step) for step in json.loads((folder / "state.json").read_text())["trained"]]


def check_steps(client: LocalClient, result: StudyResult) -> None:
    """No step was lost or trained twice, by whichever attempt."""
    for trial in result.trials:
        reported = [one.step for one in trial.measurements]
        own = [step for step, (by, _, _) in enumerate(trained(client, result, trial.id), 1) if by == trial.id]
        assert reported == own


def essence(trial: Trial) -> tuple[object, ...]:
    return trial.id, trial.parent, trial.parameters, trial.state, dict(trial.metrics)


def test_promoted_trials_go_on_where_they_paused(
    client: LocalClient, job: Callable[..., TuningJob], run: Callable[[TuningJob], StudyResult]
) -> None:
    result = run(job(PROMOTION, max_trials=8, parallel_trials=2))
    assert result.state is RunState.SUCCEEDED
    assert len(result.trials) == 8
    check_steps(client, result)
    whole = [trial for trial in result.trials if trial.state is TrialState.SUCCEEDED]
    assert whole
    assert all(len(trial.measurements) >= 8 for trial in whole)
    paused = [trial for trial in result.trials if trial.state is TrialState.STOPPED]
    assert {trial.failure.kind for trial in paused if trial.failure} == {FailureKind.STOPPED_BY_SCHEDULER}
    assert all(trial.failure and "it paused" in trial.failure.message for trial in paused)
    assert Counter(len(trial.measurements) >= 2 for trial in result.trials)[True] >= 4, "half of eight passed rung 1"
    resumed = [trial for trial in result.trials if trial.attempt > 1]
    assert resumed
    for trial in resumed:
        attempts = [attempt for _, attempt, _ in trained(client, result, trial.id)]
        assert attempts == sorted(attempts)
        assert attempts[-1] == trial.attempt
    assert result.best is not None
    assert result.best.parameters["x"] == min(trial.parameters["x"] for trial in result.trials)


def test_a_paused_trial_has_no_process_and_its_place_is_free(
    client: LocalClient, job: Callable[..., TuningJob], tmp_path: Path
) -> None:
    """One place: while trials rest, others train, one process at a time."""
    name = client.create(job(PROMOTION, max_trials=4, parallel_trials=1), tmp_path, "process", "test")
    client.drive(name)
    running: set[int | None] = set()
    resting: dict[int | None, float] = {}
    together = 0
    for event in client._store.events(name):
        if event.kind == "started":
            running.add(event.trial)
            resting.pop(event.trial, None)
            assert len(running) == 1
            together += bool(resting)
        elif event.kind in {"paused", "ended"}:
            running.discard(event.trial)
        if event.kind == "paused":
            resting[event.trial] = event.at
    assert together >= 3, "all trials but the first begin while it rests, or goes on while others do"
    for trial in client.result(name).trials:
        assert trial.id not in resting or trial.ended == resting[trial.id], "its rest is no time of its own"


def test_a_paused_trial_can_be_stopped(
    client: LocalClient, job: Callable[..., TuningJob], tmp_path: Path, start_driver: StartDriver
) -> None:
    nobody = {"early_stopping": Asha(form="promotion", reduction_factor=50)}
    name = client.create(job(nobody, max_trials=40, parallel_trials=1), tmp_path, "process", "test")
    driver = start_driver(client, name)
    paused = next(trial.id for now in client.changes(name) for trial in now.trials if trial.state is TrialState.PAUSED)
    client.stop(name, paused)
    for now in client.changes(name):
        if now.trials[paused - 1].state.ended:
            break
    failure = now.trials[paused - 1].failure
    assert failure is not None
    assert failure.kind is FailureKind.CANCELLED
    client.stop(name)
    assert driver.wait(20) == 0
    assert client.result(name).state is RunState.STOPPED


def test_with_a_model_too(
    client: LocalClient, job: Callable[..., TuningJob], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a model suggests is thought of again when a promoted trial has taken the place for which it was prepared."""
    steps: list[object] = []
    propose, apply = Study.propose, Study.apply

    def thinking(study: Study, parent: Trial | int | None = None) -> dict[str, Scalar]:
        point = propose(study, parent)
        steps.append(point)
        return point

    def applying(study: Study, event: SearchEvent) -> Decision:
        if isinstance(event, Asked | Resumed):
            steps.append(event)
        return apply(study, event)

    monkeypatch.setattr(Study, "propose", thinking)
    monkeypatch.setattr(Study, "apply", applying)
    model = {**PROMOTION, "algorithm": Bayesian(seed=1, initial_trials=3)}
    # Whoever comes later is worse, so that sooner or later one that has paused is among the best.
    falling = job(model, handicap=1, max_trials=6, parallel_trials=2)
    name = client.create(falling, tmp_path, "process", "test")
    client.drive(name)
    taken = list(pairwise(steps))
    result = client.result(name)
    assert result.state is RunState.SUCCEEDED
    assert len(result.trials) == 6
    before = [step for step, then in taken if isinstance(then, Asked)]
    assert before == [trial.parameters for trial in result.trials], "nobody is promoted between thought and trial"
    assert any(isinstance(step, dict) and isinstance(then, Resumed) for step, then in taken), "one was prepared in vain"


def check_population(client: LocalClient, result: StudyResult) -> None:
    assert result.state is RunState.SUCCEEDED
    assert result.notes == ()
    check_steps(client, result)
    heirs = [trial for trial in result.trials if trial.parent is not None]
    assert [trial.id for trial in heirs] == [5, 6], "one of four after 2 and after 4 steps"
    for heir in heirs:
        assert heir.parent is not None
        begun = heir.measurements[0].step
        assert begun is not None
        parents = trained(client, result, heir.parent)
        assert trained(client, result, heir.id)[: begun - 1] == parents[: begun - 1]
    said = [trial.failure.message for trial in result.trials if trial.failure]
    assert sorted(said) == [f"trial {one.id} took its place, which goes on from trial {one.parent}" for one in heirs]
    assert sum(trial.state is TrialState.SUCCEEDED for trial in result.trials) == 4


@pytest.mark.parametrize("warm", [False, True])
def test_heirs_begin_with_the_weights_of_their_parents(
    client: LocalClient, job: Callable[..., TuningJob], run: Callable[[TuningJob], StudyResult], warm: bool
) -> None:
    check_population(client, run(job(POPULATION, max_trials=20, parallel_trials=2, warm=warm)))


def test_a_population_on_ray(ray_cluster: Any, job: Callable[..., TuningJob], tmp_path: Path) -> None:
    settings = RaySettings(workspace=tmp_path / "on-ray", grace=1.0, address=ray_cluster.address)
    client = LocalClient(settings, lambda _: launch, create=True)
    name = client.create(job(POPULATION, max_trials=20, parallel_trials=2), tmp_path, "ray", "test")
    client.drive(name)
    check_population(client, client.result(name))
    client.close()


DEATHS = {
    "before the copy is whole": """
import os, shutil
copytree = shutil.copytree
shutil.copytree = lambda *them, **more: (copytree(*them, **more), os.kill(os.getpid(), 9))
""",
    "before the copy is recorded": """
import os
from tuneport.engine import engine
inherit = engine.inherit
engine.inherit = lambda *them: (inherit(*them), os.kill(os.getpid(), 9))
""",
    "before the heir is ordered": """
import os
from tuneport.engine.executors.process import ProcessExecutor
start = ProcessExecutor.start
ProcessExecutor.start = lambda *them, **more: os.kill(os.getpid(), 9) if them[1].trial == 5 else start(*them, **more)
""",
    "before a second attempt is ordered": """
import os
from tuneport.engine.executors.process import ProcessExecutor
start = ProcessExecutor.start
ProcessExecutor.start = lambda *them, **more: os.kill(os.getpid(), 9) if them[1].attempt == 2 else start(*them, **more)
""",
    "after the order to pause": """
import os
from tuneport.engine.executors.process import ProcessExecutor
stop = ProcessExecutor.stop
ProcessExecutor.stop = lambda *them: (stop(*them), os.kill(os.getpid(), 9))
""",
}
"""What a runner does before it drives, so that it dies at some moment."""


def test_a_population_whose_runner_dies_is_the_same(
    client: LocalClient, job: Callable[..., TuningJob], tmp_path: Path, start_driver: StartDriver
) -> None:
    names = [
        client.create(job(POPULATION, max_trials=20, parallel_trials=2), tmp_path, "process", "test") for _ in "ab"
    ]
    for death in DEATHS.values():
        driver = start_driver(client, names[0], death)
        assert driver.wait(60) == -signal.SIGKILL
    for name in names:
        client.drive(name)
    killed, calm = (client.result(name) for name in names)
    assert killed.state is RunState.SUCCEEDED
    check_steps(client, killed)
    assert [essence(trial) for trial in killed.trials] == [essence(trial) for trial in calm.trials]


@pytest.mark.parametrize("moment", ["before a second attempt is ordered", "after the order to pause"])
def test_a_runner_that_dies_loses_no_step_and_repeats_none(
    client: LocalClient, job: Callable[..., TuningJob], tmp_path: Path, start_driver: StartDriver, moment: str
) -> None:
    name = client.create(job(PROMOTION, max_trials=8, parallel_trials=2), tmp_path, "process", "test")
    assert start_driver(client, name, DEATHS[moment]).wait(60) == -signal.SIGKILL
    client.drive(name)
    result = client.result(name)
    assert result.state is RunState.SUCCEEDED
    assert len(result.trials) == 8
    check_steps(client, result)


def test_what_was_to_pause_before_a_crash_has_paused(
    client: LocalClient, job: Callable[..., TuningJob], tmp_path: Path
) -> None:
    """Runner and keeper die after the decision: the trial rests, and is not run again as if it had been cut off."""
    name = client.create(job(PROMOTION, max_trials=1), tmp_path, "process", "test")
    gone = {"attempt": 1, "devices": [], "share": 0.0, "memory": 0, "handle": {"keeper": 1 << 22, "began": "1"}}
    events = [
        Event("began"),
        Event("asked", 1, {"parameters": {"x": 0.5}}),
        Event("started", 1, gone),
        Event("reported", 1, {"metrics": {"loss": 0.5}, "step": 1, "elapsed": 1.0}),
        Event("stopping", 1, {"why": "pause"}),
    ]
    client._store.append(name, events)
    client.drive(name)
    (trial,) = client.result(name).trials
    assert (trial.state, trial.attempt, dict(trial.metrics)) == (TrialState.STOPPED, 1, {"loss": 0.5})


def test_a_trial_that_was_cut_off_keeps_what_it_had_reported(
    client: LocalClient, job: Callable[..., TuningJob], tmp_path: Path
) -> None:
    """Runner and keeper die: the next attempt goes on from the checkpoint."""
    asked = job({}, max_trials=1)
    name = client.create(asked.changed(trial=asked.trial.changed(env={"STEPS": "20"})), tmp_path, "process", "test")
    gone = {"attempt": 1, "devices": [], "share": 0.0, "memory": 0, "handle": {"keeper": 1 << 22, "began": "1"}}
    said = [{"metrics": {"loss": 0.5}, "step": step, "elapsed": 1.0} for step in (1, 2, 3)]
    began = [Event("began"), Event("asked", 1, {"parameters": {"x": 0.5}}), Event("started", 1, gone)]
    client._store.append(name, [*began, *(Event("reported", 1, one) for one in said)])
    checkpoint = client._store.trial_folder(name, 1) / "checkpoints" / "state.json"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_text(json.dumps({"sum": 1.0, "trained": [[1, 1, 0]] * 2}))
    client.drive(name)
    (trial,) = client.result(name).trials
    assert (trial.state, trial.attempt) == (TrialState.SUCCEEDED, 2)
    assert [one.step for one in trial.measurements] == list(range(1, 21)), "the third step once, by the second attempt"
    assert trial.measurements[2].elapsed != 1.0


def test_a_parent_without_a_checkpoint_is_noted(
    make_job: Callable[..., TuningJob], run: Callable[[TuningJob], StudyResult]
) -> None:
    script = """
import json
trial = json.load(open(os.environ["TUNEPORT_TRIAL"]))
step = 1 if trial["attempt"] == 1 and trial["trial"] < 3 else 2
line = json.dumps({"time": time.time(), "step": step, "metrics": {"loss": x}})
with open(trial["report"], "a") as file:
    file.write(line + "\\n")
time.sleep(60)
"""
    study = {"algorithm": Pbt(population=2, quantile=0.5, max_resource=2, seed=1)}
    trial = {"metrics": {}, "resumable": True}
    result = run(make_job(script, study=study, trial=trial, budget={"max_trials": 3, "parallel_trials": 2}))
    assert any("left no checkpoint" in note for note in result.notes)


def test_a_copy_is_whole_or_not_there(tmp_path: Path) -> None:
    parent, heir = tmp_path / "1", tmp_path / "2"
    assert not inherit(parent, heir)
    (parent / "checkpoints" / "deep").mkdir(parents=True)
    (parent / "checkpoints" / "deep" / "weights").write_text("new")
    for left_behind in ("checkpoints", "checkpoints.part"):  # by a runner that was killed in the middle
        (heir / left_behind).mkdir(parents=True)
        (heir / left_behind / "old").touch()
    assert inherit(parent, heir)
    assert [path.relative_to(heir).as_posix() for path in sorted(heir.rglob("*"))] == [
        "checkpoints",
        "checkpoints/deep",
        "checkpoints/deep/weights",
    ]
    (heir / "checkpoints" / "deep" / "weights").write_text("changed")
    assert (parent / "checkpoints" / "deep" / "weights").read_text() == "new"


def test_only_our_own_contract_knows_where_checkpoints_are(job: Callable[..., TuningJob]) -> None:
    for study, place in ((PROMOTION, "/study/early_stopping/form"), (POPULATION, "/study/algorithm")):
        asked = job(study, max_trials=8)
        assert api.check(asked, on="local") == []
        (problem,) = api.check(asked, on="local", settings={"contract": "vertex"})
        assert (problem.pointer, "cannot pause" in problem.message) == (place, True)
