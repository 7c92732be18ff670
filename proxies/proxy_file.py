"""Files of fitted proxies: skops' format, which holds no code, read with a list of the classes that may be in it."""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted
from skops import io  # type: ignore[import-untyped]

from robatch.instances.errors import InputError, why_unreadable
from robatch.instances.files import replacing
from robatch.proxies.utility_proxy import UtilityProxy

KIND = "robatch utility proxy"
FORMAT = 1

_OWN = frozenset(
    {
        "robatch.proxies.calibration.Calibrator",
        "robatch.proxies.decomposition.Decomposition",
        "robatch.proxies.decomposition.Layout",
        "robatch.proxies.features.Features",
        "robatch.proxies.features.HashedTfidf",
        "robatch.proxies.uncertainty.Uncertainty",
        "robatch.proxies.proxy_facts.Facts",
        "robatch.proxies.scaling.Curve",
        "robatch.proxies.token_counts.TokenCounts",
        "robatch.proxies.utility_proxy.UtilityProxy",
    }
)
"""The classes of robatch that a proxy is made of."""

_INNER = frozenset(
    {
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    }
)
"""Inner parts of scikit-learn's estimators that skops does not trust by itself. The compiled trees of forests and of
nearest neighbours are not among them: they believe what a file says of their sizes."""


def save(proxy: UtilityProxy, path: str | os.PathLike[str]) -> None:
    """Write a fitted proxy; see `UtilityProxy.save`."""
    check_is_fitted(proxy)
    if callable(proxy.features):
        raise InputError("features is a callable: a proxy with one cannot be saved, since files hold no code")
    kept = {name: value for name, value in vars(proxy).items() if name != "cross_fitted_"}
    content = {"kind": KIND, "format": FORMAT, "robatch": version("robatch"), "proxy": kept}
    try:
        data = io.dumps(content)
        unknown = _unknown(data)
    except Exception as error:
        raise InputError(f"the proxy cannot be saved: {type(error).__name__} from skops: {error}") from error
    if unknown:
        raise InputError(
            f"the proxy cannot be saved: its router holds {unknown[0]}, which is not safe to read from a file"
        )
    with replacing(path) as temporary:
        Path(temporary).write_bytes(data)


def load(path: str | os.PathLike[str]) -> UtilityProxy:
    """Read a proxy; see `UtilityProxy.load`."""
    name = str(path)
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the proxy {name!r}: {why_unreadable(error)}") from error
    foreign = InputError(f"{name!r} is not a proxy that robatch wrote, or it is damaged")
    try:
        unknown = _unknown(data)
        if unknown:
            raise InputError(f"{name!r} holds {unknown[0]}, which no proxy needs: it was not read")
        content = io.loads(data, trusted=io.get_untrusted_types(data=data))
    except InputError:
        raise
    except Exception as error:  # whatever zip, JSON, numpy and skops say of a damaged file
        raise foreign from error
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise foreign
    if content.get("format") != FORMAT:
        raise InputError(
            f"{name!r} has format {content.get('format')!r}: this version of robatch reads format {FORMAT}"
        )
    kept = content.get("proxy")
    try:
        return _made(kept)
    except Exception as error:
        raise foreign from error


def _made(kept: Any) -> UtilityProxy:
    """Make the proxy of its attributes, and see that it predicts."""
    proxy = UtilityProxy()
    proxy.__dict__.update(kept)
    states = len(proxy.layout_.states)
    scores = proxy.decomposition_.stack[:, :1] * 0.0
    if proxy.decomposition_.predict(proxy.layout_, scores.T).shape != (1, states):
        raise ValueError("shapes do not match")
    for router in proxy.routers_:
        for tree in np.ravel(getattr(router, "_predictors", [])):
            _check_tree(tree.nodes, router.n_features_in_)
    if proxy.uncertainty_.covariance.shape != (states, states) or len(proxy.routers_) != proxy.layout_.n_units:
        raise ValueError("shapes do not match")
    return proxy


def _check_tree(nodes: Any, features: int) -> None:
    """Check that the nodes of a tree name nodes after them, and features that there are: compiled code trusts them."""
    inner = nodes[nodes["is_leaf"] == 0]
    own = np.flatnonzero(nodes["is_leaf"] == 0)
    for child in ("left", "right"):
        if not ((inner[child] > own) & (inner[child] < len(nodes))).all():
            raise ValueError("a tree's nodes do not follow each other")
    if len(nodes) == 0 or not ((inner["feature_idx"] >= 0) & (inner["feature_idx"] < features)).all():
        raise ValueError("a tree names a feature that is not there")
    if inner["is_categorical"].any():
        raise ValueError("a tree has categories, which no proxy's has")


def _unknown(data: bytes) -> list[str]:
    """Return the types in a file that are not on the list."""
    return [kind for kind in io.get_untrusted_types(data=data) if kind not in _OWN | _INNER]
