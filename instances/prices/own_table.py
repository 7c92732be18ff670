"""Our own price tables: CSV or any other table with a row for each model, and further rows for its long calls."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from robatch.instances.arrow_tables import Table
from robatch.instances.errors import InputError
from robatch.instances.files import write_text
from robatch.instances.number_text import NUMBER, TOKENS, USD
from robatch.instances.prices.entry import RATES, PriceEntry, PriceTier, Rates
from robatch.instances.scalars import whole
from robatch.instances.table_files import records_of

TEXTS = ("model", "provider", "source", "date")
BATCH = "batch_"
ABOVE = "above"
"""Column of the input tokens above which a row counts; empty in a model's first row."""

_COUNTS = ("cache_min_tokens", "context_window", "max_output_tokens")
COLUMNS = (
    "model",
    "provider",
    ABOVE,
    *RATES,
    *(BATCH + name for name in RATES),
    *_COUNTS,
    "call_fee",
    "source",
    "date",
)
"""Columns of a price table; only model, price_in and price_out are needed."""

_Row = dict[str, Any]


def is_own(value: Any) -> bool:
    """Whether the value of a JSON file may be such a table: objects with prices, by row or by model, or columns."""
    if not isinstance(value, list | Mapping):
        return False
    if isinstance(value, Mapping) and "model" in value:
        return True
    rows = value.values() if isinstance(value, Mapping) else value
    return any(
        "price_in" in row if isinstance(row, Mapping) else isinstance(row, list) and len(row) == 2 for row in rows
    )


def read_own(source: Any, what: str = "the price table") -> list[PriceEntry]:
    """Return the models of a table of our own.

    Parameters
    ----------
    source
        A table, the path of one, or a mapping from names to fields, or to (price_in, price_out).
    what
        How messages name it; the path is added where there is one.

    Raises
    ------
    InputError
        If a value is missing or not allowed, or a model stands there twice.
    """
    rows = _records(source, what)
    parsed = isinstance(rows, list | Mapping)
    table = Table(records_of(rows, what), what) if parsed else Table.of(rows, what, TEXTS)
    by_model: dict[str, list[_Row]] = {}
    for row in _rows(table):
        by_model.setdefault(row["model"], []).append(row)
    return [_entry(name, rows, table.name) for name, rows in by_model.items()]


def write_own(path: str | os.PathLike[str], entries: Iterable[PriceEntry]) -> None:
    """Write a CSV file that `read_own` reads, whole or not at all; columns without any value are left out.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    rows = [row for entry in entries for row in _rows_of(entry)]
    needed = ("model", "price_in", "price_out")
    columns = [name for name in COLUMNS if name in needed or any(row.get(name) is not None for row in rows)]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def _rows_of(entry: PriceEntry) -> list[_Row]:
    """Return the rows of a model, the first without a threshold."""
    first = {name: getattr(entry, name) for name in (*_COUNTS, "provider", "call_fee", "date")}
    first["source"] = entry.source or None
    parts = [(None, entry.rates, entry.batch), *((tier.above, tier.rates, tier.batch) for tier in entry.tiers)]
    rows = [
        {"model": entry.name, ABOVE: above}
        | {name: f"{value:.10g}" for name, value in rates.stated().items()}
        | {BATCH + name: f"{value:.10g}" for name, value in batch.stated().items()}
        for above, rates, batch in parts
    ]
    return [first | rows[0], *rows[1:]]


def _records(source: Any, what: str) -> Any:
    """Return rows where a mapping has models as keys, and anything else as it is."""
    if not isinstance(source, Mapping) or not {"model", "price_in"}.isdisjoint(source):
        return source
    rows = []
    for name, row in source.items():
        if isinstance(row, Sequence) and not isinstance(row, str) and len(row) == 2:
            row = dict(zip(("price_in", "price_out"), row, strict=True))
        if not isinstance(row, Mapping):
            raise InputError(f"{what} has {row!r} for model {name!r}: an object with price_in and price_out is needed")
        rows.append({"model": str(name), **row})
    return rows


def _rows(table: Table) -> list[_Row]:
    """Return the rows of a table; what is missing in one is None."""
    for column in ("model", "price_in", "price_out"):
        table.require(column)
    columns: dict[str, list[Any]] = {}
    for name in COLUMNS:
        if name in TEXTS and table.has(name):
            codes, labels = table.codes(name, as_text=True, blank=name != "model")
            columns[name] = [labels[code].item() or None for code in codes]
    names = columns["model"]
    for name in COLUMNS:
        if name not in TEXTS and table.has(name):
            quantity = TOKENS if name == ABOVE else NUMBER if name in _COUNTS else USD
            values = table.numbers(name, quantity, lambda row: f"the row of model {names[row]!r}", gaps=True)
            columns[name] = [None if math.isnan(value) else value for value in values.tolist()]
    return [{name: column[i] for name, column in columns.items()} for i in range(len(names))]


def _entry(name: str, rows: Sequence[_Row], where: str) -> PriceEntry:
    """Return the entry of a model from its rows."""
    first = [row for row in rows if not row.get(ABOVE)]
    if len(first) != 1:
        raise InputError(f"{where} holds model {name!r} {len(first)} times without {ABOVE!r}: one such row is needed")
    row = first[0]
    for field in ("price_in", "price_out"):
        if row[field] is None:
            raise InputError(f"{field} of model {name!r} in {where} is missing: USD per million tokens are needed")
    cached, window, most = (_count(field, name, row.get(field), where) for field in _COUNTS)
    tiers: dict[int, PriceTier] = {}
    for other in rows:
        if other is row:
            continue
        above = _count(ABOVE, name, other[ABOVE], where)
        assert above is not None
        if above in tiers:
            raise InputError(f"{where} holds model {name!r} above {above} twice: one row of each is needed")
        tiers[above] = PriceTier(above, _rates(other), _rates(other, BATCH))
    return PriceEntry(
        name,
        _rates(row),
        row.get("provider"),
        _rates(row, BATCH),
        tuple(tiers[above] for above in sorted(tiers)),
        cached,
        row.get("call_fee"),
        window,
        most,
        row.get("source") or "",
        row.get("date"),
    )


def _rates(row: Mapping[str, Any], prefix: str = "") -> Rates:
    return Rates(**{name: row.get(prefix + name) for name in RATES})


def _count(field: str, name: str, value: float | None, where: str) -> int | None:
    if value is None:
        return None
    plain = int(value) if value.is_integer() else value
    return whole(f"{field} of model {name!r} in {where}", plain, 1)
