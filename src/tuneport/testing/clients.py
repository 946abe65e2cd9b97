"""What runs promise, on this machine and on clouds, as tests for pytest. The rules are K in docs/contract.md.

A client's author adopts them by subclassing `ClientConformance`, and sees to it that the image of `trial` runs
`TRAINER`::

    class TestNimbusClient(ClientConformance):
        backend = BACKEND
        settings = {"results": "nim://bucket/results/"}
        trial = {"image": "nimbus/trainer:1"}
        unknown = "nimbus:north/no-such-job"
        refused = {"/budget/max_trials": 100_001}

Jobs really run: on the cloud, or on an emulator that a fixture of the class opens, such as `tuneport_cloud`. A
backend that runs jobs on this machine keeps the rules of `RunConformance`, which are all but those about calls.
"""

# ruff: noqa: S101 - suites are tests

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tuneport import api
from tuneport.backends.protocols import Backend
from tuneport.errors import ConflictError, JobError, RunNotFoundError
from tuneport.handle import Run
from tuneport.model.job import TuningJob
from tuneport.model.results import RunState, StudyResult, Trial, TrialState
from tuneport.remote.ledger import Ledger
from tuneport.testing.specimens import overlaid

TRAINER = """\
import os
import time

import tuneport_trial

found = tuneport_trial.params()
time.sleep(float(os.environ.get("SPECIMEN_SECONDS", 0)))
print("specimen", sorted((name, type(value).__name__) for name, value in found.items()))
score = found["rate"] + found["layers"] + found["batch"] / 256 + found["wide"] + found.get("momentum", 0)
tuneport_trial.report(score=score, step=1)
"""
"""What trials of these tests run: a program that finds tuneport_trial beside it, or installed."""
SECONDS = "SPECIMEN_SECONDS"
"""Variable that has `TRAINER` wait before it reports."""

_PARAMETERS = [
    {"name": "rate", "kind": "float", "low": 1e-4, "high": 0.1, "scale": "log"},
    {"name": "layers", "kind": "int", "low": 1, "high": 8},
    {"name": "batch", "kind": "discrete", "values": [16, 32, 64]},
    {"name": "wide", "kind": "categorical", "choices": [True, False]},
    {"name": "optimizer", "kind": "categorical", "choices": ["sgd", "adam"]},
    {
        "name": "momentum",
        "kind": "float",
        "low": 0.1,
        "high": 0.9,
        "when": {"parameter": "optimizer", "values": ["sgd"]},
    },
]
_TYPES = {"rate": float, "layers": int, "batch": int, "wide": bool, "optimizer": str, "momentum": float}
_CLOSE = 1e-5
"""Some services keep metrics as floats of 32 bits."""


class RunConformance:
    """K1 to K3 and K5 to K9. A job that is submitted comes back as what it said."""

    backend: ClassVar[Backend[Any]]
    """The backend."""
    settings: ClassVar[Mapping[str, Any]] = {}
    """Settings of it, over the configured ones."""
    trial: ClassVar[Mapping[str, Any]]
    """What a trial is there: an image that runs TRAINER, and whatever else the backend insists on."""
    unknown: ClassVar[str]
    """A well-formed reference of no run."""
    refused: ClassVar[Mapping[str, Any]]
    """By JSON pointer, what makes a job that the backend refuses."""
    tolerate: ClassVar[str] = "approximated"
    """The worst that the backend does to a parameter of any kind."""
    timeout: ClassVar[float] = 120
    """Seconds that the longest of these jobs may take."""

    @pytest.fixture
    def job(self) -> TuningJob:
        """A small job with parameters of every kind, one of them conditional."""
        return self.job_of(4)

    @pytest.fixture
    def requests(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The requests that are sent while a test runs; to be overridden where they do not go through http.client."""
        sent: list[str] = []
        send = http.client.HTTPConnection.putrequest

        def counted(connection: Any, method: str, url: str, *more: Any, **options: Any) -> Any:
            sent.append(f"{method} {url}")
            return send(connection, method, url, *more, **options)

        monkeypatch.setattr(http.client.HTTPConnection, "putrequest", counted)
        return sent

    def job_of(self, trials: int, parallel: int = 2, **trial: Any) -> TuningJob:
        """A job of so many trials."""
        return TuningJob.model_validate(
            {
                "name": "specimen",
                "study": {
                    "parameters": _PARAMETERS,
                    "objectives": [{"metric": "score", "goal": "maximize"}],
                },
                "trial": {**self.trial, **trial},
                "budget": {"max_trials": trials, "parallel_trials": parallel},
            }
        )

    def submit(self, job: TuningJob, workspace: Path) -> Run:
        """Submit a job."""
        return api.submit(
            job, on=self.backend.name, settings=self.settings, tolerate=self.tolerate, workspace=workspace
        )

    def found(self, run: Run, workspace: Path) -> Run:
        """The run as it is found again; on a cloud, from a workspace that knows nothing of it."""
        return api.attach(run.ref, workspace=workspace)

    def until(self, run: Run, happened: Callable[[StudyResult], bool]) -> StudyResult:
        """The run once something has happened."""
        end = time.monotonic() + self.timeout
        while not happened(result := run.result):
            assert time.monotonic() < end, f"it never happened: {result}"
            time.sleep(0.2)
        return result

    def test_trials_come_back_as_the_job_says(self, job: TuningJob, tmp_path: Path) -> None:
        """K1, K2, K3: typed parameters, states, measurements, times; the best; the same when it is found again."""
        run = self.submit(job, tmp_path / "here")
        result = run.wait(self.timeout)
        assert result.state is RunState.SUCCEEDED, result.message
        assert (result.ref, result.backend, result.objectives) == (run.ref, self.backend.name, job.study.objectives)
        assert result.created is not None
        assert result.ended is not None
        assert [trial.id for trial in result.trials] == [1, 2, 3, 4]
        for trial in result.trials:
            self.assert_as_meant(trial)
        assert run.best == max(result.trials, key=lambda trial: trial.metrics["score"])
        again = self.found(run, tmp_path / "here")
        assert again.result == result
        assert again.job.study.objectives == job.study.objectives

    def assert_as_meant(self, trial: Trial) -> None:
        """K1 for one trial."""
        assert trial.state is TrialState.SUCCEEDED
        known = dict(trial.parameters)
        assert {name: type(value) for name, value in known.items()} == {name: _TYPES[name] for name in known}
        conditional = {"momentum"} if known["optimizer"] == "sgd" else set()
        assert known.keys() == _TYPES.keys() - {"momentum"} | conditional
        values = {name: float(value) for name, value in known.items() if name != "optimizer"}
        score = values["rate"] + values["layers"] + values["batch"] / 256 + values["wide"] + values.get("momentum", 0)
        assert trial.metrics["score"] == pytest.approx(score, rel=_CLOSE)
        assert trial.final_measurement is not None
        took = trial.duration if trial.duration is not None else trial.final_measurement.elapsed
        assert took is not None
        assert took >= 0

    def test_what_is_stopped_keeps_what_it_has(self, tmp_path: Path) -> None:
        """K5: a stopped job is stopped, and its finished trials stay."""
        run = self.submit(self.job_of(50, 1, env={SECONDS: "0.5"}), tmp_path)
        before = self.until(run, lambda one: any(trial.state is TrialState.SUCCEEDED for trial in one.trials))
        run.stop()
        after = run.wait(self.timeout)
        assert after.state is RunState.STOPPED
        assert len(after.trials) < 50
        assert all(trial.state.ended for trial in after.trials)
        finished = {trial.id: trial.metrics for trial in before.trials if trial.state is TrialState.SUCCEEDED}
        kept = {trial.id: trial.metrics for trial in after.trials if trial.state is TrialState.SUCCEEDED}
        assert finished.items() <= kept.items()
        with pytest.raises(ConflictError):
            run.stop()

    def test_it_is_listed_read_and_deleted(self, job: TuningJob, tmp_path: Path) -> None:
        """K6, K7, K8: `run` waits; logs; `runs` has it; what was deleted is not found any more."""
        run = api.run(job, on=self.backend.name, settings=self.settings, tolerate=self.tolerate, workspace=tmp_path)
        assert run.best is not None
        assert any("('momentum', 'float')" in line or "('layers', 'int')" in line for line in run.logs(run.best.id))
        (listed,) = api.runs(workspace=tmp_path)
        assert (listed.ref, listed.state, len(listed.trials)) == (run.ref, RunState.SUCCEEDED, len(run.trials))
        assert listed.best is not None
        assert (listed.best.id, listed.best.metrics) == (run.best.id, run.best.metrics)
        run.delete()
        with pytest.raises(RunNotFoundError):
            run.result  # noqa: B018 - it is read when it is asked for
        assert api.runs(workspace=tmp_path) == []

    def test_what_is_unknown_is_not_found(self, tmp_path: Path) -> None:
        """K8: a reference of no run is a RunNotFoundError, whatever is asked of it."""
        asks: tuple[Callable[[Run], object], ...] = (
            lambda run: run.result,
            lambda run: run.job,
            lambda run: list(run.logs(1)),
            Run.stop,
            Run.delete,
        )
        for ask in asks:
            with pytest.raises(RunNotFoundError):
                ask(api.attach(self.unknown, workspace=tmp_path))

    def test_what_is_refused_is_not_sent(self, job: TuningJob, tmp_path: Path, requests: list[str]) -> None:
        """K9: a job that would be refused is a JobError before anything is sent, or noted."""
        with pytest.raises(JobError):
            self.submit(overlaid(job, self.refused), tmp_path)
        assert requests == []
        assert list(tmp_path.iterdir()) == []


class ClientConformance(RunConformance):
    """K. A job that is submitted to a cloud comes back as what it said, from anywhere, and once."""

    page: ClassVar[int] = 100
    """How many trials one call can read."""

    def found(self, run: Run, workspace: Path) -> Run:
        """The run as it is found from a workspace that knows nothing of it."""
        return api.attach(run.ref, workspace=workspace.with_name("elsewhere"))

    def test_a_submission_that_was_cut_off_is_made_once(
        self, job: TuningJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """K4: the service has made the job, but nobody has noted where; the next call finds it."""
        made: list[str] = []

        def killed(_ledger: Ledger, _token: str, ref: str) -> None:
            made.append(ref)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Ledger, "finish", killed)
            with suppress(KeyboardInterrupt):
                self.submit(job, tmp_path)
        assert self.submit(job, tmp_path).ref == made[0]
        assert self.submit(job, tmp_path).ref != made[0]

    def test_a_refresh_costs_few_calls(self, tmp_path: Path, requests: list[str]) -> None:
        """K10: reading a run takes two calls at most besides one for each page of trials."""
        run = self.submit(self.job_of(24, 8), tmp_path)
        run.wait(self.timeout)
        requests.clear()
        assert len(run.result.trials) == 24
        assert 1 <= len(requests) <= 2 + -(-24 // self.page), requests
