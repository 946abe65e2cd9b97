"""What the runs of one machine lease of its devices: a file per runner, which counts as long as somebody has it locked.

The runner locks its file and so does, by inheriting it, the keeper of its trials. The kernel drops the lock when both
are gone, however they ended: a lease never outlives its trials, and nobody has to clean up after a crash.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

Holding: TypeAlias = tuple[str, float, int]
"""A device, and the share and the bytes of it that one trial has."""


def machine_folder() -> Path:
    """Where the runs of a user on this machine tell each other what they lease."""
    return Path(tempfile.gettempdir()) / f"tuneport-{os.getuid()}" / "leases"


class Ledger:
    """One runner's part of what is leased on a machine, and its view of the others'.

    Args:
        folder: where all of them are.
        run: the run that it is for. What an earlier runner of the same run left is its own: it takes over its trials.
    """

    def __init__(self, folder: Path, run: str) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._run = run
        with self.turn():
            self._path = folder / f"{uuid.uuid4().hex}.json"
            self._file = self._path.open("w+")
            fcntl.flock(self._file, fcntl.LOCK_EX)

    @property
    def descriptor(self) -> int:
        """To be inherited by whoever keeps trials when the runner is gone."""
        return self._file.fileno()

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Look and take without anybody in between."""
        with (self._folder / "turn").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def others(self) -> Mapping[str, tuple[float, int]]:
        """Shares and bytes of the devices that trials of other runs have; what is stale is removed."""
        taken: dict[str, tuple[float, int]] = {}
        for path in self._folder.glob("*.json"):
            for device, share, memory in self._held_in(path):
                had = taken.get(device, (0.0, 0))
                taken[device] = had[0] + share, had[1] + memory
        return taken

    def _held_in(self, path: Path) -> Sequence[Holding]:
        if path == self._path:
            return []
        with contextlib.suppress(OSError), path.open() as file:
            if _free(file.fileno()):
                path.unlink()
                return []
            said = json.loads(file.read() or "{}")
            return [] if said.get("run") == self._run else [tuple(one) for one in said.get("held", ())]
        return []

    def write(self, held: Sequence[Holding]) -> None:
        """Say what trials of this run have now."""
        text = json.dumps({"run": self._run, "pid": os.getpid(), "held": held})
        self._file.seek(0)
        self._file.truncate()
        self._file.write(text)
        self._file.flush()

    def close(self) -> None:
        """Let go; what a keeper still has goes on to count."""
        self._file.close()


def _free(descriptor: int) -> bool:
    """Whether nobody has a file locked any more."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
