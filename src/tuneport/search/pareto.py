"""Which results no other beats, and how much of the space of losses they dominate."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tuneport.search.space import Array


def hypervolume(losses: Array, reference: Array) -> float:
    """The volume of what is at least as bad as some result in every loss, up to a reference point.

    By slices along the last loss: exact, and quick for the two or three objectives of tuning.

    Args:
        losses: shape (n, objectives), smaller is better; rows that are not below the reference count for nothing.
        reference: shape (objectives,).
    """
    rows = losses[(losses < reference).all(axis=1)]
    if not len(rows):
        return 0.0
    if losses.shape[1] == 1:
        return float(reference[0] - rows.min())
    rows = rows[np.argsort(rows[:, -1], kind="stable")]
    heights = np.diff(rows[:, -1], append=reference[-1])
    slices = (hypervolume(rows[: count + 1, :-1], reference[:-1]) for count in range(len(rows)))
    return float(sum(height * area for height, area in zip(heights, slices, strict=True) if height > 0))


def nondominated(losses: Array) -> npt.NDArray[np.bool_]:
    """Whether no other row is at least as good in every column and better in one.

    Args:
        losses: shape (n, objectives), smaller is better, without NaN.

    Returns:
        shape (n,); equal rows stand or fall together.
    """
    keep = np.ones(len(losses), dtype=bool)
    for index, row in enumerate(losses):
        if keep[index]:
            keep &= ~((losses >= row).all(axis=1) & (losses > row).any(axis=1))
    return keep


def fronts(losses: Array, enough: int) -> npt.NDArray[np.intp]:
    """The front of each row: 0 if none beats it, 1 if only rows of front 0 do, and so on (Deb et al. 2002).

    Args:
        losses: shape (n, objectives), smaller is better, without NaN.
        enough: once so many rows have one, all others share the next.
    """
    front = np.zeros(len(losses), dtype=np.intp)
    left, number = np.arange(len(losses)), 0
    while len(left) and len(losses) - len(left) < enough:
        first = nondominated(losses[left])
        left, number = left[~first], number + 1
        front[left] = number
    return front
