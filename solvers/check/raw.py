"""A problem's raw arrays as the independent check reads them: from its fields alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from robatch.instances.arrays import Array, BoolArray, FloatArray, IntArray, read_only
from robatch.instances.model import Model
from robatch.instances.prices.entry import Rates
from robatch.instances.problem import Problem

if TYPE_CHECKING:
    from robatch.solvers.check.kernels import Raw

ROWS = 1 << 16  # queries whose utilities are laid out at a time
LENIENT = 1 + 1e-12  # tokens need not be whole: a window may be exceeded by rounding where that hides no mistake
MICRO = 1_000_000  # prices are per million tokens, and so costs in kernels in millionths of a USD
NO_CODES: IntArray = read_only(np.empty(0, dtype=np.int64))
NOTHING = {kind: read_only(np.empty((0, 0), dtype=kind)) for kind in (np.dtype(np.float32), np.dtype(np.float64))}


class VerificationError(Exception):
    """A plan is not what it says it is."""


class Bill(NamedTuple):
    """What calls of a model are billed, in millionths of a USD: per token in and out, per call, and the first more."""

    token_in: float
    token_out: float
    call: float  # the shared prompt as a cache gives it, and the fee
    write: float  # what it costs more where the cache does not hold it yet
    expected: float  # of a call on average, as the model's cache share says


def bill_of(model: Model) -> Bill:
    """Return what a model's calls are billed, from its fields alone."""
    token_in, token_out = model.price_in, model.price_out
    read, write = model.cache_read, model.cache_write
    own = model.batch if model.batch_api else None
    if isinstance(own, Rates):
        token_in = token_in if own.price_in is None else own.price_in
        token_out = token_out if own.price_out is None else own.price_out
        read, write = own.cache_read, own.cache_write
    elif own is not None:
        token_in, token_out = token_in * own, token_out * own
        read, write = (None if usd is None else usd * own for usd in (read, write))
    fee = model.call_fee * MICRO
    if read is None or model.shared_tokens < model.cache_min_tokens:
        call = token_in * model.shared_tokens + fee
        return Bill(token_in, token_out, call, 0.0, call)
    call, missed = read * model.shared_tokens + fee, (token_in if write is None else write) * model.shared_tokens + fee
    expected = model.cache_share * call + (1.0 - model.cache_share) * missed
    return Bill(token_in, token_out, call, max(missed - call, 0.0), expected)


class States(NamedTuple):
    """Model and batch size of each state, and the USD of a call beside its queries: (S,) each; of a write: (K,)."""

    model: IntArray
    size: IntArray
    prompt: FloatArray
    write: FloatArray

    def billed(self, calls: IntArray) -> FloatArray:
        """Return the USD of calls (groups, S) of each group and model, beside their queries: (groups, K)."""
        prompts: FloatArray = self._by_model(calls * self.prompt) + self.written(calls)
        return prompts

    def written(self, calls: IntArray) -> FloatArray:
        """Return the USD that each group pays to write each model's prompt, where it sends calls: (groups, K)."""
        usd: FloatArray = (self._by_model(calls) > 0) * self.write
        return usd

    def _by_model(self, of_states: Array) -> Array:
        return np.stack([of_states[:, self.model == k].sum(axis=1) for k in range(len(self.write))], axis=1)


def states_of(problem: Problem) -> States:
    """Return the states of a problem, model by model."""
    pairs = [(k, model, size) for k, model in enumerate(problem.models) for size in model.batch_sizes]
    bills = [bill_of(model) for model in problem.models]
    return States(
        np.array([k for k, _, _ in pairs], dtype=np.int64),
        np.array([size for _, _, size in pairs], dtype=np.int64),
        np.array([bills[k].call / MICRO for k, _, _ in pairs], dtype=np.float64),
        np.array([bill.write / MICRO for bill in bills], dtype=np.float64),
    )


def raw_arrays(problem: Problem, costs: FloatArray | None = None) -> Raw:
    """Return a problem's raw arrays and its table of models, as the kernels take them.

    With `costs`, USD of each query in each state (N, S), these stand for all that its calls cost.
    """
    from robatch.solvers.check.kernels import Raw  # here, as it loads numba

    nothing = NOTHING[problem.dtype]
    rows: list[tuple[float, ...]] = []
    for model in problem.models:
        window = math.inf if model.context_window is None else (1.0 - problem.window_margin) * model.context_window
        bill, states = bill_of(model), len(model.batch_sizes)
        paid = (bill.call, bill.expected, bill.write)
        rows.append((bill.token_in, bill.token_out, model.shared_tokens, window, states, *paid))
    dense, base, retention = problem.utility, problem.base_utility, problem.retention
    inputs, outputs = problem.input_tokens, problem.output_tokens
    if problem.costs is not None:  # a model for each state, at 1 USD an input token
        inputs, outputs = problem.costs, read_only(np.zeros((problem.n_queries, 1)))
        bills = [bill_of(problem.models[k]) for k in states_of(problem).model]
        rows = [(float(MICRO), 0.0, 0.0, math.inf, 1, bill.call, bill.expected, bill.write) for bill in bills]
    if costs is not None:
        inputs, outputs = read_only(costs), read_only(np.zeros((problem.n_queries, 1)))
        rows = [(float(MICRO), 0.0, 0.0, math.inf, 1, 0.0, 0.0, 0.0)] * problem.n_states
    own = problem.costs is not None or costs is not None  # then kernels read no tokens, and no model's utilities
    windows = any(model.context_window is not None for model in problem.models)
    if problem.forbidden is not None or (own and (windows or problem.utility is None)):
        dense, base, retention = read_only(_masked(problem)), None, None
    return Raw(
        nothing if dense is None else dense,
        nothing if base is None else base,
        nothing if retention is None else retention,
        inputs,
        outputs,
        np.array(rows, dtype=np.float64),
        states_of(problem).size,
    )


def _masked(problem: Problem) -> Array:
    """Return the utilities (N, S) of the raw arrays, in their type, with -inf at the pairs that are forbidden.

    With costs of one's own, and with tiers, that is also where a call does not fit its window: the kernels then read no
    tokens.
    """
    out = np.zeros((problem.n_queries, problem.n_states), dtype=np.bool_)
    if problem.forbidden is not None:
        out |= problem.forbidden
    if problem.costs is not None or any(model.tiers for model in problem.models):
        out |= _too_long(problem)
    if problem.utility is not None:
        dense = np.where(out, -np.inf, problem.utility)
    else:
        assert problem.base_utility is not None
        assert problem.retention is not None
        model = states_of(problem).model
        dense = np.empty(out.shape, dtype=problem.dtype)
        for begin in range(0, len(dense), ROWS):
            rows = slice(begin, begin + ROWS)
            kept = problem.retention if len(problem.retention) == 1 else problem.retention[rows]
            product = np.minimum(problem.base_utility[rows][:, model] * kept, 1.0)
            dense[rows] = np.where(out[rows], -np.inf, product)
    return dense.astype(problem.dtype, copy=False)


def _too_long(problem: Problem) -> BoolArray:
    """Return which calls, full of queries like one, exceed the window of their model: (N, S)."""
    too_long: list[BoolArray] = []
    for k, model in enumerate(problem.models):
        t_in, t_out = (
            array[:, k if array.shape[1] > 1 else 0].astype(np.float64)
            for array in (problem.input_tokens, problem.output_tokens)
        )
        window = math.inf if model.context_window is None else (1.0 - problem.window_margin) * model.context_window
        too_long += [model.shared_tokens + size * (t_in + t_out) > window * LENIENT for size in model.batch_sizes]
    return np.column_stack(too_long)


def chosen_utilities(problem: Problem, states: IntArray, queries: IntArray) -> FloatArray:
    """Return the utilities of some queries under an assignment (N,), from the raw arrays."""
    chosen = states[queries]
    if problem.utility is not None:
        dense: FloatArray = problem.utility[queries, chosen].astype(np.float64)
        return dense
    assert problem.base_utility is not None
    assert problem.retention is not None
    kept = problem.retention[queries if len(problem.retention) > 1 else 0, chosen]
    product: FloatArray = (problem.base_utility[queries, states_of(problem).model[chosen]] * kept).astype(np.float64)
    return np.minimum(product, 1.0)


def token_costs(problem: Problem, states: IntArray) -> FloatArray:
    """Return what each query's own tokens cost under an assignment (N,): in millionths of a USD, (N,)."""
    if problem.costs is not None:
        own: FloatArray = problem.costs[np.arange(len(states)), states] * MICRO
        return own
    model = states_of(problem).model[states]
    bills = [bill_of(one) for one in problem.models]
    price_in = np.array([bill.token_in for bill in bills], dtype=np.float64)
    price_out = np.array([bill.token_out for bill in bills], dtype=np.float64)
    t_in, t_out = (
        tokens[np.arange(len(states)), model if tokens.shape[1] > 1 else 0].astype(np.float64)
        for tokens in (problem.input_tokens, problem.output_tokens)
    )
    costs: FloatArray = price_in[model] * t_in + price_out[model] * t_out
    return costs
