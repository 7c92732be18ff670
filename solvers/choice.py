"""Which solver is asked, and how hard it searches: what ``"auto"`` stands for, and what a solver cannot do."""

from __future__ import annotations

from robatch.instances.errors import InputError
from robatch.instances.problem import Problem
from robatch.solvers.limits import needs, one_cost
from robatch.solvers.plan.plan import Cost
from robatch.solvers.registry import OWN_COSTS, Request, Solver, get, solvers

AUTO: dict[Cost, str] = {"amortized": "exact", "realized": "greedy"}
"""What ``"auto"`` stands for, where no constraint couples queries and the two cost models differ."""

AUTO_COUPLED = "greedy"
"""What it stands for where constraints couple queries."""

AUTO_OWN_COSTS = "highs"
"""What it stands for where calls are shared, or constraints kept, at costs of one's own."""

AUTO_EFFORT, AUTO_QUERIES = 10.0, 200
"""Times the effort that ``"auto"`` asks for under realized cost, and queries up to which it does."""


def chosen(name: str, problem: Problem, cost: Cost) -> Solver:
    """Return the solver of a name, or the one that ``"auto"`` stands for, if it can do what is asked.

    Raises
    ------
    InputError
        If there is none of that name, or it cannot keep a budget of that cost or one of the problem's constraints.
    """
    asked = needs(problem, cost)
    if name == "auto":
        coupled = AUTO_OWN_COSTS if "costs" in asked else AUTO_COUPLED
        name = coupled if asked else AUTO["amortized" if one_cost(problem) else cost]
    entry = get(name)
    if cost not in entry.costs:
        able = " or ".join(f"cost={one!r}" for one in entry.costs)
        raise InputError(
            f"cost is {cost!r}: solver {entry.name!r} cannot keep a budget of {cost} cost, {able} is needed"
        )
    check_constraints(f"solver {entry.name!r}", entry.constraints, asked, cost)
    return entry


def effort_of(name: str, entry: Solver, request: Request) -> float:
    """Return the effort of a request to the solver of a name.

    Raises
    ------
    InputError
        If it is not 1 for a solver that has no search which more effort prolongs.
    """
    effort, cost, problem = request.effort, request.cost, request.problem
    if effort != 1.0 and (cost not in entry.effort or problem.constraints is not None):
        can = [one.name for one in solvers() if cost in one.effort and problem.constraints is None]
        where = f"under {cost} cost" if problem.constraints is None else "with constraints"
        others = f", {' and '.join(can)} take more" if can else ""
        if problem.constraints is not None and entry.proves != "optimum":
            others = "; a solver that proves optima, such as 'highs', may find a better plan"
        meant = f", which 'auto' stands for {where}," if name == "auto" else ""
        takes = "takes only 1" if meant else f"takes only 1 {where}"
        raise InputError(f"effort is {effort:g}: solver {entry.name!r}{meant} {takes}{others}")
    more = name == "auto" and cost == "realized" and problem.n_queries <= AUTO_QUERIES
    return AUTO_EFFORT * effort if more else effort


def check_constraints(who: str, able: frozenset[str], asked: list[str], cost: Cost) -> None:
    """Refuse constraints that couple queries where they cannot be kept.

    Raises
    ------
    InputError
        If one of those `asked` is not among those that `who` is `able` to keep.
    """
    beyond = [kind for kind in asked if kind not in able]
    if beyond:
        can = [one.name for one in solvers() if cost in one.costs and one.constraints.issuperset(asked)]
        what = "costs of one's own, where calls are shared or with constraints" if beyond[0] == OWN_COSTS else beyond[0]
        raise InputError(f"{who} cannot keep {what} ({cost} cost): solvers that can are {', '.join(can) or 'none'}")
