"""What a person sees while a run goes on: a live display on a terminal, otherwise a line for each trial that ends."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from tuneport.cli.output import note
from tuneport.cli.words import assignments, counts, duration, metric
from tuneport.model.results import FailureKind, RunState, StudyResult, Trial, TrialState

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from tuneport.model.job import TuningJob

Observer = Callable[[StudyResult], None]


def most_trials(job: TuningJob) -> int | None:
    """Trials that a run of the job can have at most, if that is known."""
    from tuneport.search.space import Space

    limits = (job.budget.max_trials, Space(job.study.parameters).size)
    return min((limit for limit in limits if limit is not None), default=None)


@contextlib.contextmanager
def progress(most: int | None, *, quiet: bool, before: StudyResult | None = None) -> Iterator[Observer]:
    """An observer of a run that shows how it goes, for as long as the context lasts.

    Args:
        most: trials that there can be, if known.
        quiet: show nothing.
        before: the run as the person knows it already; what ended by then is not told again.
    """
    if quiet:
        yield lambda _: None
    elif sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        with _live(most, before) as observer:
            yield observer
    else:
        yield _Lines(most, before)


class _News:
    """Tells which trials have ended since it was last asked, and which failures are worth their last lines.

    Args:
        before: the run as it was known before.
    """

    def __init__(self, before: StudyResult | None) -> None:
        self._told = {trial.id for trial in before.trials if trial.state.ended} if before else set[int]()
        self._explained: set[FailureKind] = set()

    def ended(self, result: StudyResult) -> list[Trial]:
        new = [trial for trial in result.trials if trial.state.ended and trial.id not in self._told]
        self._told.update(trial.id for trial in new)
        return new

    def explanation(self, trial: Trial) -> str | None:
        """The end of a failed trial's output, for the first one of its kind: the others will look alike."""
        failure = trial.failure
        if trial.state is not TrialState.FAILED or failure is None or failure.kind in self._explained:
            return None
        self._explained.add(failure.kind)
        return "\n".join(["  the end of its output:", *(f"  | {line}" for line in failure.last_lines or ("(none)",))])


def _sentence(trial: Trial, result: StudyResult, most: int | None) -> str:
    """One ended trial in one line."""
    objective, best = result.objectives[0], result.best
    early = trial.failure is not None and trial.failure.kind is FailureKind.STOPPED_BY_SCHEDULER
    parts = ["stopped early" if early else trial.state.value]
    if objective.metric in trial.metrics:
        parts.append(metric(trial, objective) + (" (best so far)" if best and best.id == trial.id else ""))
    if trial.failure is not None and not early:
        parts.append(trial.failure.message)
    if trial.duration is not None:
        parts.append(duration(trial.duration))
    of = f" of {most}" if most else ""
    return f"trial {trial.id}{of}: {', '.join(parts)} | {assignments(trial.parameters)}"


class _Lines:
    """Plain lines, for logs and pipes."""

    def __init__(self, most: int | None, before: StudyResult | None) -> None:
        self._most = most
        self._news = _News(before)
        self._state: RunState | None = None

    def __call__(self, result: StudyResult) -> None:
        if self._state is None:
            note(f"run {result.ref}")
        if result.state is RunState.STOPPING and self._state is not RunState.STOPPING:
            note(_asking(result))
        self._state = result.state
        for trial in self._news.ended(result):
            note(_sentence(trial, result, self._most))
            if explanation := self._news.explanation(trial):
                note(explanation)


@contextlib.contextmanager
def _live(most: int | None, before: StudyResult | None) -> Iterator[Observer]:
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True, highlight=False, markup=False)
    display = _Display(console, most, before)
    with Live(get_renderable=display.picture, console=console, refresh_per_second=5):
        yield display


class _Display:
    """A bar, the counts and the best trial, redrawn in place; failures of a new kind scroll past above it."""

    def __init__(self, console: Console, most: int | None, before: StudyResult | None) -> None:
        self._console = console
        self._most = most
        self._news = _News(before)
        self._result = before
        self._began = time.monotonic()

    def __call__(self, result: StudyResult) -> None:
        self._result = result
        for trial in self._news.ended(result):
            if explanation := self._news.explanation(trial):
                self._console.print(f"{_sentence(trial, result, self._most)}\n{explanation}", style="red")

    def picture(self) -> RenderableType:
        from rich.columns import Columns
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        result = self._result
        if result is None:
            return Text("starting …")
        ended = sum(trial.state.ended for trial in result.trials)
        of = f"/{self._most}" if self._most else ""
        elapsed = duration(round(time.monotonic() - self._began))
        bar = ProgressBar(total=self._most, completed=ended, width=30)
        line = Columns([Text(result.name, style="bold"), bar, Text(f"{ended}{of} trials"), Text(elapsed)])
        doing = _asking(result) if result.state is RunState.STOPPING else counts(result.trials)
        return Group(line, Text(f"  {doing}"), Text(f"  {_best(result)}", style="green"))


def _asking(result: StudyResult) -> str:
    running = sum(not trial.state.ended for trial in result.trials)
    return f"the run is to end: asking {'1 trial' if running == 1 else f'{running} trials'} to stop"


def _best(result: StudyResult) -> str:
    best = result.best
    if best is None:
        return "no result yet"
    return f"best: {metric(best, result.objectives[0])} (trial {best.id}) {assignments(best.parameters)}"
