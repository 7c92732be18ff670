"""The two forms of routing tables, long and wide, as arrays of queries x models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import FloatArray
from robatch.instances.arrow_tables import encode, numbers, require_columns
from robatch.instances.errors import InputError
from robatch.instances.scalars import number

QUERY_COLUMNS = ("query_id", "query", "sample_id")
SCORE_COLUMNS = ("correct", "score", "utility")
COST_SUFFIX = "|total_cost"


@dataclass(frozen=True, slots=True)
class Options:
    """What the user said about the columns, and the tokens where the table has none."""

    query: str | None
    model: str
    score: str | None
    group: str | None
    models: tuple[str, ...] | None
    input_tokens: float | None
    output_tokens: float | None


@dataclass(frozen=True, slots=True)
class Cells:
    """A routing table as arrays; `costs` (USD of a call at batch size 1) stand in for output tokens."""

    models: list[str]
    utility: FloatArray  # (N, K)
    input_tokens: FloatArray  # (N,) or (N, K)
    output_tokens: FloatArray | None  # (N,) or (N, K)
    costs: FloatArray | None  # (N, K)
    query_ids: npt.NDArray[Any] | None
    groups: npt.NDArray[Any] | None


def _column(table: Any, name: str, asked: str | None, usual: tuple[str, ...]) -> str:
    """Return the column asked for, or the first of the usual ones that there is."""
    if asked is not None:
        require_columns(table, name, (asked,))
        return asked
    found = next((column for column in usual if column in table.column_names), None)
    if found is None:
        require_columns(table, name, (usual[0],))
        raise AssertionError  # the line above has raised
    return found


def _constant(field: str, value: float, n: int) -> FloatArray:
    return np.full(n, number(field, value))


def _select(found: list[str], options: Options, name: str) -> list[str]:
    if options.models is None:
        return found
    unknown = [model for model in options.models if model not in found]
    if unknown:
        raise InputError(f"{name} has no model {unknown[0]!r}: its models are {', '.join(found)}")
    if not options.models or len(set(options.models)) < len(options.models):
        raise InputError(f"models is {options.models!r}: at least one name, and each only once, is needed")
    return list(options.models)


def long_cells(table: Any, name: str, options: Options) -> Cells:
    """Return the cells of a table with one row for each query and model.

    Raises
    ------
    InputError
        If a column, a cell or a value is missing, doubled or out of range.
    """
    query_column = _column(table, name, options.query, QUERY_COLUMNS)
    score_column = _column(table, name, options.score, SCORE_COLUMNS)
    model_codes, names = encode(table, options.model, name, as_text=True)
    query_codes, queries = encode(table, query_column, name)
    models = _select(names.tolist(), options, name)
    if options.models is not None:  # drop the other models' rows, and queries that only they answered
        position = np.full(len(names), -1)
        position[[names.tolist().index(model) for model in models]] = np.arange(len(models))
        rows = position[model_codes] >= 0
        table, model_codes, query_codes = table.filter(rows), position[model_codes[rows]], query_codes[rows]
        answered = np.bincount(query_codes, minlength=len(queries)) > 0
        query_codes, queries = (np.cumsum(answered) - 1)[query_codes], queries[answered]
    n, k = len(queries), len(models)

    def cell_name(cell: int) -> str:
        return f"query {queries[cell // k].item()!r}, model {models[cell % k]!r}"

    cells = query_codes * k + model_codes
    counts = np.bincount(cells, minlength=n * k)
    if counts.max() > 1:
        raise InputError(
            f"{name} has {int((counts > 1).sum())} pairs of query and model more than once, "
            f"first {cell_name(int(np.argmax(counts > 1)))}"
        )
    if counts.min() == 0:
        raise InputError(
            f"{name} has {int((counts == 0).sum())} missing cells of {n} queries x {k} models, "
            f"first {cell_name(int(np.argmin(counts)))}"
        )
    order = np.argsort(cells)  # every cell stands once: row of each cell

    def matrix(column: str, high: float = np.inf) -> FloatArray:
        values = numbers(table, column, name, 0.0, high, lambda row: cell_name(int(cells[row])))
        return values[order].reshape(n, k)

    def tokens(field: str, given: float | None) -> FloatArray:
        if given is not None and field not in table.column_names:
            return _constant(field, given, n)
        values = matrix(field)
        same = bool((values == values[:, :1]).all())  # one column where all tokenizers agree
        return np.ascontiguousarray(values[:, 0]) if same else values

    groups = None
    if options.group is not None:
        codes, labels = encode(table, options.group, name)
        grid = codes[order].reshape(n, k)
        differs = (grid != grid[:, :1]).any(axis=1)
        if differs.any():
            query = queries[int(np.argmax(differs))].item()
            raise InputError(
                f"column {options.group!r} of {name} differs between the rows of query {query!r}: "
                "a query belongs to one group"
            )
        groups = labels[grid[:, 0]]
    return Cells(
        models,
        matrix(score_column, 1.0),
        tokens("input_tokens", options.input_tokens),
        tokens("output_tokens", options.output_tokens),
        None,
        queries,
        groups,
    )


def wide_cells(table: Any, name: str, options: Options) -> Cells:
    """Return the cells of a table with one row for each query and two columns for each model.

    Raises
    ------
    InputError
        If a column or a value is missing, doubled or out of range.
    """
    columns = table.column_names
    found = [column.removesuffix(COST_SUFFIX) for column in columns if column.endswith(COST_SUFFIX)]
    models = _select(found, options, name)
    n = table.num_rows
    ids: npt.NDArray[Any] | None = None
    if options.query is not None or any(column in columns for column in QUERY_COLUMNS):
        codes, labels = encode(table, _column(table, name, options.query, QUERY_COLUMNS), name)
        if len(labels) < n:
            twice = labels[int(np.argmax(np.bincount(codes) > 1))].item()
            raise InputError(f"{name} has query {twice!r} in more than one row: one row a query is needed")
        ids = labels

    def row_name(row: int) -> str:
        return f"row {row}" if ids is None else f"query {ids[row].item()!r}"

    def matrix(suffix: str, high: float) -> FloatArray:
        return np.column_stack([numbers(table, model + suffix, name, 0.0, high, row_name) for model in models])

    if "input_tokens" in columns:
        inputs = numbers(table, "input_tokens", name, 0.0, np.inf, row_name)
    else:
        inputs = _constant("input_tokens", options.input_tokens or 0.0, n)
    groups = None
    if options.group is not None:
        codes, labels = encode(table, options.group, name)
        groups = labels[codes]
    return Cells(models, matrix("", 1.0), inputs, None, matrix(COST_SUFFIX, np.inf), ids, groups)
