"""Costs of one's own: USD of each query in each state, which stand in for tokens times prices.

Kernels read a problem as amounts times prices. Costs of one's own reach them as amounts, a column for each state, at
one price: the USD of a unit of which all costs are whole multiples, where there is one. So their sums, too, have no
rounding, see `robatch.instances.money`.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from robatch.instances import checks
from robatch.instances.arrays import FloatArray, IntArray, RealArray, read_only

MOST_DIGITS = 12  # after the point, of a cost in USD
MOST_USD = 1e12
LARGEST_EXACT = 2.0**52


class Charges(NamedTuple):
    """What queries are charged for, and at which prices: C columns, one a model, or one a state.

    Attributes
    ----------
    inputs, outputs
        Amounts of each query: (N, 1 or C).
    prices
        USD of an input and of an output: (2, C).
    column
        Column of each state: (S,).
    unit
        USD of an input where costs are of one's own; None where they follow from tokens.
    """

    inputs: RealArray
    outputs: RealArray
    prices: FloatArray
    column: IntArray
    unit: Fraction | None = None


def checked(costs: npt.ArrayLike, rows: int, n_states: int) -> FloatArray:
    """Check costs of one's own, (N, S) in USD, and return them read-only."""
    array = checks.matrix("costs", costs, np.dtype(np.float64), rows, (n_states,))
    checks.in_range("costs", array, 0.0, MOST_USD)
    return array


def charges(costs: FloatArray) -> Charges:
    """Return what costs of one's own charge, in whole units where all are decimals of few digits."""
    n, width = costs.shape
    unit, amounts = Fraction(1), costs
    for digits in range(MOST_DIGITS + 1):
        if _whole(costs[:64], digits) and _whole(costs, digits):  # a few rows tell most
            unit, amounts = Fraction(1, 10**digits), read_only(np.rint(costs * 10.0**digits) if digits else costs)
            break
    prices = np.array([[float(unit)] * width, [0.0] * width])
    return Charges(amounts, read_only(np.zeros((n, 1))), prices, np.arange(width), unit)


def _whole(costs: FloatArray, digits: int) -> bool:
    """Whether every cost is the number nearest to a decimal of so many digits, and sums of them can be exact."""
    scale = 10.0**digits
    times = np.rint(costs * scale)
    return bool(times.max() < LARGEST_EXACT and (times / scale == costs).all())
