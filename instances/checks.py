"""Checks of a problem's parts: each returns the value in its kept form or raises one clear sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import RealArray, read_only
from robatch.instances.errors import InputError
from robatch.instances.model import MOST, Model
from robatch.instances.scalars import finite_range, repeated


def models(pool: Sequence[Model]) -> tuple[Model, ...]:
    """Check the pool: at least one model, all of different names."""
    pool = tuple(pool)
    if not pool:
        raise InputError("models is empty: at least one model is needed")
    for model in pool:
        if not isinstance(model, Model):
            raise InputError(f"models holds {model!r}: only robatch.instances.Model is allowed")
    twice = repeated([model.name for model in pool])
    if twice is not None:
        raise InputError(f"models holds {twice!r} twice: every model needs a name of its own")
    return pool


def dtype(utilities: npt.ArrayLike | None) -> np.dtype[Any]:
    """Return float32 if the utilities are float32, and float64 otherwise."""
    return np.dtype(np.float32 if getattr(utilities, "dtype", None) == np.float32 else np.float64)


def floating(value: npt.DTypeLike) -> np.dtype[Any]:
    """Check that a type asked for is float32 or float64."""
    try:
        kind = np.dtype(value)
    except TypeError:
        kind = np.dtype(object)
    if value is None or kind not in (np.float32, np.float64):
        raise InputError(f"dtype is {value!r}: float32 or float64 is needed")
    return kind


def utilities(
    utility: npt.ArrayLike | None,
    base_utility: npt.ArrayLike | None,
    retention: npt.ArrayLike | None,
    n_models: int,
    n_states: int,
    double: bool = False,
) -> dict[str, RealArray | None]:
    """Check the utilities of a problem, which are given either dense or as factors, and return all three fields.

    They are float64 if that is asked for as `double`, or else of the type that `dtype` says.
    """
    if (utility is None) == (base_utility is None):
        raise InputError("a problem needs either utility, or base_utility with retention, and not both")
    if (base_utility is None) != (retention is None):
        raise InputError("base_utility and retention belong together: give both or neither")
    if base_utility is None:
        dense = matrix("utility", utility, np.dtype(float) if double else dtype(utility), None, (n_states,))
        in_range("utility", dense, 0.0, 1.0)
        return {"utility": dense, "base_utility": None, "retention": None}
    kind = np.dtype(float) if double else dtype(base_utility)
    base = matrix("base_utility", base_utility, kind, None, (n_models,))
    in_range("base_utility", base, 0.0, 1.0)
    kept = matrix("retention", retention, base.dtype, len(base), (n_states,), one_row=True)
    in_range("retention", kept, 0.0, np.inf)
    return {"utility": None, "base_utility": base, "retention": kept}


def tokens(
    name: str, value: npt.ArrayLike | None, kind: np.dtype[Any], rows: int, n_models: int, optional: bool = False
) -> RealArray:
    """Check the tokens of every query, (N,) or (N, K), and return them as (N, 1) or (N, K); None is 0 if optional."""
    if value is None and optional:
        value = np.zeros(rows)
    if value is None:
        raise InputError(f"{name} is missing: a problem without costs of its own needs the tokens of each query")
    array = matrix(name, value, kind, rows, (1, n_models), column=True)
    in_range(name, array, 0.0, MOST)
    return array


def matrix(
    name: str,
    value: npt.ArrayLike | None,
    kind: np.dtype[Any],
    rows: int | None,
    columns: tuple[int, ...],
    one_row: bool = False,
    column: bool = False,
) -> npt.NDArray[Any]:
    """Check a two-dimensional array and return a read-only, C-contiguous view or copy of it.

    `one_row` lets a vector stand for one row that all queries share, `column` for one column.
    """
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "fiub":
            raise ValueError
        array = np.ascontiguousarray(array, dtype=kind)
    except (TypeError, ValueError):
        raise InputError(f"{name} is not an array of numbers: {_short(value)}") from None
    given = array.shape
    if array.ndim == 1 and (column or one_row):
        array = array[:, None] if column else array[None, :]
    length = "number of queries" if rows is None else rows
    shapes = [f"({length},)" if column and width == 1 else f"({length}, {width})" for width in dict.fromkeys(columns)]
    want = " or ".join([f"({width},)" for width in columns if one_row] + shapes)
    if array.ndim != 2 or array.shape[1] not in columns:
        raise InputError(f"{name} has shape {given}: {want} is needed")
    if len(array) == 0:
        raise InputError(f"{name} has no rows: a problem needs at least one query")
    if rows is not None and len(array) != rows and not (one_row and len(array) == 1):
        raise InputError(f"{name} has shape {given}: {want} is needed")
    return read_only(array)


def in_range(name: str, array: npt.NDArray[Any], low: float, high: float) -> None:
    """Check that every value is finite and within [low, high]; two passes, nothing allocated."""
    least, most = array.min(), array.max()
    if least >= low and most <= high and most < np.inf:  # false for NaN, which min and max hand on
        return
    wrong = ~((array >= low) & (array <= high) & np.isfinite(array))
    row, column = (int(i) for i in np.argwhere(wrong)[0])
    raise InputError(f"{name}[{row}, {column}] is {array[row, column]}: {finite_range(low, high)} is needed")


def labels(name: str, value: Any, rows: int, unique: bool) -> npt.NDArray[Any] | None:
    """Check N strings or whole numbers, and that they differ where they must."""
    if value is None:
        return None
    array = np.asarray(value)
    if array.dtype.kind == "T" or (array.dtype == object and all(isinstance(item, str) for item in array.flat)):
        array = array.astype(np.str_)
    if array.dtype.kind not in "Uiu" or array.ndim != 1:
        raise InputError(f"{name} is {_short(value)}: a sequence of strings or of whole numbers is needed")
    if array.dtype.kind == "U" and _has_surrogates(array):
        raise InputError(f"{name} holds a label that is not valid Unicode: text is needed")
    if len(array) != rows:
        raise InputError(f"{name} has {len(array)} entries: {rows} are needed, one a query")
    if unique:
        values, counts = np.unique(array, return_counts=True)
        if len(values) < rows:
            twice = values[np.argmax(counts > 1)].item()
            raise InputError(f"{name} holds {twice!r} more than once: every query needs an id of its own")
    return read_only(array)


def _has_surrogates(array: npt.NDArray[np.str_]) -> bool:
    """Tell whether strings hold halves of characters, which no file can."""
    if array.itemsize == 0:
        return False
    codes = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("=")).view(np.uint32)
    return bool(((codes >= 0xD800) & (codes < 0xE000)).any())


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
