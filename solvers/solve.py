"""One door to every solver."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, get_args

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import IntArray
from robatch.instances.errors import InputError
from robatch.instances.problem import Problem
from robatch.instances.scalars import number, whole
from robatch.solvers.check.verify import verify
from robatch.solvers.plan.plan import OPTIMAL_GAP, Cost, Limit, Plan, Status, ids_of
from robatch.solvers.registry import Answer, Request, Solver, chosen

if TYPE_CHECKING:
    from robatch.solvers.bounds.relaxation import Relaxer

ROUNDING = 1e-11  # utility, whose greatest value is 1 a query
EXPLAIN = 10.0  # seconds, at most, to find how far too small a budget is


def solve(
    problem: Problem,
    budget: float,
    solver: str = "auto",
    cost: Cost = "amortized",
    time_limit: float | None = None,
    gap: float = OPTIMAL_GAP,
    seed: int = 0,
    threads: int | None = None,
    initial_plan: Plan | npt.ArrayLike | None = None,
    progress: bool = False,
    relaxer: Relaxer | None = None,
) -> Plan:
    """Choose a model and a batch size for every query: most utility within the budget.

    Parameters
    ----------
    problem
        Queries, models and utilities.
    budget
        USD, above 0 and finite.
    solver
        A name from `solvers()`, or ``"auto"``: ``exact`` under amortized cost, ``greedy`` under realized cost and where
        constraints couple queries.
    cost
        The cost model that keeps the budget: ``"amortized"`` (every call counted as full) or ``"realized"``
        (what is billed: each started call pays the whole shared prompt).
    time_limit
        Seconds after which the best plan so far is returned with its bound; None for no limit.
    gap
        Relative gap at which the solver may stop, from 0 to 1; 0 for the rounding of float64.
    seed
        Seed of every random choice.
    threads
        Threads to use; None for the solver's default.
    initial_plan
        A plan, or an assignment (N,), to start from, where the solver can use one. A plan may be of an earlier
        version of the problem, with other queries or another budget: the states of the queries that both know
        by their ids are taken over, and ``greedy`` and ``exact`` look for the new shadow price near its own.
    progress
        Whether the solver shows what it does.
    relaxer
        What is known of the relaxation already; `Frontier.plan` hands it over.

    Returns
    -------
    Plan
        Checked by `verify`. Its status says whether it is optimal, feasible or missing. Where no plan can keep the
        budget and the constraints, its message is that of `explain`.

    Raises
    ------
    InputError
        If an argument is not allowed, or the solver cannot do what is asked, such as keep one of the constraints.
    MissingExtraError
        If the solver's package is not installed.
    """
    if cost not in get_args(Cost):
        raise InputError(f"cost is {cost!r}: 'amortized' or 'realized' is needed")
    entry = chosen(solver, problem, cost)
    budget = number("budget", budget, needed="a finite number of USD above 0", above=True)
    gap = number("gap", gap, most=1.0, needed="a number from 0 to 1")
    if time_limit is not None:
        time_limit = number("time_limit", time_limit, most=1e9, needed="a number of seconds above 0", above=True)
    seed = whole("seed", seed, most=2**63 - 1)
    threads = None if threads is None else whole("threads", threads, 1, most=1024)
    initial = taken_over(problem, initial_plan) if isinstance(initial_plan, Plan) else initial_plan
    states = None if initial is None else problem.check_assignment(initial)
    price = initial_plan.shadow_price if isinstance(initial_plan, Plan) else None
    run = entry.load()
    begin = time.perf_counter()
    if budget < problem.cheapest_budget:  # no plan is cheaper under either cost model
        answer = Answer(infeasible=True)
    else:
        answer = run(Request(problem, budget, cost, time_limit, gap, seed, threads, states, progress, price, relaxer))
    seconds = time.perf_counter() - begin
    answer = _explained(answer, problem, budget, cost, min(EXPLAIN, time_limit or EXPLAIN), entry)
    plan = _plan(problem, budget, cost, gap, seed, entry, answer, seconds)
    verify(problem, plan, calls=False)  # the calls follow from the assignment by packing
    return plan


def taken_over(problem: Problem, plan: Plan) -> IntArray | None:
    """Return the assignment that a plan of an earlier version of a problem gives it, None if it gives none.

    New queries take their cheapest state, and so do those whose state is not allowed any more.
    """
    if plan.assignment is None or plan.states != problem.states:
        return None
    if problem.query_ids is None or plan.query_ids is None:
        return plan.assignment if len(plan.assignment) == problem.n_queries else None
    order = np.argsort(plan.query_ids, kind="stable")
    place = np.searchsorted(plan.query_ids, problem.query_ids, sorter=order)
    known = order[np.minimum(place, len(order) - 1)]
    same = plan.query_ids[known] == problem.query_ids
    states = np.where(same, plan.assignment[known], problem.cheapest_assignment)
    allowed = np.concatenate([problem.allowed(r)[np.arange(r.stop - r.start), states[r]] for r in problem.blocks()])
    return states if allowed.all() else np.where(allowed, states, problem.cheapest_assignment)


def _plan(
    problem: Problem,
    budget: float,
    cost: Cost,
    gap: float,
    seed: int,
    entry: Solver,
    answer: Answer,
    seconds: float,
) -> Plan:
    """Evaluate an answer in float64 and say what it proves."""
    states, bound, limit, message = answer.assignment, answer.bound, answer.limit, answer.message
    utility = amortized = realized = None
    status: Status = "no_solution"
    if answer.infeasible:
        status, bound = "infeasible", None
    elif states is not None:
        utility, amortized, realized, _ = problem.evaluate(states)
        below = max(ROUNDING, OPTIMAL_GAP * utility)
        if bound is not None and utility - below <= bound <= utility + ROUNDING:
            bound = utility  # the difference is rounding in the solver; what is further below, verify rejects
        proven = bound is not None and bound - utility <= OPTIMAL_GAP * abs(bound)
        status = "optimal" if proven else "feasible"
        limit = _limit(limit, status, utility, bound, gap, entry)
    return Plan(
        assignment=states,
        utility=utility,
        amortized_cost=amortized,
        realized_cost=realized,
        budget=budget,
        cost=cost,
        bound=bound,
        status=status,
        limit=limit,
        runtime=seconds,
        solver=entry.name,
        solver_version=entry.version or "unknown",
        seed=seed,
        shadow_price=answer.shadow_price,
        message=message,
        statistics=answer.statistics,
        **ids_of(problem),
    )


def _limit(
    limit: Limit | None, status: Status, utility: float, bound: float | None, gap: float, entry: Solver
) -> Limit | None:
    """Say what stopped a solver that has a plan."""
    if status == "optimal":
        return None
    reached = bound is not None and bound - utility <= gap * abs(bound)
    return "gap" if limit is None and entry.proves == "optimum" and reached else limit


def _explained(answer: Answer, problem: Problem, budget: float, cost: Cost, time_limit: float, entry: Solver) -> Answer:
    """Return an answer without a plan with a message that says why, and whether that is proven."""
    if problem.constraints is None:
        if not answer.infeasible:
            return answer
        from robatch.solvers.infeasible.least_cost import budget_message

        return replace(answer, message=budget_message(problem, budget, cost, time_limit))
    # a solver that found no plan and proves no optimum may have met a problem that has none
    missed = answer.assignment is None and answer.message is not None and entry.proves != "optimum"
    if not (answer.infeasible or missed):
        return answer
    from robatch.solvers.infeasible.explain import explain

    found = explain(problem, budget, cost, time_limit)
    if found.feasible is False or answer.infeasible:
        return replace(answer, infeasible=True, message=found.message)
    return answer
