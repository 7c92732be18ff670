"""The estimators that predict a model's base utility from a query's features."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from robatch.instances.arrays import FloatArray, IntArray
from robatch.instances.errors import InputError
from robatch.proxies.utility.calibration import to_logit

ESTIMATORS = ("logistic", "knn", "mlp", "boosting", "constant")
"""The estimators, by name."""

DENSE = ("knn", "mlp", "boosting")
"""Those that need few, dense features."""


def needs_dense(router: Any) -> bool:
    """Tell whether an estimator, by name or of one's own, is to see few, dense features."""
    return router in DENSE if isinstance(router, str) else router is not None


def make_estimator(router: Any, rows: int, seed: int) -> Any:
    """Return an unfitted estimator for one model, to be fitted to so many rows; None for a constant.

    `router` is one of `ESTIMATORS`, or any scikit-learn classifier or regressor; `seed` is of its random choices.

    Raises
    ------
    InputError
        If `router` is neither, or a classifier without ``predict_proba``.
    """
    if isinstance(router, str):
        if router == "constant":
            return None
        if router == "logistic":
            return LogisticRegression(C=1.0, max_iter=1000)
        if router == "knn":
            # Brute force computes distances in blocks, so that ties fall by what else is predicted; a tree does not.
            return KNeighborsRegressor(n_neighbors=max(1, min(rows, round(2 * rows**0.5))), algorithm="kd_tree")
        if router == "mlp":
            # All queries at once: in batches the penalty would weigh by their number, and folds be unlike the whole.
            return MLPRegressor(hidden_layer_sizes=(32,), solver="lbfgs", alpha=3.0, max_iter=300, random_state=seed)
        if router == "boosting":
            return HistGradientBoostingRegressor(
                max_iter=60, learning_rate=0.08, max_leaf_nodes=8, min_samples_leaf=15, random_state=seed
            )
    elif isinstance(router, BaseEstimator) and hasattr(router, "fit") and hasattr(router, "predict"):
        made = clone(router)
        if is_classifier(made) and not hasattr(made, "predict_proba"):
            raise InputError(f"router is {router!r}: a classifier needs predict_proba, which this one lacks")
        if "random_state" in made.get_params(deep=False) and made.get_params(deep=False)["random_state"] is None:
            made.set_params(random_state=seed)
        return made
    raise InputError(f"router is {router!r}: one of {list(ESTIMATORS)} or a scikit-learn estimator is needed")


def fit_estimator(estimator: Any, features: Any, target: FloatArray, weight: FloatArray) -> Any:
    """Fit what `make_estimator` returned to utilities in [0, 1]; give their mean for None, or where all are the same.

    Features are (N, F), dense or sparse. A target is the measured utility of a query, and its weight, not negative, how
    much of it was measured: (N,) each. Queries of weight 0 are left out.

    Notes
    -----
    A classifier sees each query twice, as right with weight ``target`` and as wrong with weight ``1 - target``,
    which makes logistic regression one of shares; one without sample weights sees it rounded. Regressors see
    the target: squared error is a proper score.
    """
    used = weight > 0
    target, weight = target[used], weight[used]
    if len(target) == 0:
        return 0.5
    mean = float(np.average(target, weights=weight))
    if estimator is None or np.ptp(target) == 0:
        return mean
    features = features[np.flatnonzero(used)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # stopping early is a way to regularize
        try:
            return _fit(estimator, features, target, weight)
        except ValueError as error:
            raise InputError(
                f"router is {estimator!r}: it cannot be fitted to {len(target)} queries: {error}"
            ) from error


def _fit(estimator: Any, features: Any, target: FloatArray, weight: FloatArray) -> Any:
    mean = float(np.average(target, weights=weight))
    weights_name = _weights_name(estimator)
    if is_classifier(estimator):
        if weights_name is None:
            labels = (target >= 0.5).astype(np.int64)
            return estimator.fit(features, labels) if np.ptp(labels) else mean
        rows = np.concatenate([np.flatnonzero(target > 0), np.flatnonzero(target < 1)])
        right = np.arange(len(rows)) < (target > 0).sum()
        weights = weight[rows] * np.where(right, target[rows], 1.0 - target[rows])
        return estimator.fit(features[rows], right.astype(np.int64), **{weights_name: weights})
    if weights_name is not None:
        return estimator.fit(features, target, **{weights_name: weight})
    return estimator.fit(features, target)


def _weights_name(estimator: Any) -> str | None:
    """Return the name of the fit's argument for weights: a pipeline's is that of its last step."""
    if isinstance(estimator, Pipeline):
        name, last = estimator.steps[-1]
        return f"{name}__sample_weight" if has_fit_parameter(last, "sample_weight") else None
    return "sample_weight" if has_fit_parameter(estimator, "sample_weight") else None


def estimator_scores(fitted: Any, features: Any) -> FloatArray:
    """Return the logit of the predicted utility of each query: (N,), finite."""
    values: Any
    if isinstance(fitted, float):
        values = np.full(features.shape[0], fitted)
    elif type(fitted) is LogisticRegression and len(fitted.coef_) == 1:
        # What predict_proba does, less checks that take longer for one query.
        values = expit(features @ fitted.coef_[0] + fitted.intercept_[0])
    else:
        try:
            found = fitted.predict_proba(features)[:, 1] if is_classifier(fitted) else fitted.predict(features)
        except ValueError as error:
            raise InputError(f"router is {fitted!r}: it cannot predict: {error}") from error
        values = np.ravel(found)
    return to_logit(np.asarray(values, dtype=np.float64))


def all_scores(estimators: Sequence[Any], features: Any) -> FloatArray:
    """Return the logits of what several estimators predict of each query: (N, U), each as `estimator_scores` has it.

    Where estimators of neighbours know the same queries, which is where all models were measured on all, the
    neighbours are sought once.
    """
    known: list[tuple[KNeighborsRegressor, IntArray]] = []
    columns = []
    for fitted in estimators:
        if not _finds_neighbours(fitted):
            columns.append(estimator_scores(fitted, features))
            continue
        near = next((near for other, near in known if _same_neighbours(fitted, other)), None)
        if near is None:
            near = fitted.kneighbors(features, return_distance=False)
            known.append((fitted, near))
        columns.append(to_logit(np.mean(fitted._y[:, None][near], axis=1)[:, 0]))  # what its predict does
    return np.column_stack(columns)


def _finds_neighbours(fitted: Any) -> bool:
    return (
        type(fitted) is KNeighborsRegressor
        and (fitted.weights, fitted.algorithm, fitted.metric, fitted.metric_params)
        == ("uniform", "kd_tree", "minkowski", None)
        and fitted._y.ndim == 1
    )


def _same_neighbours(one: KNeighborsRegressor, other: KNeighborsRegressor) -> bool:
    alike = all(getattr(one, name) == getattr(other, name) for name in ("n_neighbors", "leaf_size", "p"))
    return alike and np.array_equal(one._fit_X, other._fit_X)
