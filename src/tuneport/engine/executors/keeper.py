"""The parent of a run's trial processes: a small process of its own, so that trials outlive a runner that is killed.

It is started as a script with the standard library alone. Orders come as JSON lines on its standard input::

    {"do": "start", "key": "7.1", "token": "digits-7f3a/7.1", "argv": [...], "cwd": "...", "env": {...},
     "folder": "...", "timeout": 60.0, "grace": 10.0, "patterns": {"accuracy": "accuracy=([0-9.]+)"}}
    {"do": "stop", "key": "7.1"}

On its standard output leaves a JSON line for each match of a pattern, and one for the end of each trial; that one, with
the matches, is first written to ``ended.json`` in the trial's folder. When its input ends because the runner died, it
keeps watching the trials that still run, leaves their ``ended.json`` for whoever resumes the run, and goes.

A trial's output is kept in ``output.log``, and in ``output.tail.0`` and ``output.tail.1`` once that is full: its
beginning and its end are kept, the middle is dropped, so the disk never fills.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import functools
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import time

TYPE_CHECKING = False  # importing `typing` would cost more than the rest of the start-up
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, BinaryIO

HEAD_BYTES = 8 << 20
"""Bytes of output kept from the beginning."""
TAIL_BYTES = 4 << 20
"""Bytes of each of the two files that take turns in keeping the end of the output."""
READ_BYTES = 1 << 18
"""Bytes taken from one trial at a time: one trial's flood must not keep the others waiting."""
LINE_BYTES = 4 << 10
"""A longer line is cut for searching, since many patterns take the square of its length; the log keeps it whole."""
UNSENT_BYTES = 4 << 20
"""News that may wait for the runner to read them; beyond that, no more output is taken from the trials."""
LAST_LINES = 20
"""Lines of output that are told with the end of a trial."""
MATCHES = 10_000
"""The newest matches that are written down with the end of a trial."""
MARK = "TUNEPORT_TOKEN"
"""Variable by which the descendants of a trial are recognised wherever they have gone."""


INHERITED = dict(os.environb)
"""The runner's environment, as bytes: turning it into text and back for every trial would cost."""


def encoded(variables: dict[str, str]) -> dict[bytes, bytes]:
    """Variables as the system knows them."""
    return {os.fsencode(name): os.fsencode(value) for name, value in variables.items()}


class OomKills:
    """How often the kernel has killed for lack of memory: in our group if that is known, else on the machine."""

    def __init__(self) -> None:
        self.known = self.count()
        self.asked = time.monotonic()

    def count(self) -> int:
        """The kernel's counter now."""
        for path in ("/sys/fs/cgroup/memory.events", "/proc/vmstat"):
            with contextlib.suppress(OSError), open(path, encoding="ascii") as file:
                for line in file:
                    name, _, value = line.partition(" ")
                    if name == "oom_kill":
                        return int(value)
        return 0

    def recent(self) -> int:
        """The counter as it was within the last second; reading it for each of many short trials would cost."""
        if time.monotonic() - self.asked > 1:
            self.known, self.asked = self.count(), time.monotonic()
        return self.known


class Log:
    """A trial's output on disk, bounded: the first bytes, and the last ones in two files that take turns."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.file: BinaryIO | None = None
        self.room = 0

    def write(self, data: bytes) -> None:
        """Append; when a file is full, go on in the next, which drops the oldest part of the tail.

        What cannot be written is dropped: a full disk, or a trial that removes its folder, is no reason to lose trials.
        """
        with contextlib.suppress(OSError):
            self.append(data)

    def append(self, data: bytes) -> None:
        """Append, or raise OSError."""
        while data:
            file = self.file if self.file is not None and self.room else self.open_next()
            file.write(data[: self.room])
            data, self.room = data[self.room :], max(0, self.room - len(data))

    def open_next(self) -> BinaryIO:
        """First the head, then the two tails in turn."""
        if self.file is None:
            name, self.room = "output.log", HEAD_BYTES
        else:
            turn = "1" if self.file.name.endswith("tail.0") else "0"
            name, self.room = f"output.tail.{turn}", TAIL_BYTES
        self.close()
        self.file = open(os.path.join(self.folder, name), "wb", buffering=0)
        return self.file

    def close(self) -> None:
        """Let go of the current file."""
        if self.file is not None:
            self.file.close()


def write_end(folder: str, end: dict[str, Any]) -> None:
    """Leave a trial's end where a later runner finds it, should ours be killed before it takes note."""
    with contextlib.suppress(OSError), open(os.path.join(folder, "ended.json"), "w", encoding="utf-8") as file:
        file.write(json.dumps(end))


class Trial:
    """One running process group, its output, and when it must end."""

    def __init__(self, order: dict[str, Any], tell: Callable[[dict[str, Any]], None], oom_kills: int) -> None:
        self.tell = tell
        self.oom_kills = oom_kills
        self.key: str = order["key"]
        self.token: str = order["token"]
        self.folder: str = order["folder"]
        self.grace: float = order["grace"]
        self.patterns = [(name, re.compile(text)) for name, text in order["patterns"].items()]
        self.timed_out = self.stopped = False
        self.started = time.time()
        self.log = Log(self.folder)
        self.rest = b""
        self.last: collections.deque[str] = collections.deque(maxlen=LAST_LINES)
        self.matches: collections.deque[dict[str, Any]] = collections.deque(maxlen=MATCHES)
        self.output, theirs = os.pipe()
        os.set_blocking(self.output, False)
        try:
            self.process = subprocess.Popen(
                order["argv"],
                cwd=order["cwd"],
                env={**INHERITED, **encoded({**order["env"], MARK: self.token})},
                stdin=subprocess.DEVNULL,
                stdout=theirs,
                stderr=theirs,
                start_new_session=True,
            )
        except (OSError, ValueError):
            os.close(self.output)
            raise
        finally:
            os.close(theirs)
        self.deadline = time.monotonic() + order["timeout"] if order["timeout"] is not None else None

    def read(self, limit: int) -> bool:
        """Take at most so many bytes of what the process has written. Returns False at the end of its output."""
        while limit > 0:
            try:
                data = os.read(self.output, 1 << 16)
            except BlockingIOError:
                return True
            if not data:
                return False
            limit -= len(data)
            self.log.write(data)
            self.search(data)
        return True

    def search(self, data: bytes) -> None:
        """Look for metrics line by line; a carriage return ends a line too, as progress bars use it."""
        *lines, self.rest = re.split(rb"[\r\n]", self.rest + data)
        self.rest = self.rest[:LINE_BYTES]
        for line in lines if self.patterns else lines[-LAST_LINES:]:
            self.line(line[:LINE_BYTES])

    def line(self, line: bytes) -> None:
        """Remember a line, and tell what the patterns find in it."""
        text = line.decode("utf-8", "replace")
        if not text.strip():
            return
        self.last.append(text[:2000])
        for name, pattern in self.patterns:
            for match in pattern.finditer(text):
                groups = [group for group in match.groups() if group is not None]
                found = {"metric": name, "text": (groups[0] if groups else match[0])[:500], "time": time.time()}
                self.matches.append(found)
                self.tell({"key": self.key, "match": found})

    def signal(self, number: int) -> None:
        """Send a signal to the whole process group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def stop(self) -> None:
        """Ask the trial to end, and set the time at which it is made to."""
        if not self.stopped and not self.timed_out:
            self.stopped = True
            self.terminate()

    def terminate(self) -> None:
        """SIGTERM now, SIGKILL after the grace."""
        self.signal(signal.SIGTERM)
        self.deadline = time.monotonic() + self.grace

    def late(self) -> None:
        """The deadline has passed: first that of its time-out, then that of its grace."""
        if self.stopped or self.timed_out:
            self.signal(signal.SIGKILL)
            self.deadline = None
        else:
            self.timed_out = True
            self.terminate()

    def end(self, code: int, *, out_of_memory: bool) -> dict[str, Any]:
        """Kill what is left of the group, take its last output, and write down how it ended."""
        self.signal(signal.SIGKILL)
        self.read(HEAD_BYTES)
        self.line(self.rest)
        self.log.close()
        os.close(self.output)
        end = {
            "key": self.key,
            "code": code,
            "timed_out": self.timed_out,
            "stopped": self.stopped,
            "started": self.started,
            "ended": time.time(),
            "last_lines": list(self.last),
            "out_of_memory": out_of_memory,
        }
        write_end(self.folder, {**end, "matches": list(self.matches)})
        return end


class Keeper:
    """Starts, watches and stops trials until its orders end and none runs any more."""

    def __init__(self) -> None:
        self.trials: dict[str, Trial] = {}
        self.oom_kills = OomKills()
        self.ordered = True
        self.pending = b""
        self.unsent = b""
        self.held: list[Trial] = []
        """Trials whose output waits until the runner has read what it was told."""
        self.selector = selectors.DefaultSelector()
        os.set_blocking(0, False)
        os.set_blocking(1, False)
        self.selector.register(0, selectors.EVENT_READ, self.orders)
        awake, alarm = os.pipe()
        for end in (awake, alarm):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(alarm, warn_on_full_buffer=False)
        # Handlers that do nothing, not SIG_IGN: trials would inherit that, and not hear SIGTERM.
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        self.selector.register(awake, selectors.EVENT_READ, lambda: os.read(awake, 4096))
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: strayed descendants come to us

    def run(self) -> None:
        """The loop."""
        while self.ordered or self.trials or self.unsent:
            for key, _ in self.selector.select(self.patience()):
                key.data()
            self.reap()
            now = time.monotonic()
            for trial in list(self.trials.values()):
                if trial.deadline is not None and now >= trial.deadline:
                    trial.late()

    def patience(self) -> float | None:
        """Seconds until the next deadline, or None."""
        deadlines = [trial.deadline for trial in self.trials.values() if trial.deadline is not None]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def orders(self) -> None:
        """Read and carry out orders."""
        data = os.read(0, 1 << 20)
        if not data:
            self.selector.unregister(0)
            self.ordered = False
        *lines, self.pending = (self.pending + data).split(b"\n")
        for line in lines:
            order = json.loads(line)
            if order["do"] == "start":
                self.start(order)
            else:
                self.stop(order["key"])

    def start(self, order: dict[str, Any]) -> None:
        """Start a trial, or tell why it cannot be."""
        try:
            trial = Trial(order, self.tell, self.oom_kills.recent())
        except (OSError, ValueError) as error:
            now = time.time()
            end = {"key": order["key"], "code": None, "error": str(error), "started": now, "ended": now}
            write_end(order["folder"], end)
            self.tell(end)
            return
        self.trials[trial.key] = trial
        self.selector.register(trial.output, selectors.EVENT_READ, functools.partial(self.read, trial))

    def stop(self, key: str) -> None:
        """Stop a trial, unless it has ended by itself in the meantime."""
        self.reap()
        if key in self.trials:
            self.trials[key].stop()

    def read(self, trial: Trial) -> None:
        """Take some of a trial's output."""
        ended = not trial.read(READ_BYTES)
        if ended or len(self.unsent) > UNSENT_BYTES:
            self.selector.unregister(trial.output)
        if not ended and len(self.unsent) > UNSENT_BYTES:
            self.held.append(trial)

    def reap(self) -> None:
        """Take note of ended children; whoever is not a trial's first process is only buried."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            code = os.waitstatus_to_exitcode(status)
            for trial in [trial for trial in self.trials.values() if trial.process.pid == pid]:
                trial.process.returncode = code
                del self.trials[trial.key]
                with contextlib.suppress(KeyError):
                    self.selector.unregister(trial.output)
                starved = code == -signal.SIGKILL and self.oom_kills.count() > trial.oom_kills
                self.tell(trial.end(code, out_of_memory=starved))
            self.kill_strays()

    def kill_strays(self) -> None:
        """Kill descendants that left their trial's process group and outlived the trial."""
        own = {trial.process.pid for trial in self.trials.values()}
        try:
            with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
                children = [int(pid) for pid in file.read().split()]
        except OSError:  # not on this system
            return
        for pid in children:
            if pid not in own and self.strayed(pid):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)

    def strayed(self, pid: int) -> bool:
        """Whether a child that is nobody's first process belongs to no running trial."""
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                variables = file.read().split(b"\0")
        except OSError:
            return False
        marks = {f"{MARK}={trial.token}".encode() for trial in self.trials.values()}
        own = [variable for variable in variables if variable.startswith(MARK.encode() + b"=")]
        return not marks or bool(own and own[0] not in marks)

    def tell(self, news: dict[str, Any]) -> None:
        """Have one line for the runner; it is sent as fast as the runner reads, and nothing waits for that."""
        waiting = bool(self.unsent)
        self.unsent += json.dumps(news).encode() + b"\n"
        if not waiting and not self.sent():
            self.selector.register(1, selectors.EVENT_WRITE, self.send)

    def sent(self) -> bool:
        """Send what the runner takes. Returns whether that was all."""
        with contextlib.suppress(BlockingIOError):
            try:
                self.unsent = self.unsent[os.write(1, self.unsent) :]
            except BrokenPipeError:
                self.unsent = b""  # nobody listens any more; all is in the trials' folders
        return not self.unsent

    def send(self) -> None:
        """Go on sending; when all is sent, take output again."""
        if self.sent():
            self.selector.unregister(1)
            held, self.held = self.held, []
            for trial in held:
                if trial.key in self.trials:
                    self.selector.register(trial.output, selectors.EVENT_READ, functools.partial(self.read, trial))


if __name__ == "__main__":
    Keeper().run()
