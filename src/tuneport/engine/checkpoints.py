"""Checkpoints that one trial hands on to another."""

from __future__ import annotations

import shutil
from pathlib import Path

from tuneport.engine.launch import CHECKPOINTS

_PART = "checkpoints.part"


def inherit(parent: Path, heir: Path) -> bool:
    """Give a trial that is about to begin a copy of another's checkpoints, by their folders.

    The copy gets its name when it is whole; one that was made before the runner was killed is made again, since the
    heir has not begun.

    Returns:
        whether there was anything to copy.
    """
    part, copy = heir / _PART, heir / CHECKPOINTS
    for old in (part, copy):
        shutil.rmtree(old, ignore_errors=True)
    if not (parent / CHECKPOINTS).is_dir():
        return False
    shutil.copytree(parent / CHECKPOINTS, part, symlinks=True)
    part.rename(copy)
    return True
