"""Tokens of new queries, from the tokens of measured ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TokenCounts:
    """Tokens of a query by model, linear in the looks of its text.

    Attributes
    ----------
    intercept
        Tokens of an empty text: (K,), not negative.
    slopes
        Tokens per unit of each of the D looks: (D, K).
    least, most
        Bounds of what is predicted: (K,) each.
    """

    intercept: FloatArray
    slopes: FloatArray
    least: FloatArray
    most: FloatArray

    @classmethod
    def of_inputs(cls, characters: FloatArray, tokens: FloatArray) -> Self:
        """Fit input tokens (N, K) to characters (N,): a line with neither part negative; NaN tokens are skipped."""
        lines = []
        for column in tokens.T:
            known = ~np.isnan(column)
            design = np.column_stack([np.ones(known.sum()), characters[known]])
            lines.append(nnls(design, column[known])[0] if known.any() else np.array([0.0, 0.25]))
        fitted = np.array(lines)
        models = tokens.shape[1]
        return cls(fitted[:, 0], fitted[:, 1][None, :], np.ones(models), np.full(models, np.inf))

    @classmethod
    def of_outputs(cls, looks: FloatArray, tokens: FloatArray) -> Self:
        """Fit output tokens (N, K) to looks (N, D): ridge regression that keeps the mean; NaN tokens are skipped.

        Predictions stay between the least and the most tokens that were measured.
        """
        models, wide = tokens.shape[1], looks.shape[1]
        intercept, slopes = np.zeros(models), np.zeros((wide, models))
        least, most = np.zeros(models), np.zeros(models)
        for k, column in enumerate(tokens.T):
            known = ~np.isnan(column)
            if not known.any():
                continue
            here, values = looks[known], column[known]
            centre, spread = here.mean(axis=0), here.std(axis=0)
            scaled = (here - centre) / np.where(spread > 0, spread, 1.0)
            ridge = np.eye(wide)
            slope = np.linalg.solve(scaled.T @ scaled + ridge, scaled.T @ (values - values.mean()))
            slopes[:, k] = slope / np.where(spread > 0, spread, 1.0)
            intercept[k] = values.mean() - centre @ slopes[:, k]
            least[k], most[k] = values.min(), values.max()
        return cls(intercept, slopes, least, most)

    def __call__(self, looks: FloatArray) -> FloatArray:
        """Predict tokens from looks (N, D): (N, K)."""
        return np.clip(self.intercept + looks @ self.slopes, self.least, self.most)
