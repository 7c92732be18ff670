"""A problem from a routing table: who answers what right, at what cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from robatch.instances import checks
from robatch.instances.arrays import FloatArray
from robatch.instances.arrow_tables import LABELS, Table
from robatch.instances.errors import InputError
from robatch.instances.model import Model
from robatch.instances.price_tables import Prices, price_models, retentions
from robatch.instances.problem import Problem
from robatch.instances.routing_table import (
    COST_SUFFIX,
    SCORE_COLUMNS,
    Options,
    RoutingTable,
    long_form,
    mean_filled,
    wide_form,
    wide_models,
)

USUAL_SIZES = (1, 2, 4, 8, 16, 32)


def from_table(  # wide: one parameter for each thing a table may leave open
    table: Any,
    prices: Any = None,
    degradation: Any = None,
    batch_sizes: Sequence[int] | None = None,
    shared_tokens: float | None = None,
    *,
    models: Sequence[str] | None = None,
    query: str | None = None,
    model: str = "model",
    score: str | None = None,
    group: str | None = None,
    input_tokens: float | str | None = None,
    output_tokens: float | str | None = None,
    duplicates: str = "error",
    missing: str = "error",
    cached: float | None = None,
    batch_api: bool = False,
    dtype: npt.DTypeLike = "float64",
) -> Problem:
    """Make a problem from a routing table, a price table and a degradation curve per model.

    Parameters
    ----------
    table
        A pandas, polars or pyarrow table, a list of rows (mappings), a mapping of columns, or the path of a
        CSV, TSV, Parquet, JSON or JSONL file, in one of two forms. Long: one row for each query and model,
        with the columns ``query_id`` (or ``query``, ``sample_id``), ``model``, ``correct`` (or ``score``,
        ``utility``; in [0, 1]), ``input_tokens``, ``output_tokens``. Wide, as RouterBench has it: one row
        for each query; for each model, a column of its name with the score and one named
        ``<model>|total_cost`` with the USD of a call at batch size 1; or, without costs, tokens as columns
        named ``<model>|input_tokens`` and ``<model>|output_tokens``, as one column of each, or as numbers
        given below. Other columns are not read.
    prices
        USD per million tokens, see `robatch.instances.price_tables.price_models`: a table, a path or
        a mapping from model to ``price_in``, ``price_out`` and optional ``shared_tokens`` and
        ``context_window``, or a source of prices by name such as ``"bundled"``. Every model of the table
        needs a price; prices of other models are ignored. None for a wide table with costs: the problem then has
        these as costs of its own, at batch size 1, see `Problem`.
    degradation
        What each model keeps of its score at each batch size, see
        `robatch.instances.price_tables.retentions`. None where nothing is known of larger batches than of one query.
    batch_sizes
        Batch sizes of every model. None for 1 alone, or with a `degradation` for 1, 2, 4, 8, 16 and 32. Larger ones
        that are given without a `degradation` keep the whole score.
    shared_tokens
        Tokens of the shared prompt, for models of which `prices` does not say it.
    models
        Only these models of the table, in this order; None for all, in the order of first appearance. In a
        wide table without costs, all are the columns that have a price.
    query, model, score
        Names of these columns, where they are not among the usual ones; dots lead into nested fields, as in
        ``usage.score``. `model` and `score` are for the long form.
    group
        Name of a column whose values become the groups of the problem; None for no groups.
    input_tokens, output_tokens
        Tokens of every query, where the table has no such column, or the name of a column that holds them.
        `output_tokens` is not for wide tables with costs.
    duplicates
        What several rows of one query and model mean: ``"mean"`` of their scores, tokens and costs,
        ``"first"`` of each that is known, or ``"error"``.
    missing
        What missing rows, scores, tokens and costs (of calls that failed) mean: ``"drop"`` leaves out the
        queries that lack any, ``"zero"`` counts a missing score as 0 and takes as missing tokens the mean of
        the query (input) or of the model (input of queries without any, and output), or ``"error"``.
        With ``duplicates="mean"``, rows without a score count as 0 or not at all.
    cached, batch_api
        What part of the calls finds the shared prompt in the provider's cache, None for no cache; and whether all go
        through batch APIs: see `robatch.instances.price_tables.price_models`.
    dtype
        float64 or float32.

    Returns
    -------
    Problem
        Factored: the scores as base utility (N, K), the degradation as retention (S,); without prices the scores as
        utility (N, K). Queries stand in the order of their first appearance.

    Raises
    ------
    InputError
        If a file cannot be read, a column, cell or price is missing, a query and model stand there twice,
        or a value is out of range. The message says which and how many.

    Warns
    -----
    InputWarning
        If prices look like those of another unit, and of how much `missing` left out or made up for.

    Notes
    -----
    A table has one score for a query and a model, measured at batch size 1. Multiplying it by a curve that
    was measured elsewhere makes a semi-synthetic problem: say so when reporting results on it.

    The total cost of the wide form includes the shared prompt. What it leaves after the shared prompt and
    the query's own input is counted as output tokens,
    ``output = (1e6 * total_cost - price_in * (shared_tokens + input)) / price_out``, so that the amortized
    cost at batch size 1 is the table's cost. Without ``input_tokens`` the input counts as 0, and all that
    the query costs beyond the shared prompt as output: costs stay right, checks against a context window
    do not.
    """
    kind = checks.floating(dtype)
    if isinstance(models, str):
        raise InputError(f"models is {models!r}: a list of names is needed")
    chosen = None if models is None else tuple(models)
    options = Options(query, model, score, group, chosen, input_tokens, output_tokens, duplicates, missing)
    labels = [column for column in (query, model, group) if column is not None]
    given = Table.of(table, "the routing table", (*LABELS, *labels))
    if given.rows == 0:
        raise InputError(f"{given.name} has no rows: at least one query is needed")
    if prices is None:
        refuse_for_own_costs(given, degradation, batch_sizes, shared_tokens, cached, batch_api or None)
        return _of_own_costs(given, options, kind)
    sizes = batch_sizes if batch_sizes is not None else (1,) if degradation is None else USUAL_SIZES
    priced = Prices.of(prices)
    pool: list[Model] = []

    def price(names: list[str]) -> None:  # before any cell is read: what is wrong with prices is known soon
        pool.extend(price_models(priced, names, sizes, shared_tokens, cached, batch_api))

    wide = _wide_models(given, options, priced.models)
    read = wide_form(given, options, wide, price) if wide else long_form(given, options, price)
    if read.output_tokens is None:
        outputs = mean_filled(_equivalent_tokens(read, pool, given.name), 0)
    else:
        outputs = _narrow(read.output_tokens)
    for field, tokens in (("input", read.input_tokens), ("output", outputs)):
        _check_known(field, tokens, pool, given.name)
    return Problem(
        pool,
        input_tokens=_narrow(read.input_tokens),
        output_tokens=outputs,
        base_utility=read.utility.astype(kind, copy=False),
        retention=retentions(degradation, pool).astype(kind, copy=False),
        query_ids=read.query_ids,
        groups=read.groups,
    )


def _check_known(field: str, tokens: FloatArray, pool: Sequence[Model], table: str) -> None:
    """Refuse a table that has no tokens of a model at all."""
    unknown = np.isnan(tokens).any(axis=0)
    if unknown.any():
        name = pool[int(np.argmax(unknown))].name
        raise InputError(
            f"{table} has {field} tokens or costs of model {name!r} for no query: missing='zero' has nothing to go by"
        )


def has_costs(table: Table) -> bool:
    """Whether a table says in USD what each query costs in each model."""
    return any(column.endswith(COST_SUFFIX) for column in table.columns)


def refuse_for_own_costs(table: Table, degradation: Any, batch_sizes: Sequence[int] | None, *terms: Any) -> None:
    """Refuse what needs prices, where a table's own costs are to do without."""
    if not has_costs(table):
        raise InputError(f"prices is None: {table.name} has no columns of costs, such as 'gpt-4{COST_SUFFIX}'")
    if batch_sizes is not None and tuple(batch_sizes) != (1,):
        raise InputError(f"batch_sizes is {batch_sizes!r}: without prices, a table's costs are those of batch size 1")
    names = ("degradation", "shared_tokens", "cached", "batch_api")
    for field, value in zip(names, (degradation, *terms), strict=True):
        if value is not None:
            raise InputError(f"{field} is given: it needs prices, as a table's own costs are those of batch size 1")


def _of_own_costs(table: Table, options: Options, kind: np.dtype[Any]) -> Problem:
    """Make the problem of a wide table whose costs are taken as they are."""
    read = wide_form(table, options, wide_models(table, options, ()), lambda _: None)
    assert read.costs is not None  # the table has them
    if kind != np.float64:
        raise InputError(f"dtype is {kind.name!r}: a problem with costs of its own is float64")
    costs = mean_filled(read.costs, 0)
    if np.isnan(costs).any():
        name = read.models[int(np.argmax(np.isnan(costs).any(axis=0)))]
        raise InputError(f"{table.name} has the costs of model {name!r} for no query: missing='zero' cannot go by any")
    return Problem(
        [Model(name, 0.0, 0.0, batch_sizes=(1,)) for name in read.models],
        input_tokens=_narrow(np.nan_to_num(read.input_tokens)),
        utility=read.utility,
        costs=costs,
        query_ids=read.query_ids,
        groups=read.groups,
    )


def _narrow(tokens: FloatArray) -> FloatArray:
    """Return one column where all tokenizers agree."""
    return np.ascontiguousarray(tokens[:, :1]) if (tokens == tokens[:, :1]).all() else tokens


def _wide_models(table: Table, options: Options, priced: Sequence[str]) -> list[str]:
    """Return the models of a table of the wide form; none of one of the long form, or of neither, which is refused."""
    if _is_long(table, options):
        return []
    wide, score = wide_models(table, options, priced), options.score
    if wide and score is not None:
        raise InputError(
            f"score is {score!r}: {table.name} is of the wide form, whose columns of scores are named as the models"
        )
    if not wide and score is None and not set(SCORE_COLUMNS) & set(table.columns):
        raise InputError(
            f"{table.name} has no column 'correct', 'score' or 'utility' of a long table, and no column that ends in "
            f"{COST_SUFFIX!r} or is named as a priced model of a wide one: its columns are {table.listed()}"
        )
    return wide


def _is_long(table: Table, options: Options) -> bool:
    """Whether a table has what the long form has."""
    if any(column.endswith(COST_SUFFIX) for column in table.columns):
        return False
    scored = options.score is not None or bool(set(SCORE_COLUMNS) & set(table.columns))
    return scored and table.has(options.model)


def _equivalent_tokens(read: RoutingTable, pool: Sequence[Model], name: str) -> FloatArray:
    """Return the output tokens (N, K) at which a call at batch size 1 costs what the table says."""
    assert read.costs is not None  # the wide form has them
    price_in, price_out, shared = np.array([[m.price_in, m.price_out, m.shared_tokens] for m in pool]).T
    paid = read.costs * 1e6
    prompt = price_in * (shared + read.input_tokens)
    left = paid - prompt
    left[np.abs(left) <= 1e-9 * paid] = 0.0  # rounding of a call without output
    wrong = (left < 0) | ((left > 0) & (price_out == 0))
    if wrong.any():
        row, column = (int(i) for i in np.argwhere(wrong)[0])
        query = f"row {row + 1}" if read.query_ids is None else f"query {read.query_ids[row].item()!r}"
        where = f"the total cost of {query}, model {pool[column].name!r} in {name} is {read.costs[row, column]:g} USD"
        if left[row, column] < 0:
            raise InputError(
                f"{where}, less than the {prompt[row, column] / 1e6:g} USD of its shared prompt and input: "
                f"its output tokens would be negative (cells like it: {int(wrong.sum())})"
            )
        raise InputError(f"{where}, which its price_out of 0 cannot make: a positive price_out is needed")
    tokens: FloatArray = np.divide(left, price_out, out=np.where(np.isnan(left), left, 0.0), where=left > 0)
    return tokens
