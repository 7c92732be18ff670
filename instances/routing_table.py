"""The two forms of routing tables, long and wide, as arrays of queries x models.

A column, a cell or a value that is missing, doubled or out of range raises an `InputError` that names it, unless a rule
says what it means.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import FloatArray, IntArray
from robatch.instances.arrow_tables import Table
from robatch.instances.errors import InputError, InputWarning
from robatch.instances.number_text import SCORE, TOKENS, USD, Quantity
from robatch.instances.scalars import number, repeated

QUERY_COLUMNS = ("query_id", "query", "sample_id")
SCORE_COLUMNS = ("correct", "score", "utility")
COST_SUFFIX = "|total_cost"
DUPLICATES = ("error", "mean", "first")
MISSING = ("error", "drop", "zero")


@dataclass(frozen=True, slots=True)
class Options:
    """What the user said about the columns, the tokens where the table has none, and the rules."""

    query: str | None = None
    model: str = "model"
    score: str | None = None
    group: str | None = None
    models: tuple[str, ...] | None = None
    input_tokens: float | str | None = None
    output_tokens: float | str | None = None
    duplicates: str = "error"
    missing: str = "error"

    def __post_init__(self) -> None:
        for field, rules in (("duplicates", DUPLICATES), ("missing", MISSING)):
            if getattr(self, field) not in rules:
                needed = ", ".join(map(repr, rules[:-1])) + f" or {rules[-1]!r}"
                raise InputError(f"{field} is {getattr(self, field)!r}: {needed} is needed")

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
    """A routing table as arrays; `costs` (USD of a call at batch size 1) stand in for output tokens.

    What is missing is NaN, which only stands there if a rule says what it means.
    """

    models: list[str]
    utility: FloatArray  # (N, K)
    input_tokens: FloatArray  # (N, 1) or (N, K)
    output_tokens: FloatArray | None  # (N, 1) or (N, K)
    costs: FloatArray | None  # (N, K)
    query_ids: npt.NDArray[Any] | None
    groups: npt.NDArray[Any] | None


@dataclass(slots=True)
class _Reader:
    """Reads columns of a table into cells: `cells` of each row, of `count`; rows of one cell are merged by a rule.

    `zeroed` counts the missing scores that the rule for what is missing made 0.
    """

    table: Table
    options: Options
    cells: IntArray
    count: int
    row_name: Callable[[int], str]
    zeroed: int = 0

    def column(self, name: str, quantity: Quantity) -> FloatArray:
        """Return the value of each cell in a column; NaN where it is missing and a rule says what that means."""
        values = self.table.numbers(name, quantity, self.row_name, self.options.missing != "error")
        known = ~np.isnan(values)
        cells = self.cells
        if not known.all():
            if self.options.missing == "zero" and quantity is SCORE:
                self.zeroed += int((~known).sum())
                values[~known] = 0.0
            else:
                cells, values = cells[known], values[known]
        if self.options.duplicates == "mean":
            counts = np.bincount(cells, minlength=self.count)
            return _ratio(np.bincount(cells, weights=values, minlength=self.count), counts)
        filled = np.full(self.count, np.nan)
        filled[cells[::-1]] = values[::-1]  # of several rows, the first stands
        return filled


def long_form(table: Table, options: Options, check_models: Callable[[list[str]], object]) -> RoutingTable:
    """Return the arrays of a table with one row for each query and model.

    `check_models` is called with the models as soon as they are known.
    """
    query_column = _usual(table, options.query, QUERY_COLUMNS)
    score_column = _usual(table, options.score, SCORE_COLUMNS)
    for column in (query_column, score_column):
        table.require(column)
    model_codes, names = table.codes(options.model, as_text=True)
    models = options.select(names.tolist(), table.name)
    check_models(models)
    query_codes, queries = table.codes(query_column)
    if options.models is not None:  # leave out the other models' rows, and queries that only they answered
        position = np.full(len(names), -1)
        position[[names.tolist().index(model) for model in models]] = np.arange(len(models))
        rows = position[model_codes] >= 0
        table = table.where(rows)
        model_codes, query_codes = position[model_codes[rows]], query_codes[rows]
        answered = np.bincount(query_codes, minlength=len(queries)) > 0
        query_codes, queries = (np.cumsum(answered) - 1)[query_codes], queries[answered]
    n, k = len(queries), len(models)
    cells = query_codes * k + model_codes

    def cell_name(cell: int) -> str:
        return f"query {queries[cell // k].item()!r}, model {models[cell % k]!r}"

    counts = np.bincount(cells, minlength=n * k)
    for wrong, what, rule in (
        (counts > 1, "pairs of query and model more than once", ("duplicates", "'mean' or 'first'")),
        (counts == 0, f"missing cells of {n} queries x {k} models", ("missing", "'drop' or 'zero'")),
    ):
        if wrong.any() and getattr(options, rule[0]) == "error":
            first = cell_name(int(np.argmax(wrong)))
            advice = f"{rule[0]}={rule[1]} (--{rule[0]}) says what they mean"
            raise InputError(f"{table.name} has {wrong.sum()} {what}, first {first}: {advice}")
    reader = _Reader(table, options, cells, n * k, lambda row: cell_name(int(cells[row])))

    def tokens(field: str, given: float | str | None) -> FloatArray:
        column = given if isinstance(given, str) else field
        if not isinstance(given, str) and given is not None and not table.has(column):
            return np.full((n, 1), number(field, given))
        return reader.column(column, TOKENS).reshape(n, k)

    read = RoutingTable(
        models,
        reader.column(score_column, SCORE).reshape(n, k),
        tokens("input_tokens", options.input_tokens),
        tokens("output_tokens", options.output_tokens),
        None,
        queries,
        _groups(table, options.group, query_codes, lambda query: f"query {queries[query].item()!r}"),
    )
    return _with_rule(read, options, table.name, reader.zeroed)


def _usual(table: Table, asked: str | None, usual: tuple[str, ...]) -> str:
    """Return the column asked for, or the first of the usual ones that there is."""
    return next((column for column in usual if column in table.columns), usual[0]) if asked is None else asked


def _groups(
    table: Table, column: str | None, queries: IntArray, query_name: Callable[[int], str]
) -> npt.NDArray[Any] | None:
    """Return the group of each query, which all its rows have; None without a column."""
    if column is None:
        return None
    codes, labels = table.codes(column, blank=True)
    first = codes[np.unique(queries, return_index=True)[1]]
    differs = codes != first[queries]
    if differs.any():
        query = query_name(int(queries[np.argmax(differs)]))
        raise InputError(
            f"column {column!r} of {table.name} differs between the rows of {query}: a query belongs to one group"
        )
    return labels[first]


def wide_models(table: Table, options: Options, priced: Sequence[str]) -> list[str]:
    """Return the models of a wide table: those with costs, else those asked for or priced that have scores."""
    columns = table.columns
    costs = [column.removesuffix(COST_SUFFIX) for column in columns if column.endswith(COST_SUFFIX)]
    return costs or [column for column in columns if column in (options.models or priced)]


def wide_form(
    table: Table, options: Options, models: list[str], check_models: Callable[[list[str]], object]
) -> RoutingTable:
    """Return the arrays of a table with one row for each query and a column of scores for each model.

    The output tokens follow from columns of costs, or are given. `check_models` is as of `long_form`.
    """
    costly = any(column.endswith(COST_SUFFIX) for column in table.columns)
    if costly and options.output_tokens is not None:
        raise InputError(
            f"output_tokens is {options.output_tokens!r}: {table.name} is of the wide form and holds costs instead"
        )
    models = options.select(models, table.name)
    for model in models:
        if model not in table.columns:
            advice = "name the models that are wanted (models=, --models)"
            raise InputError(f"{table.name} has no column {model!r} with the scores of that model: {advice}")
    check_models(models)
    rows, ids = np.arange(table.rows), None
    if options.query is not None or any(column in table.columns for column in QUERY_COLUMNS):
        rows, ids = table.codes(_usual(table, options.query, QUERY_COLUMNS))
        if len(ids) < table.rows and options.duplicates == "error":
            twice = ids[int(np.argmax(np.bincount(rows) > 1))].item()
            advice = "one row a query is needed, or duplicates='mean' or 'first' (--duplicates)"
            raise InputError(f"{table.name} has query {twice!r} in more than one row: {advice}")
    n = table.rows if ids is None else len(ids)

    def row_name(row: int) -> str:
        return table.row_name(row) if ids is None else f"query {ids[rows[row]].item()!r}"

    reader = _Reader(table, options, rows, n, row_name)

    def matrix(columns: Sequence[str], quantity: Quantity) -> FloatArray:
        return np.column_stack([reader.column(column, quantity) for column in columns])

    def tokens(field: str, given: float | str | None) -> FloatArray | None:
        own = [f"{model}|{field}" for model in models]
        if isinstance(given, str) or table.has(field):
            return matrix([given if isinstance(given, str) else field], TOKENS)
        if set(own) <= set(table.columns):
            return matrix(own, TOKENS)
        return None if given is None else np.full((n, 1), number(field, given))

    inputs = tokens("input_tokens", options.input_tokens)
    outputs = None if costly else tokens("output_tokens", options.output_tokens)
    if not costly and (inputs is None or outputs is None):
        field = "input_tokens" if inputs is None else "output_tokens"
        option = f"--{field.replace('_', '-')}"
        raise InputError(
            f"{table.name} is of the wide form without costs, and {field} ({option}) is missing: a number, a column, "
            f"or columns named as {models[0] + '|' + field!r} are needed"
        )
    read = RoutingTable(
        models,
        matrix(models, SCORE),
        np.zeros((n, 1)) if inputs is None else inputs,
        outputs,
        matrix([model + COST_SUFFIX for model in models], USD) if costly else None,
        ids,
        _groups(table, options.group, rows, lambda query: row_name(int(np.argmax(rows == query)))),
    )
    return _with_rule(read, options, table.name, reader.zeroed)


def _with_rule(read: RoutingTable, options: Options, name: str, zeroed: int) -> RoutingTable:
    """Return a table in which what is missing is left out or made up for, and say how much that was."""
    unscored, unknown = np.isnan(read.utility), np.isnan(read.input_tokens)
    for part in (read.output_tokens, read.costs):
        unknown = unknown if part is None else unknown | np.isnan(part)
    if options.missing == "zero" and (zeroed or unscored.any() or unknown.any()):
        warnings.warn(
            f"{name} lacks {zeroed + int(unscored.sum())} scores, which count as 0, and tokens or costs of "
            f"{int(unknown.sum())} cells, which are given means",
            InputWarning, stacklevel=4,
        )  # fmt: skip
        outputs = None if read.output_tokens is None else mean_filled(read.output_tokens, 0)
        inputs = mean_filled(mean_filled(read.input_tokens, 1), 0)
        return replace(read, utility=np.nan_to_num(read.utility), input_tokens=inputs, output_tokens=outputs)
    queries: npt.NDArray[np.bool_] = (unscored | unknown).any(axis=1)
    if not queries.any():
        return read
    if queries.all():
        raise InputError(f"{name} has no query with score, tokens and cost of every model: missing='drop' leaves none")
    warnings.warn(
        f"{name} lacks scores, tokens or costs of {int(queries.sum())} of {queries.size} queries, which are left out",
        InputWarning, stacklevel=4,
    )  # fmt: skip
    fields = ("utility", "input_tokens", "output_tokens", "costs", "query_ids", "groups")
    parts = {field: getattr(read, field) for field in fields}
    return replace(read, **{field: part[~queries] for field, part in parts.items() if part is not None})


def mean_filled(values: FloatArray, axis: int) -> FloatArray:
    """Return an array whose missing values are the mean of those that are known along an axis, where there are any."""
    known = ~np.isnan(values)
    if known.all():
        return values
    return np.where(known, values, _ratio(np.nansum(values, axis, keepdims=True), known.sum(axis, keepdims=True)))


def _ratio(sums: npt.NDArray[Any], counts: npt.NDArray[Any]) -> FloatArray:
    ratio: FloatArray = np.divide(sums, counts, out=np.full(counts.shape, np.nan), where=counts > 0)
    return ratio
