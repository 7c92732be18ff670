"""Tables of any kind, column by column: pandas, polars, pyarrow, or a file.

pyarrow is loaded when a table is, and neither pandas nor polars is imported here. Only the columns that are asked for
are converted. Whatever is wrong with one raises an `InputError` that names the table, the column, the row and the
value.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from numbers import Integral, Number
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import FloatArray, IntArray
from robatch.instances.errors import InputError
from robatch.instances.number_text import NUMBER, Quantity
from robatch.instances.scalars import shown
from robatch.instances.table_files import Columns, is_text, read_columns, read_json, records_of
from robatch.instances.table_frames import as_floats, field_of, frame_columns, plain

LABELS = ("query_id", "query", "model", "group", "category", "sample_id", "eval_name")
"""Columns of CSV files that hold names, even if all of them look like numbers."""

_MOST_WHOLE = 2.0**53  # from here on, not every whole number is a float of its own


@dataclass(frozen=True, slots=True)
class Table:
    """The columns of a table, and how messages name it; `kept` are the rows that are not left out, None for all."""

    source: Columns
    name: str
    kept: npt.NDArray[np.bool_] | None = None

    @classmethod
    def of(cls, source: Any, what: str, labels: Sequence[str] | None = LABELS) -> Table:
        """Take a table, or read it from a file.

        Parameters
        ----------
        source
            A pandas, polars or pyarrow table, anything with ``__arrow_c_stream__`` or ``__dataframe__``, a list of
            mappings or a mapping of lists, or the path of a CSV, TSV, Parquet, JSON or JSONL file.
        what
            How messages name the table; the path is added where there is one.
        labels
            Columns that are text, even if all look like numbers, where the file itself does not say; None for all.
        """
        if isinstance(source, cls):
            return source
        if isinstance(source, str | os.PathLike):
            path = os.fspath(source)
            return cls(read_columns(path, what, labels), f"{what} {path!r}")
        return cls(frame_columns(source, what), what)

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return [str(name).lstrip("\ufeff").strip() for name in self.source.names]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.source.rows if self.kept is None else int(self.kept.sum())

    def where(self, rows: npt.NDArray[np.bool_]) -> Table:
        """Return the table of some of the rows of a whole one."""
        return Table(self.source, self.name, rows)

    def has(self, name: str) -> bool:
        """Whether there is a column of a name, or a nested field of a dotted one."""
        return name in self.columns or self._find(name) is not None

    def require(self, name: str) -> None:
        """Refuse a table that has not exactly one column of a name."""
        if self.columns.count(name) > 1:
            raise InputError(f"{self.name} has more than one column {name!r}: its columns are {self.listed()}")
        if not self.has(name):
            nested = [f"{above}.{name}" for above in self.columns if self.has(f"{above}.{name}")]
            hint = f"; nested fields are named as in {nested[0]!r}" if nested else ""
            raise InputError(f"{self.name} has no column {name!r}: its columns are {self.listed()}{hint}")

    def listed(self) -> str:
        """Return how messages list the columns."""
        return ", ".join(map(repr, self.columns[:8])) + (", ..." if len(self.columns) > 8 else "") or "none"

    def _find(self, name: str) -> Any:
        """Return a column, whose dotted name may lead into nested fields: an Arrow array or a list; None without."""
        columns, above = self.columns, name
        while above and above not in columns:
            above = above.rpartition(".")[0]
        if not above:
            return None
        data = self.source.get(columns.index(above))
        for field in name[len(above) + 1 :].split(".") if len(above) < len(name) else ():
            data = field_of(data, field)
            if data is None:
                return None
        return data

    def _column(self, name: str) -> Any:
        """Return a column that is needed: an Arrow array of a plain type, or a list of values of several types."""
        self.require(name)
        data = plain(self._find(name))
        if len(data) != self.source.rows:
            raise InputError(
                f"column {name!r} of {self.name} has {len(data)} of {self.source.rows} rows: all are needed"
            )
        if self.kept is None:
            return data
        if isinstance(data, list):
            return [value for value, kept in zip(data, self.kept, strict=True) if kept]
        return data.filter(self.kept)

    def row_name(self, row: int) -> str:
        """Return how messages name a row, which is counted from 0 here and from 1 there."""
        return f"row {row + 1} of {self.rows}"

    def numbers(
        self,
        column: str,
        quantity: Quantity = NUMBER,
        row_name: Callable[[int], str] | None = None,
        gaps: bool = False,
    ) -> FloatArray:
        """Return a column of numbers, one a row; with `gaps`, those that are missing are NaN.

        `quantity` says what they mean; `row_name` names a row, counted from 0.
        """
        import pyarrow as pa

        row_name = row_name or self.row_name
        data, here = self._column(column), f"column {column!r} of {self.name}"
        texts = isinstance(data, list) or is_text(data.type)
        values = self._read(data, here, quantity, row_name) if texts else self._floats(data, here)
        missing = np.isnan(values)
        if missing.any() and not gaps:
            row = int(np.argmax(missing))
            raise InputError(f"{here} is missing in {int(missing.sum())} rows, first in {row_name(row)}")
        wrong = ~((values >= quantity.low) & (values <= quantity.high) & np.isfinite(values)) & ~missing
        if not texts and pa.types.is_boolean(data.type) and not quantity.truth:
            wrong = ~missing
        if wrong.any():
            row = int(np.argmax(wrong))
            value = data[row] if isinstance(data, list) else data[row].as_py()
            raise quantity.complaint(here, value, row_name(row))
        return values

    def _floats(self, data: Any, here: str) -> FloatArray:
        import pyarrow as pa

        types = pa.types
        kinds = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal, types.is_null)
        if not any(is_kind(data.type) for is_kind in kinds):
            raise InputError(f"{here} is of type {data.type}: numbers are needed")
        return as_floats(data)

    def _read(self, data: Any, here: str, quantity: Quantity, row_name: Callable[[int], str]) -> FloatArray:
        """Return numbers that stand as texts, or as values of several types; each different one is read once."""
        import pyarrow as pa

        if len(data) == 0:
            return np.empty(0)
        if isinstance(data, list):
            places: dict[Any, int] = {}
            keys = ((type(value), value) if isinstance(value, str | Number) else id(value) for value in data)
            codes = np.array([places.setdefault(key, len(places)) for key in keys], dtype=np.int64)
            distinct = [data[row] for row in np.unique(codes, return_index=True)[1]]
        else:
            if self.source.mark == ".":
                with suppress(pa.ArrowException):
                    return as_floats(data)
            encoded = data.cast(pa.large_binary()).combine_chunks().dictionary_encode()
            codes = encoded.indices.fill_null(len(encoded.dictionary)).to_numpy().astype(np.int64)
            distinct = [value.decode("utf-8", "replace") for value in encoded.dictionary.to_pylist()] + [None]
        read = quantity.read_all(distinct, self.source.mark)
        unreadable = np.array([number is None for number in read])[codes]
        if unreadable.any():
            row = int(np.argmax(unreadable))
            raise quantity.complaint(here, distinct[codes[row]], row_name(row))
        return np.array(read, dtype=np.float64)[codes]

    def codes(self, column: str, as_text: bool = False, blank: bool = False) -> tuple[IntArray, npt.NDArray[Any]]:
        """Return the code of each row in a column of labels, and the labels in order of first appearance.

        With `as_text`, labels that are whole numbers become strings; with `blank`, an empty text is one, too.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        data, here = self._column(column), f"column {column!r} of {self.name}"
        data = self._one_kind(data, here) if isinstance(data, list) else self._labels(data, here)
        if data.null_count:
            row = self.row_name(int(np.argmax(data.is_null().to_numpy())))
            raise InputError(f"{here} is missing in {data.null_count} rows, first in {row}")
        if len(data) == 0:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.str_)
        if as_text:
            data = data.cast(pa.large_string())
        data = data.combine_chunks().dictionary_encode()
        codes, labels = data.indices.to_numpy().astype(np.int64), data.dictionary
        if pa.types.is_integer(labels.type):
            return codes, labels.to_numpy()
        try:
            labels.validate(full=True)
        except pa.ArrowInvalid:  # JSON lines may hold any bytes
            raise InputError(f"{here} holds a label that is not UTF-8 text: save the table as UTF-8") from None
        if self.source.loose:
            trimmed = pc.utf8_trim_whitespace(labels)
            if not trimmed.equals(labels):
                again = trimmed.dictionary_encode()
                codes, labels = again.indices.to_numpy().astype(np.int64)[codes], again.dictionary
        if pc.any(pc.match_substring(labels, "\0")).as_py():  # which NumPy's texts cannot end with
            raise InputError(f"{here} holds a label with a null character: text is needed")
        found = labels.to_pylist()
        if "" in found and not blank:
            rows = np.flatnonzero(codes == found.index(""))
            raise InputError(f"{here} is missing in {len(rows)} rows, first in {self.row_name(rows[0])}")
        return codes, np.array(found, dtype=np.str_)

    def _labels(self, data: Any, here: str) -> Any:
        """Return an Arrow array of labels as one of strings or whole numbers."""
        import pyarrow as pa

        types = pa.types
        if types.is_integer(data.type) or types.is_null(data.type):
            return data
        if types.is_floating(data.type):
            values = as_floats(data)
            wrong = ((np.floor(values) != values) | (np.abs(values) >= _MOST_WHOLE)) & ~np.isnan(values)
            if wrong.any():
                row = int(np.argmax(wrong))
                raise InputError(
                    f"{here} is {shown(float(values[row]))}, of type {data.type}, in {self.row_name(row)}: strings or "
                    "whole numbers below 2**53 are needed"
                )
            return pa.chunked_array([pa.array(values, pa.float64(), from_pandas=True).cast(pa.int64())])
        with suppress(pa.ArrowException):
            if types.is_decimal(data.type):
                return data.cast(pa.int64())
            if is_text(data.type) or types.is_temporal(data.type):
                return data.cast(pa.large_string())
        raise InputError(f"{here} is of type {data.type}: strings or whole numbers are needed")

    def _one_kind(self, values: list[Any], here: str) -> Any:
        """Return labels of several Python types, all texts, whole numbers or UUIDs, as an Arrow array."""
        import pyarrow as pa

        kinds: dict[str, int] = {}
        made: list[Any] = []
        for row, value in enumerate(values):
            if value is None or (isinstance(value, float) and value != value):
                made.append(None)
                continue
            whole = isinstance(value, Integral) or (isinstance(value, float) and value.is_integer())
            whole = whole and not isinstance(value, bool)
            kind = "number" if whole else type(value).__name__
            kinds.setdefault(kind, row)
            made.append(int(value) if whole else str(value))
        if len(kinds) > 1 or not set(kinds) <= {"number", "str", "UUID"}:
            seen = (f"{shown(values[row])} in {self.row_name(row)}" for row in list(kinds.values())[:2])
            raise InputError(f"{here} is {' and '.join(seen)}: strings or whole numbers are needed, and not both")
        with suppress(pa.ArrowException, ValueError, OverflowError):
            return pa.chunked_array([pa.array(made)])
        raise InputError(
            f"{here} holds labels that are no valid Unicode or too large: other texts or numbers are needed"
        )


def table_or_mapping(source: Any, what: str) -> tuple[Table | Mapping[Any, Any], str]:
    """Return a mapping, or the object of a JSON file, as it is, and anything else as a table; and its name.

    An object whose keys are names of columns is a table, too.
    """
    name = what
    if isinstance(source, str | os.PathLike) and Path(source).suffix.lower() == ".json":
        source, name = read_json(os.fspath(source), what), f"{what} {os.fspath(source)!r}"
        if not isinstance(source, Mapping):
            return Table(records_of(source, name), name), name
    if isinstance(source, Mapping):
        if {"model", "price_in", "batch_size"}.isdisjoint(source):
            return source, name
        return Table(records_of(source, name), name), name
    table = Table.of(source, what)
    return table, table.name
