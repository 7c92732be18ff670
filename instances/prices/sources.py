"""Where prices by name come from: the bundled table, installed packages, and files in several forms."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from robatch.instances.errors import InputError
from robatch.instances.files import read_text
from robatch.instances.prices import genai_table, litellm_table
from robatch.instances.prices.entry import PriceEntry
from robatch.instances.prices.openrouter_table import listed_models, read_openrouter
from robatch.instances.prices.own_table import is_own, read_own
from robatch.instances.prices.table import LeftOut, PriceTable
from robatch.instances.table_files import read_json

BUNDLED = "bundled"
SOURCES = {
    BUNDLED: "the dated table of chat models that comes with RoBatch",
    litellm_table.PACKAGE: "the table of the installed package litellm, which is not imported",
    genai_table.PACKAGE: "the table of the installed package genai-prices (extra: prices)",
}
"""Sources that are named; any other is the path of a file."""

FORMS = "LiteLLM's JSON, OpenRouter's list, or a table with the columns model, price_in and price_out"


def price_table(source: Any = BUNDLED) -> PriceTable:
    """Read a price table.

    Parameters
    ----------
    source
        A name of `SOURCES`; the path of a file, which is LiteLLM's JSON (USD per token), OpenRouter's list as its API
        gives it (JSON; USD per token, as texts), or a table of our own (CSV, TSV, Parquet, JSON, JSONL; USD per
        million tokens, the columns of `docs/prices.md`); such a table or mapping itself; or a `PriceTable`.

    Returns
    -------
    PriceTable
        In USD per million tokens, to ten digits. Entries that are no chat models with prices of tokens are in
        ``left_out``, with the reason.

    Raises
    ------
    InputError
        If it cannot be read, or is none of these.
    MissingExtraError
        If its package is not installed.
    """
    if isinstance(source, PriceTable):
        return source
    if isinstance(source, str) and source in SOURCES:
        return _named(source)
    path = os.fspath(source) if isinstance(source, str | os.PathLike) else None
    value = source
    if path is not None:
        if not os.path.isfile(path):
            raise InputError(f"cannot read the prices {path!r}: it is neither a file nor one of {', '.join(SOURCES)}")
        value = _parsed(path) if Path(path).suffix.lower() == ".json" else path
    foreign = foreign_table(value, path, _written(path) if path else None)
    if foreign is not None:
        return foreign
    if path is not None and value is not path and not is_own(value):
        raise InputError(f"the prices {path!r} are in no form that is known: {FORMS} is needed")
    name = "the price table"
    entries = read_own(value, name if path is None or value is path else f"{name} {path!r}")
    return _own(entries, name if path is None else f"{name} {Path(path).name!r}", _written(path) if path else None)


def _parsed(path: str) -> Any:
    """Return the value of a JSON file; in a table of others a name may stand twice, and the last one counts."""
    try:
        return read_json(path, "the prices")
    except InputError:
        with suppress(ValueError, RecursionError):
            value = json.loads(read_text(path, "the prices"))
            if litellm_table.is_litellm(value) or listed_models(value) is not None:
                return value
        raise


def foreign_table(value: Any, path: str | None = None, day: str | None = None) -> PriceTable | None:
    """Return the table of somebody else's that a JSON value is; None where it is in none of their forms."""
    where = f" {Path(path).name!r}" if path else ""  # what is recorded names no folders
    if litellm_table.is_litellm(value):
        name = f"LiteLLM's table{where}"
        return PriceTable.made(*_split(litellm_table.read_litellm(value, name), name, day))
    rows = listed_models(value)
    if rows is not None:
        name = f"OpenRouter's list{where}"
        return PriceTable.made(*_split(read_openrouter(rows, name), name, day))
    return None


@cache
def _bundled() -> PriceTable:
    with as_file(files("robatch.instances") / "data" / "prices.csv") as path:
        entries = read_own(str(path))
    return _own(entries, "the bundled price table", None)


def _named(source: str) -> PriceTable:
    if source == BUNDLED:
        return _bundled()
    if source == litellm_table.PACKAGE:
        path, version = litellm_table.installed()
        name = f"{source} {version}"
        read = litellm_table.read_litellm(read_json(str(path), "the prices"), name)
    else:
        snapshot, path, version = genai_table.installed()
        name = f"{source} {version}"
        read = genai_table.read_genai(snapshot, name)
    return PriceTable.made(*_split(read, name, _written(path)))


def _split(
    read: tuple[list[PriceEntry], dict[str, LeftOut]], name: str, day: str | None
) -> tuple[Sequence[PriceEntry], str, str | None, Mapping[str, LeftOut]]:
    return read[0], name, day, read[1]


def _own(entries: Sequence[PriceEntry], name: str, day: str | None) -> PriceTable:
    """Return a table of our own, whose rows may say where they are from and of what day."""
    for entry in entries:
        if entry.date is not None:
            try:
                date.fromisoformat(entry.date)
            except ValueError:
                raise InputError(
                    f"date of model {entry.name!r} in {name} is {entry.date!r}: a day as YYYY-MM-DD is needed"
                ) from None
    dated = [replace(entry, source=entry.source or name, date=entry.date or day) for entry in entries]
    days = {entry.date for entry in dated if entry.date is not None}
    return PriceTable(tuple(dated), name, min(days, default=day))


def _written(path: str | os.PathLike[str]) -> str | None:
    """Return the day on which a file was last written; None where archives with fixed times left none."""
    with suppress(OSError, OverflowError, ValueError):
        day = date.fromtimestamp(Path(path).stat().st_mtime)
        return day.isoformat() if day.year > 2000 else None
    return None
