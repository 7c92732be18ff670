"""The least cost that reaches a target utility: the dual question to the greatest utility within a budget."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import Any

from robatch.instances.errors import InputError
from robatch.instances.problem import Problem
from robatch.solvers.builtin import BACKENDS
from robatch.solvers.cheapest.targets import reachable, target_utility
from robatch.solvers.check.verify_cheapest import verify_cheapest
from robatch.solvers.choice import AUTO, effort_of
from robatch.solvers.limits import one_cost
from robatch.solvers.plan.plan import OPTIMAL_GAP, Cost, Limit, Plan, Status
from robatch.solvers.registry import Answer, Request, get
from robatch.solvers.solve import plan_of
from robatch.solvers.writes import as_billed

PROGRAMS = tuple(one.name for one in BACKENDS)  # to which a least utility can be added
TINY = 2.2250738585072014e-308  # USD: a plan's budget has to be above 0, even where the plan is free


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


def cheapest(  # wide: one parameter per option
    problem: Problem,
    *,
    utility: float | None = None,
    mean: float | None = None,
    of_best: float | None = None,
    solver: str = "auto",
    cost: Cost = "realized",
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
        ``"greedy"``: under realized cost root finding on the budget, each of which the search over call counts proves
        too small or shows a plan of, as far as its effort goes; under amortized cost steps up the concave hulls by
        utility per USD, with the linear bound. ``"exact"``: proven least cost; under amortized cost at any size, by
        root finding on the budget of the solver of that name; under realized cost as ``greedy`` with more effort, then
        the program of ``"highs"``. ``"highs"``, ``"cpsat"``, ``"scip"``,
        ``"cbc"``, ``"pulp-highs"``: a mixed-integer program with a floor of utility, run by RoBatch's own backend even
        where another solver is registered under its name. ``"auto"``: ``greedy`` under realized cost, with
        more effort for up to 200 queries, ``exact`` under amortized cost, ``highs`` where the problem has constraints.
    cost
        The cost model: ``"realized"``, what is billed, or ``"amortized"``, as if every call were full.
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
    name = _chosen(problem, solver, cost)
    # without a prompt that several queries share, both cost models are one
    if one_cost(problem):
        request = replace(request, cost="amortized")
    if problem.constraints is not None and name not in PROGRAMS:
        raise InputError(f"solver {name!r} cannot keep the problem's constraints: {', '.join(PROGRAMS)} can")
    asked = target_utility(problem, utility, mean, of_best)
    entry = get(name)
    entry.load()
    request = replace(request, effort=effort_of(solver, entry, request))
    begin = time.perf_counter()
    target, why = reachable(problem, asked)
    if why is not None:
        return Cheapest(None, asked, None, None, "infeasible", None, None, time.perf_counter() - begin, name, why)
    from robatch.solvers.bounds.shared import Bounds
    from robatch.solvers.cheapest.find import find
    from robatch.solvers.cheapest.task import Task

    given, tiers = request, problem.tiers
    if tiers is not None:
        request = replace(request, problem=tiers.problem)
    if request.cost == "realized":
        request = replace(request, problem=as_billed(request.problem))
    task = Task.of(request, target, graded=name != "greedy" or request.cost == "realized")
    found, utility_bound = find(task, name)
    seconds, best = time.perf_counter() - begin, found.incumbent
    told = Cheapest(None, target, None, None, "no_solution", best.limit, task.price, seconds, name, found.message)
    if found.infeasible:
        return replace(told, status="infeasible")
    if best.assignment is None:
        return replace(told, bound=-best.bound)
    states = best.assignment if tiers is None else tiers.outward(best.assignment)
    spent = problem.cost(states, cost)
    budget = max(spent, TINY)
    relaxation = Bounds.of(task.request).relaxer.at(budget)
    bound = min(relaxation.bound, utility_bound)
    answer = Answer(states, bound=bound, shadow_price=relaxation.price, limit=best.limit)
    plan = plan_of(replace(given, budget=budget, cost=cost, gap=0.0), entry, answer, seconds)
    told = replace(told, plan=plan, cost=spent, bound=min(max(-best.bound, 0.0), spent), status="feasible")
    distance = math.inf if told.gap is None else told.gap
    if distance <= OPTIMAL_GAP:
        told = replace(told, status="optimal", limit=None)
    elif told.limit is None and entry.proves == "optimum" and distance <= request.gap:
        told = replace(told, limit="gap")
    verify_cheapest(problem, told, calls=False)
    return told


def _chosen(problem: Problem, solver: str, cost: Cost) -> str:
    """Return the name of the solver that is asked for, or that ``"auto"`` stands for."""
    automatic = "highs" if problem.constraints is not None else AUTO["amortized" if one_cost(problem) else cost]
    name = automatic if solver == "auto" else solver
    known = ("greedy", "exact", *PROGRAMS)
    if name not in known:
        raise InputError(f"solver is {solver!r}: the least cost of a utility is found by auto, {', '.join(known)}")
    return name
