"""Estimators to plain numbers and back, so that a file holds no estimator: each is made anew, its arrays checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor

from robatch.instances.arrays import FloatArray

CLASSES: dict[str, Any] = {
    made.__name__: made
    for made in (LogisticRegression, Ridge, KNeighborsRegressor, MLPRegressor, HistGradientBoostingRegressor)
}
"""The estimators that can be written to a file, besides constants."""

_METRICS = ("minkowski", "euclidean", "manhattan", "chebyshev", "cosine")
_MAX_FEATURES = 10_000_000


def to_parts(fitted: Any) -> float | dict[str, Any]:
    """Return what a fitted estimator is made of, as plain values and arrays.

    Raises
    ------
    ValueError
        If its class is not one of `CLASSES`, or a parameter or an array is of another kind than files hold.
    """
    if isinstance(fitted, float):
        return fitted
    estimator: Any = fitted
    arrays: dict[str, Any]
    kind = type(estimator).__name__
    if not any(estimator.__class__ is known for known in CLASSES.values()):
        raise ValueError(f"its estimator is a {kind}: files hold {', '.join(CLASSES)} and constants")
    if kind == "KNeighborsRegressor":
        arrays = {"x": estimator._fit_X, "y": estimator._y}
    elif kind == "MLPRegressor":
        arrays = {"weights": list(estimator.coefs_), "offsets": list(estimator.intercepts_)}
    elif kind == "HistGradientBoostingRegressor":
        trees = [tree.nodes for (tree,) in estimator._predictors]
        arrays = {"trees": trees, "start": np.ravel(estimator._baseline_prediction)}
    else:
        arrays = {"slopes": np.ravel(estimator.coef_), "offset": np.ravel(estimator.intercept_)}
    params = {
        name: value
        for name, value in estimator.get_params(deep=False).items()
        if name not in ("n_jobs", "random_state", "verbose")
    }
    parts = {"kind": kind, "params": params, "features": int(estimator.n_features_in_), **arrays}
    from_parts(parts)
    return parts


def from_parts(parts: Any) -> Any:
    """Make the estimator that `to_parts` took apart.

    Raises
    ------
    ValueError
        If something is missing, or is of another kind or shape than it must be.
    """
    if isinstance(parts, float):
        return _number(parts)
    if not isinstance(parts, Mapping) or str(parts.get("kind")) not in CLASSES:
        raise ValueError("an estimator is of no known kind")
    made: Any = CLASSES[str(parts["kind"])]
    known = made._get_param_names()
    params = {name: _plain(value) for name, value in parts["params"].items() if name in known}
    features = parts["features"]
    if type(features) is not int or not 0 < features <= _MAX_FEATURES:
        raise ValueError("an estimator has no number of features")
    if made is KNeighborsRegressor:
        return _neighbours(params, parts, features)
    if made is MLPRegressor:
        return _network(params, parts, features)
    if made is HistGradientBoostingRegressor:
        return _boosting(params, parts, features)
    estimator = made(**params)
    slopes, offset = _array(parts["slopes"], (features,)), _array(parts["offset"], (1,))
    estimator.n_features_in_ = features
    if made is LogisticRegression:
        estimator.classes_, estimator.coef_, estimator.intercept_ = np.array([0, 1]), slopes[None, :], offset
    else:
        estimator.coef_, estimator.intercept_ = slopes, float(offset[0])
    return estimator


def _neighbours(params: dict[str, Any], parts: Mapping[str, Any], features: int) -> Any:
    if params.get("metric") not in _METRICS or params.get("weights") not in ("uniform", "distance"):
        raise ValueError(f"its neighbours are found by another metric than {_METRICS}, or weighted by a function")
    if params.get("metric_params") is not None:
        raise ValueError("its metric has parameters")
    x = parts["x"]
    rows = x.shape[0] if isinstance(x, np.ndarray) and x.ndim == 2 else 0
    # Fitted again: compiled code then believes nothing that a file says.
    return KNeighborsRegressor(**params).fit(_array(x, (rows, features)), _array(parts["y"], (rows,)))


def _network(params: dict[str, Any], parts: Mapping[str, Any], features: int) -> Any:
    weights, offsets = parts["weights"], parts["offsets"]
    if not isinstance(weights, list) or not isinstance(offsets, list) or not weights or len(weights) != len(offsets):
        raise ValueError("a network's layers are missing")
    if params.get("activation") not in ("identity", "logistic", "tanh", "relu"):
        raise ValueError("a network has an unknown activation")
    estimator = MLPRegressor(**params)
    sizes = [features, *(len(np.atleast_1d(offset)) for offset in offsets)]
    estimator.coefs_ = [_array(w, (sizes[i], sizes[i + 1])) for i, w in enumerate(weights)]
    estimator.intercepts_ = [_array(offset, (sizes[i + 1],)) for i, offset in enumerate(offsets)]
    if sizes[-1] != 1:
        raise ValueError("a network has more than one output")
    estimator.n_features_in_, estimator.n_layers_, estimator.n_outputs_ = features, len(sizes), 1
    estimator.out_activation_ = "identity"
    return estimator


def _boosting(params: dict[str, Any], parts: Mapping[str, Any], features: int) -> Any:
    if params.get("loss") != "squared_error":
        raise ValueError("its trees were boosted by another loss than the squared error")
    iterations = params.pop("max_iter")
    # A tiny fit makes all that prediction needs besides the trees.
    estimator = HistGradientBoostingRegressor(**params, max_iter=1).fit(np.zeros((4, features)), np.arange(4.0))
    estimator.set_params(max_iter=iterations)
    none = np.zeros((0, 8), dtype=np.uint32)
    trees = parts["trees"]
    if not isinstance(trees, list):
        raise ValueError("trees are missing")
    for nodes in trees:
        _check_tree(nodes, features)
    estimator._predictors = [[TreePredictor(nodes, none, none)] for nodes in trees]
    estimator._baseline_prediction = _array(parts["start"], (1,))[:, None]
    return estimator


def _check_tree(nodes: Any, features: int) -> None:
    """Check that the nodes of a tree name nodes after them, and features that there are: compiled code trusts them."""
    if not isinstance(nodes, np.ndarray) or nodes.dtype != PREDICTOR_RECORD_DTYPE or nodes.ndim != 1 or not len(nodes):
        raise ValueError("a tree is not a list of nodes")
    own = np.flatnonzero(nodes["is_leaf"] == 0)
    inner = nodes[own]
    for child in ("left", "right"):
        if not ((inner[child] > own) & (inner[child] < len(nodes))).all():
            raise ValueError("a tree's nodes do not follow each other")
    if not ((inner["feature_idx"] >= 0) & (inner["feature_idx"] < features)).all():
        raise ValueError("a tree names a feature that is not there")
    if inner["is_categorical"].any():
        raise ValueError("a tree has categories")


def _array(value: Any, shape: tuple[int, ...]) -> FloatArray:
    if not isinstance(value, np.ndarray) or value.dtype not in (np.float64, np.float32) or value.shape != shape:
        raise ValueError(f"an estimator's array is not one of numbers of shape {shape}")
    if 0 in shape or not np.isfinite(value).all():
        raise ValueError("an estimator's array is empty, or holds values that are not finite")
    return value


def _number(value: float) -> float:
    if not np.isfinite(value):
        raise ValueError("a constant is not finite")
    return float(value)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (tuple, list)) and all(type(part) is int for part in value):
        return tuple(value)
    raise ValueError(f"a parameter of its estimator is a {type(value).__name__}")
