"""The parent of a run's trial processes: a small process of its own, so that trials outlive a runner that is killed.

It is started as a script with the standard library alone. Orders come as JSON lines on its standard input::

    {"do": "start", "key": "7.1", "token": "digits-7f3a-7-1", "argv": [...], "cwd": "...", "env": {...},
     "folder": "...", "timeout": 60.0, "grace": 10.0, "patterns": {"accuracy": "accuracy=([0-9.]+)"}, "cores": [0, 1]}
    {"do": "stop", "key": "7.1"}

With ``"warm": {"python": "...", "path": "...", "env": {...}, "preload": [...], "words": [...], "log": "..."}`` a trial
is forked from a process that has imported its modules; see warm.py. Where that cannot be, it is started like any other,
and a line ``{"note": "why"}`` says so. Until it can be forked, nothing runs that has its mark; ``ordered.json`` in its
folder says that it will.

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
MORTAL = "--mortal"
"""Argument of a keeper whose trials are to end with their runner; it is nobody's child, and first says its number."""
WARM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "warm.py")
LOADING = 300.0
"""Seconds that preloading may take."""
LONGEST_MARK = 255
"""Characters to which a forked trial's mark may come."""
PACKET = 1 << 20
"""Bytes of the longest packet that is read."""
COLD = "trials are started as processes of their own, since {}"


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


def leave(folder: str, name: str, word: dict[str, Any]) -> None:
    """Leave word of a trial where a later runner finds it, should ours be killed before it takes note."""
    with contextlib.suppress(OSError), open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        file.write(json.dumps(word))


def children() -> list[int]:
    """Our child processes; none on a system that does not say."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []


def mark_of(pid: int) -> bytes | None:
    """The trial that a process belongs to; None if it shows none."""
    prefix = MARK.encode() + b"="
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            variables = file.read().split(b"\0")
    except OSError:
        return None
    return next((variable[len(prefix) :] for variable in variables if variable.startswith(prefix)), None)


def kill(pid: int) -> None:
    """End a process, if it is still there."""
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGKILL)


class Trial:
    """One running process group, its output, and when it must end."""

    def __init__(self, order: dict[str, Any], tell: Callable[[dict[str, Any]], None], oom_kills: int) -> None:
        self.order = order
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
        self.process: subprocess.Popen[bytes] | None = None
        self.pid: int | None = None
        self.deadline: float | None = None
        self.output, self.theirs = os.pipe()
        os.set_blocking(self.output, False)

    def start(self) -> None:
        """Start its program. Raises OSError or ValueError if that cannot be."""
        self.process = subprocess.Popen(
            self.order["argv"],
            cwd=self.order["cwd"],
            env={**INHERITED, **encoded(self.variables())},
            stdin=subprocess.DEVNULL,
            stdout=self.theirs,
            stderr=self.theirs,
            start_new_session=True,
        )
        if self.order["cores"] and hasattr(os, "sched_setaffinity"):  # macOS binds nothing
            with contextlib.suppress(OSError):  # it may have ended already
                os.sched_setaffinity(self.process.pid, self.order["cores"])
        self.begun(self.process.pid)

    def variables(self) -> dict[str, str]:
        """What it gets besides what everybody has."""
        return {**self.order["env"], MARK: self.token}

    def begun(self, pid: int) -> None:
        """It runs: from now on, its output is ours alone, and its time counts."""
        os.close(self.theirs)
        self.pid, self.started = pid, time.time()
        if self.stopped:
            self.terminate()
        elif self.order["timeout"] is not None:
            self.deadline = time.monotonic() + self.order["timeout"]

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
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def stop(self) -> None:
        """Ask the trial to end, and set the time at which it is made to."""
        if not self.stopped and not self.timed_out:
            self.stopped = True
            self.terminate()

    def terminate(self) -> None:
        """SIGTERM now, SIGKILL after the grace; for one that is still to be forked, when it begins."""
        if self.pid is None:
            return
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
        leave(self.folder, "ended.json", {**end, "matches": list(self.matches)})
        return end


class Parent:
    """A process that has imported what trials of one kind need, and forks itself for them; see warm.py."""

    def __init__(self, warm: dict[str, Any], preload: list[str], learn: bool) -> None:
        import socket  # noqa: PLC0415 - only warm trials need it

        self.warm = warm
        self.learn = learn
        """It is not known yet what trials import: the first one tells."""
        self.ready = False
        self.waiting: list[Trial] = []
        """Trials that it is to fork."""
        self.begun: dict[str, Trial] = {}
        """Trials that it was told to fork, and whose end it tells."""
        self.deadline = time.monotonic() + LOADING
        self.send = socket.send_fds
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, open(warm["log"], "ab") as log:
            self.process = subprocess.Popen(
                [warm["python"], WARM, str(theirs.fileno())],
                env={**INHERITED, **encoded({**warm["env"], MARK: "." * LONGEST_MARK})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        setup = {"path": warm["path"], "preload": preload, "lenient": not warm["preload"]}
        self.channel.send(json.dumps(setup).encode())

    def fork(self, trial: Trial) -> None:
        """Have a trial forked, as soon as all is loaded. Raises OSError if it cannot be told."""
        if not self.ready:
            self.waiting.append(trial)
            return
        order = {"key": trial.key, "words": trial.order["warm"]["words"], "cwd": trial.order["cwd"]}
        order |= {"env": trial.order["env"], "token": trial.token, "cores": trial.order["cores"], "learn": self.learn}
        self.begun[trial.key] = trial
        self.send(self.channel, [json.dumps(order).encode()], [trial.theirs])

    def left(self) -> list[Trial]:
        """Trials that it will never begin."""
        left = [*self.waiting, *(trial for trial in self.begun.values() if trial.pid is None)]
        self.waiting = []
        return left

    def hear(self) -> dict[str, Any] | None:
        """One packet of what it tells; None if it is gone."""
        try:
            packet = self.channel.recv(PACKET)
        except OSError:
            return None
        return json.loads(packet) if packet else None

    def retire(self) -> None:
        """Want nothing more of it; it goes when its last trial has ended."""
        self.channel.shutdown(1)


class Keeper:
    """Starts, watches and stops trials until its orders end and none runs any more."""

    def __init__(self) -> None:
        self.trials: dict[str, Trial] = {}
        self.parents: dict[str, Parent | None] = {}
        """What warm trials of one kind are forked from; None: they cannot be."""
        self.serving: dict[int, Parent] = {}
        """All such processes that are there, also those that have been replaced."""
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
            for parent in list(self.serving.values()):
                if not parent.ready and now >= parent.deadline:
                    self.give_up(parent, f"what is to be preloaded does not load within {LOADING:g} s")

    def patience(self) -> float | None:
        """Seconds until the next deadline, or None."""
        deadlines = [trial.deadline for trial in self.trials.values() if trial.deadline is not None]
        deadlines += [parent.deadline for parent in self.serving.values() if not parent.ready]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def orders(self) -> None:
        """Read and carry out orders."""
        data = os.read(0, 1 << 20)
        if not data:
            self.selector.unregister(0)
            self.ordered = False
            if MORTAL in sys.argv:
                for trial in list(self.trials.values()):
                    self.stop(trial.key)
                    trial.signal(signal.SIGKILL)
        *lines, self.pending = (self.pending + data).split(b"\n")
        for line in lines:
            order = json.loads(line)
            if order["do"] == "start":
                self.start(order)
            else:
                self.stop(order["key"])

    def start(self, order: dict[str, Any]) -> None:
        """Start a trial, or have it forked."""
        trial = Trial(order, self.tell, self.oom_kills.recent())
        self.trials[trial.key] = trial
        self.selector.register(trial.output, selectors.EVENT_READ, functools.partial(self.read, trial))
        parent = self.parent(order["warm"]) if order.get("warm") else None
        if parent is None:
            self.start_cold(trial)
            return
        leave(trial.folder, "ordered.json", {"key": trial.key})
        try:
            parent.fork(trial)
        except OSError as error:
            self.give_up(parent, f"it cannot be told what to start: {error}")

    def start_cold(self, trial: Trial) -> None:
        """Start a trial as a process of its own, or tell why it cannot be."""
        try:
            trial.start()
        except (OSError, ValueError) as error:
            self.fail(trial, str(error))

    def fail(self, trial: Trial, error: str) -> None:
        """Tell that a trial could not be started."""
        self.forget(trial)
        os.close(trial.theirs)
        os.close(trial.output)
        now = time.time()
        end = {"key": trial.key, "code": None, "error": error, "started": now, "ended": now}
        leave(trial.folder, "ended.json", end)
        self.tell(end)

    def forget(self, trial: Trial) -> None:
        """Watch a trial no longer."""
        del self.trials[trial.key]
        with contextlib.suppress(KeyError):
            self.selector.unregister(trial.output)

    def parent(self, warm: dict[str, Any], preload: list[str] | None = None) -> Parent | None:
        """What trials of this kind are forked from, started when the first of them is; None if they cannot be.

        Args:
            warm: of the trial's order.
            preload: the modules, if they have been learned; it then takes the place of the one that learned them.
        """
        kind = json.dumps([warm["python"], warm["path"], warm["env"], warm["preload"]])
        if kind in self.parents and preload is None:
            return self.parents[kind]
        parent = None
        try:
            parent = Parent(warm, preload or warm["preload"], learn=preload is None and not warm["preload"])
            self.serving[parent.process.pid] = parent
            self.selector.register(parent.channel, selectors.EVENT_READ, functools.partial(self.hear, parent))
        except OSError as error:
            self.tell({"note": COLD.format(error)})
        self.parents[kind] = parent
        return parent

    def hear(self, parent: Parent) -> None:
        """Take note of one thing that such a process tells, unless it was given up a moment ago."""
        if parent.process.pid not in self.serving:
            return
        news = parent.hear()
        if news is None:
            self.give_up(parent, "the process that they are forked from has ended")
        elif "refused" in news:
            self.give_up(parent, news["refused"])
        elif "ready" in news:
            parent.ready = True
            for trial in parent.left():
                parent.fork(trial)
        elif "learned" in news:
            self.learn(parent, news["learned"])
        else:
            self.hear_of_trial(parent, news)

    def learn(self, parent: Parent, modules: list[str]) -> None:
        """Fork the trials that follow from a process that has these modules; the first that says them counts."""
        if parent.learn:
            parent.learn = False
            self.parent(parent.warm, modules)
            parent.retire()

    def hear_of_trial(self, parent: Parent, news: dict[str, Any]) -> None:
        """A trial has begun, could not, or has ended."""
        if "pid" in news:
            parent.begun[news["key"]].begun(news["pid"])
        elif "error" in news:
            self.fail(parent.begun[news["key"]], news["error"])
        else:
            trial = parent.begun.pop(news["key"])
            if trial.key in self.trials:
                self.conclude(trial, news["code"])
            self.kill_strays()  # they have come to us, for it was not we that buried the trial

    def give_up(self, parent: Parent, reason: str) -> None:
        """Start trials of this kind as processes of their own from now on."""
        self.selector.unregister(parent.channel)
        del self.serving[parent.process.pid]
        parent.process.kill()
        parent.process.wait()
        parent.channel.close()
        replaced = parent not in self.parents.values()
        self.parents = {kind: None if one is parent else one for kind, one in self.parents.items()}
        if not replaced:
            self.tell({"note": COLD.format(reason)})
        for trial in parent.left():
            self.kill_marked(trial)  # it may have been forked, and not have got to saying so
            self.start_cold(trial)

    def stop(self, key: str) -> None:
        """Stop a trial, unless it has ended by itself in the meantime."""
        self.reap()
        trial = self.trials.get(key)
        if trial is None:
            return
        trial.stop()
        for parent in [parent for parent in self.serving.values() if trial in parent.waiting]:
            parent.waiting.remove(trial)
            self.conclude(trial, -signal.SIGTERM)

    def read(self, trial: Trial) -> None:
        """Take some of a trial's output, unless what was heard a moment ago has ended it."""
        if trial.key not in self.trials:
            return
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
            for trial in [trial for trial in self.trials.values() if trial.pid == pid]:
                self.conclude(trial, code)
            if pid in self.serving:
                self.serving[pid].process.returncode = code  # its channel says the rest
            self.kill_strays()

    def conclude(self, trial: Trial, code: int) -> None:
        """A trial's first process has ended: take its last output, and tell."""
        if trial.process is not None:
            trial.process.returncode = code
        elif trial.pid is None:
            os.close(trial.theirs)
        self.forget(trial)
        starved = code == -signal.SIGKILL and self.oom_kills.count() > trial.oom_kills
        self.tell(trial.end(code, out_of_memory=starved))

    def kill_strays(self) -> None:
        """Kill descendants that left their trial's process group and outlived the trial."""
        own = {trial.pid for trial in self.trials.values()} | self.serving.keys()
        marks = {trial.token.encode() for trial in self.trials.values()}
        for pid in children():
            if pid not in own and (not marks or mark_of(pid) not in {None, *marks}):
                kill(pid)

    def kill_marked(self, trial: Trial) -> None:
        """Kill all children that belong to a trial."""
        for pid in children():
            if mark_of(pid) == trial.token.encode():
                kill(pid)

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
    if MORTAL in sys.argv:
        if os.fork():
            os._exit(0)  # Ray kills the children of a slot that it ends; ours must live on to end its trials
        print(os.getpid(), flush=True)
    Keeper().run()
