"""How much of the space of losses a set of results dominates."""

from __future__ import annotations

import numpy as np

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
