"""A problem's raw arrays as the independent check reads them: from its fields alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from robatch.instances.arrays import Array, BoolArray, FloatArray, IntArray, read_only
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


class States(NamedTuple):
    """Model and batch size of each state, and the USD of a call's shared prompt: (S,) each."""

    model: IntArray
    size: IntArray
    prompt: FloatArray


def states_of(problem: Problem) -> States:
    """Return the states of a problem, model by model."""
    pairs = [(k, model, size) for k, model in enumerate(problem.models) for size in model.batch_sizes]
    return States(
        np.array([k for k, _, _ in pairs], dtype=np.int64),
        np.array([size for _, _, size in pairs], dtype=np.int64),
        np.array([model.price_in * model.shared_tokens / MICRO for _, model, _ in pairs], dtype=np.float64),
    )


def raw_arrays(problem: Problem) -> Raw:
    """Return a problem's raw arrays and its table of models, as the kernels take them."""
    from robatch.solvers.check.kernels import Raw  # here, as it loads numba

    nothing = NOTHING[problem.dtype]
    rows: list[tuple[float, ...]] = []
    for model in problem.models:
        window = math.inf if model.context_window is None else (1.0 - problem.window_margin) * model.context_window
        rows.append((model.price_in, model.price_out, model.shared_tokens, window, len(model.batch_sizes)))
    dense, base, retention = problem.utility, problem.base_utility, problem.retention
    inputs, outputs = problem.input_tokens, problem.output_tokens
    if problem.costs is not None:  # a model for each state, at 1 USD an input token
        inputs, outputs = problem.costs, read_only(np.zeros((problem.n_queries, 1)))
        rows = [(float(MICRO), 0.0, prompt, math.inf, 1) for prompt in states_of(problem).prompt.tolist()]
    if problem.forbidden is not None or problem.costs is not None:
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

    With costs of one's own, that is also where a call does not fit its window: the kernels then read no tokens.
    """
    out = np.zeros((problem.n_queries, problem.n_states), dtype=np.bool_)
    if problem.forbidden is not None:
        out |= problem.forbidden
    if problem.costs is not None:
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
    price_in = np.array([one.price_in for one in problem.models], dtype=np.float64)
    price_out = np.array([one.price_out for one in problem.models], dtype=np.float64)
    t_in, t_out = (
        tokens[np.arange(len(states)), model if tokens.shape[1] > 1 else 0].astype(np.float64)
        for tokens in (problem.input_tokens, problem.output_tokens)
    )
    costs: FloatArray = price_in[model] * t_in + price_out[model] * t_out
    return costs
