"""Starts the processes of one trial that this node has, and gives them one fate.

It is started in the place of the trial's program, a script with the standard library alone::

    python replicas.py /path/of/the/trial's/folder/replicas.json

The file says of each process what to start: ``[{"argv": [...], "cwd": "...", "env": {...}, "log": null}, ...]``. The
output of the first one is ours; the others have a log of their own. When one fails, the others are ended, and its
status is ours.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

GRACE = 5.0
"""Seconds between asking the others to end and killing them, after one has failed."""
POLL = 0.05


def main(plan: str) -> int:
    """Run the processes to their end. Returns the status of the first that failed, or 0."""
    signal.signal(signal.SIGTERM, lambda *_: None)  # the whole group gets it; we leave when the others have
    with open(plan, encoding="utf-8") as file:
        processes = [start(**one) for one in json.load(file)]
    failed = 0
    while None in [one.poll() for one in processes]:
        failed = next((one.returncode for one in processes if one.returncode), 0)
        if failed:
            end(processes)
        else:
            time.sleep(POLL)
    return failed or next((one.returncode for one in processes if one.returncode), 0)


def start(argv: list[str], cwd: str, env: dict[str, str], log: str | None) -> subprocess.Popen[bytes]:
    """Start one process."""
    streams: dict[str, Any] = {}
    with contextlib.ExitStack() as closing:
        if log:
            output = closing.enter_context(open(log, "wb"))
            streams = {"stdout": output, "stderr": output}
        return subprocess.Popen(argv, cwd=cwd, env={**os.environ, **env}, **streams)


def end(processes: list[subprocess.Popen[bytes]]) -> None:
    """End all that still run."""
    for one in processes:
        one.terminate()
    limit = time.monotonic() + GRACE
    for one in processes:
        try:
            one.wait(max(0.0, limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            one.kill()


if __name__ == "__main__":
    status = main(sys.argv[1])
    if status < 0:
        with contextlib.suppress(OSError):  # as of SIGKILL, for which there are no handlers
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)
