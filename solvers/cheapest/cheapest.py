"""The least cost that reaches a target utility: the dual question to the greatest utility within a budget."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from robatch.instances.arrays import BoolArray, IntArray
from robatch.instances.errors import InputError
from robatch.instances.problem import Problem
from robatch.solvers.cheapest.targets import reachable, target_utility
from robatch.solvers.check.verify_cheapest import verify_cheapest
from robatch.solvers.plan.plan import OPTIMAL_GAP, Cost, Limit, Plan, Status
from robatch.solvers.registry import AUTO, Answer, Request, get
from robatch.solvers.solve import EXPLAIN_SECONDS, plan_of, solve

if TYPE_CHECKING:
    from robatch.solvers.bounds.relaxation import Relaxer
    from robatch.solvers.bounds.target_relaxation import Reach

PROGRAMS = ("highs", "cpsat", "scip", "cbc", "pulp-highs")  # mixed-integer programs with a floor of utility
KNOWN = ("greedy", "exact", *PROGRAMS)
PAIRS, LONGEST = 20_000, 60.0  # queries times states, and seconds, of a program that takes over from `exact`
TINY = 2.2250738585072014e-308  # USD: a plan's budget has to be above 0, even where the plan is free
SOLVES, FEW = 12, 6  # budgets that the greedy scheduler tries under realized cost, and for a start of a program
START = 0.25  # of the time limit: what the greedy scheduler may take to find a start under realized cost


@dataclass(frozen=True, eq=False)
class Cheapest:
    """What `cheapest` returns.

    Attributes
    ----------
    plan
        The plan, whose budget is its own cost; None if there is none.
    target
        Total utility that was to be reached.
    cost
        USD of the plan under the cost model that was asked for, None without a plan.
    bound
        Proven lower bound on the USD of any plan that reaches the target; None if unknown.
    status
        ``"optimal"``: proven cheapest, to a relative 1e-9. ``"feasible"``: reaches the target, not proven cheapest.
        ``"infeasible"``: proven that no plan reaches the target. ``"no_solution"``: none found, none excluded.
    limit
        What stopped the solver before it was done, as in `Plan`; None if it ended by itself.
    shadow_price
        Utility per USD at the linear relaxation's optimum: the inverse of what more utility costs. None if unknown, and
        where the plan of least amortized cost reaches the target.
    runtime
        Seconds that the solver took.
    solver
        Name of the solver in the registry.
    message
        One sentence on what went wrong, None if nothing did.
    """

    plan: Plan | None
    target: float
    cost: float | None
    bound: float | None
    status: Status
    limit: Limit | None
    shadow_price: float | None
    runtime: float
    solver: str
    message: str | None = None

    @property
    def gap(self) -> float | None:
        """Proven relative distance to the least cost, ``(cost - bound) / cost``; None if unknown."""
        if self.cost is None or self.bound is None:
            return None
        return max(0.0, (self.cost - self.bound) / self.cost) if self.cost > 0.0 else 0.0

    def summary(self) -> dict[str, Any]:
        """Return the figures, without arrays, as plain values for JSON."""
        names = ("target", "cost", "bound", "gap", "status", "limit", "shadow_price", "runtime", "solver", "message")
        plan = None if self.plan is None else self.plan.summary()
        return {**{name: getattr(self, name) for name in names}, "plan": plan}


@dataclass(frozen=True, slots=True)
class _Found:
    """A plan, what is proven about its cost, and a bound on the utility that its cost can buy."""

    states: IntArray | None
    bound: float | None
    limit: Limit | None = None
    message: str | None = None
    utility_bound: float = math.inf
    infeasible: bool = False


def cheapest(
    problem: Problem,
    *,
    utility: float | None = None,
    mean: float | None = None,
    of_best: float | None = None,
    solver: str = "auto",
    cost: Cost = "amortized",
    time_limit: float | None = None,
    gap: float = OPTIMAL_GAP,
    seed: int = 0,
    threads: int | None = None,
) -> Cheapest:
    """Choose a model and a batch size for every query: least cost that reaches a target utility.

    Parameters
    ----------
    problem
        Queries, models and utilities.
    utility, mean, of_best
        The target, exactly one of: total utility, of at least 0; utility a query, from 0 to 1; a share, from 0 to 1, of
        the utility of the best model. The best model is the one of greatest total utility when it alone answers all
        queries, each in the batch size that is best for the query among those allowed, whatever they cost.
    solver
        ``"greedy"``: steps up the concave hulls by utility per USD until the target is reached, with the linear bound,
        at any size. ``"exact"``: proven least cost; under amortized cost at any size, by root finding on the budget of
        the solver of that name; under realized cost the program of ``"highs"``. ``"highs"``, ``"cpsat"``, ``"scip"``,
        ``"cbc"``, ``"pulp-highs"``: a mixed-integer program with a floor of utility. ``"auto"``: ``exact`` under
        amortized cost, ``greedy`` under realized cost, ``highs`` where the problem has constraints.
    cost
        The cost model: ``"amortized"`` or ``"realized"``.
    time_limit
        Seconds after which the cheapest plan so far is returned with its bound; None for no limit.
    gap
        Relative gap in cost at which the solver may stop, from 0 to 1; 0 for the rounding of float64.
    seed
        Seed of every random choice.
    threads
        Threads to use; None for the solver's default.

    Returns
    -------
    Cheapest
        Checked by `verify_cheapest`. The plan's utility, summed up in float64, is not below the target. A target above
        the greatest utility of any plan by no more than rounding, a relative 1e-12, is taken as that utility.

    Raises
    ------
    InputError
        If an argument is not allowed, or the solver cannot do what is asked.
    MissingExtraError
        If the solver's package is not installed.
    """
    request = Request.checked(problem, math.inf, cost, time_limit, gap, seed, threads)
    name = ("highs" if problem.constraints is not None else AUTO[cost]) if solver == "auto" else solver
    if name not in KNOWN:
        raise InputError(f"solver is {solver!r}: the least cost of a utility is found by auto, {', '.join(KNOWN)}")
    # without a prompt that several queries share, both cost models are one
    held = cost if (problem.call_price * (problem.state_batch_size > 1)).any() else "amortized"
    if name == "exact" and held == "realized":
        name = "highs"
    if problem.constraints is not None and name not in PROGRAMS:
        raise InputError(f"solver {name!r} cannot keep the problem's constraints: {', '.join(PROGRAMS)} can")
    asked = target_utility(problem, utility, mean, of_best)
    entry = get(name)
    entry.load()
    begin = time.perf_counter()
    target, why = reachable(problem, asked)
    if why is not None:
        return Cheapest(None, asked, None, None, "infeasible", None, None, time.perf_counter() - begin, name, why)
    found, price, relaxer = _find(replace(request, cost=held), name, target)
    seconds = time.perf_counter() - begin
    if found.states is None:
        status: Status = "infeasible" if found.infeasible else "no_solution"
        bound = None if found.infeasible else found.bound
        return Cheapest(None, target, None, bound, status, found.limit, price, seconds, name, found.message)
    spent = problem.cost(found.states, cost)
    relaxation = relaxer.at(max(spent, TINY))
    answer = Answer(
        found.states, bound=min(relaxation.bound, found.utility_bound), shadow_price=relaxation.price, limit=found.limit
    )
    plan = plan_of(replace(request, budget=max(spent, TINY), cost=cost, gap=0.0), entry, answer, seconds)
    bound = None if found.bound is None else min(max(found.bound, 0.0), spent)
    done = Cheapest(plan, target, spent, bound, "feasible", found.limit, price, seconds, name, found.message)
    distance = math.inf if done.gap is None else done.gap
    if distance <= OPTIMAL_GAP:
        done = replace(done, status="optimal", limit=None)
    elif done.limit is None and entry.proves == "optimum" and distance <= request.gap:
        done = replace(done, limit="gap")
    verify_cheapest(problem, done, calls=False)
    return done


def _find(request: Request, name: str, target: float) -> tuple[_Found, float | None, Relaxer]:
    """Run a solver; return also the shadow price, if it is known, and the relaxation for further budgets."""
    from robatch.instances.kernels import flat
    from robatch.solvers.bounds.granularity import raise_to_grade
    from robatch.solvers.bounds.relaxation import Relaxer, thread_count
    from robatch.solvers.bounds.target_relaxation import reach, reaching

    problem, begin = request.problem, time.perf_counter()
    relaxer = Relaxer(flat(problem), thread_count(request.threads))
    least = problem.cheapest_budget  # no plan costs less under either cost model
    states = problem.cheapest_assignment
    if problem.total_utility(states) >= target:
        relaxed, aim = None, target
        price, bound = None, least
    else:
        aim = target if name == "greedy" else raise_to_grade(relaxer.flat, target)
        relaxed = reach(relaxer, aim)
        price, bound = relaxed.price if relaxed.price < math.inf else None, max(relaxed.bound, least)
        states = reaching(problem, relaxer, target)
    if request.cost == "amortized" and problem.constraints is None:
        spent = problem.amortized_cost(states)
        if name == "greedy" or spent - bound <= request.gap * spent or relaxed is None:
            return _Found(states, bound), price, relaxer
        if name == "exact":
            return _exact(request, relaxer, relaxed, states, target, aim, bound, begin), price, relaxer
    elif problem.constraints is None:
        from robatch.solvers.cheapest.realized import reaching_realized

        share, solves = (1.0, SOLVES) if name == "greedy" else (START, FEW)
        limited = None if request.time_limit is None else request.time_limit * share
        asked = replace(request, time_limit=limited)
        states, bound, late = reaching_realized(asked, target, bound, price, states, solves)
        spent = problem.realized_cost(states)
        if name == "greedy" or spent - bound <= request.gap * spent:
            return _Found(states, bound, "time" if late and name == "greedy" else None), price, relaxer
    return _program(request, name, target, states, bound, price, begin), price, relaxer


def _exact(
    request: Request,
    relaxer: Relaxer,
    relaxed: Reach,
    states: IntArray,
    target: float,
    aim: float,
    bound: float,
    begin: float,
) -> _Found:
    from robatch.solvers.cheapest.exact import Search

    problem = request.problem
    search = Search(problem, relaxer, target, aim, relaxed.price, states, problem.amortized_cost(states), bound)
    deadline = math.inf if request.time_limit is None else begin + request.time_limit
    search.close(request.gap, request.seed, deadline)
    best = math.inf if search.bound is None else search.bound
    if search.limit != "other" or problem.n_queries * problem.n_states > PAIRS:
        message = None
        if search.missed is not None and search.missed[0] < search.high:
            message = (
                f"a plan of {search.missed[0]:.9g} USD misses the target by rounding only, by {search.missed[1]:.3g}"
            )
        return _Found(search.states, search.low, search.limit, message, best)
    # at the last digits of the target, or of a hard core, the program may decide what the search left open
    limited = replace(request, time_limit=min(LONGEST, request.time_limit or LONGEST))
    found = _program(limited, "highs", target, search.states, search.low, relaxed.price, begin)
    return found if found.states is not search.states else replace(found, utility_bound=best)


def _program(
    request: Request,
    name: str,
    target: float,
    states: IntArray,
    bound: float,
    price: float | None,
    begin: float,
) -> _Found:
    """Solve the mixed-integer program with a floor of utility."""
    from robatch.solvers.cheapest.mip import run, worth_keeping

    problem, cost = request.problem, request.cost
    start = kept = None
    if problem.constraints is None:
        start = states
        kept = None if price is None else worth_keeping(problem, price, problem.cost(states, cost) - bound)
    if request.time_limit is not None:
        left = request.time_limit - (time.perf_counter() - begin)
        if left <= 0.0:
            return _Found(start, bound, "time")
        request = replace(request, time_limit=left)
    found, proven, infeasible, limit, message = run(problem, target, cost, name, request, start, kept)
    if found is not None:
        cheap = _no_dearer(problem, problem.cost(found, cost), cost)
        kept = cheap if kept is None else kept & cheap
        if not (cheap | ~problem.allowed()).all():
            # beside far dearer pairs, what a plan costs may lie within a solver's tolerances: only this one proves
            found, proven, _, limit, message = run(problem, target, cost, name, request, found, kept)
    if infeasible:
        message = _why_out_of_reach(problem, target, cost, name)
    return _Found(found, max(bound, proven or 0.0), limit, message, infeasible=infeasible)


def _no_dearer(problem: Problem, usd: float, cost: Cost) -> BoolArray:
    """Return the pairs that cost no more than a whole plan does, so that a cheaper plan may hold them: (N, S)."""
    prompt = problem.call_price / (problem.state_batch_size if cost == "amortized" else 1)
    alone = prompt if cost == "amortized" else 0.0
    own = problem.query_costs()[:, problem.state_model] + alone
    return np.asarray(np.maximum(own, prompt) <= usd * (1 + 1e-9))


def _why_out_of_reach(problem: Problem, target: float, cost: Cost, name: str) -> str:
    """Say what the greatest utility is that keeps the problem's constraints."""
    costs = problem.query_costs()[:, problem.state_model] + problem.call_price
    plan = solve(problem, max(2.0 * float(costs.max(axis=1).sum()), 1.0), name, cost=cost, time_limit=EXPLAIN_SECONDS)
    if plan.utility is None:
        return f"utility {target:.12g} is out of reach: no plan keeps the problem's constraints"
    reached = "is" if plan.status == "optimal" else "is, of those found,"
    return (
        f"utility {target:.12g} is out of reach: the greatest that keeps the problem's constraints {reached} "
        f"{plan.utility:.12g}"
    )
