"""Prices of models, and what they lose with batch size, from tables, files or mappings.

What is missing, not allowed or not readable raises an `InputError` that names it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from robatch.instances.arrays import FloatArray
from robatch.instances.arrow_tables import Table, table_or_mapping
from robatch.instances.errors import InputError
from robatch.instances.model import Model, warn_of_units
from robatch.instances.number_text import NUMBER, SHARE, SIZE, TOKENS, USD
from robatch.instances.prices.entry import PriceEntry
from robatch.instances.prices.own_table import ABOVE
from robatch.instances.prices.sources import SOURCES, foreign_table, price_table
from robatch.instances.prices.table import PriceTable
from robatch.instances.prices.terms import BATCH_FIELDS, FIELDS, of_entry, of_row
from robatch.instances.scalars import number, repeated, shown, whole

OTHERS = "*"  # name of the degradation curve of all models that have none of their own
_QUANTITIES = {
    "price_in": USD, "price_out": USD, "shared_tokens": TOKENS, "context_window": NUMBER,
    **{field: NUMBER if field == "cache_min_tokens" else USD for field in (*FIELDS, *BATCH_FIELDS)},
}  # fmt: skip
MOST_NAMED = 5  # models or fields that a message names


@dataclass(frozen=True, slots=True)
class Prices:
    """A price table whose values are read for the models that are wanted, and how messages name it."""

    source: Table | Mapping[Any, Any] | PriceTable
    name: str
    models: list[str]

    @classmethod
    def of(cls, prices: Any) -> Prices:
        """Take the prices that `price_models` takes."""
        if isinstance(prices, cls):
            return prices
        if isinstance(prices, PriceTable) or (isinstance(prices, str) and prices in SOURCES):
            return cls._by_name(price_table(prices))
        source, where = table_or_mapping(prices, "the price table")
        if isinstance(source, Mapping):
            foreign = foreign_table(source, os.fspath(prices) if isinstance(prices, str | os.PathLike) else None)
            return cls._by_name(foreign) if foreign else cls(source, where, [str(name) for name in source])
        if source.has(ABOVE) or (source.has("pricing") and source.has("id")):
            return cls._by_name(price_table(prices))
        for column in ("model", "price_in", "price_out"):
            source.require(column)
        return cls(source, where, _names(source))

    @classmethod
    def _by_name(cls, table: PriceTable) -> Prices:
        return cls(table, table.source, [entry.name for entry in table.entries])

    def entries(self, names: Sequence[str]) -> list[PriceEntry]:
        """Return what a table of prices by name says of some models; nothing of a table with a row for each model."""
        return [self.source.find(name) for name in names] if isinstance(self.source, PriceTable) else []

    def rows(self, names: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Return the fields of each model that is known; what is missing is NaN in tables and absent in objects."""
        if isinstance(self.source, PriceTable):
            fields = ("price_in", "price_out", "context_window")
            found = zip(names, self.entries(names), strict=True)
            return {
                name: {field: getattr(entry, field) for field in fields} | {"priced": entry.origin}
                for name, entry in found
            }
        if isinstance(self.source, Mapping):
            given = {str(name): row for name, row in self.source.items()}
            return {name: _price_row(given[name], name, self.name) for name in names if name in given}
        twice = repeated([model for model in self.models if model in names])
        if twice is not None:
            raise InputError(f"{self.name} holds model {twice!r} twice: one row a model is needed")
        kept = np.isin(self.models, names)
        here = [model for model, wanted in zip(self.models, kept, strict=True) if wanted]
        table = self.source.where(kept)

        def row_name(row: int) -> str:
            return f"the row of model {here[row]!r}"

        columns = {
            field: table.numbers(field, quantity, row_name, gaps=True).tolist()
            for field, quantity in _QUANTITIES.items()
            if table.has(field)
        }
        return {name: {field: values[i] for field, values in columns.items()} for i, name in enumerate(here)}


def price_models(
    prices: Any,
    names: Sequence[str],
    batch_sizes: Sequence[int],
    shared_tokens: float | None = None,
    cached: float | None = None,
    batch_api: bool = False,
) -> list[Model]:
    """Return the models of some names, with their prices.

    Parameters
    ----------
    prices
        A table with the columns ``model``, ``price_in``, ``price_out`` (USD per million tokens) and, if
        wanted, ``shared_tokens``, ``context_window``, ``call_fee`` and those of caches and batch APIs (docs/prices.md);
        the path of a CSV, Parquet, JSON or JSONL file with such a table; a mapping (in a JSON file: an object) from
        names to these fields, or to (price_in, price_out); a source of prices by name, as
        `robatch.instances.prices.price_table` reads it (``"bundled"``, ``"litellm"``, LiteLLM's or OpenRouter's JSON,
        ...); or `Prices`. Other columns and other models are ignored.
    names
        The models wanted, in this order.
    batch_sizes
        Batch sizes of every model.
    shared_tokens
        Tokens of the shared prompt of models for which `prices` gives none.
    cached
        Part of the calls that are expected to find the shared prompt in the provider's cache, from 0 to 1: of models
        with a price of that, it counts. None where prompts are not to be taken as cached.
    batch_api
        Whether all calls go through the providers' batch APIs, at the prices of those.

    Raises
    ------
    InputError
        If a model has no price, a value is not allowed, or the file cannot be read.

    Warns
    -----
    InputWarning
        If a price looks like one of another unit.
    """
    if cached is not None:
        cached = number("cached", cached, most=1.0)
    given = Prices.of(prices)
    where, rows = given.name, given.rows(names)
    missing = [name for name in names if name not in rows]
    if missing:
        known = _few(given.models) or "none"
        raise InputError(f"{where} has no price of {_few(missing)}: its models are {known}")
    models = []
    for name in names:
        row = {field: value for field, value in rows[name].items() if not _is_missing(value)}
        for field in ("price_in", "price_out"):
            if field not in row:
                raise InputError(
                    f"{field} of model {name!r}, in USD per million tokens, is missing in {where}: the fields of the "
                    f"model are {_few(list(rows[name])) or 'none'}"
                )
        shared = row.get("shared_tokens", shared_tokens)
        if shared is None:
            raise InputError(
                f"shared_tokens of model {name!r} is not known: give shared_tokens (--shared-tokens), the tokens of "
                f"the shared prompt that every call pays once, or a column of that name in {where}"
            )
        window = _plain(row.get("context_window"))
        if isinstance(given.source, PriceTable):
            terms = of_entry(given.source.find(name), cached, batch_api) | {"priced": row["priced"]}
        else:
            terms = of_row(row, name, where, cached, batch_api)
        prices_of = (row["price_in"], row["price_out"])
        models.append(Model(name, *prices_of, shared, window, tuple(batch_sizes), **terms))
    warn_of_units(models, where)
    return models


def _few(names: Sequence[str]) -> str:
    """Return names as messages list them."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(map(repr, names[:MOST_NAMED])) + more


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _plain(value: Any) -> Any:
    """Return a whole number that a table holds as a float as an int."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _price_row(row: Any, name: str, where: str) -> Mapping[str, Any]:
    """Return the fields of a model in a mapping; numbers that stand as texts or decimals are read."""
    if isinstance(row, Sequence) and not isinstance(row, str) and len(row) == 2:
        row = {"price_in": row[0], "price_out": row[1]}
    if not isinstance(row, Mapping):
        needed = "an object with price_in and price_out is needed"
        raise InputError(f"{where} has {shown(row)} for model {name!r}: {needed}")
    read = dict(row)
    for field in _QUANTITIES.keys() & row.keys():
        if isinstance(row[field], str | Decimal):
            read[field] = _QUANTITIES[field].read(row[field])
            if read[field] is None:
                raise _QUANTITIES[field].complaint(f"{field} of model {name!r} in {where}", row[field])
    return read


def _names(table: Table) -> list[str]:
    codes, names = table.codes("model", as_text=True)
    found: list[str] = names[codes].tolist()
    return found


def retentions(degradation: Any, models: Sequence[Model]) -> FloatArray:
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
    source, where = table_or_mapping(degradation, "the degradation table")
    curves: dict[str, dict[int, float]] = {}
    for name, size, value in _points(source, where):
        if isinstance(size, str) and size.isdecimal() and len(size) < 10:  # keys of JSON objects are strings
            size = int(size)
        size = whole(f"batch size of model {name!r} in {where}", _plain(size), 1)
        if isinstance(value, str | Decimal):
            read = SHARE.read(value)
            value = value if read is None else read
        value = number(f"retention of model {name!r} at batch size {size} in {where}", value, 0.0, 1.0)
        curve = curves.setdefault(name, {})
        if size in curve:
            raise InputError(f"{where} holds model {name!r} at batch size {size} twice: one row of each is needed")
        curve[size] = value
    if not curves:
        raise InputError(f"{where} is empty: at least one curve is needed")
    for name, curve in curves.items():
        if curve.setdefault(1, 1.0) != 1.0:
            raise InputError(
                f"retention of model {name!r} at batch size 1 is {curve[1]:g} in {where}: "
                "it is 1 there by definition, divide the curve by it"
            )
    return curves, where


def _points(source: Table | Mapping[Any, Any], where: str) -> list[tuple[str, Any, Any]]:
    """Return (model, batch size, retention) of every point of the degradation curves."""
    if isinstance(source, Table):
        names, sizes = _names(source), source.numbers("batch_size", SIZE)
        return list(zip(names, sizes.tolist(), source.numbers("retention", SHARE).tolist(), strict=True))
    points = []
    for name, curve in source.items():
        if not isinstance(curve, Mapping):
            raise InputError(
                f"{where} has {shown(curve)} for model {name!r}: an object {{batch size: retention}} is needed"
            )
        points += [(str(name), size, value) for size, value in curve.items()]
    return points
