"""Tables of rows, as the experiments write and read them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]
Table = list[dict[str, Any]]


def where(rows: Iterable[dict[str, Any]], **values: Any) -> Table:
    """Return the rows that have these values."""
    return [row for row in rows if all(row[key] == value for key, value in values.items())]


def distinct(rows: Iterable[Row], key: str) -> list[Any]:
    """Return the different values of a column, in their order."""
    return list(dict.fromkeys(row[key] for row in rows))


def groups(rows: Iterable[dict[str, Any]], *keys: str) -> list[tuple[dict[str, Any], Table]]:
    """Return the rows that have the same values of some columns, with these values, in the order of the first ones."""
    found: dict[tuple[Any, ...], Table] = {}
    for row in rows:
        found.setdefault(tuple(row[key] for key in keys), []).append(row)
    return [(dict(zip(keys, values, strict=True)), members) for values, members in found.items()]


def by_table(rows: Table, names: tuple[str, ...]) -> dict[str, Table]:
    """Sort rows into tables by their column ``table``, which is dropped."""
    return {
        name: [{key: value for key, value in row.items() if key != "table"} for row in rows if row["table"] == name]
        for name in names
    }


def as_csv(table: Table, digits: int | None = 6) -> str:
    """Return rows as CSV, numbers with so many digits, or all of them; None is an empty field."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(table[0]), lineterminator="\n")
    writer.writeheader()
    for row in table:
        shown = {key: value if digits is None or not isinstance(value, float) else f"{value:.{digits}g}"
                 for key, value in row.items()}  # fmt: skip
        writer.writerow(shown)
    return text.getvalue()


def parsed(text: str) -> Table:
    """Return the rows of a CSV table, with numbers as numbers and empty fields as None."""
    return [{key: _value(value) for key, value in row.items()} for row in csv.DictReader(io.StringIO(text))]


def read_table(path: Path) -> Table:
    """Read the rows of a file."""
    return parsed(path.read_text(encoding="utf-8"))


def read_tables(folder: Path) -> dict[str, Table]:
    """Return the tables of a folder by name."""
    return {path.stem: read_table(path) for path in sorted(folder.glob("*.csv"))}


def _value(text: str) -> Any:
    if text == "":
        return None
    try:
        return float(text)
    except ValueError:
        return text
