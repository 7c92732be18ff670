"""One pass over the utility array: the unit in which times of the scaling benchmark are given."""

from __future__ import annotations

import time

import numpy as np

from robatch.instances.arrays import Array
from robatch.instances.compilation import njit
from robatch.instances.problem import Problem

LEAST_TIMED_S = 0.002
"""Small arrays are passed over again and again until it took this long."""


def _best(utility: Array) -> float:
    """Return the greatest utility of every query, summed: what an unlimited budget buys."""
    total = 0.0
    for i in range(utility.shape[0]):
        best = utility[i, 0]
        for s in range(1, utility.shape[1]):
            best = max(best, utility[i, s])
        total += best
    return total


best = njit(cache=True, nogil=True)(_best)


def _greatest(utility: Array) -> float:
    """Return the greatest of all utilities: one chain of comparisons."""
    top = utility[0, 0]
    for i in range(utility.shape[0]):
        for s in range(utility.shape[1]):
            top = max(top, utility[i, s])
    return float(top)


greatest = njit(cache=True, nogil=True)(_greatest)


class Pass:
    """Times a pass over a dense utility array by a compiled loop on one thread.

    Parameters
    ----------
    utility
        The array (n, S), or its first rows.
    queries
        Queries of the problem. If the array has fewer rows, its time is scaled by the number of rows.

    Attributes
    ----------
    scaled
        Whether times are scaled.
    """

    def __init__(self, utility: Array, queries: int) -> None:
        self._utility = utility
        self._factor = queries / len(utility)
        self.scaled = len(utility) < queries
        best(utility)  # compiles
        self._repeats = 1
        self._repeats = max(1, round(LEAST_TIMED_S / max(self.seconds() / self._factor, 1e-9)))

    def seconds(self) -> float:
        """Return the seconds of one pass, measured now."""
        begin = time.perf_counter()
        for _ in range(self._repeats):
            best(self._utility)
        return (time.perf_counter() - begin) / self._repeats * self._factor


def dense_utilities(problem: Problem, rows: int) -> Array:
    """Return the utilities of the first queries as an array (rows, S): float64 if the problem holds factors."""
    if problem.utility is not None:
        return problem.utility[:rows]
    dense = np.empty((rows, problem.n_states))
    for block in problem.blocks():
        part = slice(block.start, min(block.stop, rows))
        if part.start < part.stop:
            dense[part] = problem.utilities(part)
    dense.flags.writeable = False  # as a problem's array is: one array type, and so one compiled kernel
    return dense
