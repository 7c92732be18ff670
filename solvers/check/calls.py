"""Independent check of a plan's calls and constraints, for `verify`. Nothing here is shared with a solver."""

from __future__ import annotations

import math

import numpy as np

from robatch.instances.arrays import Array, FloatArray, IntArray
from robatch.instances.problem import Problem
from robatch.solvers.plan.plan import Plan

FIGURES = 1e-9  # relative: a mean utility may miss its limit by no more than this
MONEY = 1e-12  # relative: USD may exceed a limit by no more than rounding of the sums here
ROWS = 1 << 16  # queries whose utilities are laid out at a time
MICRO = 1_000_000


class VerificationError(Exception):
    """A plan is not what it says it is."""


def frozen(array: Array) -> Array:
    """Return a read-only view, as a problem's arrays are: one array type, and so one compiled kernel."""
    view = array.view()
    view.flags.writeable = False
    return view


NO_CODES: IntArray = frozen(np.empty(0, dtype=np.int64))


def masked(problem: Problem) -> Array:
    """Return the utilities (N, S) of the raw arrays, in their type, with -inf at the pairs that are forbidden."""
    assert problem.forbidden is not None
    if problem.utility is not None:
        dense = np.where(problem.forbidden, -np.inf, problem.utility)
    else:
        assert problem.base_utility is not None
        assert problem.retention is not None
        owner = _owners(problem)
        dense = np.empty(problem.forbidden.shape, dtype=problem.dtype)
        for begin in range(0, len(dense), ROWS):
            rows = slice(begin, begin + ROWS)
            kept = problem.retention if len(problem.retention) == 1 else problem.retention[rows]
            product = np.minimum(problem.base_utility[rows][:, owner] * kept, 1.0)
            dense[rows] = np.where(problem.forbidden[rows], -np.inf, product)
    return dense.astype(problem.dtype, copy=False)


def counted(states: IntArray, groups: IntArray, n_groups: int, n_states: int) -> IntArray:
    """Return the queries of each group in each state: (groups, S); `groups` is empty if all share one."""
    cell = (groups if len(groups) else 0) * n_states + states
    return np.bincount(cell, minlength=n_groups * n_states).reshape(n_groups, n_states)


def full_calls(problem: Problem, queries: IntArray) -> IntArray:
    """Return the calls of each group and state that full batches of `queries` (groups, S) make."""
    sizes = np.array([size for model in problem.models for size in model.batch_sizes], dtype=np.int64)
    calls: IntArray = (queries + sizes - 1) // sizes
    return calls


def check_calls(problem: Problem, plan: Plan, states: IntArray, groups: IntArray, n_groups: int) -> IntArray:
    """Check each call of a plan, and return how many there are of each group in each state: (groups, S).

    Raises
    ------
    VerificationError
        If a call is not legal.
    """
    calls = plan.calls()
    column_of = {state: column for column, state in enumerate(plan.states)}
    column = np.array([column_of.get(call.state, -1) for call in calls], dtype=np.int64)
    size = np.array([len(call.queries) for call in calls], dtype=np.int64)
    limit = np.array([state.batch_size for state in plan.states], dtype=np.int64)[column]
    wrong = (size < 1) | (size > limit)
    if wrong.any():
        call = calls[int(np.argmax(wrong))]
        raise VerificationError(f"a call of {call.state} holds {len(call.queries)} queries")
    queries = np.concatenate([NO_CODES, *(call.queries for call in calls)])
    place = np.repeat(np.arange(len(calls)), size)
    if queries.min(initial=0) < 0 or queries.max(initial=0) >= len(states):
        raise VerificationError(f"a call holds a query outside 0 to {len(states) - 1}")
    first = queries[np.cumsum(size) - size]
    group = groups if len(groups) else np.zeros_like(states)
    for what, wrong in (
        ("a query of another state", states[queries] != column[place]),
        ("queries of different groups", group[queries] != group[first][place]),
    ):
        if wrong.any():
            raise VerificationError(f"a call of {calls[place[np.argmax(wrong)]].state} holds {what}")
    seen = np.bincount(queries, minlength=len(states))
    if (seen != 1).any():
        query = int(np.argmax(seen != 1))
        raise VerificationError(f"query {query} is in {seen[query]} calls, not in one")
    if problem.conflicts is not None:
        call_of = np.empty_like(states)
        call_of[queries] = place
        one, other = problem.conflicts.T
        together = call_of[one] == call_of[other]
        if together.any():
            pair = int(np.argmax(together))
            raise VerificationError(f"the conflicting queries {one[pair]} and {other[pair]} share a call")
    return counted(column, group[first], n_groups, len(plan.states))


def broken(problem: Problem, states: IntArray, codes: IntArray, calls: IntArray, realized: bool) -> str | None:
    """Say which constraint an assignment breaks, or None.

    Parameters
    ----------
    problem, states
        The problem, and an assignment (N,) that was checked.
    codes
        Number of the group of each query, or empty if all share one.
    calls
        Calls of each group in each state: (groups, S).
    realized
        Whether USD are counted as billed: else every call counts as full.
    """
    limits = problem.constraints
    if limits is None:
        return None
    owner = _owners(problem)
    model = owner[states]
    places = {one.name: k for k, one in enumerate(problem.models)}
    for name, most in limits.max_queries.items():
        number = int(np.sum(model == places[name]))
        if number > most:
            return f"model {name!r} answers {number} queries, over its {most}"
    for name, most in limits.max_calls.items():
        number = int(np.sum(calls[:, owner == places[name]]))
        if number > most:
            return f"model {name!r} is sent {number} calls, over its {most}"
    own, share = _bills(problem, states, model)
    prompt = prompts(problem) * MICRO
    for name, usd in limits.max_cost.items():
        mine, of_model = model == places[name], owner == places[name]
        spent = math.fsum(own[mine]) + (math.fsum((calls * prompt)[:, of_model].flat) if realized else 0.0)
        spent += 0.0 if realized else math.fsum(share[mine])
        if spent / MICRO > usd * (1 + MONEY):
            return f"model {name!r} costs {spent / MICRO} USD, over its {usd}"
    groups = problem.groups
    for label, usd in limits.group_budget.items():
        assert groups is not None
        mine = groups == label
        spent = math.fsum(own[mine]) + (0.0 if realized else math.fsum(share[mine]))
        if realized:
            spent += math.fsum(calls[codes[np.argmax(mine)]] * prompt)
        if spent / MICRO > usd * (1 + MONEY):
            return f"group {label!r} costs {spent / MICRO} USD, over its {usd}"
    for label, least in limits.min_group_utility.items():
        assert groups is not None
        mine = np.flatnonzero(groups == label)
        mean = math.fsum(_worth(problem, states, owner, mine)) / len(mine)
        if mean < least * (1 - FIGURES):
            return f"group {label!r} has a mean utility of {mean}, below its {least}"
    return None


def _owners(problem: Problem) -> IntArray:
    """Return the model of each state: (S,)."""
    owners = [k for k, model in enumerate(problem.models) for _ in model.batch_sizes]
    return np.array(owners, dtype=np.int64)


def prompts(problem: Problem) -> FloatArray:
    """Return what the shared prompt of a call costs in each state: USD, (S,)."""
    usd = [model.price_in * model.shared_tokens / MICRO for model in problem.models for _ in model.batch_sizes]
    return np.array(usd, dtype=np.float64)


def _bills(problem: Problem, states: IntArray, model: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return what each query's tokens cost, and its share of a full call: (N,), in millionths of a USD."""
    price_in = np.array([one.price_in for one in problem.models], dtype=np.float64)
    price_out = np.array([one.price_out for one in problem.models], dtype=np.float64)
    queries = np.arange(len(states))
    t_in, t_out = (
        tokens[queries, model if tokens.shape[1] > 1 else 0].astype(np.float64)
        for tokens in (problem.input_tokens, problem.output_tokens)
    )
    sizes = np.array([size for one in problem.models for size in one.batch_sizes], dtype=np.int64)
    share = prompts(problem) * MICRO / sizes
    return price_in[model] * t_in + price_out[model] * t_out, share[states]


def _worth(problem: Problem, states: IntArray, owner: IntArray, queries: IntArray) -> FloatArray:
    """Return the utilities of some queries, from the raw arrays."""
    chosen = states[queries]
    if problem.utility is not None:
        dense: FloatArray = problem.utility[queries, chosen].astype(np.float64)
        return dense
    assert problem.base_utility is not None
    assert problem.retention is not None
    kept = problem.retention[queries if len(problem.retention) > 1 else 0, chosen]
    product: FloatArray = (problem.base_utility[queries, owner[chosen]] * kept).astype(np.float64)
    return np.minimum(product, 1.0)
