"""Runs a program and kills it after a while, as a cloud takes spot capacity away: ``preempt.py SECONDS PROGRAM …``.

Standard library only; started as a script in place of the trial's program.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

NOTICE = 2.0
"""Seconds between SIGTERM and SIGKILL."""


def main(seconds: float, argv: list[str]) -> int:
    """Be the program, as far as its watcher can tell."""
    signal.signal(signal.SIGTERM, lambda *_: None)  # whoever stops us signals the group: the program hears it as well
    with subprocess.Popen(argv) as program:
        try:
            return _ended(program.wait(seconds))
        except subprocess.TimeoutExpired:
            program.terminate()
        try:
            program.wait(NOTICE)
        except subprocess.TimeoutExpired:
            program.kill()
    return _ended(-signal.SIGKILL)


def _ended(code: int) -> int:
    """End as the program did: by the same signal, or with its status."""
    if code < 0:
        if code != -signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
