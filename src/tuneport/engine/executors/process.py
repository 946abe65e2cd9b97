"""Trials as processes of this machine: one process group each, watched by the keeper."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tuneport.engine.collector import Collector
from tuneport.engine.diagnosis import diagnose
from tuneport.engine.executors import keeper
from tuneport.engine.executors.crew import crew, crew_size, together
from tuneport.engine.executors.keeper import MARK
from tuneport.engine.executors.protocols import Emitted, Event, Exited, Measured
from tuneport.engine.executors.warming import warm_order
from tuneport.engine.launch import Launch, LaunchContract, Reported, TrialContext, own_folder, token
from tuneport.engine.metering import PERIOD, Metering, Usage, Watched
from tuneport.engine.processes import alive, began, children, variable_of
from tuneport.errors import TuneportError
from tuneport.model.results import Failure, FailureKind
from tuneport.model.trial_spec import about

POLL = 0.1
"""Seconds between looks at the report files of running trials. Ends of trials are not polled for: they wake us."""
GROWTH = 0.1
"""What a trial has of memory is told when it has grown by this part, and when the trial ends."""
ATTEMPT_FILES = ("output.log", "output.tail.0", "output.tail.1", "ordered.json", "ended.json")

OURS = frozenset({"TUNEPORT_TRIAL", "TUNEPORT_SPACE", "TUNEPORT_OBJECTIVE", "TUNEPORT_INPUTS", "TUNEPORT_REPORT"})
"""Variables of a trial; when a trial runs tuneport itself, they are not its trials'."""

LOST = Failure(kind=FailureKind.INFRASTRUCTURE, message="the process that watched it was killed")


@dataclass(slots=True)
class _Adopted:
    """A trial that another runner's keeper watches: that keeper, and when we asked the trial to stop."""

    keeper: int
    began: str | None
    stopped: float | None = None


@dataclass(slots=True)
class _Running:
    context: TrialContext
    collector: Collector
    folder: Path
    timeout: float | None
    adopted: _Adopted | None = None
    peak: Usage = field(default_factory=Usage)
    told: Usage = field(default_factory=Usage)
    """The peak as far as it was told."""
    reported: bool = False
    excess: str | None = None
    """Why it was ended, if it had more main memory than it may."""

    @property
    def watched(self) -> Watched:
        memory = self.context.job.trial.resources.memory
        return Watched(self.context.gpus, None if memory is None else memory * crew_size(self.context))


class ProcessExecutor:
    """Starts trials through a keeper process of its own and reads their metrics from their folders.

    Args:
        contract: describes a trial's process.
        grace: seconds between SIGTERM and SIGKILL.
        mortal: trials end with this process, since somebody else will start them again.
        keeps: files that the keeper keeps open as long as its trials run.
        note: is told, once each, what whoever started the run should know.
        metering: measures what trials have of memory; None: of main memory alone.
    """

    name = "process"

    def __init__(
        self,
        contract: LaunchContract,
        *,
        grace: float,
        mortal: bool = False,
        keeps: Sequence[int] = (),
        note: Callable[[str], object] = lambda _: None,
        metering: Metering | None = None,
    ) -> None:
        self._contract = contract
        self._grace = grace
        self._running: dict[int, _Running] = {}
        self._news: list[dict[str, Any]] = []
        self._text = b""
        self._selector = selectors.DefaultSelector()
        self._keeper: subprocess.Popen[bytes] | None = None
        self._keeper_pid = 0
        """Its own: a mortal keeper is not the process that was started."""
        self._keeper_began: str | None = None
        self._looked = self._measured = 0.0
        self._metering = metering or Metering()
        self._mortal = mortal
        self._keeps = keeps
        self._tell = note
        self._noted: set[str] = set()

    def handle(self) -> dict[str, Any]:
        """How to find the keeper again; see Executor."""
        self._watcher()
        return {"keeper": self._keeper_pid, "began": self._keeper_began}

    def start(self, context: TrialContext, *, timeout: float | None) -> None:
        """Start a trial; see Executor."""
        members = crew(context)
        folder = Path(own_folder(members[0]))
        try:
            launches = [self._contract(one) for one in members]
            launch = together(members, launches)
            for one, its in zip(members, [launch, *launches[1:]], strict=True):
                _prepare(Path(own_folder(one)), its, context.attempt)
        except (OSError, TuneportError) as error:
            launch = Launch(argv=(), cwd=context.base)
            self._news.append({"key": _key(context), "code": None, "error": str(error), "ended": time.time()})
        self._running[context.trial] = _Running(context, self._collector(launch, context, folder), folder, timeout)
        if not launch.argv:
            return
        warm = self._warm(context, launch)
        self._order(
            {
                "do": "start",
                "key": _key(context),
                "argv": list(launch.argv),
                "cwd": launch.cwd,
                "env": dict(launch.env),
                "folder": str(folder),
                "timeout": timeout,
                "grace": self._grace,
                "patterns": dict(launch.patterns),
                "token": token(context),
                "cores": list(context.cores),
                "warm": warm,
            }
        )

    def _warm(self, context: TrialContext, launch: Launch) -> dict[str, Any] | None:
        """How a trial is forked, if the job wants that; why it cannot be, is said once."""
        if not context.job.trial.warm_workers:
            return None
        order = warm_order(context, launch)
        if isinstance(order, str):
            self._note(f"trials are started as processes of their own, since {order}")
            return None
        return order

    def _note(self, message: str) -> None:
        if message not in self._noted:
            self._noted.add(message)
            self._tell(message)

    def adopt(self, context: TrialContext, handle: dict[str, Any], *, timeout: float | None) -> bool:
        """Take over a trial whose runner was killed; see Executor."""
        folder = Path(context.folder)
        collector = self._collector(self._contract(context), context, folder)
        running = _Running(context, collector, folder, timeout, _Adopted(handle["keeper"], handle["began"]))
        if not _found(running, handle["keeper"], handle["began"]):
            _signal_processes(running, signal.SIGKILL)
            return False
        self._running[context.trial] = running
        return True

    def stop(self, trial: int) -> None:
        """Ask a trial to end; see Executor."""
        running = self._running.get(trial)
        if running is None:
            return
        if running.adopted is None:
            self._order({"do": "stop", "key": _key(running.context)})
        elif running.adopted.stopped is None and _end(running) is None:
            running.adopted.stopped = time.monotonic()
            _signal_processes(running, signal.SIGTERM)

    def wait(self, timeout: float | None) -> Sequence[Event]:
        """What happened; see Executor."""
        limit = None if timeout is None else time.monotonic() + timeout
        while True:
            events = list(self._events())
            if events:
                return events
            left = None if limit is None else limit - time.monotonic()
            if left is not None and left <= 0:
                return []
            patience = POLL if self._running else left
            self._listen(patience if left is None or patience is None else min(patience, left))

    def close(self) -> None:
        """Let go of the keeper; it ends when its last trial has. See Executor."""
        self._selector.close()
        if self._keeper is None:
            return
        self._close_pipes(self._keeper)
        if not self._running:
            self._keeper.wait()
        else:
            self._keeper.returncode = 0  # it outlives us on purpose
        self._keeper = None

    def _close_pipes(self, keeper: subprocess.Popen[bytes]) -> None:
        for pipe in (keeper.stdin, keeper.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _watcher(self) -> subprocess.Popen[bytes]:
        """The keeper, started when the first trial is."""
        if self._keeper is None:
            self._keeper = subprocess.Popen(
                [sys.executable, "-E", "-s", "-S", keeper.__file__, *[keeper.MORTAL] * self._mortal],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={name: value for name, value in os.environ.items() if name not in OURS},
                start_new_session=True,
                pass_fds=self._keeps,
                bufsize=0,
            )
            assert self._keeper.stdout is not None  # noqa: S101 - tells the type checker what PIPE means
            self._keeper_pid = int(self._keeper.stdout.readline() or 0) if self._mortal else self._keeper.pid
            os.set_blocking(self._keeper.stdout.fileno(), False)
            self._keeper_began = began(self._keeper_pid)
            self._selector.register(self._keeper.stdout, selectors.EVENT_READ)
        return self._keeper

    def _order(self, order: dict[str, Any]) -> None:
        pipe = self._watcher().stdin
        assert pipe is not None  # noqa: S101 - tells the type checker what PIPE means
        data = memoryview((json.dumps(order) + "\n").encode())
        try:
            while data:
                data = data[pipe.write(data) :]
        except BrokenPipeError:
            self._lose_keeper()

    def _listen(self, timeout: float | None) -> None:
        """Wait for the keeper's next line, at most so long."""
        if not self._selector.get_map():
            time.sleep(timeout if timeout is not None else POLL)
            return
        for key, _ in self._selector.select(timeout):
            if not self._hear(key.fd):
                self._lose_keeper()

    def _hear(self, descriptor: int) -> bool:
        """Take some of what the keeper tells. False: it is gone."""
        data = os.read(descriptor, 1 << 16)
        *lines, self._text = (self._text + data).split(b"\n")
        self._news += map(json.loads, lines)
        return bool(data)

    def _lose_keeper(self) -> None:
        """The keeper was killed. What it said and wrote counts, its other trials are lost, and a new one will serve."""
        if self._keeper is None or self._keeper.stdout is None:
            return
        self._keeper.wait()
        while self._hear(self._keeper.stdout.fileno()):
            pass
        self._text = b""  # it was cut off in the middle of a line
        self._selector.unregister(self._keeper.stdout)
        self._close_pipes(self._keeper)
        self._keeper = None
        told = {one["key"] for one in self._news if "match" not in one and "note" not in one}
        for running in self._running.values():
            if running.adopted is None and _key(running.context) not in told:
                _signal_processes(running, signal.SIGKILL)
                self._news.append(_end(running) or _lost(running))

    def _events(self) -> Iterator[Event]:
        news, self._news = self._news, []
        for running in self._running.values():
            if running.adopted and (end := self._end_of_adopted(running, running.adopted)):
                news += [{"key": end["key"], "match": match} for match in end.get("matches", ())]
                news.append(end)
        for one in news:
            if "note" in one:
                self._note(one["note"])
                continue
            trial = int(one["key"].partition(".")[0])
            if trial in self._running:
                yield from self._told(self._running[trial], one)
        now = time.monotonic()
        if now - self._looked >= POLL:
            self._looked = now
            for running in self._running.values():
                yield from _emitted(running, running.collector.collect())
        if self._running and now - self._measured >= PERIOD:
            self._measured = now
            yield from self._measure()

    def _measure(self) -> Iterator[Event]:
        """Look at what running trials have of memory, and end those that have more than they may."""
        running = {token(one.context): one for one in self._running.values()}
        keepers = {one.adopted.keeper for one in running.values() if one.adopted}
        keepers |= {self._keeper_pid} if self._keeper else set()
        for mark, usage in self._metering.usage({mark: one.watched for mark, one in running.items()}, keepers).items():
            one, limit = running[mark], running[mark].watched.limit
            one.peak |= usage
            if limit is not None and usage.memory > limit:
                allowed = f"more than the {about(limit)} that trial.resources.memory allows"
                one.excess = f"had {about(usage.memory)} of main memory, {allowed}"
                _signal_processes(one, signal.SIGKILL)
            yield from _peak(one, GROWTH)

    def _told(self, running: _Running, news: dict[str, Any]) -> Iterator[Event]:
        if "match" in news:
            yield from _emitted(running, running.collector.match(news["match"]))
        else:
            del self._running[running.context.trial]
            yield from self._exit(running, news)

    def _exit(self, running: _Running, end: dict[str, Any]) -> Iterator[Event]:
        """A trial's last reports, then its end."""
        trial = running.context.trial
        yield from _emitted(running, running.collector.finish())
        yield from _peak(running)
        stopped = bool(end.get("stopped")) or bool(running.adopted and running.adopted.stopped is not None)
        failure = (
            LOST
            if end.get("lost")
            else diagnose(
                end["code"],
                end.get("last_lines", ()),
                error=end.get("error"),
                timed_out=end.get("timed_out", False),
                stopped=stopped,
                out_of_memory=end.get("out_of_memory", False),
                excess=running.excess,
                timeout=running.timeout,
            )
        )
        lines = tuple(end.get("last_lines", ()))
        looked_for = running.collector.looked_for
        yield Exited(trial, failure, stopped, looked_for, lines, end["ended"], lost=end.get("lost", False))

    def _end_of_adopted(self, running: _Running, adopted: _Adopted) -> dict[str, Any] | None:
        """How an adopted trial ended, if it has."""
        # The keeper is looked at first: what it wrote before it went is then surely there.
        watched = alive(adopted.keeper, adopted.began)
        if end := _end(running):
            return end
        if not watched:
            _signal_processes(running, signal.SIGKILL)
            return _lost(running)
        if adopted.stopped is not None and time.monotonic() - adopted.stopped > self._grace:
            _signal_processes(running, signal.SIGKILL)
        return None

    def _collector(self, launch: Launch, context: TrialContext, folder: Path) -> Collector:
        return Collector(launch, folder, context.job.study.metrics)


def _emitted(running: _Running, reports: Sequence[Reported]) -> Iterator[Event]:
    if reports and not running.reported:
        running.reported, running.told = True, Usage()  # its peak is told once more: from now on it teaches others
    for report in reports:
        yield Emitted(running.context.trial, report)


def _peak(running: _Running, growth: float = 0.0) -> Iterator[Event]:
    """Tell the most that a trial has had, if it has grown by this part."""
    if running.peak.exceeds(running.told, growth):
        running.told = running.peak
        yield Measured(running.context.trial, running.peak.memory, running.peak.gpu_memory)


def _key(context: TrialContext) -> str:
    return f"{context.trial}.{context.attempt}"


def _lost(running: _Running) -> dict[str, Any]:
    return {
        "key": _key(running.context),
        "ended": time.time(),
        "lost": True,
    }


def _end(running: _Running) -> dict[str, Any] | None:
    """How a trial ended, as its keeper wrote it down; None if it has not."""
    return _word(running, "ended.json")


def _word(running: _Running, name: str) -> dict[str, Any] | None:
    """What a keeper has left in a trial's folder; None if it has not, or if the file is an earlier attempt's."""
    try:
        word: dict[str, Any] = json.loads((running.folder / name).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return word if word["key"] == _key(running.context) else None


def _found(running: _Running, pid: int, since: str | None) -> bool:
    """Whether a trial that a killed runner meant to start has ended, or is among those that its keeper watches.

    The runner may have been killed between its word in the journal and its order. An order that was sent is carried out
    at once, or taken down until what the trial is forked from is loaded; a moment of patience tells the two apart.
    """
    for _ in range(20):
        if _end(running) is not None:
            return True
        if not alive(pid, since):
            return _end(running) is not None
        if _word(running, "ordered.json") is not None or _watches(pid, token(running.context)):
            return True
        time.sleep(0.05)
    return False


def _watches(pid: int, mark: str) -> bool:
    """Whether a keeper has a descendant of this trial, or a child of which that cannot be told."""
    own = children(pid)
    if own is None:
        return True
    marks = [variable_of(child, MARK) for child in own]
    forked = [variable_of(one, MARK) for child in own for one in children(child) or ()]
    return mark in marks or mark in forked or None in marks


def _prepare(folder: Path, launch: Launch, attempt: int) -> None:
    """Write what the trial finds in its folder; an earlier attempt's output moves aside."""
    folder.mkdir(parents=True, exist_ok=True)
    if attempt > 1:
        reports = (launch.reports.path,) if launch.reports else ()
        earlier = folder / f"attempt-{attempt - 1}"
        earlier.mkdir(exist_ok=True)
        for name in (*ATTEMPT_FILES, *reports):
            if (folder / name).exists():
                (folder / name).replace(earlier / Path(name).name)
    for name in launch.folders:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, text in launch.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _signal_processes(running: _Running, number: int) -> None:
    """Signal all processes of a trial, wherever they have gone; they carry its mark."""
    for path in Path("/proc").glob("[0-9]*"):
        if variable_of(int(path.name), MARK) == token(running.context):
            with contextlib.suppress(OSError):
                os.kill(int(path.name), number)
