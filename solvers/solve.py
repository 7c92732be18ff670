"""One door to every solver."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import IntArray
from robatch.instances.errors import InputError
from robatch.instances.problem import Problem
from robatch.instances.scalars import number
from robatch.solvers.bounds.least_bill import cheapest_realized_assignment
from robatch.solvers.check.verify import verify
from robatch.solvers.choice import chosen, effort_of
from robatch.solvers.infeasible.explain import explain
from robatch.solvers.infeasible.least_cost import MOST_SEARCHED, budget_message, least_billed
from robatch.solvers.limits import one_cost
from robatch.solvers.own import asking
from robatch.solvers.plan.incumbent import Incumbent
from robatch.solvers.plan.plan import OPTIMAL_GAP, Cost, Plan, Status, ids_of
from robatch.solvers.registry import Answer, Request, Solver
from robatch.solvers.writes import as_billed, with_writes

UTILITY_ROUNDING = 1e-11  # by which a solver's sum of utilities, at most 1 a query, may differ from the problem's
EXPLAIN_SECONDS = 10.0  # at most, to find how far too small a budget is


def solve(  # wide: one parameter per option
    problem: Problem,
    budget: float | None = None,
    solver: str = "auto",
    cost: Cost = "realized",
    time_limit: float | None = None,
    gap: float = OPTIMAL_GAP,
    seed: int = 0,
    threads: int | None = None,
    initial_plan: Plan | npt.ArrayLike | None = None,
    progress: bool = False,
    effort: float = 1.0,
) -> Plan:
    """Choose a model and a batch size for every query: most utility within the budget.

    Parameters
    ----------
    problem
        Queries, models and utilities.
    budget
        USD, finite; with 0, only states that cost nothing are chosen. None for the problem's own `capacity`.
    solver
        A name from `solvers()`, or ``"auto"``: under realized cost ``greedy``, with ten times the effort up to 200
        queries; where it finds no plan, a mixed-integer program of at most 50,000 queries times states looks for the
        cheapest one for up to 10 s, which says that there is none, or from which the search begins again. Under
        amortized cost, and where no prompt can be shared, ``exact``; where constraints couple queries, ``greedy``.
    cost
        The cost model that keeps the budget: ``"realized"`` (what is billed: each started call pays the whole shared
        prompt) or ``"amortized"`` (the paper's: every call counted as full).
    time_limit
        Seconds after which the best plan so far is returned with its bound; None for no limit. It ends searches and
        prolongs none: ``greedy`` also ends at the work that `effort` allows it.
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
    effort
        Times the usual work after which ``greedy`` under realized cost gives up its proof, at least 1; ``exact`` under
        realized cost begins with 40 times as much. With a `time_limit` and an effort such as 1e6 they work for a proof
        as long as that allows. All other searches go on until they end by themselves or by a limit: there only 1 is
        allowed.

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
    limits: Limits = {"time_limit": time_limit, "gap": gap, "seed": seed, "threads": threads, "effort": effort}
    entry, request = asked(problem, budget, solver, cost, initial_plan, progress, **limits)
    return answered(entry, request, decided=solver == "auto")


class Limits(TypedDict, total=False):
    """Further arguments of `solve`."""

    time_limit: float | None
    gap: float
    seed: int
    threads: int | None
    effort: float


def asked(
    problem: Problem,
    budget: float | None,
    solver: str = "auto",
    cost: Cost = "realized",
    initial_plan: Plan | npt.ArrayLike | None = None,
    progress: bool = False,
    **limits: Unpack[Limits],
) -> tuple[Solver, Request]:
    """Return the solver that is asked for and the request, checked; the arguments are those of `solve`."""
    limits.setdefault("gap", OPTIMAL_GAP)
    if budget is None:
        budget = problem.capacity
    if budget is None:
        raise InputError(
            "budget is None, and the problem has no capacity: a finite number of USD of at least 0 is needed"
        )
    request = Request.checked(problem, budget, cost, **limits)
    entry = chosen(solver, problem, cost)
    effort = effort_of(solver, entry, request)
    budget = number("budget", budget, needed="a finite number of USD of at least 0")
    initial = taken_over(problem, initial_plan) if isinstance(initial_plan, Plan) else initial_plan
    states = None if initial is None else problem.check_assignment(initial)
    price = initial_plan.shadow_price if isinstance(initial_plan, Plan) else None
    return entry, replace(request, budget=budget, initial=states, progress=progress, price=price, effort=effort)


def answered(entry: Solver, request: Request, decided: bool = False) -> Plan:
    """Run a solver; return the plan that it found, evaluated, explained where there is none, and checked.

    Where it finds none under realized cost, and that is to be `decided`, a program looks for the cheapest plan.
    """
    run, given, tiers = asking(entry), request, request.problem.tiers
    begin = time.perf_counter()
    if tiers is not None:
        initial = None if request.initial is None else tiers.inward(request.initial)
        request = replace(request, problem=tiers.problem, initial=initial, bounds=None)
    if request.cost == "realized":
        request = replace(request, problem=as_billed(request.problem))
        run = run if entry.writes else with_writes(run, entry.proves)
    hopeless = request.budget < request.problem.cheapest_budget  # no plan is cheaper under either cost model
    ask = run if request.budget > 0.0 else partial(_of_no_cost, run)
    if hopeless:
        answer = Answer(infeasible=True)
    elif decided and _tight(request):
        answer = _cautious(ask, request, begin)
    else:
        answer = ask(request)
        if decided and answer.assignment is None and not answer.infeasible:
            answer = _decided(ask, request, answer, begin)
    seconds = time.perf_counter() - begin
    answer = _explained(request, entry, answer)
    if request.problem is not given.problem:
        answer = replace(answer, evaluation=None)
    if tiers is not None and answer.assignment is not None:
        answer = replace(answer, assignment=tiers.outward(answer.assignment))
    plan = plan_of(given, entry, answer, seconds)
    verify(given.problem, plan, calls=False)  # the calls follow from the assignment by packing
    return plan


def _of_no_cost(run: Callable[[Request], Answer], request: Request) -> Answer:
    """Let a solver answer for a budget of 0 USD: of the states that cost nothing, any budget pays for all.

    The shadow price of the whole problem at this budget is the most utility that a query gains per USD by a state that
    has a cost.
    """
    problem = request.problem
    costly = np.empty((problem.n_queries, problem.n_states), dtype=np.bool_)
    for rows in problem.blocks():
        billed = (problem.call_price > 0.0) | (problem.write_charge > 0.0)[problem.state_model]
        costly[rows] = (problem.own_costs(rows) > 0.0) | billed
    free = problem.replace(forbidden=costly if problem.forbidden is None else costly | problem.forbidden)
    initial = request.initial
    if initial is not None:
        initial = np.where(costly[np.arange(len(initial)), initial], free.cheapest_assignment, initial)
    answer = run(replace(request, problem=free, budget=1.0, initial=initial, price=None, bounds=None))
    if answer.shadow_price is None:
        return answer
    price = 0.0
    for rows in problem.blocks():
        utilities, costs = problem.utilities(rows), problem.amortized_costs(rows)
        least = utilities[np.arange(len(utilities)), free.best_assignment[rows]]
        gains = np.where(problem.allowed(rows) & (costs > 0.0), utilities - least[:, None], 0.0)
        price = max(price, float(np.divide(gains, costs, where=costs > 0.0, out=np.zeros_like(gains)).max()))
    return replace(answer, shadow_price=price, evaluation=None)


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


def plan_of(request: Request, entry: Solver, answer: Answer, seconds: float) -> Plan:
    """Return the plan of an answer: its figures in float64, and a status that says what is proven."""
    states, bound, limit = answer.assignment, answer.bound, answer.limit
    utility = amortized = realized = None
    status: Status = "no_solution"
    if answer.infeasible:
        status, bound = "infeasible", None
    elif states is not None:
        utility, amortized, realized, _ = answer.evaluation or request.problem.evaluate(states)
        below = max(UTILITY_ROUNDING, OPTIMAL_GAP * utility)
        if bound is not None and utility - below <= bound <= utility + UTILITY_ROUNDING:
            bound = utility  # the difference is rounding in the solver; what is further below, verify rejects
        known = Incumbent(states, utility, bound=math.inf if bound is None else bound)
        status = "feasible"
        if known.proven(OPTIMAL_GAP):
            status, limit = "optimal", None
        elif limit is None and entry.proves == "optimum" and known.proven(request.gap):
            limit = "gap"
    return Plan(
        assignment=states,
        utility=utility,
        amortized_cost=amortized,
        realized_cost=realized,
        budget=request.budget,
        cost=request.cost,
        bound=bound,
        status=status,
        limit=limit,
        runtime=seconds,
        solver=entry.name,
        solver_version=entry.version or "unknown",
        seed=request.seed,
        shadow_price=answer.shadow_price,
        message=answer.message,
        statistics=answer.statistics,
        profit=request.problem.profit(utility),
        **ids_of(request.problem, states),
    )


def _tight(request: Request) -> bool:
    """Tell whether more effort is asked for though every plan at hand bills more than the budget."""
    problem = request.problem
    if request.effort == 1.0 or request.cost == "amortized" or problem.constraints is not None:
        return False
    if problem.n_queries * problem.n_states > MOST_SEARCHED or one_cost(problem):
        return False
    known = [states for states in (request.initial, cheapest_realized_assignment(problem)) if states is not None]
    return all(problem.realized_cost(states) > request.budget for states in known)


def _cautious(ask: Callable[[Request], Answer], request: Request, begin: float) -> Answer:
    """Search with the usual effort, and with more only where there may be a plan: a program proves it sooner."""
    answer = ask(replace(request, effort=1.0))
    if answer.assignment is None:
        decided = answer if answer.infeasible else _decided(ask, request, answer, begin)
        if decided.infeasible or decided.assignment is not None:
            return decided
    left = None if request.time_limit is None else max(begin + request.time_limit - time.perf_counter(), 1e-9)
    start = request.initial if answer.assignment is None else answer.assignment
    return ask(replace(request, initial=start, time_limit=left))


def _decided(ask: Callable[[Request], Answer], request: Request, answer: Answer, begin: float) -> Answer:
    """Return what is found from the cheapest plan as billed; or an answer without a plan, if that is too dear."""
    problem, budget, limit = request.problem, request.budget, request.time_limit
    end = math.inf if limit is None else begin + limit
    left = min(EXPLAIN_SECONDS, end - time.perf_counter())
    if request.cost == "amortized" or problem.constraints is not None or left <= 0.0:
        return answer
    states, proven = least_billed(problem, left)
    found = problem.evaluate(states)
    least = found.realized_cost
    if proven and budget < least * (1 - OPTIMAL_GAP):
        message = budget_message(problem, budget, "realized", left, (least, True))
        return replace(answer, infeasible=True, message=message)
    if least > budget:
        return answer
    left = end - time.perf_counter()
    again = replace(request, initial=states, time_limit=None if limit is None else max(left, 1e-9))
    better = ask(again)
    if better.assignment is not None:
        return better
    message = "the search found no plan: this is the cheapest one that a mixed-integer program found"
    return replace(answer, assignment=states, evaluation=found, message=message)


def _explained(request: Request, entry: Solver, answer: Answer) -> Answer:
    """Return an answer without a plan with a message that says why, and whether that is proven."""
    problem, budget, cost = request.problem, request.budget, request.cost
    seconds = min(EXPLAIN_SECONDS, request.time_limit or EXPLAIN_SECONDS)
    if problem.constraints is None:
        if not answer.infeasible or answer.message is not None:
            return answer
        return replace(answer, message=budget_message(problem, budget, cost, seconds))
    # a solver that found no plan and proves no optimum may have met a problem that has none
    missed = answer.assignment is None and answer.message is not None and entry.proves != "optimum"
    if not (answer.infeasible or missed):
        return answer
    found = explain(problem, budget, cost, seconds)
    if found.feasible is False or answer.infeasible:
        return replace(answer, infeasible=True, message=found.message)
    return answer
