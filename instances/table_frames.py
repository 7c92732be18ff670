"""Tables in memory as columns, and columns as Arrow arrays of plain types: numbers, truth values, texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import numpy as np

from robatch.instances.arrays import FloatArray
from robatch.instances.errors import InputError, first_line
from robatch.instances.table_files import Columns, arrow_columns, records_of, without_empty_rows

_AS_STORED = ("arrow.bool8", "arrow.json", "arrow.opaque")  # extension types that mean what they store


def frame_columns(source: Any, what: str) -> Columns:
    """Return the columns of a table in memory."""
    import pyarrow as pa

    library = type(source).__module__.partition(".")[0]
    try:
        if isinstance(source, pa.Table):
            return arrow_columns(without_empty_rows(source))
        if isinstance(source, Mapping) or (isinstance(source, list) and isinstance(next(iter(source), {}), Mapping)):
            return records_of(source, what)
        if library == "pandas" and hasattr(source, "iloc") and hasattr(source, "columns"):
            if source.index.names == [None] and len(source) and source.iloc[-1].isna().all():
                source = source[~source.isna().all(axis=1)]  # rows of a sheet below its last one
            levels = [name for name in source.index.names if name is not None and name not in source.columns]
            names = [*levels, *source.columns]

            def get(position: int) -> Any:
                if position < len(levels):
                    return _converted(source.index.get_level_values(levels[position]).to_series())
                return _converted(source.iloc[:, position - len(levels)])

            return Columns([str(name) for name in names], len(source), get)
        if library == "polars" and hasattr(source, "to_series"):
            return Columns(source.columns, len(source), lambda position: _converted(source.to_series(position)))
        if hasattr(source, "__arrow_c_stream__"):
            return arrow_columns(pa.RecordBatchReader.from_stream(source).read_all())
        if hasattr(source, "__dataframe__"):
            from pyarrow.interchange import from_dataframe

            return arrow_columns(from_dataframe(source))
    except InputError:
        raise
    except (pa.ArrowException, AttributeError, TypeError, ValueError) as error:
        raise InputError(f"{what} cannot be converted to Arrow: {first_line(error)}") from None
    raise InputError(
        f"{what} is a {type(source).__name__}: a pandas, polars or pyarrow table or the path of a file is needed"
    )


def _converted(series: Any) -> Any:
    """Return a column of pandas or polars as an Arrow array, or as a list of values that have no type in common."""
    import pyarrow as pa

    if str(series.dtype) == "Object":  # polars' own, of which Arrow would get the addresses
        return list(series)
    try:
        return pa.chunked_array(series) if hasattr(series, "to_arrow") else pa.Array.from_pandas(series)
    except (pa.ArrowException, AttributeError, TypeError, ValueError, OverflowError):
        return list(series)


def field_of(data: Any, field: str) -> Any:
    """Return a field of a column of objects, None if they have none such."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(data, list):
        found = [row.get(field) if isinstance(row, Mapping) else None for row in data]
        return found if any(isinstance(row, Mapping) and field in row for row in data) else None
    if not pa.types.is_struct(data.type) or data.type.get_field_index(field) < 0:
        return None
    return pc.struct_field(data, field)


def plain(data: Any) -> Any:
    """Return a column as an Arrow array of a type that is not only a way to store another, if it has one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(data, list):
        if any(isinstance(value, list | Mapping) for value in data):
            return data
        try:
            data = pa.array(data, from_pandas=True)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            return data
    if not isinstance(data, pa.ChunkedArray):
        data = pa.chunked_array([data])
    if pa.types.is_run_end_encoded(data.type):
        data = pc.run_end_decode(data)
    if pa.types.is_dictionary(data.type):
        data = pa.chunked_array(
            [_decoded(chunk) for chunk in data.chunks], data.type.value_type if not data.num_chunks else None
        )
    if data.type in (pa.string_view(), pa.binary_view()):  # which Arrow cannot filter
        data = data.cast(pa.large_string() if data.type == pa.string_view() else pa.large_binary())
    kind = data.type.extension_name if isinstance(data.type, pa.BaseExtensionType) else None
    if kind == "arrow.uuid" or kind in _AS_STORED:
        stored = pa.chunked_array([chunk.storage for chunk in data.chunks], data.type.storage_type)
        data = _uuids(stored) if kind == "arrow.uuid" else stored
    return data


def _decoded(labels: Any) -> Any:
    """Return a dictionary-encoded array as a plain one, polars' categories (string views) included."""
    import pyarrow as pa

    values = labels.dictionary
    if values.type == pa.string_view():  # Arrow cannot take from these
        values = values.cast(pa.large_string())
    return values.take(labels.indices)


def _uuids(stored: Any) -> Any:
    """Return UUIDs, stored as 16 bytes each, as they are written."""
    import pyarrow as pa

    return pa.chunked_array(
        [[None if value is None else str(UUID(bytes=value)) for value in stored.to_pylist()]], pa.string()
    )


def as_floats(data: Any) -> FloatArray:
    """Return an Arrow array of numbers, truth values or texts of plain numbers as floats; NaN where missing."""
    import pyarrow as pa

    if pa.types.is_boolean(data.type):
        data = data.cast(pa.int8())
    elif pa.types.is_decimal(data.type):  # by its digits, rounded once
        data = data.cast(pa.large_string())
    return np.asarray(data.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
