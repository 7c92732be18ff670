"""Independent check of a plan. Nothing here is shared with a solver or with the problem's own arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from robatch.instances.problem import Problem
from robatch.solvers.plan import Plan

FIGURES = 1e-9  # relative agreement asked of utility and costs
BUDGET = 1e-12  # the budget may be exceeded by no more than rounding of the sums here
BOUND = 1e-9  # a bound may lie below the utility by no more than this
OPTIMAL = 1e-9  # gap at which a plan may be called optimal

FloatArray = npt.NDArray[np.float64]


class VerificationError(Exception):
    """A plan is not what it says it is."""


def verify(problem: Problem, plan: Plan, calls: bool = True) -> None:
    """Recompute everything that a plan says about itself.

    Parameters
    ----------
    problem
        The problem that it was made for.
    plan
        The plan.
    calls
        Whether to form the physical calls and check each of them too.

    Raises
    ------
    VerificationError
        If a state is not allowed, a figure is wrong, the budget is exceeded, a call is not legal, or
        bound, gap, status and limit contradict each other.
    """
    _check_names(problem, plan)
    if plan.status in ("infeasible", "no_solution"):
        _check_missing(problem, plan)
        return
    states = _states(problem, plan)
    utility, own, amortized, realized = recompute(problem, states)
    for name, said, true in (
        ("utility", plan.utility, utility),
        ("amortized cost", plan.amortized_cost, amortized),
        ("realized cost", plan.realized_cost, realized),
    ):
        if said is None or not abs(said - true) <= FIGURES * max(abs(true), 1e-300):
            raise VerificationError(f"{name} is said to be {said}, and is {true}")
    spent = amortized if plan.cost == "amortized" else realized
    if spent > plan.budget * (1 + BUDGET):
        raise VerificationError(f"the plan costs {spent} USD ({plan.cost}), over its budget of {plan.budget} USD")
    _check_bound(plan, utility)
    if plan.status == "optimal":
        _check_no_better_move(problem, plan, states, spent)
    if calls:
        _check_calls(problem, plan, states, own, realized)


def _check_names(problem: Problem, plan: Plan) -> None:
    """Check that the plan was made for this problem and says only what a plan can say."""
    if plan.states != tuple(problem.states):
        raise VerificationError("the plan's states are not those of the problem: it was made for another one")
    if problem.query_ids is not None and plan.query_ids is not None:
        same = np.array_equal(problem.query_ids, plan.query_ids)
    else:
        same = problem.query_ids is plan.query_ids or plan.assignment is None
    if not same:
        raise VerificationError("the plan's query ids are not those of the problem: it was made for another one")
    for name, said, allowed in (
        ("status", plan.status, ("optimal", "feasible", "infeasible", "no_solution")),
        ("cost", plan.cost, ("amortized", "realized")),
        ("limit", plan.limit, (None, "time", "gap", "memory", "interrupt", "other")),
    ):
        if said not in allowed:
            raise VerificationError(f"{name} is {said!r}, which is not one of {allowed}")
    if not 0 < plan.budget < np.inf:
        raise VerificationError(f"budget is {plan.budget}: no plan is made for it")
    if plan.runtime < 0 or (plan.shadow_price is not None and not plan.shadow_price >= 0):
        raise VerificationError(f"runtime is {plan.runtime} and shadow price {plan.shadow_price}: neither is below 0")
    if plan.status == "optimal" and plan.limit is not None:
        raise VerificationError(f"called optimal, and stopped by the limit {plan.limit!r}")


def recompute(problem: Problem, states: npt.NDArray[np.int64]) -> tuple[float, float, float, float]:
    """Return utility, and USD without shared prompts, amortized and realized, in extended precision."""
    utility = tokens = amortized = realized = np.longdouble(0)
    column = 0
    groups = np.zeros(len(states), dtype=np.int64)
    if problem.groups is not None:
        groups = np.unique(problem.groups, return_inverse=True)[1]
    for k, model in enumerate(problem.models):
        prompt = np.longdouble(model.price_in) * model.shared_tokens / 1_000_000
        for size in model.batch_sizes:
            here = np.flatnonzero(states == column)
            inputs = _column(problem.input_tokens, k)[here].sum(dtype=np.longdouble)
            outputs = _column(problem.output_tokens, k)[here].sum(dtype=np.longdouble)
            own = (inputs * model.price_in + outputs * model.price_out) / 1_000_000
            calls = sum(-(-int(n) // size) for n in np.bincount(groups[here]))
            tokens += own
            amortized += own + prompt * len(here) / size
            realized += own + prompt * calls
            utility += _utilities(problem, here, k, column).sum(dtype=np.longdouble)
            column += 1
    return float(utility), float(tokens), float(amortized), float(realized)


def _column(array: npt.NDArray[Any], k: int) -> npt.NDArray[Any]:
    column: npt.NDArray[Any] = array[:, k] if array.shape[1] > 1 else array[:, 0]
    return column


def _utilities(problem: Problem, here: npt.NDArray[np.int64], k: int, column: int) -> npt.NDArray[Any]:
    if problem.utility is not None:
        return np.asarray(problem.utility[here, column])
    assert problem.base_utility is not None
    assert problem.retention is not None
    kept = problem.retention[:, column]
    products = problem.base_utility[here, k] * (kept[0] if len(kept) == 1 else kept[here])
    return np.asarray(np.clip(products, None, problem.dtype.type(1)))


def _states(problem: Problem, plan: Plan) -> npt.NDArray[np.int64]:
    states = plan.assignment
    if states is None or states.shape != (problem.n_queries,):
        raise VerificationError(f"a plan of status {plan.status!r} needs one state for each of the queries")
    if states.dtype.kind not in "iu" or states.min() < 0 or states.max() >= len(plan.states):
        raise VerificationError(f"the assignment holds a state outside 0 to {len(plan.states) - 1}")
    column = 0
    for k, model in enumerate(problem.models):
        for size in model.batch_sizes:
            here = np.flatnonzero(states == column)
            column += 1
            if model.context_window is None or not len(here):
                continue
            tokens = _column(problem.input_tokens, k)[here].astype(np.float64) + _column(problem.output_tokens, k)[here]
            if model.shared_tokens + size * tokens.max() > model.context_window * (1 + 1e-12):
                raise VerificationError(
                    f"query {here[tokens.argmax()]} is in a state of {model.name} x {size}, "
                    "whose calls do not fit the context window"
                )
    return states


def _check_missing(problem: Problem, plan: Plan) -> None:
    said = (plan.assignment, plan.utility, plan.amortized_cost, plan.realized_cost, plan.gap)
    if any(value is not None for value in said):
        raise VerificationError(f"a plan of status {plan.status!r} cannot have an assignment or figures")
    if plan.bound is not None and not 0 <= plan.bound < np.inf:
        raise VerificationError(f"bound is {plan.bound}, which no utility can have")
    if plan.status == "infeasible":
        cheapest = cheapest_amortized(problem)
        least = recompute(problem, cheapest)[2 if plan.cost == "amortized" else 3]
        if least < plan.budget * (1 - BUDGET):
            raise VerificationError(f"called infeasible, but a plan costs {least} USD within {plan.budget} USD")


def cheapest_amortized(problem: Problem) -> npt.NDArray[np.int64]:
    """Return every query's cheapest allowed state, every call counted as full."""
    least = np.full(problem.n_queries, np.inf)
    states = np.zeros(problem.n_queries, dtype=np.int64)
    for column, _, own, share, _, fits in _columns(problem):
        better = fits & (own + share < least)
        states[better], least[better] = column, (own + share)[better]
    return states


def _columns(problem: Problem) -> Iterator[tuple[int, int, FloatArray, float, float, npt.NDArray[np.bool_]]]:
    """Yield each state and its model, every query's own USD, the shared prompt's USD a query and a call, what fits."""
    column = 0
    for k, model in enumerate(problem.models):
        inputs = _column(problem.input_tokens, k).astype(np.float64)
        outputs = _column(problem.output_tokens, k).astype(np.float64)
        own = (model.price_in * inputs + model.price_out * outputs) / 1_000_000
        prompt = model.price_in * model.shared_tokens / 1_000_000
        window = np.inf if model.context_window is None else model.context_window
        for size in model.batch_sizes:
            yield column, k, own, prompt / size, prompt, model.shared_tokens + size * (inputs + outputs) <= window
            column += 1


def _check_no_better_move(problem: Problem, plan: Plan, states: npt.NDArray[np.int64], spent: float) -> None:
    """Check that no query alone can move to a better state within the budget: a plan is not optimal then."""
    amortized = plan.cost == "amortized"
    paid, worth = np.zeros(problem.n_queries), np.zeros(problem.n_queries)
    for column, k, own, share, _, _ in _columns(problem):
        here = np.flatnonzero(states == column)
        paid[here] = own[here] + (share if amortized else 0.0)
        worth[here] = _utilities(problem, here, k, column)
    everyone = np.arange(problem.n_queries)
    room = plan.budget * (1 - 1e-9) - spent + paid
    for column, k, own, share, prompt, fits in _columns(problem):
        dearest = own + (share if amortized else prompt)  # under realized cost it may begin a call
        gain = _utilities(problem, everyone, k, column) - worth
        move = fits & (dearest <= room) & (gain > OPTIMAL * 10 * max(float(worth.sum()), 1e-300))
        if move.any():
            query = int(np.argmax(move))
            raise VerificationError(
                f"called optimal, but query {query} alone gains {gain[query]} in state {column} within the budget"
            )


def _check_bound(plan: Plan, utility: float) -> None:
    bound = plan.bound
    if bound is None:
        if plan.status == "optimal":
            raise VerificationError("a plan without a bound cannot be called optimal")
        return
    if not np.isfinite(bound) or bound < utility * (1 - BOUND):
        raise VerificationError(f"bound is {bound}, below the utility {utility} that was reached")
    if plan.status == "optimal" and bound - utility > OPTIMAL * abs(bound) * (1 + 1e-6):
        raise VerificationError(f"called optimal with utility {utility} and bound {bound}")


def _check_calls(problem: Problem, plan: Plan, states: npt.NDArray[np.int64], own: float, realized: float) -> None:
    seen = np.zeros(problem.n_queries, dtype=np.int64)
    prices = {m.name: np.longdouble(m.price_in) * m.shared_tokens / 1_000_000 for m in problem.models}
    billed = np.longdouble(own)
    for call in plan.calls():
        queries = call.queries
        seen[queries] += 1
        billed += prices[call.state.model]
        if not 0 < len(queries) <= call.state.batch_size:
            raise VerificationError(f"a call of {call.state} holds {len(queries)} queries")
        if any(plan.states[state] != call.state for state in states[queries]):
            raise VerificationError(f"a call of {call.state} holds a query of another state")
        if problem.groups is not None and (problem.groups[queries] != problem.groups[queries[0]]).any():
            raise VerificationError(f"a call of {call.state} holds queries of different groups")
    if (seen != 1).any():
        query = int(np.argmax(seen != 1))
        raise VerificationError(f"query {query} is in {seen[query]} calls, not in one")
    if abs(float(billed) - realized) > FIGURES * max(realized, 1e-300):
        raise VerificationError(f"the calls bill {float(billed)} USD, not the realized {realized} USD")
