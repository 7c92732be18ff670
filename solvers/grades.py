"""Utilities that are grades: whole multiples of one number, such as 0 and 1, or tenths.

Then so is the utility of every plan, and a bound may be lowered to the next multiple. That proves what no search
can where many queries are alike: a linear bound half a right answer above a plan leaves nothing to gain.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from robatch.instances.kernels import Flat

MOST_PARTS = 1_000  # grades finer than this are not looked for
SAMPLE = 256  # queries in which they are looked for
EXACT, EXACT_32 = 1e-15, 1e-7  # a multiple, to rounding, of float64 and of float32
ROUNDING = 1e-15  # of a bound that is a plan's own utility, summed up
BLOCK = 65_536


def lower_to_grade(flat: Flat, bound: float) -> float:
    """Return the greatest utility not above `bound` that a plan can have, `bound` itself if there are no grades."""
    utilities = flat.dense
    if not len(utilities):
        return bound
    parts = None if _parts(utilities[0]) is None else _parts(np.unique(utilities[:SAMPLE]))
    if parts is None:
        return bound
    error = max(_error(utilities[i : i + BLOCK], parts) for i in range(0, len(utilities), BLOCK)) * len(utilities)
    if error > 0.1:
        return bound
    return min(bound, (math.floor(bound * parts * (1 + ROUNDING) + error) + error) / parts)


def _parts(values: np.ndarray[tuple[int, ...], np.dtype[np.floating]]) -> int | None:
    """Return the least number of parts of 1 of which all values are multiples, None if it is large."""
    parts = 1
    for value in values.tolist():
        nearest = Fraction(value).limit_denominator(MOST_PARTS)
        parts = math.lcm(parts, nearest.denominator)
        if abs(float(nearest) - value) > (EXACT if values.dtype == np.float64 else EXACT_32) or parts > MOST_PARTS:
            return None
    return parts


def _error(utilities: np.ndarray[tuple[int, ...], np.dtype[np.floating]], parts: int) -> float:
    """Return by how much `parts` times the utilities differ from whole numbers, at most."""
    times = utilities.astype(np.float64) * parts
    return float(np.abs(times - np.rint(times)).max())
