"""Cross-fitting: the queries are dealt out to folds, and each fold is predicted by estimators that did not see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from robatch.instances.arrays import FloatArray, IntArray
from robatch.instances.errors import InputError
from robatch.proxies.utility.decomposition import Decomposition, Layout, estimator_targets
from robatch.proxies.utility.estimators import estimator_scores, fit_estimator
from robatch.proxies.utility.features import as_rows

MAX_FOLDS = 50
"""Folds that may be asked for whatever the number of queries; more only as far as each leaves out something."""


class CrossFit(NamedTuple):
    """Estimators fitted to all queries, and what those fitted without a fold say."""

    estimators: list[Any]  # one for each of the U units of the layout, fitted to all queries
    scores: FloatArray  # scores of each query by the estimators that did not see it: (N, U)
    errors: FloatArray  # standard error of each unit's score, the mean over the queries: (U,)


def assign_folds(X: Any, groups: Any, rows: int, folds: int, seed: int) -> IntArray:  # noqa: N803
    """Deal the queries out to folds, equal texts and groups together: (N,).

    Raises
    ------
    InputError
        If `groups` has another shape, or there are more folds than `MAX_FOLDS` and than parts to deal out.
    """
    X = as_rows(X)  # noqa: N806
    codes = np.arange(rows)
    if isinstance(X, list) and all(isinstance(text, str) for text in X):
        numbers: dict[str, int] = {}
        alike = np.array([numbers.setdefault(text, len(numbers)) for text in X])
        codes = alike if alike.max() > 0 else codes  # all alike: there is nothing to keep together
    if groups is not None:
        labels = np.asarray(groups)
        if labels.shape != (rows,):
            raise InputError(f"groups has shape {labels.shape}: {rows} labels are needed")
        named = np.unique(labels, return_inverse=True)[1]
        # A text of two groups binds them: what hangs together is one part.
        edges = sp.coo_array((np.ones(rows), (codes, codes.max() + 1 + named)), shape=(2 * rows, 2 * rows))
        bound = connected_components(edges, directed=False)[1][codes]
        joined = np.unique(bound, return_inverse=True)[1]
        codes = joined if joined.max() > 0 else codes
    parts = int(codes.max()) + 1
    if folds > max(MAX_FOLDS, parts):
        what = "different queries" if groups is None else "groups"
        raise InputError(
            f"folds is {folds}: a whole number from 2 to {max(MAX_FOLDS, parts)} is needed for {parts} {what}"
        )
    order = np.random.default_rng(seed).permutation(parts)
    return np.asarray(order[codes] % folds, dtype=np.int64)


def cross_fit(
    make: Callable[[FloatArray], Any],
    layout: Layout,
    seen: Any,
    views: Sequence[Any],
    measured: FloatArray,
    fold: IntArray,
) -> CrossFit:
    """Fit the estimators of a layout to all queries, and to all but each fold.

    `make` returns an unfitted estimator for the weights of the queries (see `estimators.make_estimator`). `seen` are
    the features of all queries, (N, F), and `views` the same as learned without each fold, in the order of the folds'
    numbers: (N, F') each. The measured utilities are (N, S), NaN where there are none, and the folds (N,).
    """
    estimators: list[Any] = []
    scores = np.empty((len(measured), layout.n_units))
    errors = np.empty(layout.n_units)
    parts = np.unique(fold)
    for unit in range(layout.n_units):
        target, weight = estimator_targets(measured[:, layout.columns(unit)])
        estimators.append(fit_estimator(make(weight), seen, target, weight))
        level = estimator_scores(estimators[-1], seen).mean()
        every = []
        for part, view in zip(parts, views, strict=True):
            rest = np.where(fold == part, 0.0, weight)
            if len(parts) > 1:
                every.append(estimator_scores(fit_estimator(make(rest), view, target, rest), view))
            else:
                every.append(estimator_scores(estimators[-1], seen))
            # Where a fold does well, the estimators without it are fitted to worse means, and their scores would run
            # against the answers by that alone. So the scores keep their differences and get the level of them all.
            shift = every[-1].mean() - level
            scores[fold == part, unit] = every[-1][fold == part] - shift
        # The jackknife by groups, averaged over the queries.
        errors[unit] = np.sqrt((len(parts) - 1) * np.var(every, axis=0).mean())
    return CrossFit(estimators, scores, errors)


def left_out(
    layout: Layout,
    scores: FloatArray,
    measured: FloatArray,
    fold: IntArray,
    scaling: str | None,
    calibration: str | None,
    floor: float | str,
) -> FloatArray:
    """Predict each fold from scores (N, U) of `cross_fit` with a decomposition fitted to the others: (N, S)."""
    predicted = np.empty_like(measured)
    for part in np.unique(fold):
        mine = fold == part
        rest = np.flatnonzero(~mine)
        fitted = Decomposition.fit(layout, scores[rest], measured[rest], scaling, calibration, floor)
        predicted[mine] = fitted.predict(layout, scores[mine])
    return predicted
