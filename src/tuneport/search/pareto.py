"""Which of several results, each with several losses, are not worse than some other in everything."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tuneport.search.space import Array


def nondominated(losses: Array) -> npt.NDArray[np.bool_]:
    """Whether no other row is at least as good in every column and better in one.

    Args:
        losses: shape (n, objectives), smaller is better, finite.

    Returns:
        shape (n,); equal rows stand or fall together.
    """
    keep = np.ones(len(losses), dtype=bool)
    for index, row in enumerate(losses):
        if keep[index]:
            keep &= ~((losses >= row).all(axis=1) & (losses > row).any(axis=1))
    return keep
