"""Following a run elsewhere: looked at less and less often while nothing changes, and with few calls."""

from itertools import chain, repeat

import pytest

import tuneport as tp
from tuneport.backends.vertex import BACKEND, VertexSettings
from tuneport.errors import BackendError, ConflictError, UnavailableError, UnknownTrialError
from tuneport.exchange import translate
from tuneport.remote import runs
from tuneport.remote.ledger import Ledger
from tuneport.remote.runs import RemoteRuns

REF = "us-central1/p/7"


class Clock:
    """Time passes only where somebody waits."""

    def __init__(self):
        self.now, self.pauses = 0.0, []

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.pauses.append(seconds)
        self.now += seconds

    def time(self):
        return self.now


class Service:
    """One cloud's client whose job is, look by look, as a test says."""

    name, capabilities, status, settings_type = BACKEND.name, BACKEND.capabilities, BACKEND.status, VertexSettings

    def __init__(self, *states, created=REF):
        self.states, self.looks, self.created, self.submitted = iter(states), 0, created, []
        self.translator = BACKEND.translator

    def connect(self, settings, *, endpoint=None):
        return self

    def describe(self, ref):
        self.looks += 1
        state, trials = next(self.states)
        listed = [{"id": str(number), "state": state} for number, state in enumerate(trials, start=1)]
        return document() | {"state": f"JOB_STATE_{state}", "trials": listed}

    def trials(self, ref):
        return iter(())

    def logs(self, ref, trial):
        yield from (f"line {number}" for number in range(self.looks))

    def submit(self, payload, token, *, again=False):
        self.submitted.append((token, again))
        if isinstance(self.created, BackendError):
            raise self.created
        return self.created


JOB = tp.TuningJob(
    name="digits",
    study=tp.StudySpec(parameters=[tp.Float("lr", 0, 1)], objectives=[tp.minimize("loss")]),
    trial=tp.TrialSpec(image="gcr.io/p/t:1", resources={"machine": "n1-standard-4"}),
    budget=tp.Budget(max_trials=4),
)
SENT = translate(JOB, BACKEND, VertexSettings(project="p"))


def document():
    return SENT.plain | {"name": "projects/p/locations/us-central1/hyperparameterTuningJobs/7"}


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(runs, "time", made)
    return made


def runs_of(service, tmp_path):
    return RemoteRuns(service, VertexSettings(project="p"), Ledger(tmp_path))


def test_what_does_not_change_is_looked_at_less_and_less_often(clock, tmp_path):
    quiet, busy = ("RUNNING", ["ACTIVE"]), ("RUNNING", ["SUCCEEDED", "ACTIVE"])
    service = Service(*chain(repeat(quiet, 41), [busy, busy, ("SUCCEEDED", ["SUCCEEDED"] * 2)]))
    # the first look reads the job as well
    seen = [result.state for result in runs_of(service, tmp_path).changes(REF)]
    assert seen == [tp.RunState.RUNNING, tp.RunState.RUNNING, tp.RunState.SUCCEEDED]
    growing = clock.pauses[:40]
    assert growing == sorted(growing)
    assert (growing[0], growing[-1]) == (runs.SOONEST, runs.LATEST)
    assert clock.pauses[40] == runs.SOONEST  # something has happened
    assert len(growing) < 60 < sum(growing)  # a quarter of an hour in forty looks


def test_nobody_waits_longer_than_they_want_to(clock, tmp_path):
    service = Service(*repeat(("RUNNING", []), 100))
    results = list(runs_of(service, tmp_path).changes(REF, until=10.0))
    assert [result.state for result in results] == [tp.RunState.RUNNING]
    assert clock.now == 10.0


def test_lines_of_a_log_are_told_once_until_the_trial_ends(clock, tmp_path):
    looks = [("RUNNING", ["ACTIVE"])] * 3 + [("RUNNING", ["SUCCEEDED"])]
    told = list(runs_of(Service(*looks), tmp_path).logs(REF, 1, follow=True))
    assert told == [f"line {number}" for number in range(4)]
    assert clock.pauses == [2.0] * 2  # the first look reads the job as well
    with pytest.raises(UnknownTrialError, match="has no trial 9; it has 1"):
        list(runs_of(Service(*looks), tmp_path).logs(REF, 9))


def test_a_log_that_does_not_grow_is_read_less_and_less_often(clock, tmp_path):
    service = Service(*repeat(("RUNNING", ["ACTIVE"]), 20), ("RUNNING", ["SUCCEEDED"]))
    service.logs = lambda ref, trial: iter(["the only line"])
    assert list(runs_of(service, tmp_path).logs(REF, 1, follow=True)) == ["the only line"]
    assert clock.pauses == sorted(clock.pauses)
    assert (clock.pauses[0], clock.pauses[-1]) == (2.0, runs.LATEST)


def test_a_refusal_is_forgotten_and_an_unknown_outcome_is_not(tmp_path):
    lost = Service(created=UnavailableError("slow"))
    for _ in range(2):
        with pytest.raises(UnavailableError):
            runs_of(lost, tmp_path).submit(JOB, SENT)
    (first, again), (second, later) = lost.submitted
    assert (first, again, later) == (second, False, True)
    refused = Service(created=BackendError("no"))
    with pytest.raises(BackendError):
        runs_of(refused, tmp_path).submit(JOB, SENT)
    fresh = Service()
    assert runs_of(fresh, tmp_path).submit(JOB, SENT) == REF
    assert refused.submitted == [(first, True)]
    assert fresh.submitted[0][0] != first


def test_only_the_service_drives_its_runs(tmp_path):
    there = runs_of(Service(), tmp_path)
    with pytest.raises(ConflictError, match="driven by its service"):
        there.drive(REF)
    assert there.folder(REF) is None
