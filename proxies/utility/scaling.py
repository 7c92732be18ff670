"""Scaling functions: what a model keeps of its utility as the batch grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

from robatch.instances.arrays import FloatArray

SCALINGS = ("isotonic", "exponential", "logistic-drop", "table")
"""The scaling functions, by name."""

_PRIOR_PAIRS = 20.0  # pairs of answers that weigh as much as the smooth curve does, for "table"


@dataclass(frozen=True)
class Curve:
    """The retention of one model by batch size; 1 at the smallest."""

    kind: str  # one of `SCALINGS`
    x: FloatArray  # binary logarithms of the batch sizes, less that of the smallest, ascending: (B,)
    values: FloatArray  # retention there: (B,), in [0, 1]
    parameters: FloatArray  # the rate of ``exponential``; midpoint and width of ``logistic-drop``; empty otherwise
    smallest: int  # the smallest batch size

    def __call__(self, batch_sizes: Sequence[int]) -> FloatArray:
        """Give the retention at any batch sizes; beyond the measured ones a free curve stays at its last value."""
        x = np.log2(np.asarray(batch_sizes, dtype=np.float64)) - np.log2(self.smallest)
        if self.kind in _SHAPES:
            kept = _SHAPES[self.kind](np.maximum(x, 0.0), self.parameters)
            return np.asarray(np.minimum(kept, 1.0), dtype=np.float64)
        return np.asarray(np.interp(x, self.x, self.values), dtype=np.float64)


def _exponential(x: FloatArray, parameters: FloatArray) -> FloatArray:
    return np.asarray(np.exp(-parameters[0] * x), dtype=np.float64)


def _logistic_drop(x: FloatArray, parameters: FloatArray) -> FloatArray:
    middle, width = parameters
    return np.asarray(expit((middle - x) / width) / expit(middle / width), dtype=np.float64)


_SHAPES = {"exponential": _exponential, "logistic-drop": _logistic_drop}


def paired_retention(utility: FloatArray, floor: float) -> tuple[FloatArray, FloatArray]:
    """Estimate a model's retention from the same queries at all batch sizes, and count the pairs behind it: (B,) each.

    `utility` is measured by query and ascending batch size, NaN where not: (N, B); `floor` is the utility of guessing,
    which no batch size takes away. The retention is ``1 - (mean loss against the smallest batch size) / (mean utility
    there - floor)``; the loss is that of the queries measured at both sizes, so that the queries' difficulty cancels.
    Where no query is, the retention is NaN; a model at or below the floor keeps what it has.
    """
    base = utility[:, 0]
    lead = float(np.nanmean(base)) - floor if not np.isnan(base).all() else 0.0
    both = ~np.isnan(utility) & ~np.isnan(base)[:, None]
    pairs = both.sum(axis=0).astype(np.float64)
    loss = np.where(both, base[:, None] - utility, 0.0).sum(axis=0) / np.maximum(pairs, 1.0)
    kept = 1.0 - loss / lead if lead > 1e-9 else np.ones(utility.shape[1])
    kept = np.where(pairs > 0, np.clip(kept, 0.0, None), np.nan)
    kept[0] = 1.0
    return kept, pairs


def fit_curve(kind: str, batch_sizes: Sequence[int], retention: FloatArray, pairs: FloatArray) -> Curve:
    """Fit a scaling function to estimated retentions.

    Parameters
    ----------
    kind
        ``"isotonic"``: non-increasing, otherwise free. ``"exponential"``: ``exp(-rate * log2(b / smallest))``.
        ``"logistic-drop"``: flat, then falling, a logistic function of log2 b scaled to 1 at the smallest b.
        ``"table"``: the estimates themselves, drawn to the isotonic curve where pairs are few.
    batch_sizes
        Ascending: (B,).
    retention, pairs
        From `paired_retention`; NaN estimates are skipped.

    Raises
    ------
    ValueError
        If `kind` is not known.
    """
    if kind not in SCALINGS:
        raise ValueError(f"scaling is {kind!r}: one of {list(SCALINGS)} is needed")
    x = np.log2(np.asarray(batch_sizes, dtype=np.float64) / batch_sizes[0])
    known = ~np.isnan(retention)
    known[0] = False  # 1 by definition
    parameters = np.zeros(0)
    if not known.any():
        values = np.ones(len(x))
        parameters = {"exponential": np.zeros(1), "logistic-drop": np.array([1e3, 1.0])}.get(kind, parameters)
    elif kind in _SHAPES:
        shape, root = _SHAPES[kind], np.sqrt(pairs[known])
        starts, bounds = _starts(kind, float(x[-1]))

        def misfit(parameters: FloatArray) -> FloatArray:
            return np.asarray(root * (shape(x[known], parameters) - retention[known]), dtype=np.float64)

        fits = [least_squares(misfit, start, bounds=bounds) for start in starts]
        parameters = np.asarray(min(fits, key=lambda fit: fit.cost).x, dtype=np.float64)
        values = shape(x, parameters)
    else:
        smooth = _isotonic(x, np.minimum(retention, 1.0), pairs, known)
        if kind == "isotonic":
            values = smooth
        else:
            share = np.where(known, pairs / (pairs + _PRIOR_PAIRS), 0.0)
            values = share * np.minimum(np.nan_to_num(retention), 1.0) + (1.0 - share) * smooth
            values[0] = 1.0
    return Curve(kind, x, np.clip(values, 0.0, 1.0), parameters, int(batch_sizes[0]))


def _starts(kind: str, widest: float) -> tuple[list[list[float]], tuple[list[float], list[float]]]:
    if kind == "exponential":
        return [[0.05]], ([0.0], [20.0])
    middles = [middle for middle in (0.3 * widest, 0.6 * widest, 0.9 * widest, widest + 2.0) if middle > 0]
    return [[middle, width] for middle in middles for width in (0.3, 1.0)], ([0.0, 0.1], [widest + 20.0, 10.0])


def _isotonic(x: FloatArray, retention: FloatArray, pairs: FloatArray, known: npt.NDArray[np.bool_]) -> FloatArray:
    fitted = IsotonicRegression(increasing=False, y_min=0.0, y_max=1.0, out_of_bounds="clip")
    fitted.fit(x[known], retention[known], sample_weight=pairs[known])
    # From 1 at the smallest batch size; measured sizes alone between, and the last value beyond.
    knots = np.concatenate([[0.0], x[known]])
    values = np.concatenate([[1.0], fitted.predict(x[known])])
    return np.asarray(np.interp(x, knots, values), dtype=np.float64)


def estimate_floor(base: FloatArray, utility: FloatArray) -> float:
    """Estimate the utility of guessing from how utilities fall with batch size.

    `base` is the predicted utility of each query at the smallest batch size, made without that query: (N,); `utility`
    is measured at the larger batch sizes, NaN where not: (N, B - 1). The result is the floor f of the grid 0, 0.02,
    ..., 0.6 at which ``f + (base - f) * retention`` with the best retention in [0, 1] of each batch size misses the
    measurements by the least squares; ties go to the least floor.
    """
    best, chosen = np.inf, 0.0
    for floor in np.linspace(0.0, 0.6, 31):
        lead = np.maximum(base - floor, 0.0)
        total = 0.0
        for column in utility.T:
            here = ~np.isnan(column)
            excess = column[here] - np.minimum(base[here], floor)
            squares = float(lead[here] @ lead[here])
            kept = np.clip(lead[here] @ excess / squares, 0.0, 1.0) if squares > 0 else 1.0
            total += float(((excess - kept * lead[here]) ** 2).sum())
        if total < best - 1e-9:
            best, chosen = total, float(floor)
    return chosen
