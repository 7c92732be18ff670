"""Any table of queries as one Arrow table: a frame, a file, or files in parts, with every column kept."""

from __future__ import annotations

import json
import os
from typing import Any

from robatch.instances.arrow_tables import Table
from robatch.instances.errors import InputError
from robatch.instances.table_frames import plain
from robatch.proxies.sources.partitions import parts_of


def read_table(source: Any) -> Any:
    """Read a table of queries as a `pyarrow.Table`.

    Parameters
    ----------
    source
        The path of a CSV, TSV, Parquet, JSON or JSONL file, of a folder of such, or a pattern of paths; folders named
        ``key=value`` give the column ``key``. Or a pandas, polars or Arrow table, or anything else with
        ``__arrow_c_stream__``. Cells of CSV files stay the texts that they are. Rows without any value are left out.

    Raises
    ------
    InputError
        If it cannot be read, holds no row, a column twice, or its parts have different columns.
    """
    import pyarrow as pa

    if not isinstance(source, str | os.PathLike):
        return _checked(_arrow(Table.of(source, "the queries")), "the queries")
    name = os.fspath(source)
    tables: list[Any] = []
    for path, named in parts_of(name):
        made = _arrow(Table.of(path, "the queries", labels=None))
        for key, value in named.items():
            if key in made.column_names:
                raise InputError(f"{str(path)!r} has a column {key!r}, which its folder names too")
            made = made.append_column(key, pa.array([value] * made.num_rows, pa.string()))
        if tables and set(made.column_names) != set(tables[0].column_names):
            other = sorted(set(made.column_names) ^ set(tables[0].column_names))
            raise InputError(f"{str(path)!r} has other columns than the parts before it: {', '.join(other)}")
        tables.append(made)
    if len(tables) == 1:
        return _checked(tables[0], repr(name))
    try:
        return _checked(pa.concat_tables(tables, promote_options="permissive").combine_chunks(), repr(name))
    except pa.ArrowException as error:
        raise InputError(f"the parts of {name!r} have columns of different kinds: {error}") from None


def _arrow(table: Table) -> Any:
    import pyarrow as pa

    columns = [_column(table.source.get(place)) for place in range(len(table.columns))]
    return pa.table(columns, names=table.columns)


def _column(data: Any) -> Any:
    """Return a column as an Arrow array; values that have no type in common as texts."""
    import pyarrow as pa

    found = plain(data)
    if not isinstance(found, list):
        return found
    try:
        return pa.array(found)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return pa.array([None if value is None else _text(value) for value in found], pa.string())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _checked(table: Any, name: str) -> Any:
    twice = [column for column in table.column_names if table.column_names.count(column) > 1]
    if twice:
        raise InputError(f"{name} has the column {twice[0]!r} twice: names are unique")
    if not table.num_rows:
        raise InputError(f"{name} holds no row: at least one query is needed")
    return table
