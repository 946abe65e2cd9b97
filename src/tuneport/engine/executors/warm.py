"""A process that has imported what trials need, and forks itself for each of them instead of starting a new one.

The keeper starts it as a script, with the interpreter of the trials and the standard library alone. It talks to the
keeper through a socket of packets, each a JSON object. The first one comes from the keeper and says what to import::

    {"path": "/home/me/trainer", "preload": ["torch", "sklearn.linear_model"], "lenient": false}

The answer is ``{"ready": true}``, or ``{"refused": "why"}`` if the modules leave behind what no fork survives:
threads, child processes, connections, a CUDA context. Then every order is one trial, and comes with the descriptor of
its output::

    {"key": "7.1", "words": ["train.py", "--x=1"], "cwd": "...", "env": {...}, "token": "digits-7f3a-7-1",
     "cores": [0, 1], "learn": false}

What is told of it: ``{"key": "7.1", "pid": 4711}`` when it begins, ``{"key": "7.1", "code": 0}`` when it has ended and,
if it is to be learned from, ``{"learned": ["numpy", ...]}``: the modules that it imported besides its own.

A trial finds what a new interpreter would give it: its session, arguments, variables, directory, streams, `__main__`
and random numbers. What it leaves in memory dies with it.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import io
import json
import os
import runpy
import select
import signal
import socket
import sys
import sysconfig
import threading
import traceback
import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

MARK = "TUNEPORT_TOKEN"
"""Variable by which the descendants of a trial are recognised; the keeper gives us a long one to write over."""
PACKET = 1 << 20
"""Bytes of the longest packet that is read."""
SAFE_THREADS = frozenset({"jemalloc_bg_thd"})
"""Threads that their library stops before a fork and starts after it."""


def main() -> None:
    """Load, then serve until the keeper goes. Returns in no process: trials leave at the end of their program."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    setup = json.loads(channel.recv(PACKET))
    look_first_in(setup["path"])
    reason = load(setup["preload"], lenient=setup["lenient"])
    tell(channel, {"refused": reason} if reason else {"ready": True})
    if not reason:
        gc.collect()
        gc.freeze()  # a collection in a trial would otherwise touch, and so copy, all that was preloaded
        Server(channel).run()
    os._exit(0)


def look_first_in(folder: str) -> None:
    """Have modules found in the program's folder, in the place of ours."""
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = folder


def tell(channel: socket.socket, news: dict[str, Any]) -> None:
    """Send one packet; a keeper that is gone needs none."""
    with contextlib.suppress(OSError):
        channel.send(json.dumps(news).encode())


def load(names: Iterable[str], *, lenient: bool) -> str | None:
    """Import modules. Returns why trials cannot be forked, or None.

    Args:
        names: modules.
        lenient: they are guessed, not asked for: one that cannot be imported is left out, and they are judged together.
    """
    for name in names:
        try:
            importlib.import_module(name)
        except BaseException as error:  # noqa: BLE001 - whatever somebody's module raises
            if not lenient:
                return f"the module '{name}' cannot be imported: {traceback.format_exception_only(error)[-1].strip()}"
        if not lenient and (reason := unsafe()):
            return f"the module '{name}' {reason}"
    reason = unsafe() if lenient else None
    return f"what the first trial imported {reason}" if reason else None


def unsafe(process: str = "/proc/self") -> str | None:
    """What this process has that a forked one cannot use, as the end of a sentence; None if there is nothing."""
    pid = os.fork()  # libraries that know of forks, such as OpenBLAS, end their threads for it
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    if threads := sorted(other_threads(process)):
        return f"starts threads ({', '.join(threads)})"
    with open(f"{process}/task/{os.path.basename(os.path.realpath(process))}/children", encoding="ascii") as file:
        if file.read().strip():
            return "starts processes"
    opened = {target for target in links(f"{process}/fd") if target.startswith(("/dev/nvidia", "socket:"))}
    torch = sys.modules.get("torch")
    if any(target.startswith("/dev") for target in opened) or (torch and torch.cuda.is_initialized()):
        return "touches CUDA"
    return "opens connections" if len(opened) > 1 else None  # one is ours, to the keeper


def other_threads(process: str) -> Iterator[str]:
    """Names of the threads that run besides the main one."""
    own = os.path.basename(os.path.realpath(process))
    for task in os.listdir(f"{process}/task"):
        with contextlib.suppress(OSError), open(f"{process}/task/{task}/comm", encoding="utf-8") as file:
            name = file.read().strip()
            if task != own and name not in SAFE_THREADS:
                yield name


def links(folder: str) -> Iterator[str]:
    """Where the links in a folder lead."""
    for name in os.listdir(folder):
        with contextlib.suppress(OSError):
            yield os.readlink(os.path.join(folder, name))


class Server:
    """Forks trials, and tells the keeper how they end."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.running: dict[int, tuple[int, str]] = {}
        """Descriptor that is readable when a trial has ended, to the trial's process and key."""
        self.spare: tuple[int, socket.socket] | None = None
        """A process that will be the next trial, and where it waits for its order: forking takes long."""
        self.known = frozenset(sys.modules)
        getenv = ctypes.CDLL(None).getenv
        getenv.restype = ctypes.c_void_p
        self.mark, self.room = getenv(MARK.encode()), len(os.environ[MARK])

    def run(self) -> None:
        """The loop; it ends when the keeper has gone, or wants no more trials, and none runs."""
        listening = True
        while listening or self.running:
            orders = [self.channel.fileno()] if listening else []
            patience = 0 if listening and self.spare is None else None
            ready, _, _ = select.select([*self.running, *orders], [], [], patience)
            if not ready:
                self.spare = self.fork()
            for one in ready:
                if one in self.running:
                    self.bury(one)
                else:
                    listening = self.take()

    def take(self) -> bool:
        """Have one order carried out. False: there will be no more."""
        self.spare = self.spare or self.fork()  # before the trial's output is here, which it would inherit
        packet, descriptors, _, _ = socket.recv_fds(self.channel, PACKET, 1)
        if not packet:
            return False
        (pid, line), self.spare = self.spare, None
        socket.send_fds(line, [packet], descriptors)
        line.close()
        os.close(descriptors[0])
        self.running[os.pidfd_open(pid)] = pid, json.loads(packet)["key"]
        return True

    def fork(self) -> tuple[int, socket.socket]:
        """Make a process that becomes the trial whose order it is sent."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid:
            theirs.close()
            return pid, ours
        try:
            ours.close()
            for descriptor in self.running:
                os.close(descriptor)
            if numpy := sys.modules.get("numpy.random"):
                numpy.seed()  # `random` does so by itself; here, all trials would draw the same numbers
            packet, descriptors, _, _ = socket.recv_fds(theirs, PACKET, 1)
            theirs.close()
            if packet:  # or else it is not needed any more
                self.become(json.loads(packet), descriptors[0])
        finally:
            os._exit(1)  # a second server would be the worst that can happen

    def bury(self, descriptor: int) -> None:
        """Tell how a trial ended."""
        pid, key = self.running.pop(descriptor)
        os.close(descriptor)
        _, status = os.waitpid(pid, 0)
        tell(self.channel, {"key": key, "code": os.waitstatus_to_exitcode(status)})

    def become(self, order: dict[str, Any], output: int) -> None:
        """Turn this process, a fork, into the trial that was ordered."""
        os.setsid()
        if order["cores"]:
            with contextlib.suppress(OSError):  # they may have been taken from us
                os.sched_setaffinity(0, order["cores"])
        token = order["token"].encode()
        ctypes.memmove(self.mark, token.ljust(self.room, b"\0"), self.room)  # where /proc/PID/environ shows it
        os.environ.update({**order["env"], MARK: order["token"]})
        nothing = os.open(os.devnull, os.O_RDONLY)
        for descriptor, stream in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(descriptor, stream)
        for descriptor in (nothing, output):
            os.close(descriptor)
        try:
            os.chdir(order["cwd"])
        except OSError as error:
            tell(self.channel, {"key": order["key"], "error": str(error)})
            os._exit(1)
        tell(self.channel, {"key": order["key"], "pid": os.getpid()})
        if not order["learn"]:
            self.channel.close()
        code = run(order["words"])
        if order["learn"] and code == 0:
            tell(self.channel, {"learned": list(libraries(self.known))})
        leave(code)


def run(words: list[str]) -> int:
    """Run a script, or with -m a module, as the main program. Returns its exit status; negative for a signal."""
    program = types.ModuleType("__main__")
    sys.modules["__main__"] = program
    sys.argv = words
    try:
        if words[0] == "-m":
            sys.argv = ["-m", *words[2:]]
            look_first_in(os.getcwd())
            runpy._run_module_as_main(words[1])  # type: ignore[attr-defined]  # noqa: SLF001 - what `python -m` calls
        else:
            look_first_in(os.path.dirname(os.path.realpath(words[0])))
            vars(program).update(__file__=words[0], __builtins__=__builtins__)
            with io.open_code(os.path.abspath(words[0])) as file:
                code = compile(file.read(), words[0], "exec")
            exec(code, vars(program))  # noqa: S102 - the user's own program
    except SystemExit as end:
        return exit_status(end.code)
    except BaseException as error:  # noqa: BLE001 - what an interpreter does at its top
        trace = without_ours(error.__traceback__)
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        return -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    return 0


def exit_status(code: object) -> int:
    """The exit status that sys.exit means."""
    if code is None or isinstance(code, int):
        return (code or 0) & 0xFF
    print(code, file=sys.stderr)
    return 1


def without_ours(trace: types.TracebackType | None) -> types.TracebackType | None:
    """A traceback from the user's first frame on."""
    while trace and trace.tb_frame.f_code.co_filename in {__file__, runpy.__file__, "<frozen runpy>"}:
        trace = trace.tb_next
    return trace


def libraries(known: frozenset[str]) -> Iterator[str]:
    """Modules of installed packages, and of Python, that were imported since `known`; not the user's own."""
    places = tuple({sysconfig.get_path(kind) + os.sep for kind in ("stdlib", "platstdlib", "purelib", "platlib")})
    for name, module in list(sys.modules.items()):
        spec = getattr(module, "__spec__", None)
        if name not in known and spec is not None and spec.name == name and (spec.origin or "").startswith(places):
            yield name


def leave(code: int) -> None:
    """End the process as an interpreter does, but for taking apart all that was preloaded, which takes longest."""
    with contextlib.suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - waits for threads, as at every exit
    atexit._run_exitfuncs()  # noqa: SLF001
    own = vars(sys.modules["__main__"])
    own.update((name, None) for name in own if not name.startswith("__"))
    gc.collect()  # files that the program left open are written to their end
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main()
