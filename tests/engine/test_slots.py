"""Slots of a real Ray cluster: how long they stay, and that what is to stop does, whatever the cluster is at."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tuneport.backends.local.launch import launch
from tuneport.engine import executors
from tuneport.engine.executors.protocols import Event, Exited
from tuneport.engine.executors.ray import RayExecutor
from tuneport.engine.launch import TrialContext
from tuneport.model.job import TuningJob
from tuneport.model.trial_spec import Resources


class Runner:
    """Starts trials in slots of a size, as an engine does."""

    def __init__(self, address: str, folder: Path, make_job: Callable[..., TuningJob], **resources: Any) -> None:
        self.name, self._folder, self._make_job = f"{folder.name}-run", folder, make_job
        self._resources = Resources(**resources)
        self.notes: list[str] = []
        self.executor = RayExecutor(
            launch, self.name, self._resources, address=address, grace=1.0, note=self.notes.append
        )

    def context(self, trial: int, script: str = "", attempt: int = 1) -> TrialContext:
        (self._folder / "run" / "trials").mkdir(parents=True, exist_ok=True)
        folder = str(self._folder / "run" / "trials" / str(trial))
        job = self._make_job("import signal\n" + script, trial={"resources": self._resources})
        return TrialContext(job, self.name, trial, attempt, {"x": 0.5}, folder, str(self._folder), sys.executable)

    def start(self, trial: int, script: str) -> dict[str, Any]:
        assert self.executor.lease() is not None
        handle = self.executor.handle()
        self.executor.start(self.context(trial, script), timeout=None)
        return handle

    def end(self, seconds: float = 60) -> Exited:
        """The end of the trial that runs."""
        events: list[Event] = []
        last = time.monotonic() + seconds
        while not events or not isinstance(events[-1], Exited):
            assert time.monotonic() < last, events
            events += self.executor.wait(0.25)
        return events[-1]


@pytest.fixture
def runner(ray_cluster: Any, tmp_path: Path, make_job: Callable[..., TuningJob]) -> Iterator[Callable[..., Runner]]:
    made: list[Runner] = []

    def make(**resources: Any) -> Runner:
        made.append(Runner(ray_cluster.address, tmp_path, make_job, **resources))
        return made[-1]

    yield make
    for one in made:
        one.executor.close()


def test_a_place_without_a_share_of_its_own_stays_with_its_trial(
    runner: Callable[..., Runner], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three replicas on two nodes, one is started by its neighbour: its own place is never asked for anything."""
    monkeypatch.setattr(executors.ray, "ABANDONED", 1.0)
    one = runner(replicas=3)
    one.start(1, "time.sleep(3)")
    end = one.end()
    assert (end.failure, end.lost) == (None, False)
