"""Trials as training jobs of a service that a test plays: what it says, what it does not, and when it is away."""

import threading
import time

import pytest

from tuneport.backends.protocols import JobStatus
from tuneport.engine.devices import Device, Pool
from tuneport.engine.executors import cloud
from tuneport.engine.executors.cloud import CloudExecutor
from tuneport.engine.executors.places import Place, PlacesExecutor
from tuneport.engine.executors.protocols import Emitted, Exited
from tuneport.engine.launch import TrialContext, token
from tuneport.engine.printed import Printed
from tuneport.errors import AuthError, BackendError, PayloadError, QuotaError, UnavailableError
from tuneport.model.job import TuningJob
from tuneport.model.results import Failure, FailureKind
from tuneport.model.trial_spec import Resources

JOB = TuningJob.model_validate(
    {
        "name": "digits",
        "study": {
            "parameters": [{"name": "x", "kind": "float", "low": 0, "high": 1}],
            "objectives": [{"metric": "loss", "goal": "minimize"}],
        },
        "trial": {"image": "gcr.io/p/trainer:1"},
    }
)
PREEMPTED = Failure(kind=FailureKind.PREEMPTED, message="was taken away")
CANCELLED = Failure(kind=FailureKind.CANCELLED, message="was cancelled")


class Service:
    """Training jobs as a test says."""

    def __init__(self):
        self.late = 0.0
        self.jobs = {}
        self.said = {}
        self.stopped = []
        self.submitted = []
        self.refusals = []
        self.away = None
        self._lock = threading.Lock()

    def submit(self, document, *, again=False):
        with self._lock:
            self.submitted.append((document["name"], again))
            if self.refusals:
                raise self.refusals.pop(0)
        self.jobs.setdefault(document["name"], JobStatus())
        self.said.setdefault(document["name"], [])
        return document["name"]

    def poll(self, refs):
        if self.away is not None:
            raise self.away
        return {ref: self.jobs[ref] for ref in refs if ref in self.jobs}

    def lines(self, refs):
        news = {ref: self.said[ref] for ref in refs}
        self.said |= {ref: [] for ref in refs}
        return news

    def stop(self, ref):
        self.stopped.append(ref)
        self.end(ref, CANCELLED)

    def run(self, ref, *lines):
        self.said[ref] = self.said[ref] + list(lines)
        self.jobs[ref] = JobStatus(started=time.time())

    def end(self, ref, failure=None):
        self.jobs[ref] = JobStatus(started=time.time(), ended=time.time(), failure=failure)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(cloud, "SOONEST", 0.01)
    monkeypatch.setattr(cloud, "LATEST", 0.02)
    monkeypatch.setattr(cloud, "UNSEEN", 0.1)


@pytest.fixture
def service():
    return Service()


@pytest.fixture
def notes():
    return []


@pytest.fixture
def executor(service, notes):
    made = CloudExecutor(service, lambda trial: {"name": token(trial)}, notes.append)
    yield made
    made.close()


def trial(folder, number=1, attempt=1):
    return TrialContext(JOB, "run", number, attempt, {"x": 0.5}, str(folder / str(number)), str(folder), "python")


def heard(executor, until, seconds=5.0):
    """Events until one of a kind has come."""
    events, end = [], time.monotonic() + seconds
    while not any(isinstance(one, until) for one in events):
        assert time.monotonic() < end, events
        events += executor.wait(0.05)
    return events


def started(executor, service, context):
    executor.start(context, timeout=None)
    until(lambda: token(context) in service.jobs)
    return token(context)


def until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.005)


def test_reports_come_with_their_steps_and_then_the_end(executor, service, tmp_path):
    job = started(executor, service, trial(tmp_path))
    service.run(job, "epoch", "(pid=7) tuneport: step=3 loss=0.5 accuracy=0.9")
    (emitted,) = heard(executor, Emitted)
    assert (emitted.report.metrics, emitted.report.step) == ({"loss": 0.5, "accuracy": 0.9}, 3)
    service.run(job, "tuneport: step=4 loss=0.25")
    service.end(job)
    *reports, end = heard(executor, Exited)
    assert [one.report.metrics for one in reports] == [{"loss": 0.25}]
    assert (end.failure, end.stopped, end.lost) == (None, False, False)
    assert (tmp_path / "1" / "output.log").read_text().splitlines()[0] == "epoch"


def test_last_lines_may_come_after_the_end(executor, service, tmp_path):
    service.late = 0.15
    job = started(executor, service, trial(tmp_path))
    service.end(job)
    time.sleep(0.1)
    service.said[job] = ["tuneport: loss=0.5"]
    events = heard(executor, Exited)
    assert [type(one) for one in events] == [Emitted, Exited]


def test_a_trial_is_stopped_wherever_it_is_in_its_life(executor, service, tmp_path):
    service.refusals = [UnavailableError("busy", backend="x")] * 3
    executor.start(trial(tmp_path), timeout=None)
    executor.stop(1)
    (end,) = heard(executor, Exited)
    assert end.stopped
    assert end.failure is None
    job = started(executor, service, trial(tmp_path, 2))
    executor.stop(2)
    executor.stop(2)
    (end,) = heard(executor, Exited)
    assert end.stopped
    assert end.failure is None
    assert service.stopped.count(job) == 1


def test_what_was_stopped_by_others_is_no_success(executor, service, tmp_path):
    service.end(started(executor, service, trial(tmp_path)), CANCELLED)
    (end,) = heard(executor, Exited)
    assert (end.failure.kind, end.stopped, end.lost) == (FailureKind.CANCELLED, False, False)


def test_a_machine_that_was_taken_away_is_a_loss(executor, service, tmp_path):
    service.end(started(executor, service, trial(tmp_path)), PREEMPTED)
    (end,) = heard(executor, Exited)
    assert (end.failure.kind, end.lost) == (FailureKind.PREEMPTED, True)


def test_a_job_that_runs_too_long_is_stopped(executor, service, tmp_path):
    executor.start(trial(tmp_path), timeout=0.1)
    until(lambda: service.jobs)
    service.run("run-1-1")
    (end,) = heard(executor, Exited)
    assert (end.failure.kind, end.stopped) == (FailureKind.TIMED_OUT, False)
    assert service.stopped == ["run-1-1"]


def test_an_adopted_trial_is_looked_for_before_it_is_sent(executor, service, tmp_path):
    service.jobs["run-1-2"], service.said["run-1-2"] = JobStatus(time.time()), ["tuneport: loss=0.5"]
    assert executor.adopt(trial(tmp_path, attempt=2), {}, timeout=None)
    heard(executor, Emitted)
    assert service.submitted == [("run-1-2", True)]


def test_after_an_answer_that_was_lost_it_is_looked_for(executor, service, tmp_path):
    service.refusals = [UnavailableError("lost", backend="x")]
    started(executor, service, trial(tmp_path))
    assert service.submitted == [("run-1-1", False), ("run-1-1", True)]


def test_a_quota_is_waited_for_while_others_may_make_room(executor, service, tmp_path):
    job = started(executor, service, trial(tmp_path))
    service.refusals = [QuotaError("full", backend="x")] * 3
    other = started(executor, service, trial(tmp_path, 2))
    service.end(other)
    service.end(job)
    assert {one.failure for one in heard(executor, Exited)} == {None}


def test_a_quota_that_nothing_makes_room_in_is_a_failure(executor, service, tmp_path):
    service.refusals = [QuotaError("none at all", backend="x")]
    executor.start(trial(tmp_path), timeout=None)
    (end,) = heard(executor, Exited)
    assert (end.failure.kind, end.lost) == (FailureKind.INFRASTRUCTURE, False)
    assert "none at all" in end.failure.message


@pytest.mark.parametrize("error", [BackendError("refused", backend="x"), PayloadError("no such document")])
def test_a_trial_that_cannot_be_sent_fails_alone(service, notes, tmp_path, error):
    def documents(context):
        if isinstance(error, PayloadError):
            raise error
        return {"name": token(context)}

    executor = CloudExecutor(service, documents, notes.append)
    service.refusals = [error]
    executor.start(trial(tmp_path), timeout=None)
    (end,) = heard(executor, Exited)
    assert end.failure.kind is FailureKind.INFRASTRUCTURE
    executor.close()


def test_a_service_that_is_away_is_waited_for_and_said_so(executor, service, notes, tmp_path):
    job = started(executor, service, trial(tmp_path))
    service.away = UnavailableError("cannot be reached", backend="x")
    until(lambda: notes)
    assert "cannot be reached" in notes[0]
    service.end(job)
    service.away = None
    assert isinstance(heard(executor, Exited)[-1], Exited)


def test_credentials_that_have_ended_end_the_drive_and_not_the_trials(executor, service, tmp_path):
    started(executor, service, trial(tmp_path))
    service.away = AuthError("expired", backend="x")
    with pytest.raises(AuthError):
        heard(executor, Exited)
    assert service.stopped == []


def test_a_job_that_its_service_forgot_is_lost(executor, service, tmp_path):
    del service.jobs[started(executor, service, trial(tmp_path))]
    (end,) = heard(executor, Exited)
    assert end.failure.kind is FailureKind.INFRASTRUCTURE


def test_an_earlier_attempts_output_moves_aside(executor, service, tmp_path):
    for attempt in (1, 2):
        context = trial(tmp_path, attempt=attempt)
        job = started(executor, service, context)
        service.run(job, f"attempt {attempt}")
        service.end(job)
        heard(executor, Exited)
    assert (tmp_path / "1" / "output.log").read_text() == "attempt 2\n"
    assert (tmp_path / "1" / "attempt-1" / "output.log").read_text() == "attempt 1\n"


# ---- lines ----------------------------------------------------------------------------------------------------------


def test_patterns_of_the_job_come_before_what_is_printed_for_the_same_metric():
    printed = Printed({"loss": r"loss is (\S+)"}, ["loss", "accuracy"])
    lines = ["loss is 0.5", "tuneport: step=2 loss=9.0 accuracy=0.9", "loss is nonsense", "loss is 0.25", "x tuneport:"]
    reports = [(one.metrics, one.step) for one in [*printed.read(lines, 1.0), *printed.finish()]]
    assert reports == [({"loss": 0.5}, 1), ({"accuracy": 0.9}, 2), ({"loss": 0.25}, 2)]
    assert "loss is" in printed.looked_for


def test_reports_without_steps_are_counted():
    reports = Printed({}, ["loss"]).read(["tuneport: loss=1.0", "tuneport: loss=nan", "tuneport: nothing"], 1.0)
    assert [one.step for one in reports] == [1, 2]


# ---- places ---------------------------------------------------------------------------------------------------------


def places(tmp_path, notes, *rooms, devices=0):
    services = [Service() for _ in rooms]
    want = Resources(gpus=1) if devices else Resources()
    pools = [Pool([Device(str(index)) for index in range(devices)], want) for _ in rooms]
    made = [
        Place(
            f"place{index}",
            CloudExecutor(one, lambda trial: {"name": token(trial)}, notes.append, patient=False),
            pool,
            room,
        )
        for index, (one, pool, room) in enumerate(zip(services, pools, rooms, strict=True))
    ]
    return PlacesExecutor(made, notes.append), services


def put(executor, context):
    lease = executor.lease()
    if lease is None:
        return None
    handle = executor.handle()
    executor.start(context, timeout=None)
    return handle["place"]


def test_the_first_place_with_room_is_taken(tmp_path, notes):
    executor, services = places(tmp_path, notes, 1, 2)
    contexts = [trial(tmp_path, number) for number in range(1, 5)]
    assert [put(executor, one) for one in contexts] == ["place0", "place1", "place1", None]
    until(lambda: services[0].jobs)
    services[0].end("run-1-1")
    heard(executor, Exited)
    assert put(executor, contexts[3]) == "place0"


def test_devices_are_leased_in_the_place_that_has_them(tmp_path, notes):
    executor, _ = places(tmp_path, notes, None, devices=2)
    handles = []
    for number in (1, 2):
        assert executor.lease() is not None
        handles.append(executor.handle())
        executor.start(trial(tmp_path, number), timeout=None)
    assert [one["lease"][0] for one in handles] == [["0"], ["1"]]
    assert executor.lease() is None
    other, _ = places(tmp_path, notes, None, devices=2)
    assert other.adopt(trial(tmp_path, 2), handles[1], timeout=None)
    assert other.lease() is not None
    assert other.handle()["lease"][0] == ["0"], "what an adopted trial has is not given away"


def test_a_place_that_dies_loses_its_trials_to_the_others(tmp_path, notes):
    executor, services = places(tmp_path, notes, 2, None)
    for number in (1, 2, 3):
        put(executor, trial(tmp_path, number))
    until(lambda: len(services[0].jobs) == 2)
    executor.stop(2)
    services[0].away = UnavailableError("gone", backend="x")
    ends = {one.trial: one for one in heard(executor, Exited)}
    assert ends[1].lost
    assert not ends[1].stopped
    assert ends[2].stopped, "it was to end anyway"
    assert "place0 cannot be used any more" in notes[-1]
    assert put(executor, trial(tmp_path, 1, attempt=2)) == "place1"


def test_a_place_without_any_quota_is_given_up(tmp_path, notes):
    executor, services = places(tmp_path, notes, None, None)
    services[0].refusals = [QuotaError("none at all", backend="x")]
    assert put(executor, trial(tmp_path)) == "place0"
    (end,) = heard(executor, Exited)
    assert end.lost
    assert put(executor, trial(tmp_path, attempt=2)) == "place1"


def test_without_any_place_the_drive_ends(tmp_path, notes):
    executor, services = places(tmp_path, notes, None)
    put(executor, trial(tmp_path))
    until(lambda: services[0].jobs)
    services[0].away = UnavailableError("gone", backend="x")
    with pytest.raises(UnavailableError):
        heard(executor, Exited)


def test_a_place_that_is_no_longer_meant_gives_its_trials_back(tmp_path, notes):
    executor, _ = places(tmp_path, notes, None)
    assert not executor.adopt(trial(tmp_path), {"place": "another", "lease": [[], 0.0, 0], "inner": {}}, timeout=None)


def test_long_lines_are_read_whole_where_tuneport_printed_them_and_cut_for_patterns():
    line = "tuneport: " + " ".join(f"metric{index}={index / 7!r}" for index in range(1000))
    (report,) = Printed({}, ["metric999"]).read([line], 1.0)
    assert report.metrics["metric999"] == 999 / 7
    assert Printed({"loss": r"loss=(\S+)"}, ["loss"]).read(["x" * 5000 + "loss=0.5"], 1.0) == []
