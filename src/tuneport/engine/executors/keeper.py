"""The parent of a run's trial processes: a small process of its own, so that trials outlive a runner that is killed.

It is started as a script with the standard library alone. Orders come as JSON lines on its standard input, and one JSON
line per ended trial leaves on its standard output; the same line is first written to ``ended.json`` in the trial's
folder. When its input ends because the runner died, it keeps watching the trials that still run, leaves their
``ended.json`` for whoever resumes the run, and goes.

Orders::

    {"do": "start", "key": "7.1", "argv": [...], "cwd": "...", "env": {...}, "folder": "...", "timeout": 60.0,
     "grace": 10.0, "patterns": {"accuracy": "accuracy=(\\\\S+)"}}
    {"do": "stop", "key": "7.1"}

In a trial's folder it writes ``output.log`` (and ``output.tail.0``, ``output.tail.1`` once that is full: the beginning and
the end of the output are kept, the middle is dropped, so the disk never fills), ``matches.jsonl`` (what the patterns
found), ``process.json`` (pid) and ``ended.json``.
"""

import collections
import contextlib
import ctypes
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import time

HEAD_BYTES = 8 << 20
"""Bytes of output kept from the beginning."""
TAIL_BYTES = 4 << 20
"""Bytes of each of the two files that take turns in keeping the end of the output."""
LINE_BYTES = 64 << 10
"""A longer line is cut for searching; the log keeps it whole."""
LAST_LINES = 20
TOKEN = "TUNEPORT_TOKEN"
"""Variable by which strayed descendants of a trial are recognised."""


def write_json(path, data):
    """Write a file so that readers see it whole or not at all."""
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(data, file)
    os.replace(path + ".new", path)


def oom_kills():
    """How often the kernel has killed for lack of memory, in our group if that is known, else on the machine."""
    for path, key in (("/sys/fs/cgroup/memory.events", "oom_kill"), ("/proc/vmstat", "oom_kill")):
        with contextlib.suppress(OSError), open(path, encoding="ascii") as file:
            for line in file:
                name, _, value = line.partition(" ")
                if name == key:
                    return int(value)
    return 0


class Log:
    """A trial's output on disk, bounded: the first bytes, and the last ones in two files that take turns."""

    def __init__(self, folder):
        self.folder = folder
        self.file = open(os.path.join(folder, "output.log"), "wb", buffering=0)
        self.room = HEAD_BYTES
        self.turn = 1

    def write(self, data):
        """Append, and drop the older tail when the newer one is full."""
        while data:
            if not self.room:
                self.file.close()
                self.turn = 1 - self.turn
                self.file = open(os.path.join(self.folder, f"output.tail.{self.turn}"), "wb", buffering=0)
                self.room = TAIL_BYTES
            self.file.write(data[: self.room])
            data, self.room = data[self.room :], max(0, self.room - len(data))


class Trial:
    """One running process group, its output, and when it must end."""

    def __init__(self, order):
        self.key = order["key"]
        self.folder = order["folder"]
        self.grace = order["grace"]
        self.patterns = [(name, re.compile(text)) for name, text in order["patterns"].items()]
        self.timed_out = self.stopped = False
        self.started = time.time()
        self.kills = oom_kills()
        self.log = Log(self.folder)
        self.matches = None
        self.rest = b""
        self.last = collections.deque(maxlen=LAST_LINES)
        self.process = subprocess.Popen(
            order["argv"],
            cwd=order["cwd"],
            env={**order["env"], TOKEN: self.key},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            start_new_session=True,
        )
        self.output = self.process.stdout
        os.set_blocking(self.output.fileno(), False)
        self.deadline = time.monotonic() + order["timeout"] if order["timeout"] is not None else None
        write_json(os.path.join(self.folder, "process.json"), {"pid": self.process.pid, "started": self.started})

    def read(self, limit=None):
        """Take what the process has written. Returns False at the end of its output."""
        while limit is None or limit > 0:
            try:
                data = os.read(self.output.fileno(), 1 << 16)
            except BlockingIOError:
                return True
            if not data:
                return False
            if limit is not None:
                limit -= len(data)
            self.log.write(data)
            self.search(data)
        return True

    def search(self, data):
        """Look for metrics line by line; a carriage return ends a line too, as progress bars use it."""
        *lines, self.rest = re.split(rb"[\r\n]", self.rest + data)
        self.rest = self.rest[:LINE_BYTES]
        for line in lines if self.patterns else lines[-LAST_LINES:]:
            self.line(line[:LINE_BYTES].decode("utf-8", "replace"))

    def line(self, text):
        """Remember a line, and write down what the patterns find in it."""
        if not text.strip():
            return
        self.last.append(text[:2000])
        for name, pattern in self.patterns:
            for match in pattern.finditer(text):
                groups = [group for group in match.groups() if group is not None]
                self.found(name, groups[0] if groups else match[0])

    def found(self, name, text):
        """One match, on disk before anybody hears of it."""
        if self.matches is None:
            self.matches = open(os.path.join(self.folder, "matches.jsonl"), "a", encoding="utf-8", buffering=1)
        self.matches.write(json.dumps({"metric": name, "text": text[:500], "time": time.time()}) + "\n")

    def signal(self, number):
        """Send a signal to the whole process group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def stop(self):
        """Ask the trial to end, and set the time at which it is made to."""
        if not self.stopped and not self.timed_out:
            self.stopped = True
            self.terminate()

    def terminate(self):
        """SIGTERM now, SIGKILL after the grace."""
        self.signal(signal.SIGTERM)
        self.deadline = time.monotonic() + self.grace

    def late(self):
        """The deadline has passed: first that of its time-out, then that of its grace."""
        if self.stopped or self.timed_out:
            self.signal(signal.SIGKILL)
            self.deadline = None
        else:
            self.timed_out = True
            self.terminate()

    def ended(self, code):
        """Kill what is left of the group, take its last output, and write down how it ended."""
        self.signal(signal.SIGKILL)
        self.read(limit=HEAD_BYTES + 2 * TAIL_BYTES)
        self.line(self.rest.decode("utf-8", "replace"))
        self.output.close()
        end = {
            "key": self.key,
            "code": code,
            "timed_out": self.timed_out,
            "stopped": self.stopped,
            "started": self.started,
            "ended": time.time(),
            "last_lines": list(self.last),
            "out_of_memory": code == -signal.SIGKILL and oom_kills() > self.kills,
        }
        write_json(os.path.join(self.folder, "ended.json"), end)
        return end


class Keeper:
    """Starts, watches and stops trials until its orders end and none runs any more."""

    def __init__(self):
        self.trials = {}
        self.ordered = True
        self.pending = b""
        self.selector = selectors.DefaultSelector()
        os.set_blocking(0, False)
        self.selector.register(0, selectors.EVENT_READ, self.orders)
        awake, alarm = os.pipe()
        for end in (awake, alarm):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(alarm, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.selector.register(awake, selectors.EVENT_READ, lambda: os.read(awake, 4096))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: strayed descendants come to us

    def run(self):
        """The loop."""
        while self.ordered or self.trials:
            for key, _ in self.selector.select(self.patience()):
                key.data()
            self.reap()
            now = time.monotonic()
            for trial in list(self.trials.values()):
                if trial.deadline is not None and now >= trial.deadline:
                    trial.late()

    def patience(self):
        """Seconds until the next deadline, or None."""
        deadlines = [trial.deadline for trial in self.trials.values() if trial.deadline is not None]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def orders(self):
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
            elif order["key"] in self.trials:
                self.trials[order["key"]].stop()

    def start(self, order):
        """Start a trial, or tell why it cannot be."""
        try:
            trial = Trial(order)
        except (OSError, ValueError) as error:
            now = time.time()
            end = {"key": order["key"], "code": None, "error": str(error), "started": now, "ended": now}
            with contextlib.suppress(OSError):
                write_json(os.path.join(order["folder"], "ended.json"), end)
            self.tell(end)
            return
        self.trials[trial.key] = trial
        self.selector.register(trial.output, selectors.EVENT_READ, lambda: self.read(trial))

    def read(self, trial):
        """Take some output; one trial's flood must not keep the others waiting."""
        if not trial.read(limit=1 << 18):
            self.selector.unregister(trial.output)

    def reap(self):
        """Take note of ended children; whoever is not a trial's first process is only buried."""
        by_pid = {trial.process.pid: trial for trial in self.trials.values()}
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if not pid:
                break
            if trial := by_pid.get(pid):
                trial.process.returncode = os.waitstatus_to_exitcode(status)
                del self.trials[trial.key]
                with contextlib.suppress(KeyError):
                    self.selector.unregister(trial.output)
                self.tell(trial.ended(trial.process.returncode))
        self.kill_strays()

    def kill_strays(self):
        """Kill descendants that left their trial's process group and outlived the trial."""
        own = {trial.process.pid for trial in self.trials.values()}
        with contextlib.suppress(OSError), open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            for pid in map(int, file.read().split()):
                if pid not in own and self.strayed(pid):
                    os.kill(pid, signal.SIGKILL)

    def strayed(self, pid):
        """Whether a child that is nobody's first process belongs to no running trial."""
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                variables = file.read().split(b"\0")
        except OSError:
            return False
        keys = {key.encode() for key in self.trials}
        prefix = TOKEN.encode() + b"="
        owners = [entry[len(prefix) :] for entry in variables if entry.startswith(prefix)]
        return not self.trials or bool(owners and owners[0] not in keys)

    def tell(self, end):
        """Send one line to the runner, if it still listens."""
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.write(json.dumps(end) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    Keeper().run()
