"""Columns as a table of the library that the user works with; Arrow hands them on without copies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np

from robatch.instances.arrays import IntArray
from robatch.instances.errors import InputError, require

Library = Literal["pandas", "polars", "pyarrow"]


def check_library(library: str) -> None:
    """Refuse a library that no tables are made for, before any work."""
    if library not in get_args(Library):
        raise InputError(f"library is {library!r}: 'pandas', 'polars' or 'pyarrow' is needed")


def frame(columns: Mapping[str, Any], library: Library) -> Any:
    """Return columns as a table: numeric arrays are handed on by Arrow, without a copy where the library takes them.

    Parameters
    ----------
    columns
        Arrays or lists of one length, or Arrow arrays, by name.
    library
        ``"pandas"``, ``"polars"`` or ``"pyarrow"``.

    Raises
    ------
    InputError
        If the library is another one.
    MissingExtraError
        If it is not installed.
    """
    import pyarrow as pa

    check_library(library)
    if library != "pyarrow":
        require(library, "frames", "to_frame")
    table = pa.table({name: pa.array(column) for name, column in columns.items()})
    if library == "polars":
        import polars

        return polars.from_arrow(table)
    return table if library == "pyarrow" else table.to_pandas()


def labels(names: Sequence[str], codes: IntArray) -> Any:
    """Return a column of names, each held once: categories to pandas and polars."""
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(pa.array(np.ascontiguousarray(codes, dtype=np.int32)), pa.array(list(names)))
