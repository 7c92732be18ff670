"""Tables of any kind as Arrow tables: pandas, polars, pyarrow, or a CSV, Parquet or JSON file.

pyarrow is loaded when a table is, and neither pandas nor polars is imported here. Whatever is wrong with a table
raises an `InputError` that names the table, the column and the row.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import FloatArray, IntArray
from robatch.instances.errors import InputError, first_line
from robatch.instances.scalars import finite_range

SUFFIXES = (".csv", ".tsv", ".parquet", ".json")
NAME_COLUMNS = ("query_id", "query", "model", "group", "category", "sample_id", "eval_name")


@dataclass(frozen=True, slots=True)
class Table:
    """A pyarrow table, and how messages name it."""

    data: Any
    name: str

    @classmethod
    def of(cls, source: Any, what: str) -> Table:
        """Convert a table, or read it from a file.

        Parameters
        ----------
        source
            A pandas, polars or pyarrow table, anything with ``__arrow_c_stream__`` or ``__dataframe__``, or
            the path of a CSV, TSV, Parquet or JSON (list of objects) file.
        what
            How messages name the table; the path is added where there is one.
        """
        import pyarrow as pa

        if isinstance(source, str | os.PathLike):
            path = os.fspath(source)
            return cls(_read(path, what), f"{what} {path!r}")
        if isinstance(source, pa.Table):
            return cls(source, what)
        try:
            if type(source).__module__.partition(".")[0] == "pandas":
                return cls(pa.Table.from_pandas(source, preserve_index=False), what)
            if hasattr(source, "__arrow_c_stream__"):
                return cls(pa.RecordBatchReader.from_stream(source).read_all(), what)
            if hasattr(source, "__dataframe__"):
                from pyarrow.interchange import from_dataframe

                return cls(from_dataframe(source), what)
        except (pa.ArrowException, AttributeError, TypeError, ValueError) as error:
            raise InputError(f"{what} cannot be converted to Arrow: {first_line(error)}") from None
        raise InputError(
            f"{what} is a {type(source).__name__}: a pandas, polars or pyarrow table or the path of a file is needed"
        )

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self.data.column_names)

    def column(self, name: str) -> Any:
        """Return a column, which the table must have exactly once."""
        count = self.columns.count(name)
        if count != 1:
            found = ", ".join(map(repr, self.columns[:8])) + (", ..." if len(self.columns) > 8 else "")
            problem = "has no column" if count == 0 else "has more than one column"
            raise InputError(f"{self.name} {problem} {name!r}: its columns are {found or 'none'}")
        return self.data[name]

    def numbers(
        self, column: str, low: float = 0.0, high: float = math.inf, row_name: Callable[[int], str] = "row {}".format
    ) -> FloatArray:
        """Return a column of finite numbers from `low` to `high`, one a row; `row_name` names a row, counted from 0."""
        import pyarrow as pa

        data, types = self.column(column), pa.types
        kinds = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal)
        if not any(is_kind(data.type) for is_kind in kinds):
            raise InputError(f"column {column!r} of {self.name} is of type {data.type}: numbers are needed")
        self._check_complete(data, column, row_name)
        if types.is_boolean(data.type):
            data = data.cast(pa.int8())
        values = np.asarray(data.cast(pa.float64()).to_numpy(), dtype=np.float64)
        wrong = ~((values >= low) & (values <= high) & np.isfinite(values))
        if wrong.any():
            row = int(np.argmax(wrong))
            raise InputError(
                f"column {column!r} of {self.name} is {values[row]:g} in {row_name(row)}: "
                f"{finite_range(low, high)} is needed"
            )
        return values

    def codes(self, column: str, as_text: bool = False) -> tuple[IntArray, npt.NDArray[Any]]:
        """Return the code of each row in a column of labels, and the labels in order of first appearance.

        With `as_text`, labels that are whole numbers become strings.
        """
        import pyarrow as pa

        data = self.column(column)
        if pa.types.is_dictionary(data.type) and data.num_chunks:
            data = pa.chunked_array([_decoded(chunk) for chunk in data.chunks])
        self._check_complete(data, column, "row {}".format)
        whole_numbers = pa.types.is_integer(data.type)
        if not whole_numbers and data.type not in (pa.string(), pa.large_string(), pa.string_view()):
            raise InputError(
                f"column {column!r} of {self.name} is of type {data.type}: strings or whole numbers are needed"
            )
        if as_text or not whole_numbers:
            data = data.cast(pa.large_string())
        data = data.combine_chunks().dictionary_encode()
        if isinstance(data, pa.ChunkedArray):  # of a table without rows
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.str_)
        values = data.dictionary
        labels = values.to_numpy() if pa.types.is_integer(values.type) else np.array(values.to_pylist(), dtype=np.str_)
        return data.indices.to_numpy().astype(np.int64), labels

    def _check_complete(self, data: Any, column: str, row_name: Callable[[int], str]) -> None:
        if data.null_count:
            row = row_name(int(np.argmax(data.is_null().to_numpy())))
            raise InputError(f"column {column!r} of {self.name} is missing in {data.null_count} rows, first in {row}")


def table_or_mapping(source: Any, what: str) -> tuple[Table | Mapping[Any, Any], str]:
    """Return a mapping, or the object of a JSON file, as it is, and anything else as a table; and its name."""
    if isinstance(source, str | os.PathLike) and Path(source).suffix.lower() == ".json":
        content = _read_json(os.fspath(source), what)
        if isinstance(content, Mapping):
            return content, f"{what} {os.fspath(source)!r}"
    if isinstance(source, Mapping):
        return source, what
    table = Table.of(source, what)
    return table, table.name


def _read(path: str, what: str) -> Any:
    import pyarrow as pa
    import pyarrow.parquet

    readers: dict[str, Callable[[str], Any]] = {
        ".csv": lambda path: _read_csv(path, ","),
        ".tsv": lambda path: _read_csv(path, "\t"),
        ".parquet": pa.parquet.read_table,
        ".json": lambda path: pa.Table.from_pylist(_records(_read_json(path, what), path)),
    }
    suffix = Path(path).suffix.lower()
    if suffix not in readers:
        raise InputError(f"cannot read {what} {path!r}: a file ending in {', '.join(SUFFIXES)} is needed")
    if not os.path.isfile(path):  # a folder would be read as one Parquet data set
        raise InputError(f"cannot read {what} {path!r}: there is no such file")
    try:
        table = readers[suffix](path)
        _ = table.column_names  # fails where the first line of a CSV file is not text
        return table
    except InputError:
        raise
    except (pa.ArrowException, OSError, ValueError, TypeError) as error:
        reason = f"it is not a complete {suffix[1:].upper()} file ({first_line(error)})"
        raise InputError(f"cannot read {what} {path!r}: {reason}") from None


def _read_csv(path: str, delimiter: str) -> Any:
    """Read a CSV file; columns that hold names are text, even where all of them look like numbers."""
    import pyarrow as pa
    import pyarrow.csv

    text = dict.fromkeys(NAME_COLUMNS, pa.string())
    return pa.csv.read_csv(
        path,
        parse_options=pa.csv.ParseOptions(delimiter=delimiter),
        convert_options=pa.csv.ConvertOptions(column_types=text, strings_can_be_null=False),
    )


def _read_json(path: str, what: str) -> Any:
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"cannot read {what} {path!r}: there is no such file") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"cannot read {what} {path!r}: it is not a complete JSON file ({first_line(error)})") from None


def _records(value: Any, path: str) -> list[Any]:
    if isinstance(value, list) and all(isinstance(row, Mapping) for row in value):
        return value
    raise InputError(f"{path!r} does not hold a list of JSON objects: one object a row is needed")


def _decoded(labels: Any) -> Any:
    """Return a dictionary-encoded array as a plain one, polars' categories (string views) included."""
    import pyarrow as pa

    values = labels.dictionary
    if values.type == pa.string_view():  # Arrow cannot take from these
        values = values.cast(pa.large_string())
    return values.take(labels.indices)
