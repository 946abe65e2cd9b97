"""The runs of one cloud: submitted once, read back, followed until they end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from tuneport import exchange
from tuneport.backends.protocols import Client, Cloud
from tuneport.catalog.prices import Prices, spent
from tuneport.errors import BackendError, ConflictError, UnknownTrialError
from tuneport.exchange import Translated
from tuneport.model.job import TuningJob
from tuneport.model.results import DeviceUse, RunState, StudyResult, Trial
from tuneport.model.word import Word
from tuneport.remote.ledger import Ledger, Submission
from tuneport.translation.lowering import Hint, lower, meant

SOONEST, LATEST = 0.25, 30.0
"""Least and most seconds between two looks; what does not change is looked at less and less often."""
_PAUSE = 2.0
"""Least seconds between two looks at a log."""
LIVE = frozenset({RunState.PENDING, RunState.RUNNING, RunState.STOPPING})


class RemoteRuns:
    """The runs of one cloud, as this workspace knows them. Runs are named by the service's own references.

    Args:
        backend: the cloud.
        settings: of it.
        ledger: remembers what was submitted.
        prices: what machines cost.
    """

    def __init__(self, backend: Cloud[Any], settings: Word, ledger: Ledger, prices: Prices | None = None) -> None:
        self._backend = backend
        self._settings = settings
        self._ledger = ledger
        self._prices = prices or Prices()
        self._clients: dict[str, Client] = {}
        self._hints: dict[str, dict[str, Hint]] = {}
        self._seen: dict[str, str] = {}

    def ref(self, run: str) -> str:
        """The reference by which the run is found from anywhere."""
        return f"{self._backend.name}:{run}"

    def submit(self, job: TuningJob, translated: Translated) -> str:
        """Send a job, once; a submission that was cut off is taken up again.

        Raises:
            BackendError: the service refuses it, or cannot be reached.
        """
        settings = self._settings.model_dump(mode="json")
        noted = self._ledger.begin(self._backend.name, translated.plain, settings, job.name, job.model_dump_json())
        try:
            run = self._client(None).submit(translated.plain, noted.token, again=noted.again)
        except BackendError as error:
            if not error.retryable:
                self._ledger.give_up(noted.token)
            raise
        self._ledger.finish(noted.token, self.ref(run))
        return run

    def result(self, run: str) -> StudyResult:
        """The run as the service describes it now."""
        client = self._client(run)
        described = client.describe(run)
        result = self._backend.status.parse(described, client.trials(run))
        trials = tuple(self._as_meant(run, trial) for trial in result.trials)
        ours = {"ref": self.ref(run), "backend": self._backend.name, "trials": trials}
        result = result.model_copy(update=ours | {"cost": self._cost(described, trials)})
        self._remember(result)
        return result

    def _cost(self, described: dict[str, Any], trials: Iterable[Trial]) -> float | None:
        """What trials that have ended have cost, by the machine that the service says they have."""
        name = self._backend.name
        if name not in self._prices.per_hour:
            return None
        rate = self._prices.rate(name, exchange.read(described, self._backend).job.trial)
        return None if rate is None else spent(rate, trials)

    def _remember(self, result: StudyResult) -> None:
        """Note how the run is, with the results of its trials, but without what they reported on the way."""
        brief = tuple(trial.model_copy(update={"measurements": (), "links": {}}) for trial in result.trials)
        seen = result.model_copy(update={"trials": brief}).model_dump_json()
        if self._seen.get(result.ref) != seen:
            self._ledger.see(result.ref, seen)
            self._seen[result.ref] = seen

    def _as_meant(self, run: str, trial: Trial) -> Trial:
        """The trial with parameters as the job has them, where the service searched something else in their stead."""
        if run not in self._hints:
            vocabulary = self._backend.capabilities.vocabulary
            self._hints[run] = lower(self.job(run).study.parameters, vocabulary).hints if vocabulary else {}
        hints = self._hints[run]
        return trial.model_copy(update={"parameters": meant(trial.parameters, hints)}) if hints else trial

    def job(self, run: str) -> TuningJob:
        """The job: as it was submitted from here, or else as the service describes it."""
        for one in self._ledger.submissions():
            if one.ref == self.ref(run):
                return TuningJob.model_validate_json(one.job)
        return exchange.read(self._client(run).describe(run), self._backend).job

    def changes(self, run: str, until: float | None = None) -> Iterator[StudyResult]:
        """The run as it is now and whenever it has changed, until it ends.

        Args:
            run: its reference there.
            until: not longer than to this moment of time.monotonic().
        """
        seen: StudyResult | None = None
        pause = SOONEST
        while True:
            result = self.result(run)
            pause = SOONEST if result != seen else min(pause * 1.5, LATEST)
            if result != seen:
                seen = result
                yield result
            if result.state not in LIVE:
                return
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                return
            time.sleep(pause if left is None else min(pause, left))

    def drive(self, run: str, observer: Callable[[StudyResult], None] | None = None, *, fresh: bool = False) -> None:
        """Nobody but the service can.

        Raises:
            ConflictError: always.
        """
        del observer, fresh
        ref = self.ref(run)
        raise ConflictError(f"run {ref} is driven by its service", hint=f"follow it: tuneport follow {ref}")

    def folder(self, run: str) -> None:
        """Its files are not on this machine."""
        del run

    def devices(self, run: str) -> Sequence[DeviceUse]:
        """Its GPUs are not on this machine."""
        del run
        return ()

    def stop(self, run: str, trial: int | None = None) -> None:
        """Ask the service to stop the run, or one of its trials."""
        named = None if trial is None else _named(self._trial(run, trial))
        self._client(run).stop(run, named)

    def delete(self, run: str) -> None:
        """Remove the run where the service allows it, and forget it."""
        self._client(run).delete(run)
        self._ledger.forget(self.ref(run))

    def logs(self, run: str, trial: int, *, follow: bool = False) -> Iterator[str]:
        """Lines that a trial wrote; with `follow`, until it ends."""
        client, told, pause = self._client(run), list[str](), _PAUSE
        while True:
            found = self._trial(run, trial)
            lines = list(client.logs(run, _named(found)))
            known = len(told) if lines[: len(told)] == told else 0  # a service may have learnt whose lines they were
            yield from lines[known:]
            if found.state.ended or not follow:
                return
            pause = _PAUSE if lines != told else min(pause * 1.5, LATEST)
            told = lines
            time.sleep(pause)

    def _trial(self, run: str, trial: int) -> Trial:
        trials = {one.id: one for one in self.result(run).trials}
        if trial not in trials:
            raise UnknownTrialError(f"run {self.ref(run)} has no trial {trial}; it has {len(trials)}")
        return trials[trial]

    def _client(self, run: str | None) -> Client:
        """The connection for a run: to the region of its reference, as it was submitted where settings say nothing."""
        key = run or ""
        if key not in self._clients:
            settings = self._settings if run is None else self._settings_of(run)
            self._clients[key] = self._backend.connect(settings)
        return self._clients[key]

    def _settings_of(self, run: str) -> Word:
        noted = next((one.settings for one in self._ledger.submissions() if one.ref == self.ref(run)), {})
        fields = type(self._settings).model_fields
        changes = {
            name: value
            for name, value in noted.items()
            if name in fields and getattr(self._settings, name) == fields[name].default
        }
        if "region" in fields:
            changes["region"] = run.partition("/")[0]
        return self._settings.changed(**changes) if changes else self._settings


def last_seen(submission: Submission) -> StudyResult:
    """A submitted run as it was when it was last looked at, its trials without what they reported on the way."""
    if submission.seen is not None:
        return StudyResult.model_validate_json(submission.seen)
    job = TuningJob.model_validate_json(submission.job)
    ref = submission.ref or ""
    return StudyResult(
        ref=ref,
        name=job.name,
        backend=ref.partition(":")[0],
        state=RunState.PENDING,
        objectives=job.study.objectives,
        constraints=job.study.constraints,
        trials=(),
        created=submission.created,
    )


def _named(trial: Trial) -> str:
    """What the service calls a trial."""
    return trial.links.get("trial", str(trial.id))
