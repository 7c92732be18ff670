"""A problem as one Parquet file: a column for each array column, the model table in the metadata."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from robatch.instances.constraints import Constraints
from robatch.instances.errors import InputError, first_line
from robatch.instances.files import replacing, threads_pay
from robatch.instances.model import Model
from robatch.instances.problem import Problem

KEY = b"robatch"
VERSION = 3
KNOWN = (1, 2, VERSION)  # the first had no restrictions, the second no costs of one's own
MATRICES = ("input_tokens", "output_tokens", "utility", "base_utility", "retention", "forbidden", "costs")


def write(problem: Problem, path: str | os.PathLike[str]) -> None:
    """Write a problem whole or not at all.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    write_table(path, *to_table(problem))


def to_table(problem: Problem) -> tuple[Any, dict[str, Any]]:
    """Return what a problem's file holds: a pyarrow table with a row a query, and its metadata."""
    import pyarrow as pa

    labels = {"query_id": problem.query_ids, "group": problem.groups}
    columns = {title: pa.array(array) for title, array in labels.items() if array is not None}
    widths: dict[str, int] = {}
    for name in MATRICES:
        array = getattr(problem, name)
        if array is None or (name == "retention" and len(array) == 1):
            continue
        widths[name] = array.shape[1]
        for column, title in zip(array.T, _titles(problem, name, array.shape[1]), strict=True):
            columns[title] = pa.array(np.ascontiguousarray(column))
    shared = problem.retention if problem.retention is not None and len(problem.retention) == 1 else None
    meta = {
        "kind": "problem",
        "version": VERSION,
        "models": [model.to_dict() for model in problem.models],
        "columns": widths,
        "retention": None if shared is None else shared[0].tolist(),
        "conflicts": None if problem.conflicts is None else problem.conflicts.tolist(),
        "constraints": None if problem.constraints is None else problem.constraints.to_json(),
        "window_margin": problem.window_margin,
        "capacity": problem.capacity,
        "profit_scale": problem.profit_scale,
    }
    return pa.table(columns), meta


def read(path: str | os.PathLike[str]) -> Problem:
    """Read a problem that `Problem.write` wrote.

    Raises
    ------
    InputError
        If the file is missing or truncated, or does not hold a problem.
    """
    return from_table(*read_table(path, "problem"), repr(str(path)))


def from_table(table: Any, meta: dict[str, Any], name: str) -> Problem:
    """Make the problem of what `to_table` returned; errors are those of `read`, which call the table by `name`."""
    if meta.get("version") not in KNOWN:
        raise InputError(f"{name} is a problem of format version {meta.get('version')!r}: only {KNOWN} are known")
    try:
        return _problem(table, meta, name)
    except InputError:
        raise
    except (AttributeError, LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise InputError(f"{name} has broken metadata: {error}") from None


def _problem(table: Any, meta: dict[str, Any], shown: str) -> Problem:
    models = [Model(**{**entry, "batch_sizes": tuple(entry["batch_sizes"])}) for entry in meta["models"]]
    widths = dict(meta["columns"])
    shared = meta["retention"]
    names = {"query_ids": "query_id", "groups": "group"}
    labels = {field: table[title].to_numpy() for field, title in names.items() if title in table.column_names}
    start = len(labels)
    arrays: dict[str, Any] = {}
    for name in MATRICES:
        if name not in widths:
            continue
        columns = table.columns[start : start + widths[name]]
        start += widths[name]
        if len(columns) != widths[name] or any(column.null_count for column in columns):
            raise InputError(f"{shown} has missing cells or columns in {name}")
        arrays[name] = np.column_stack([column.to_numpy() for column in columns])
    for name in MATRICES[:2]:
        if name not in arrays:
            raise LookupError(f"{name} is missing")
    if shared is not None:
        arrays["retention"] = np.array(shared, dtype=arrays["base_utility"].dtype)
    conflicts, constraints = meta.get("conflicts"), meta.get("constraints")
    return Problem(
        models,
        **arrays,
        **labels,
        conflicts=None if conflicts is None else np.array(conflicts, dtype=np.int64),
        constraints=None if constraints is None else Constraints.from_json(constraints),
        window_margin=meta.get("window_margin", 0.0),
        capacity=meta.get("capacity"),
        profit_scale=meta.get("profit_scale"),
    )


def write_table(
    path: str | os.PathLike[str], table: Any, meta: Mapping[str, Any], repeated: bool | list[str] = True
) -> None:
    """Write a pyarrow table to a Parquet file, whole or not at all, with metadata that `read_table` gives back.

    `repeated` are the columns that hold few values, by name: looking for them in the others takes time.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    import pyarrow.parquet as pq

    metadata = {KEY: json.dumps(meta).encode()}
    with replacing(path) as temporary, temporary.open("wb") as file:
        pq.write_table(table.replace_schema_metadata(metadata), file, compression="zstd", use_dictionary=repeated)


def read_table(path: str | os.PathLike[str], kind: str) -> tuple[Any, dict[str, Any]]:
    """Read a Parquet file of this project, and its metadata.

    Raises
    ------
    InputError
        If it is missing, truncated, not a Parquet file, or not of the `kind` that is wanted (problem, plan or
        measurements).
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    name = str(path)
    if os.path.isdir(name):
        raise InputError(f"cannot read {name!r}: it is a directory, a file is needed")
    try:
        with open(path, "rb") as file:  # since pyarrow opens no file whose name is not UTF-8
            threads = threads_pay(file)
            table = pq.ParquetFile(file, pre_buffer=threads).read(use_threads=threads)
    except FileNotFoundError:
        raise InputError(f"cannot read {name!r}: there is no such file") from None
    except (pa.ArrowException, OSError, ValueError) as error:
        told = first_line(error).replace(" '<Buffer>'", "").rstrip(".")
        hint = "`robatch import` makes a problem file of a table of results"
        raise InputError(f"cannot read {name!r}: it is not a complete Parquet file ({told}); {hint}") from None
    try:
        meta = json.loads((table.schema.metadata or {})[KEY])
        found = meta["kind"]
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{name!r} is a Parquet file, but does not hold a {kind} written by robatch") from None
    if found != kind:
        raise InputError(f"{name!r} holds {found!r} data: a file with a {kind} is needed")
    return table, meta


def _titles(problem: Problem, name: str, width: int) -> list[str]:
    if name in ("utility", "retention", "forbidden", "costs"):
        return [f"{name}|{state.model}|{state.batch_size}" for state in problem.states]
    return [name] if width == 1 else [f"{name}|{model.name}" for model in problem.models]
