"""How far predictions can be off: per query and state, and for the total of a plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from robatch.instances.arrays import FloatArray, IntArray

GRID = np.linspace(0.0, 1.0, 41)
"""Predictions at which standard errors are kept; between them they are interpolated."""

_WINDOW_WIDTH = 0.1  # of the window of similar predictions, in utility
_PRIOR_CALLS = 5.0  # imagined calls, of independent answers, that keep few calls from telling much
_BOOTSTRAP_DRAWS = 200
_MAX_BOOTSTRAP_QUERIES = 1000


class Answers(NamedTuple):
    """Single answers, where the measurements are means over repeats.

    Attributes
    ----------
    row, column
        Query and state of each of the A answers: (A,) each.
    score
        In [0, 1]: (A,).
    call
        A number for the call that gave it: (A,); answers of one call fail together.
    """

    row: IntArray
    column: IntArray
    score: FloatArray
    call: IntArray


class Total(NamedTuple):
    """Predicted total utility of an assignment, and its interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Uncertainty:
    """What the residuals of cross-fitted predictions say about new ones.

    Attributes
    ----------
    band
        Standard error of the mean utility of queries with a similar prediction, by state and `GRID`: (S, G).
    noise
        Variance of an outcome as a part of ``p * (1 - p)``, which it is for right or wrong: (S,). Above 1 where the
        outcomes of a call go together.
    lead
        How much of a prediction's lead, in utility per utility, is luck; and that number's standard error: (2,).
    """

    band: FloatArray
    covariance: FloatArray  # of the states' mean errors, which all new queries share: (S, S)
    noise: FloatArray
    score_error: FloatArray  # standard error of the estimators' scores, by state: (S,)
    lead: FloatArray
    means: FloatArray  # mean prediction by state: (S,)

    @classmethod
    def of(
        cls,
        predicted: FloatArray,
        measured: FloatArray,
        score_error: FloatArray,
        fold: IntArray,
        answers: Answers | None = None,
    ) -> Self:
        """Learn from predictions (N, S) made without the query, and measurements (N, S) with NaN where there are none.

        `score_error` is the standard error of the score of each state's estimator: (S,); `fold` says which queries
        were left out together: (N,). Without `answers` each measurement counts as one independent answer.
        """
        known = ~np.isnan(measured)
        residual = np.where(known, measured - predicted, 0.0)
        counts = known.sum(axis=0).astype(np.float64)
        # One imagined query that is off by a half keeps the error of small cells from vanishing.
        scaled = residual / (counts + 1.0)
        covariance = scaled.T @ scaled + np.diag(0.25 / (counts + 1.0) ** 2)
        # Levels are drawn to the curves: what they miss of the measured means may be luck, or the curves' error.
        missed = scaled.sum(axis=0)
        covariance += np.outer(missed, missed)
        spread = np.where(known, predicted * (1.0 - predicted), 0.0).sum(axis=0)
        noise = np.where(counts > 0, ((residual**2).sum(axis=0) + 1.0) / (spread + 1.0), 1.0)
        together = np.ones(len(counts))
        if answers is not None:
            noise, together = _noise(predicted, answers)
            # Means of answers that fail together are as uncertain as those of fewer answers.
            covariance *= np.sqrt(np.outer(together, together))
        band = np.empty((measured.shape[1], len(GRID)))
        for s in range(measured.shape[1]):
            here = known[:, s]
            near = np.exp(-0.5 * ((GRID[:, None] - predicted[here, s]) / _WINDOW_WIDTH) ** 2)
            band[s] = np.sqrt(near**2 @ residual[here, s] ** 2 + 0.25) / (near.sum(axis=1) + 1.0)
            band[s] *= np.sqrt(together[s])
        means = predicted.mean(axis=0)
        lead = _lead(_within(predicted, np.ones_like(known), fold), _within(residual, known, fold), known)
        return cls(
            band, covariance, noise if answers is not None else np.clip(noise, 0.05, 1.0), score_error, lead, means
        )

    def standard_errors(self, predicted: FloatArray, shifted: FloatArray) -> FloatArray:
        """Give the standard error of each predicted utility: (N, S).

        `shifted` are the predictions with every score less by its standard error.
        """
        errors = np.empty_like(predicted)
        for s, band in enumerate(self.band):
            errors[:, s] = np.interp(predicted[:, s], GRID, band)
        return np.sqrt(errors**2 + (predicted - shifted) ** 2)

    def total(
        self, predicted: FloatArray, assignment: IntArray, level: float, objective: FloatArray | None = None
    ) -> Total:
        """Give the total utility of an assignment (N,) of states to queries predicted as (N, S), with its interval.

        Where `objective` (N, S) is known, of which the assignment is each query's best, what its choice gains by luck
        in the states' levels is taken off (see `_optimism`).

        The variance has three parts: the states' mean errors, which all queries share, widened to those of the
        predictions that the assignment picks; the doubt about luck; and the outcomes' own noise.
        """
        rows = np.arange(len(predicted))
        chosen = predicted[rows, assignment]
        states = predicted.shape[1]
        share = np.bincount(assignment, minlength=states).astype(np.float64)
        local = np.zeros(states)
        for s in np.flatnonzero(share):
            mine = chosen[assignment == s]
            # Errors of unlike predictions cancel: those of a window are one, different windows are independent.
            bins = np.bincount(np.minimum((mine / (3.0 * _WINDOW_WIDTH)).astype(int), 3), minlength=4) / len(mine)
            local[s] = float(np.sqrt((bins**2).sum()) * np.interp(mine, GRID, self.band[s]).mean())
        deviation = np.sqrt(np.diag(self.covariance))
        correlation = self.covariance / np.outer(deviation, deviation)
        wide = share * np.maximum(deviation, local)
        model = float(wide @ correlation @ wide)
        leads = predicted - self.means
        ahead = float((leads[rows, assignment] - leads.mean(axis=1)).sum())
        luck, doubt = max(0.0, float(self.lead[0])) * ahead, float(self.lead[1]) * ahead
        noise = float((self.noise[assignment] * chosen * (1.0 - chosen)).sum())
        if objective is not None:
            luck += self._optimism(objective)
        mean = float(np.clip(chosen.sum() - luck, 0.0, len(chosen)))
        half = float(norm.ppf(0.5 + level / 2)) * float(np.sqrt(model + doubt**2 + noise))
        return Total(mean, max(0.0, mean - half), min(float(len(chosen)), mean + half))

    def _optimism(self, objective: FloatArray) -> float:
        """Estimate by how much choices that maximize `objective` (N, S) are predicted too high, in total.

        A parametric bootstrap (Efron, 1986: the optimism of a rule that was tuned on its own data): errors of the
        states' means are drawn from their covariance and added, each query takes its best state anew, and what the
        errors add there is luck.
        """
        count = len(objective)
        rows = (
            np.arange(count)
            if count <= _MAX_BOOTSTRAP_QUERIES
            else np.linspace(0, count - 1, _MAX_BOOTSTRAP_QUERIES).astype(int)
        )
        values, vectors = np.linalg.eigh(self.covariance)
        draws = np.random.default_rng(0).standard_normal((_BOOTSTRAP_DRAWS // 2, len(values)))
        errors = (draws * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
        gained = 0.0
        for error in np.concatenate([errors, -errors]):  # in pairs, so that what a fixed plan gains is exactly 0
            gained += float(error[np.argmax(objective[rows] + error, axis=1)].sum())
        return gained / _BOOTSTRAP_DRAWS * count / max(len(rows), 1)


def _noise(predicted: FloatArray, answers: Answers) -> tuple[FloatArray, FloatArray]:
    """Give the variance of one answer, those of its call included, as a part of ``p * (1 - p)``: (S,).

    The second array is how many times that of independent answers it is. Sums of residuals by call have the variance
    of independent answers, or more where whole calls fail. Few calls tell little: `_PRIOR_CALLS` imagined ones, whose
    answers are independent, are added.
    """
    noise, times = np.ones((2, predicted.shape[1]))
    for s in range(len(noise)):
        here = answers.column == s
        if not here.any():
            continue
        fitted = predicted[answers.row[here], s]
        residual = answers.score[here] - fitted
        spread = float((fitted * (1.0 - fitted)).sum()) + 1.0
        call = np.unique(answers.call[here], return_inverse=True)[1]
        calls = int(call.max()) + 1
        alone = float(np.clip((float(residual @ residual) + 1.0) / spread, 0.05, 1.0))
        together = (float((np.bincount(call, weights=residual) ** 2).sum()) + 1.0) / spread
        noise[s] = max(alone, (calls * together + _PRIOR_CALLS * alone) / (calls + _PRIOR_CALLS))
        times[s] = noise[s] / alone
    return noise, times


def _within(values: FloatArray, known: npt.NDArray[np.bool_], fold: IntArray) -> FloatArray:
    """Give what values (N, S) differ by from the mean of their fold and state.

    Where a fold's answers are good by luck, the others are worse, and the fold is predicted too low: a difference
    between folds that no new query has.
    """
    centred = np.zeros_like(values)
    for part in np.unique(fold):
        mine = fold == part
        counts = np.maximum(known[mine].sum(axis=0), 1)
        centred[mine] = values[mine] - np.where(known[mine], values[mine], 0.0).sum(axis=0) / counts
    return np.where(known, centred, 0.0)


def _lead(centred: FloatArray, residual: FloatArray, known: npt.NDArray[np.bool_]) -> FloatArray:
    """Regress what predictions were too high by on their lead over the query's other states."""
    lead = np.where(known, centred - centred.mean(axis=1, keepdims=True), 0.0)
    squares = float((lead**2).sum())
    if squares < 1e-9 * lead.size:
        return np.zeros(2)
    slope = -float((lead * residual).sum()) / squares
    by_query = (lead * (residual + slope * lead)).sum(axis=1)  # a query's states err together
    return np.array([slope, np.sqrt(float((by_query**2).sum())) / squares])
