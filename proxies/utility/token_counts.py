"""Tokens of new queries, from the tokens of measured ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from scipy.optimize import nnls

from robatch.instances.arrays import FloatArray
from robatch.proxies.utility.features import surface


@dataclass(frozen=True)
class TokenCounts:
    """Tokens of a query by model, linear in features of its text.

    Notes
    -----
    Tokens are those of one model at its smallest measured batch size: what larger calls add to an answer, such as its
    number, is not in them.
    """

    intercept: FloatArray  # tokens of an empty text: (K,), not negative
    slopes: FloatArray  # tokens per unit of each of the D features: (D, K)
    least: FloatArray  # bounds of what is predicted: (K,) each
    most: FloatArray

    @classmethod
    def of_inputs(cls, characters: FloatArray, tokens: FloatArray) -> Self:
        """Fit input tokens (N, K) to characters (N,): a line with neither part negative.

        NaN tokens are skipped. A model of which none are known is taken to have a token for every four characters.
        """
        lines = []
        for column in tokens.T:
            known = ~np.isnan(column)
            design = np.column_stack([np.ones(known.sum()), characters[known]])
            lines.append(nnls(design, column[known])[0] if known.any() else np.array([0.0, 0.25]))
        fitted = np.array(lines)
        models = tokens.shape[1]
        return cls(fitted[:, 0], fitted[:, 1][None, :], np.ones(models), np.full(models, np.inf))

    @classmethod
    def of_outputs(cls, features: FloatArray, tokens: FloatArray) -> Self:
        """Fit output tokens (N, K) to text features (N, D) by ridge regression; NaN tokens are skipped.

        Predictions stay between the least and the most tokens that were measured, and are NaN for a model of which
        none are known.
        """
        models, wide = tokens.shape[1], features.shape[1]
        intercept, least, most = np.full((3, models), np.nan)
        slopes = np.zeros((wide, models))
        for k, column in enumerate(tokens.T):
            known = ~np.isnan(column)
            if not known.any():
                continue
            here, values = features[known], column[known]
            centre, spread = here.mean(axis=0), here.std(axis=0)
            scaled = (here - centre) / np.where(spread > 0, spread, 1.0)
            ridge = np.eye(wide)
            slope = np.linalg.solve(scaled.T @ scaled + ridge, scaled.T @ (values - values.mean()))
            slopes[:, k] = slope / np.where(spread > 0, spread, 1.0)
            intercept[k] = values.mean() - centre @ slopes[:, k]
            least[k], most[k] = values.min(), values.max()
        return cls(intercept, slopes, least, most)

    def __call__(self, features: FloatArray) -> FloatArray:
        """Predict tokens from text features (N, D): (N, K)."""
        return np.clip(self.intercept + features @ self.slopes, self.least, self.most)


def characters(texts: Any) -> FloatArray:
    """Count the characters of texts: (N,)."""
    return np.array([len(text) for text in texts], dtype=np.float64)


def text_features(source: Any, X: Any) -> FloatArray:  # noqa: N803
    """Return what output tokens are predicted from: counts of the texts, or up to 50 given numbers: (N, D)."""
    if source != "given":
        counts = surface(list(X))
        return np.hstack([counts, np.expm1(counts)])
    if sp.issparse(X) or X.shape[1] > 50:
        return np.zeros((X.shape[0], 1))
    return np.asarray(X, dtype=np.float64)
