"""What is given to a proxy as checked arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from robatch.instances.arrays import FloatArray
from robatch.instances.errors import InputError


def as_measured(y: Any) -> FloatArray:
    """Return measured utilities as an array (N, S), or say what is wrong with them."""
    if y is None:
        raise InputError("y is None: utilities are needed, the proxy requires y to be passed, but the target y is None")
    try:
        measured = np.asarray(y, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("y is not an array of numbers (N, S)") from None
    measured = measured[:, None] if measured.ndim == 1 else measured
    if measured.ndim != 2 or 0 in measured.shape:
        raise InputError(f"y has shape {measured.shape}: (N, S) is needed, with at least one query and state")
    with np.errstate(invalid="ignore"):
        wrong = ~np.isnan(measured) & ~((measured >= 0.0) & (measured <= 1.0))
    if wrong.any():
        raise InputError(f"y holds {measured[wrong][0]:g}: utilities from 0 to 1 are needed, NaN where not measured")
    return measured


def as_tokens(name: str, tokens: Any, shape: tuple[int, int]) -> FloatArray:
    """Return tokens (N, K), NaN where not known, or say what is wrong with them."""
    array = np.asarray(tokens, dtype=np.float64)
    if array.shape != shape:
        raise InputError(f"{name} has shape {array.shape}: {shape} is needed")
    if (array < 0).any() or np.isinf(array).any():
        raise InputError(f"{name} holds a value that is negative or not finite")
    return array


def validated(proxy: BaseEstimator, X: Any, reset: bool) -> Any:  # noqa: N803
    """Return given numbers X (N, F) as scikit-learn checks them, and keep or compare its features' count and names."""
    try:
        return validate_data(proxy, X, accept_sparse="csr", dtype=np.float64, reset=reset)
    except ValueError as error:
        # Its further lines hold the array itself.
        raise InputError(str(error).partition("\n")[0].rstrip(":")) from None
