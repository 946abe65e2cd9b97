"""Which results no other beats, and how much of the space of losses they dominate."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from tuneport.search.dimensions import Array

_FINEST = 256
"""Cells along every objective of the finest grid that simplifies a front."""


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


def undominated(front: Array, reference: Array) -> tuple[Array, Array]:
    """What lies below a reference point and is not as bad as any point of a front, as boxes that do not overlap.

    One point after the other cuts away what it dominates. With those first that are far from every edge, the boxes are
    about as many as the points for two objectives, three times as many for three, and ten times for four.

    Args:
        front: shape (n, objectives), smaller is better.
        reference: shape (objectives,).

    Returns:
        lower corners, some of whose coordinates are -inf, and upper corners, shape (boxes, objectives) each.
    """
    low, high = np.full((1, len(reference)), -np.inf), reference[None]
    for point in front[np.argsort(front.max(axis=1), kind="stable")]:
        cut = (point < high).all(axis=1)
        pieces = [(low[~cut], high[~cut]), *_around(point, low[cut], high[cut])]
        low, high = (np.concatenate(corners) for corners in zip(*pieces, strict=True))
    return low, high


def _around(point: Array, low: Array, high: Array) -> Iterator[tuple[Array, Array]]:
    """What remains of boxes without all that is as bad as a point: for each objective, what is better in it alone."""
    for objective, edge in enumerate(point):
        better = low[:, objective] < edge
        ends = high[better]
        ends[:, objective] = edge
        yield low[better], ends
        low = low.copy()
        low[:, objective] = np.maximum(low[:, objective], edge)


def coarsened(front: Array, most: int) -> Array:
    """A front of fewer points that dominates all that a larger one does, and as little more as may be.

    Points are moved to the better corners of the cells of a grid, which is made coarser until it is enough.

    Args:
        front: shape (n, objectives), smaller is better.
        most: as many points are kept at most; above the number of subsets of the objectives.
    """
    best, width = front.min(axis=0), np.ptp(front, axis=0)
    cells, out = _FINEST, front
    while len(out) > most:
        out = np.unique(
            best + np.floor((front - best) / np.where(width > 0, width, 1.0) * cells) / cells * width, axis=0
        )
        out = out[nondominated(out)]
        cells //= 2
    return out


def nondominated(losses: Array) -> npt.NDArray[np.bool_]:
    """Whether no other row is at least as good in every column and better in one.

    Args:
        losses: shape (n, objectives), smaller is better, without NaN.

    Returns:
        shape (n,); equal rows stand or fall together.
    """
    rows, place = np.unique(losses, axis=0, return_inverse=True)  # ascending: nothing is beaten by what comes later
    keep, left = np.zeros(len(rows), dtype=bool), np.arange(len(rows))
    while len(left):
        keep[left[0]] = True
        left = left[(rows[left] < rows[left[0]]).any(axis=1)]
    return np.asarray(keep[place.reshape(-1)])


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
