"""The two forms of routing tables, long and wide, as arrays of queries x models.

A column, a cell or a value that is missing, doubled or out of range raises an `InputError` that names it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import FloatArray, IntArray
from robatch.instances.arrow_tables import Table
from robatch.instances.errors import InputError
from robatch.instances.scalars import number, repeated

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

    def select(self, found: list[str], name: str) -> list[str]:
        """Return the models asked for, in the order asked for, of those that a table has."""
        if self.models is None:
            return found
        unknown = next((model for model in self.models if model not in found), None)
        if unknown is not None:
            raise InputError(f"{name} has no model {unknown!r}: its models are {', '.join(found)}")
        if not self.models or repeated(self.models) is not None:
            raise InputError(f"models is {self.models!r}: at least one name, and each only once, is needed")
        return list(self.models)


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """A routing table as arrays; `costs` (USD of a call at batch size 1) stand in for output tokens."""

    models: list[str]
    utility: FloatArray  # (N, K)
    input_tokens: FloatArray  # (N,) or (N, K)
    output_tokens: FloatArray | None  # (N,) or (N, K)
    costs: FloatArray | None  # (N, K)
    query_ids: npt.NDArray[Any] | None
    groups: npt.NDArray[Any] | None


def _column(table: Table, asked: str | None, usual: tuple[str, ...]) -> str:
    """Return the column asked for, or the first of the usual ones that there is."""
    return next((column for column in usual if column in table.columns), usual[0]) if asked is None else asked


def _constant(field: str, value: float, n: int) -> FloatArray:
    return np.full(n, number(field, value))


def long_form(table: Table, options: Options) -> RoutingTable:
    """Return the arrays of a table with one row for each query and model."""
    query_column = _column(table, options.query, QUERY_COLUMNS)
    score_column = _column(table, options.score, SCORE_COLUMNS)
    for column in (query_column, score_column):
        table.column(column)
    model_codes, names = table.codes(options.model, as_text=True)
    query_codes, queries = table.codes(query_column)
    models = options.select(names.tolist(), table.name)
    if options.models is not None:  # drop the other models' rows, and queries that only they answered
        position = np.full(len(names), -1)
        position[[names.tolist().index(model) for model in models]] = np.arange(len(models))
        rows = position[model_codes] >= 0
        table = Table(table.data.filter(rows), table.name)
        model_codes, query_codes = position[model_codes[rows]], query_codes[rows]
        answered = np.bincount(query_codes, minlength=len(queries)) > 0
        query_codes, queries = (np.cumsum(answered) - 1)[query_codes], queries[answered]
    n, k = len(queries), len(models)
    cells = query_codes * k + model_codes

    def cell_name(cell: int) -> str:
        return f"query {queries[cell // k].item()!r}, model {models[cell % k]!r}"

    counts = np.bincount(cells, minlength=n * k)
    for wrong, what in (
        (counts > 1, "pairs of query and model more than once"),
        (counts == 0, f"missing cells of {n} queries x {k} models"),
    ):
        if wrong.any():
            raise InputError(f"{table.name} has {wrong.sum()} {what}, first {cell_name(int(np.argmax(wrong)))}")
    order = np.argsort(cells)  # every cell stands once: row of each cell

    def matrix(column: str, high: float = np.inf) -> FloatArray:
        values = table.numbers(column, 0.0, high, lambda row: cell_name(int(cells[row])))
        return values[order].reshape(n, k)

    def tokens(field: str, given: float | None) -> FloatArray:
        if given is not None and field not in table.columns:
            return _constant(field, given, n)
        values = matrix(field)
        same = bool((values == values[:, :1]).all())  # one column where all tokenizers agree
        return np.ascontiguousarray(values[:, 0]) if same else values

    return RoutingTable(
        models,
        matrix(score_column, 1.0),
        tokens("input_tokens", options.input_tokens),
        tokens("output_tokens", options.output_tokens),
        None,
        queries,
        _groups(table, options.group, order.reshape(n, k), queries),
    )


def _groups(table: Table, column: str | None, rows: IntArray, queries: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
    """Return the group of each query, which stands in all its rows (N, K) of the table; None without a column."""
    if column is None:
        return None
    codes, labels = table.codes(column)
    grid = codes[rows]
    differs = (grid != grid[:, :1]).any(axis=1)
    if differs.any():
        query = queries[int(np.argmax(differs))].item()
        raise InputError(
            f"column {column!r} of {table.name} differs between the rows of query {query!r}: "
            "a query belongs to one group"
        )
    return labels[grid[:, 0]]


def wide_form(table: Table, options: Options) -> RoutingTable:
    """Return the arrays of a table with one row for each query and two columns for each model."""
    found = [column.removesuffix(COST_SUFFIX) for column in table.columns if column.endswith(COST_SUFFIX)]
    models = options.select(found, table.name)
    n = table.data.num_rows
    ids: npt.NDArray[Any] | None = None
    if options.query is not None or any(column in table.columns for column in QUERY_COLUMNS):
        codes, ids = table.codes(_column(table, options.query, QUERY_COLUMNS))
        if len(ids) < n:
            twice = ids[int(np.argmax(np.bincount(codes) > 1))].item()
            raise InputError(f"{table.name} has query {twice!r} in more than one row: one row a query is needed")

    def row_name(row: int) -> str:
        return f"row {row}" if ids is None else f"query {ids[row].item()!r}"

    def matrix(suffix: str, high: float) -> FloatArray:
        return np.column_stack([table.numbers(model + suffix, 0.0, high, row_name) for model in models])

    if "input_tokens" in table.columns:
        inputs = table.numbers("input_tokens", row_name=row_name)
    else:
        inputs = _constant("input_tokens", options.input_tokens or 0.0, n)
    groups = _groups(table, options.group, np.arange(n)[:, None], np.arange(n))
    return RoutingTable(models, matrix("", 1.0), inputs, None, matrix(COST_SUFFIX, np.inf), ids, groups)
