"""Recalibration: predictions of a model's states are drawn to what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression

from robatch.instances.arrays import FloatArray

EPSILON = 0.005
"""Probabilities are kept this far from 0 and 1 before their logit is taken, so that no query outweighs all others."""


def to_logit(values: FloatArray) -> FloatArray:
    """Give the logit of probabilities, kept within `EPSILON` of 0 and 1."""
    return np.asarray(logit(np.clip(values, EPSILON, 1.0 - EPSILON)), dtype=np.float64)


def fit_logit(
    design: FloatArray, target: FloatArray, weight: FloatArray, prior: FloatArray, ridge: FloatArray
) -> FloatArray:
    """Fit a logistic regression to targets in [0, 1], such as shares of correct answers, with a ridge; return (P,).

    The `design` (M, P) has any column of ones already in it, targets and weights are (M,), weights not negative. Each
    coefficient is drawn to its `prior` with the strength `ridge`, in observations: (P,) each. The method is Newton's,
    with halved steps where a whole one does not improve.
    """

    def loss(coefficients: FloatArray) -> float:
        linear = design @ coefficients
        fit = weight @ (np.logaddexp(0.0, linear) - target * linear)
        return float(fit + 0.5 * (ridge @ (coefficients - prior) ** 2))

    coefficients = prior.astype(np.float64).copy()
    value = loss(coefficients)
    for _ in range(50):
        fitted = expit(design @ coefficients)
        gradient = design.T @ (weight * (fitted - target)) + ridge * (coefficients - prior)
        curvature = weight * fitted * (1.0 - fitted)
        hessian = (design.T * curvature) @ design + np.diag(ridge + 1e-9)
        step = np.linalg.solve(hessian, gradient)
        for _ in range(30):
            new = loss(coefficients - step)
            if new <= value:
                break
            step = step / 2
        else:
            break
        coefficients, gain, value = coefficients - step, value - new, new
        if gain < 1e-12 * (1.0 + abs(value)):
            break
    return coefficients


@dataclass(frozen=True)
class Calibrator:
    """A non-decreasing map from predicted to calibrated utilities."""

    line: FloatArray  # intercept and slope in logits: (2,); empty for no calibration at all
    steps: FloatArray  # predictions and values of the isotonic curve's knots: (2, M); M is 0 where there is none
    share: float = 0.0  # the isotonic curve's part of the result, from 0 to 1; the line has the rest


def calibrated(calibrators: Sequence[Calibrator], values: FloatArray) -> FloatArray:
    """Calibrate predictions (N, S), each column by its own map and in one go: (N, S)."""
    found = values.copy()
    used = [s for s, one in enumerate(calibrators) if len(one.line)]
    if used:
        lines = np.array([calibrators[s].line for s in used])
        found[:, used] = expit(lines[:, 0] + lines[:, 1] * to_logit(values[:, used]))
    for s in used:
        one = calibrators[s]
        if one.share != 0.0:
            found[:, s] = one.share * np.interp(values[:, s], *one.steps) + (1.0 - one.share) * found[:, s]
    return found


IDENTITY = Calibrator(np.zeros(0), np.zeros((2, 0)))

_PRIOR_QUERIES = 200.0  # queries that weigh as much as the line does, for "isotonic"
# Ridges, in logits: of a state's intercept, of its slope's distance from the model's, and of that from 1.
_LEVEL_RIDGE, _SLOPE_RIDGE, _SHARED_SLOPE_RIDGE = 5.0, 4.0, 4.0


def fit_calibrators(
    kind: str | None, predicted: Sequence[FloatArray], measured: Sequence[FloatArray]
) -> list[Calibrator]:
    """Fit the maps from the predictions of a model's states, made for queries that were left out, to measurements.

    Parameters
    ----------
    kind
        ``"platt"`` (a line in logits), ``"isotonic"`` (a step function, mixed with that line by the number of
        queries: steps alone follow luck, which a plan then seeks), or None for no change.
    predicted, measured
        By state, the queries measured in it: (M,) each, M may be 0; none of them NaN.

    Notes
    -----
    The lines of a model are fitted together. Their slopes are drawn to one that all share, and that to 1; the
    intercepts are drawn to 0, where the retention curve is taken as it is. A free level for each state would follow
    the luck of its measurements, and a plan would pick the lucky ones. Where all measurements of a state are 0, or
    all 1, the aim is half a query less, ``(sum + 0.5) / (M + 1)``: a handful of right answers proves no perfection.
    """
    states = len(measured)
    if kind is None or not any(len(column) for column in measured):
        return [IDENTITY] * states
    held = [s for s in range(states) if len(measured[s])]
    aims = [measured[s] for s in held]
    for i, aim in enumerate(aims):
        if aim.mean() in (0.0, 1.0):
            aims[i] = np.full(len(aim), (aim.sum() + 0.5) / (len(aim) + 1))
    place = np.repeat(np.arange(len(held)), [len(aim) for aim in aims])
    line = to_logit(np.concatenate([predicted[s] for s in held]))
    own = np.zeros((len(line), len(held)))
    own[np.arange(len(line)), place] = 1.0
    design = np.column_stack([own, own * line[:, None], line])
    prior = np.concatenate([np.zeros(2 * len(held)), [1.0]])
    ridge = np.concatenate([np.full(len(held), _LEVEL_RIDGE), np.full(len(held), _SLOPE_RIDGE), [_SHARED_SLOPE_RIDGE]])
    target = np.concatenate(aims)
    found = fit_logit(design, target, np.ones(len(target)), prior, ridge)
    made = [Calibrator(np.array([0.0, max(0.0, float(found[-1]))]), np.zeros((2, 0)))] * states
    for i, s in enumerate(held):
        intercept, slope = float(found[i]), float(found[len(held) + i] + found[-1])
        mean = float(aims[i].mean())
        if slope < 0.0:  # worse than no prediction: the mean alone
            intercept, slope = float(logit(mean)), 0.0
        steps, share = np.zeros((2, 0)), 0.0
        if kind == "isotonic" and np.ptp(measured[s]) > 0:
            fitted = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(predicted[s], measured[s])
            steps = np.array([fitted.X_thresholds_, fitted.y_thresholds_], dtype=np.float64)
            share = len(measured[s]) / (len(measured[s]) + _PRIOR_QUERIES)
        made[s] = Calibrator(np.array([intercept, slope]), steps, share)
    return made
