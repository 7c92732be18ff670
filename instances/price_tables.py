"""Prices of models, and what they lose with batch size, from tables, files or mappings."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from robatch.instances.arrow_tables import encode, numbers, read_json, require_columns, to_arrow
from robatch.instances.errors import InputError
from robatch.instances.model import Model
from robatch.instances.scalars import number, whole

OTHERS = "*"  # name of the degradation curve of all models that have none of their own


def price_models(
    prices: Any,
    names: Sequence[str],
    batch_sizes: Sequence[int],
    shared_tokens: float | None = None,
) -> list[Model]:
    """Return the models of some names, with their prices.

    Parameters
    ----------
    prices
        A table with the columns ``model``, ``price_in``, ``price_out`` (USD per million tokens) and, if
        wanted, ``shared_tokens`` and ``context_window``; the path of a CSV, Parquet or JSON file with such
        a table; or a mapping (in a JSON file: an object) from names to these fields, or to
        (price_in, price_out). Other columns and other models are ignored.
    names
        The models wanted, in this order.
    batch_sizes
        Batch sizes of every model.
    shared_tokens
        Tokens of the shared prompt of models for which `prices` gives none.

    Raises
    ------
    InputError
        If a model has no price, a value is not allowed, or the file cannot be read.
    """
    rows, where = _price_rows(prices)
    missing = [name for name in names if name not in rows]
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise InputError(f"{where} has no price of {', '.join(map(repr, missing[:5]))}{more}")
    models = []
    for name in names:
        row = rows[name]
        fields: dict[str, Any] = {}
        for field in ("price_in", "price_out"):
            if _absent(row.get(field)):
                raise InputError(f"{field} of model {name!r} is missing in {where}")
            fields[field] = row[field]
        shared = row.get("shared_tokens")
        shared = shared_tokens if _absent(shared) else shared
        if shared is None:
            raise InputError(
                f"shared_tokens of model {name!r} is not known: give shared_tokens (--shared-tokens), the tokens of "
                f"the shared prompt that every call pays once, or a column of that name in {where}"
            )
        window = row.get("context_window")
        if _absent(window):
            window = None
        elif isinstance(window, float) and window.is_integer():
            window = int(window)
        models.append(
            Model(
                name,
                **fields,
                shared_tokens=shared,
                context_window=window,
                batch_sizes=tuple(batch_sizes),
            )
        )
    return models


def _absent(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _price_rows(prices: Any) -> tuple[dict[str, Mapping[str, Any]], str]:
    """Return the fields of each model by name, and how messages name the source."""
    where = "the price table"
    if isinstance(prices, str | os.PathLike) and Path(prices).suffix.lower() == ".json":
        content = read_json(prices, where)
        if isinstance(content, Mapping):
            prices, where = content, f"{where} {os.fspath(prices)!r}"
    if isinstance(prices, Mapping):
        rows = {}
        for name, row in prices.items():
            if isinstance(row, Sequence) and not isinstance(row, str) and len(row) == 2:
                row = {"price_in": row[0], "price_out": row[1]}
            if not isinstance(row, Mapping):
                raise InputError(
                    f"{where} has {row!r} for model {name!r}: an object with price_in and price_out is needed"
                )
            rows[str(name)] = row
        return rows, where
    table, where = to_arrow(prices, where)
    require_columns(table, where, ("model", "price_in", "price_out"))
    codes, names = encode(table, "model", where, as_text=True)
    _no_twice(names[codes].tolist(), where)
    fields = [
        column
        for column in ("price_in", "price_out", "shared_tokens", "context_window")
        if column in table.column_names
    ]
    return dict(zip(names[codes].tolist(), table.select(fields).to_pylist(), strict=True)), where


def _no_twice(names: Iterable[str], where: str) -> None:
    seen = set()
    for name in names:
        if name in seen:
            raise InputError(f"{where} holds model {name!r} twice: one row a model is needed")
        seen.add(name)


def retentions(degradation: Any, models: Sequence[Model]) -> npt.NDArray[np.float64]:
    """Return what each state keeps of its model's utility at batch size 1: (S,).

    Parameters
    ----------
    degradation
        A table with the columns ``model`` (``*`` stands for all models without a curve of their own),
        ``batch_size`` and ``retention`` in [0, 1]; the path of a CSV, Parquet or JSON file with such a
        table; a mapping (in a JSON file: an object) from names to ``{batch_size: retention}``; or None
        for no loss.
    models
        The K models.

    Raises
    ------
    InputError
        If a model has no curve, a value is not allowed, or the file cannot be read.

    Notes
    -----
    A curve is 1 at batch size 1, whether given or not, is interpolated linearly in log2(batch size) between
    the given sizes, and stays at its last value beyond the largest of them.
    """
    if degradation is None:
        return np.ones(sum(len(model.batch_sizes) for model in models))
    curves, where = _curves(degradation)
    kept = []
    for model in models:
        curve = curves.get(model.name, curves.get(OTHERS))
        if curve is None:
            raise InputError(f"{where} has no curve for model {model.name!r}, and none for {OTHERS!r} (all others)")
        sizes = sorted(curve)
        kept.append(np.interp(np.log2(model.batch_sizes), np.log2(sizes), [curve[size] for size in sizes]))
    return np.concatenate(kept)


def _curves(degradation: Any) -> tuple[dict[str, dict[int, float]], str]:
    """Return the retention of each model by batch size, and how messages name the source."""
    where = "the degradation table"
    if isinstance(degradation, str | os.PathLike) and Path(degradation).suffix.lower() == ".json":
        content = read_json(degradation, where)
        if isinstance(content, Mapping):
            degradation, where = content, f"{where} {os.fspath(degradation)!r}"
    curves: dict[str, dict[int, float]] = {}
    if isinstance(degradation, Mapping):
        for name, curve in degradation.items():
            if not isinstance(curve, Mapping):
                raise InputError(
                    f"{where} has {curve!r} for model {name!r}: an object {{batch size: retention}} is needed"
                )
            for size, value in curve.items():
                _add(curves, str(name), size, value, where)
    else:
        table, where = to_arrow(degradation, where)
        require_columns(table, where, ("model", "batch_size", "retention"))
        codes, names = encode(table, "model", where, as_text=True)
        sizes = numbers(table, "batch_size", where, 1.0, np.inf).tolist()
        values = numbers(table, "retention", where, 0.0, 1.0).tolist()
        for code, size, value in zip(codes.tolist(), sizes, values, strict=True):
            _add(curves, str(names[code]), size, value, where)
    if not curves:
        raise InputError(f"{where} is empty: at least one curve is needed")
    for name, points in curves.items():
        if points.setdefault(1, 1.0) != 1.0:
            raise InputError(
                f"retention of model {name!r} at batch size 1 is {points[1]:g} in {where}: "
                "it is 1 there by definition, divide the curve by it"
            )
    return curves, where


def _add(curves: dict[str, dict[int, float]], name: str, size: Any, value: Any, where: str) -> None:
    if isinstance(size, str) and size.isdecimal():  # keys of JSON objects are strings
        size = int(size)
    if isinstance(size, float) and size.is_integer():
        size = int(size)
    size = whole(f"batch size of model {name!r} in {where}", size, 1)
    value = number(f"retention of model {name!r} at batch size {size} in {where}", value, 0.0, 1.0)
    curve = curves.setdefault(name, {})
    if size in curve:
        raise InputError(f"{where} holds model {name!r} at batch size {size} twice: one row of each is needed")
    curve[size] = value
