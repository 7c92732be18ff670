"""Greedy under coupled constraints: the Lagrangian dual's bound, and a plan repaired and improved from its prices."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from robatch.instances.arrays import FloatArray, IntArray
from robatch.instances.kernels import flat
from robatch.solvers.bounds.least_bill import cheapest_realized_assignment
from robatch.solvers.bounds.shared import Bounds
from robatch.solvers.bounds.threads import thread_count
from robatch.solvers.greedy.constrained_dual import Dual, minimize
from robatch.solvers.greedy.constrained_rows import Rows, rows_of, sides_of
from robatch.solvers.greedy.constrained_search import MARGIN, Found, Search
from robatch.solvers.limits import legal
from robatch.solvers.plan.incumbent import Incumbent
from robatch.solvers.registry import Answer, Request

WORK = 80_000  # queries times changes: small plans are changed and repaired more often
MAX_CHANGES = 300
STALLED = 150  # changes in a row that improve nothing, after which no more are made
PARTS = (0.1, 0.3)  # of the queries, that are changed at a time, where not those of a group are
SPREADS = (0.2, 0.5)  # standard deviations of the logarithms of the prices at which they are changed
RAISED = 0.1  # part of the rows whose price is raised besides, even from 0
RHOS = (0.0, 0.1)  # first prices of violations
CLOSE = 1e-9  # relative gap at which nothing more is tried
EXACT = 1e-15  # margin by which sums may exceed a limit before they are counted to the last digit
MAX_EXACT_QUERIES = 64  # to which that is tried even if another plan is known
TRIES = 8  # searches with less and less, where calls that may not be shared make an assignment use more


def run(request: Request) -> Answer:
    """Find a plan that keeps the budget and all coupled constraints, and bound every such plan.

    The bound is the Lagrangian dual's, that is the linear relaxation's, in which calls are as full as they can be.
    Where it falls below 0, which no utility can, there is no plan.
    """
    problem = request.problem
    rows = rows_of(problem, request.budget, request.cost)
    closed = rows.closed
    if closed.any() and not all((problem.allowed(part) & ~closed).any(axis=1).all() for part in problem.blocks()):
        return Answer(infeasible=True)
    relaxer = Bounds.of(request).relaxer
    relaxation = relaxer.at(request.budget)
    table = flat(problem, ~closed) if closed.any() else relaxer.flat
    dual = Dual(table, sides_of(rows), rows.loose, rows.scale, thread_count(request.threads))
    least = minimize(dual, relaxation.price if np.isfinite(relaxation.price) else 0.0)
    if least.infeasible:
        return Answer(infeasible=True)
    alone = np.zeros(len(least.x))
    alone[0] = least.x[0]  # the bound that the shadow price proves without the other multipliers
    bound = min(least.value, dual.at(alone, 0.0).value, relaxation.bound)
    found, missing = _best(request, rows, dual, least.x, bound, relaxation.plan()[0])
    price = float(least.x[0] / rows.scale[0])
    return Answer.of(found, missing, shadow_price=price, statistics={"passes": dual.passes})


def _best(
    request: Request, rows: Rows, dual: Dual, x: FloatArray, bound: float, greedy: IntArray
) -> tuple[Incumbent, str | None]:
    """Return the best plan found that keeps all rows and the bound, and what stayed violated where there is none.

    Sums are kept with a margin first. Where that finds nothing, and for few queries, whose sums may well meet a
    limit to the last digit, another search lets pass what rounding may be.
    """
    problem = request.problem
    states, margin = dual.best_states(x)
    search = Search(rows, dual, x, margin, bound)
    end = time.perf_counter() + (np.inf if request.time_limit is None else request.time_limit)
    found, closest = Incumbent(bound=bound), states
    for margin_ in (MARGIN, -EXACT):
        search.begin(margin_)
        best = search.run(states)
        for _ in range(TRIES if margin_ > 0.0 else 1):
            for start in _starts(request, rows, states, greedy):
                if best.violation == 0.0:
                    break
                tried = search.run(start)
                best = tried if tried.better_than(best) else best
            best = _changed(request, dual, x, bound, search, best, end)
            evaluation = problem.evaluate(best.states)
            if legal(problem, best.states, request.budget, request.cost, evaluation):
                found = found.offered(best.states, best.utility, evaluation=evaluation)
                break
            if margin_ > 0.0:
                closest = best.states
            if best.violation > 0.0 or time.perf_counter() > end:
                break
            over = rows.use(best.states) - rows.most
            # what is legal is decided to the last digit, and by the calls that conflicts add: the search gets less
            search.tighten(np.where(over > -MARGIN * rows.scale, np.maximum(1.1 * over, MARGIN * rows.scale), 0.0))
            best = search.run(best.states)
        if found.assignment is not None and problem.n_queries > MAX_EXACT_QUERIES:
            break
    if found.assignment is not None:
        return found, None
    over = rows.use(closest) - rows.most
    row = int(np.argmax(over / rows.scale))
    return found, f"no plan was found that keeps all constraints: the nearest misses {rows.describe(row, over[row])}"


def _starts(request: Request, rows: Rows, states: IntArray, greedy: IntArray) -> Iterator[IntArray]:
    """Yield other assignments to start from, in the states that the constraints leave open."""
    others = [request.initial, greedy, request.problem.cheapest_assignment]
    if request.cost == "realized":
        others.append(cheapest_realized_assignment(request.problem))
    for given in others:
        if given is not None:
            yield np.where(rows.closed[given], states, given)


def _changed(
    request: Request, dual: Dual, x: FloatArray, bound: float, search: Search, best: Found, end: float
) -> Found:
    """Change a part of the plan again and again, and keep what is not worse (iterated local search).

    A group's queries, or a random part of all, take their best states at prices that are off by random factors.
    The method is that of Lourenço, Martin and Stützle, "Iterated local search", Handbook of Metaheuristics, 2003.
    """
    problem, rng = request.problem, np.random.default_rng(request.seed)
    current, stalled, seen = best, 0, {best.states.tobytes()}
    for _ in range(min(WORK // problem.n_queries, MAX_CHANGES)):
        lacks = bound - best.utility
        close = best.violation == 0.0 and lacks <= max(CLOSE, request.gap) * bound
        if close or stalled == STALLED or time.perf_counter() > end:
            break
        stalled += 1
        spread, rho, part = (kinds[rng.integers(2)] for kinds in (SPREADS, RHOS, PARTS))
        raised = bound * rng.exponential(spread, len(x)) * (dual.active & (rng.random(len(x)) < RAISED))
        states, _ = dual.best_states(x * np.exp(spread * rng.standard_normal(len(x))) + raised)
        if problem.n_groups > 1 and rng.integers(2):
            chosen = problem.group_codes == rng.integers(problem.n_groups)
        else:
            chosen = rng.random(problem.n_queries) < part
        start = np.where(chosen, states, current.states)
        if start.tobytes() in seen:
            continue
        seen.add(start.tobytes())
        found = search.run(start, rho=rho, deep=False)
        if not current.better_than(found):
            current = found
        if found.better_than(best):
            best, stalled = found, 0
    return best
