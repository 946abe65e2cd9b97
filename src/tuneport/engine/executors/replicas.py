"""Starts the processes of one trial that has several, and tells them of each other as torchrun does.

It is started as the trial's first process, a script with the standard library alone::

    python replicas.py 4 /path/of/the/trial's/folder train.py --lr=0.1

Each process gets RANK, LOCAL_RANK, WORLD_SIZE, LOCAL_WORLD_SIZE, MASTER_ADDR and MASTER_PORT. The output of the first
one is the trial's; that of the others is kept beside it, as `output.rank-N.log`. When one fails, the others are ended,
and its status is the trial's.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

GRACE = 5.0
"""Seconds between asking the others to end and killing them, after one has failed."""
POLL = 0.05


def main(count: int, folder: str, argv: list[str]) -> int:
    """Run the processes to their end. Returns the status of the first that failed, or 0."""
    signal.signal(signal.SIGTERM, lambda *_: None)  # the whole group gets it; we leave when the others have
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "GROUP_RANK": "0",
        "GROUP_WORLD_SIZE": "1",
        "NODE_RANK": "0",
    }
    processes = [start(argv, shared, rank, folder) for rank in range(count)]
    failed = 0
    while None in [one.poll() for one in processes]:
        failed = next((one.returncode for one in processes if one.returncode), 0)
        if failed:
            end(processes)
        else:
            time.sleep(POLL)
    return failed or next((one.returncode for one in processes if one.returncode), 0)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(argv: list[str], shared: dict[str, str], rank: int, folder: str) -> subprocess.Popen[bytes]:
    """Start the process of one rank."""
    env = {**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank), "ROLE_RANK": str(rank)}
    if rank == 0:
        return subprocess.Popen(argv, env=env)
    with open(os.path.join(folder, f"output.rank-{rank}.log"), "wb") as log:
        return subprocess.Popen(argv, env=env, stdout=log, stderr=log)


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
    status = main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
    if status < 0:
        with contextlib.suppress(OSError):  # as of SIGKILL, for which there are no handlers
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)
