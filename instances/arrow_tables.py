"""Tables of any kind as Arrow tables: pandas, polars, pyarrow, or a CSV, Parquet or JSON file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from robatch.instances.errors import InputError

SUFFIXES = (".csv", ".tsv", ".parquet", ".json")
NAME_COLUMNS = ("query_id", "query", "model", "group", "category", "sample_id", "eval_name")


def to_arrow(table: Any, what: str) -> tuple[Any, str]:
    """Convert a table, or read it from a file.

    Parameters
    ----------
    table
        A pandas, polars or pyarrow table, anything with ``__arrow_c_stream__`` or ``__dataframe__``, or
        the path of a file. Neither pandas nor polars is imported here.
    what
        How messages name the table.

    Returns
    -------
    table : pyarrow.Table
    name : str
        `what`, with the path where there is one.

    Raises
    ------
    InputError
        If the table is of another kind or the file cannot be read.
    """
    import pyarrow as pa

    if isinstance(table, str | os.PathLike):
        path = os.fspath(table)
        return read_any(path, what), f"{what} {path!r}"
    if isinstance(table, pa.Table):
        return table, what
    try:
        if type(table).__module__.partition(".")[0] == "pandas":
            return pa.Table.from_pandas(table, preserve_index=False), what
        if hasattr(table, "__arrow_c_stream__"):
            return pa.RecordBatchReader.from_stream(table).read_all(), what
        if hasattr(table, "__dataframe__"):
            from pyarrow.interchange import from_dataframe

            return from_dataframe(table), what
    except (pa.ArrowException, AttributeError, TypeError, ValueError) as error:
        raise InputError(f"{what} cannot be converted to Arrow: {_line(error)}") from None
    raise InputError(
        f"{what} is a {type(table).__name__}: a pandas, polars or pyarrow table or the path of a file is needed"
    )


def read_any(path: str | os.PathLike[str], what: str) -> Any:
    """Read a CSV, TSV, Parquet or JSON (list of objects) file as a pyarrow table.

    Raises
    ------
    InputError
        If the file is missing, of another kind, or broken.
    """
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    readers: dict[str, Callable[[str], Any]] = {
        ".csv": lambda name: _read_csv(name, ","),
        ".tsv": lambda name: _read_csv(name, "\t"),
        ".parquet": pa.parquet.read_table,
        ".json": lambda name: pa.Table.from_pylist(_records(read_json(name, what), name)),
    }
    name = os.fspath(path)
    suffix = Path(name).suffix.lower()
    if suffix not in readers:
        raise InputError(f"cannot read {what} {name!r}: a file ending in {', '.join(SUFFIXES)} is needed")
    if not os.path.isfile(name):  # a folder would be read as one Parquet data set
        raise InputError(f"cannot read {what} {name!r}: there is no such file")
    try:
        table = readers[suffix](name)
        _ = table.column_names  # fails where the first line of a CSV file is no text
        return table
    except InputError:
        raise
    except (pa.ArrowException, OSError, ValueError, TypeError) as error:
        reason = f"it is no whole {suffix[1:].upper()} file ({_line(error)})"
        raise InputError(f"cannot read {what} {name!r}: {reason}") from None


def _read_csv(name: str, delimiter: str) -> Any:
    """Read a CSV file; columns that hold names are text, even where all of them look like numbers."""
    import pyarrow as pa
    import pyarrow.csv

    text = dict.fromkeys(NAME_COLUMNS, pa.string())
    return pa.csv.read_csv(
        name,
        parse_options=pa.csv.ParseOptions(delimiter=delimiter),
        convert_options=pa.csv.ConvertOptions(column_types=text, strings_can_be_null=False),
    )


def read_json(path: str | os.PathLike[str], what: str) -> Any:
    """Read a JSON file.

    Raises
    ------
    InputError
        If it is missing or no JSON.
    """
    name = os.fspath(path)
    try:
        return json.loads(Path(name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"cannot read {what} {name!r}: there is no such file") from None
    except (OSError, ValueError, RecursionError) as error:
        reason = f"it is no whole JSON file ({_line(error)})"
        raise InputError(f"cannot read {what} {name!r}: {reason}") from None


def _records(value: Any, name: str) -> list[Any]:
    if isinstance(value, list) and all(isinstance(row, Mapping) for row in value):
        return value
    raise InputError(f"{name!r} holds no list of JSON objects: one object a row is needed")


def require_columns(table: Any, name: str, columns: tuple[str, ...]) -> None:
    """Check that a pyarrow table has all of some columns, and each once."""
    for column in columns:
        count = table.column_names.count(column)
        if count != 1:
            found = ", ".join(map(repr, table.column_names[:8])) + (", ..." if table.num_columns > 8 else "")
            problem = "has no column" if count == 0 else "has more than one column"
            raise InputError(f"{name} {problem} {column!r}: its columns are {found or 'none'}")


def numbers(
    table: Any,
    column: str,
    name: str,
    low: float,
    high: float,
    row_name: Callable[[int], str] = lambda row: f"row {row}",
) -> npt.NDArray[np.float64]:
    """Return a column of finite numbers within [low, high] as float64, one a row.

    Parameters
    ----------
    table, column, name
        The pyarrow table, the column, and how messages name the table.
    low, high
        Allowed range, both ends included.
    row_name
        How messages name a row, counted from 0.

    Raises
    ------
    InputError
        If a value is missing, no number, or out of range.
    """
    import pyarrow as pa

    require_columns(table, name, (column,))
    data = table[column]
    kind = data.type
    if not any(
        check(kind) for check in (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal)
    ):
        raise InputError(f"column {column!r} of {name} is of type {kind}: numbers are needed")
    if data.null_count:
        row = int(np.argmax(data.is_null().to_numpy()))
        raise InputError(f"column {column!r} of {name} is missing in {data.null_count} rows, first in {row_name(row)}")
    if pa.types.is_boolean(kind):
        data = data.cast(pa.int8())
    values = np.asarray(data.cast(pa.float64()).to_numpy(), dtype=np.float64)
    wrong = ~((values >= low) & (values <= high) & np.isfinite(values))
    if wrong.any():
        row = int(np.argmax(wrong))
        allowed = f"from {low:g} to {high:g}" if high < np.inf else f"of at least {low:g}"
        raise InputError(
            f"column {column!r} of {name} is {values[row]:g} in {row_name(row)}: a finite number {allowed} is needed"
        )
    return values


def encode(table: Any, column: str, name: str, as_text: bool = False) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
    """Return the code of each row in a column of labels, and the labels in order of first appearance.

    Parameters
    ----------
    table, column, name
        The pyarrow table, the column, and how messages name the table.
    as_text
        Whether whole numbers become strings.

    Raises
    ------
    InputError
        If a label is missing, or neither a string nor a whole number.
    """
    import pyarrow as pa

    require_columns(table, name, (column,))
    data = table[column]
    if pa.types.is_dictionary(data.type) and data.num_chunks:
        data = pa.chunked_array([_decode(chunk) for chunk in data.chunks])
    if data.null_count:
        row = int(np.argmax(data.is_null().to_numpy()))
        raise InputError(f"column {column!r} of {name} is missing in {data.null_count} rows, first in row {row}")
    if not pa.types.is_integer(data.type):
        if data.type not in (pa.string(), pa.large_string(), pa.string_view()):
            raise InputError(f"column {column!r} of {name} is of type {data.type}: strings or whole numbers are needed")
        data = data.cast(pa.large_string())
    elif as_text:
        data = data.cast(pa.large_string())
    data = data.combine_chunks().dictionary_encode()
    if isinstance(data, pa.ChunkedArray):  # of a table without rows
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.str_)
    values = data.dictionary
    labels = values.to_numpy() if pa.types.is_integer(values.type) else np.array(values.to_pylist(), dtype=np.str_)
    return data.indices.to_numpy().astype(np.int64), labels


def _decode(labels: Any) -> Any:
    """Return a dictionary-encoded array as a plain one, polars' categories (string views) included."""
    import pyarrow as pa

    values = labels.dictionary
    if values.type == pa.string_view():  # Arrow cannot take from these
        values = values.cast(pa.large_string())
    return values.take(labels.indices)


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
