"""Utilities that are grades: whole multiples of one number, such as 0 and 1, or tenths.

Then so is the utility of every plan, and a bound may be lowered to the next multiple. That proves what no search
can where many queries are alike: a linear bound half a right answer above a plan leaves nothing to gain.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from robatch.instances.arrays import FloatArray
from robatch.instances.kernels import Flat

MOST_PARTS = 1_000  # grades finer than this are not looked for
SAMPLE = 256  # queries in which they are looked for
EXACT, EXACT_32 = 1e-15, 1e-7  # a multiple, to rounding, of float64 and of float32
BOUND_ROUNDING = 1e-15  # of a bound that is a plan's own utility, summed up
BLOCK = 65_536


def lower_to_grade(flat: Flat, bound: float) -> float:
    """Return the greatest utility not above `bound` that a plan can have, `bound` itself if there are no grades."""
    return float(lower_to_grades(flat, np.array(bound)))


def lower_to_grades(flat: Flat, bounds: FloatArray) -> FloatArray:
    """Return the greatest utility that a plan can have not above each bound, the bounds if there are no grades."""
    found = _grades(flat)
    if found is None:
        return bounds
    parts, error = found
    return np.minimum(bounds, (np.floor(bounds * parts * (1 + BOUND_ROUNDING) + error) + error) / parts)


def grade(flat: Flat) -> tuple[float, float]:
    """Return by how much plans of different grades differ at least, and those of one grade at most; 0, 0 without any.

    Plans of one grade differ where multiples are rounded, as tenths are in float32.
    """
    found = _grades(flat)
    return (0.0, 0.0) if found is None else ((1.0 - 2.0 * found[1]) / found[0], 2.0 * found[1] / found[0])


def raise_to_grade(flat: Flat, target: float) -> float:
    """Return the least utility of at least `target` that a plan can have, `target` itself if there are no grades."""
    found = _grades(flat)
    if found is None:
        return target
    parts, error = found
    return max(target, (math.ceil(target * parts * (1 - BOUND_ROUNDING) - error) - error) / parts)


def _grades(flat: Flat) -> tuple[int, float] | None:
    """Return the number of parts of 1 of which utilities are multiples, and by how much a plan's may differ."""
    utilities = flat.dense
    if not len(utilities):
        return None
    parts = None if _parts(utilities[0]) is None else _parts(np.unique(utilities[:SAMPLE]))
    if parts is None:
        return None
    error = max(_error(utilities[i : i + BLOCK], parts) for i in range(0, len(utilities), BLOCK)) * len(utilities)
    return None if error > 0.1 else (parts, error)


def _parts(values: np.ndarray[tuple[int, ...], np.dtype[np.floating]]) -> int | None:
    """Return the least number of parts of 1 of which all values are multiples, None if it is large."""
    parts = 1
    for value in values[np.isfinite(values)].tolist():  # -inf stands for a candidate that is not allowed
        nearest = Fraction(value).limit_denominator(MOST_PARTS)
        parts = math.lcm(parts, nearest.denominator)
        if abs(float(nearest) - value) > (EXACT if values.dtype == np.float64 else EXACT_32) or parts > MOST_PARTS:
            return None
    return parts


def _error(utilities: np.ndarray[tuple[int, ...], np.dtype[np.floating]], parts: int) -> float:
    """Return by how much `parts` times the utilities differ from whole numbers, at most."""
    times = np.where(np.isfinite(utilities), utilities, 0.0).astype(np.float64) * parts
    return float(np.abs(times - np.rint(times)).max())
