"""Proven optima of the amortized problem at any size.

The linear relaxation gives a shadow price, a bound and the greedy plan. At that price, every state of every query
has a loss against the query's best one; no plan that beats the incumbent has a state whose loss reaches the
incumbent's shortfall from the bound, so nearly all states are fixed (reduced-cost fixing). What is left, the
core, is searched by two lists that meet in the middle, see `core`. Where the lists outgrow their space, which
takes a query whose steps are a large part of the budget, the search branches on the states of the query that the
relaxation splits. Where utilities are multiples of one number and costs are whole, `knapsack` comes first.
Sources: Pisinger, "A minimal algorithm for the multiple-choice knapsack problem", European
Journal of Operational Research 83, 1995; Kellerer, Pferschy and Pisinger, "Knapsack Problems", 2004, chapter 11.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from robatch.instances.kernels import Flat
from robatch.solvers.bounds import relaxation_kernels
from robatch.solvers.bounds.granularity import lower_to_grade
from robatch.solvers.bounds.relaxation import DUAL_ROUNDING, EDGE, Relaxation, Relaxer, at_budget
from robatch.solvers.bounds.shared import Bounds
from robatch.solvers.bounds.threads import over_chunks
from robatch.solvers.exact.core import Core
from robatch.solvers.exact.knapsack import Knapsack
from robatch.solvers.exact.node import Base, Node
from robatch.solvers.limits import one_cost
from robatch.solvers.plan.incumbent import Incumbent
from robatch.solvers.plan.plan import OPTIMAL_GAP
from robatch.solvers.registry import Answer, Request
from robatch.solvers.search_limits import Work

FIRST_CUT = 8  # the first search leaves out states whose loss is above the shortfall over this
AT_ONCE = 500  # queries up to which it leaves out none that can matter
MAX_ITEMS = 3_000_000  # states in the core
DEPTH = 4  # queries that are branched on, one below the other
WHOLE_ROUNDING = 4e-14  # relative: by how much utilities may differ from what they are taken for as whole numbers
AT_HAND = 100_000  # queries times states up to which a knapsack of whole numbers is loaded at once
LEFT, LOWER = 0.5, 0.05  # of the distance from plan to bound: what branching may leave, what the bound has to give


def run(request: Request) -> Answer:
    """Return a plan that is proven best to the requested gap, or the best one found and its bound."""
    if request.cost == "realized" and not one_cost(request.problem):
        from robatch.solvers.exact import realized  # here, as it loads HiGHS

        return realized.run(request)
    problem, budget = request.problem, request.budget
    relaxer = Bounds.of(request).relaxer
    work = Work(request.time_limit, relaxer.threads)
    found = Incumbent()
    if request.initial is not None:
        found = found.evaluated(request.initial, problem.evaluate(request.initial), "amortized", budget)
    node = Node(relaxer.flat, problem.money, budget, problem.money.most(budget), 0.0, request.gap, work)
    relaxation = None
    if problem.costs is None and problem.n_queries * problem.n_states > AT_HAND:
        relaxation = relaxer.at(budget)
        found = found.bounded(lower_to_grade(node.flat, relaxation.bound)).offered(*node.greedy(relaxation))
        if found.proven(max(request.gap, OPTIMAL_GAP)):
            return Answer.of(found, shadow_price=relaxation.price, statistics=work.counts)
    found, price = _as_whole_numbers(request, node, found)
    if price is not None and found.proven(max(request.gap, OPTIMAL_GAP)):
        return Answer.of(found, shadow_price=price, statistics=work.counts)
    relaxation = relaxation or relaxer.at(budget)
    found = close(node, relaxation, found)
    if found.assignment is None:  # at the very edge of the budget
        found = replace(found, assignment=problem.cheapest_assignment)
    if work.limit is not None:  # what the search lowered may come to a grade
        found = found.bounded(lower_to_grade(node.flat, found.bound))
    return Answer.of(found.stopped(work.limit), shadow_price=relaxation.price, statistics=work.counts)


def _as_whole_numbers(request: Request, node: Node, found: Incumbent) -> tuple[Incumbent, float | None]:
    """Search a problem as a knapsack of whole numbers, if it is one; return what is known, and the shadow price."""
    knapsack = Knapsack.of(node.flat, node.money, node.most)
    closed = None if knapsack is None else knapsack.solve(node.work, request.gap)
    if knapsack is None or closed is None or closed.choice is None:
        return found, None
    found = found.evaluated(closed.choice, request.problem.evaluate(closed.choice), "amortized", request.budget)
    found = found.bounded(closed.bound * (1 + WHOLE_ROUNDING))
    return found, closed.price * (node.money.units / knapsack.unit)


def close(node: Node, relaxation: Relaxation, found: Incumbent) -> Incumbent:
    """Find the best assignment (N,) of more utility than an incumbent's, and a bound on all assignments.

    Parameters
    ----------
    node, relaxation
        What to close, and the relaxation at its budget.
    found
        The plan to beat, or only its utility; -inf if there is none yet.
    """
    states, utility = node.greedy(relaxation)
    found = found.bounded(relaxation.bound).offered(states, utility)
    linear = relaxation.bound
    if relaxation.price == 0.0 and found.shortfall > 0.0:  # but for rounding, the budget would buy all that there is
        relaxation = at_budget(relaxation.steps, node.budget * (1 - 3 * EDGE))
    price = relaxation.price
    # without a binding budget there is nothing to search; a price may overflow where a step costs next to nothing
    if not 0.0 < price < math.inf or found.utility == -math.inf:
        return found
    margin = DUAL_ROUNDING * (abs(utility) + price * node.budget)  # what the sums here can err at most
    if node.depth == 0 and found.shortfall > node.tolerance(found.utility, margin):
        found = found.bounded(lower_to_grade(node.flat, found.bound))
    if found.shortfall <= node.tolerance(found.utility, margin):
        return found
    base = node.evaluate(relaxation.break_solution())
    if base.cost <= node.most:
        found = found.offered(base.states, base.utility)
    shortfall = linear - found.utility
    cut = shortfall / FIRST_CUT if len(base.states) > AT_ONCE else shortfall * (1 + 1e-9)
    branches: list[Branch] = []
    while not node.work.late:
        columns = _near(node, price, cut, base)
        if columns is None:
            break
        core = Core(node, columns, price, base, cut)
        for edge in (False, True):
            if edge:
                core.lower_slack()  # at the very edge of the budget, the last digits decide
            done = core.search(found.utility, node.tolerance(found.utility, margin) - 2 * margin)
            if not done and not branches:
                branches = _branches(node, relaxation)
            if not done and _promising(branches, found):
                return _branch(node, relaxation, branches, found)
            if not done:
                core.persist()
            if not edge:
                found = replace(found, bound=max(min(found.bound, core.bound + margin), found.utility))
            if not core.found:
                break
            plan = node.evaluate(core.apply())
            if plan.cost <= node.most:
                found = found.offered(plan.states, plan.utility)
                break
        if found.shortfall <= node.tolerance(found.utility, margin):
            return found
        shortfall = core.linear_bound - found.utility
        if core.incomplete or cut >= shortfall:
            node.work.limit = node.work.limit or ("memory" if core.incomplete else "other")
            break
        cut = shortfall * (1 + 1e-9)
    return found


@dataclass(frozen=True, slots=True)
class Branch:
    """What is left of a node when its split query takes one of its states.

    Attributes
    ----------
    bound, greedy
        Utility that no plan of the branch exceeds, and that of its greedy plan.
    state, utility, cost
        The state, and its utility and USD.
    flat, relaxation
        The other queries, and their relaxation at what is left of the budget.
    """

    bound: float
    greedy: float
    state: int
    utility: float
    cost: float
    flat: Flat
    relaxation: Relaxation


def _near(node: Node, price: float, cut: float, base: Base) -> list[npt.NDArray[Any]] | None:
    """Return the states that lose less than `cut` at a price; None if they are too many."""
    plain, states = node.flat.plain, base.states
    parts = over_chunks(
        lambda begin, end: relaxation_kernels.near(begin, end, price, cut, MAX_ITEMS, plain, states, node.flat),
        len(states),
        node.work.threads,
    )
    columns = [np.concatenate([part[i] for part in parts]) for i in range(5)] if len(parts) > 1 else list(parts[0])
    if len(columns[0]) > MAX_ITEMS:
        node.work.limit = "memory"
        return None
    return columns


def _branches(node: Node, relaxation: Relaxation) -> list[Branch]:
    """Return a branch for each state of the query that the relaxation splits, the most promising one first."""
    query = relaxation.break_query
    if query is None or node.flat.n_queries < 2 or node.depth >= DEPTH:
        return []
    rest = node.flat.take(np.delete(np.arange(node.flat.n_queries), query))
    relaxer = Relaxer(rest, node.work.threads, (relaxation.price * 1.01, relaxation.price * 0.99))
    costs, utilities = relaxation_kernels.row_of(query, node.flat)
    branches = []
    for state in np.flatnonzero(utilities >= 0.0).tolist():
        cost, utility = float(costs[state]), float(utilities[state])
        below = relaxer.at(max(node.budget - cost, 0.0)) if cost <= node.budget * (1 + EDGE) else None
        if below is not None and below.steps.cost <= node.budget * (1 + EDGE) - cost:
            greedy = below.plan()[1] + utility
            branches.append(Branch(below.bound + utility, greedy, state, utility, cost, rest, below))
    return sorted(branches, key=lambda branch: (-branch.bound, branch.state))


def _promising(branches: list[Branch], found: Incumbent) -> bool:
    """Whether branching alone would bring plan and bound much closer, the bound not least."""
    if not branches:
        return False
    above, reached = branches[0].bound, max(found.utility, *(branch.greedy for branch in branches))
    return above - reached < LEFT * found.shortfall and found.bound - above > LOWER * found.shortfall


def _branch(node: Node, relaxation: Relaxation, branches: list[Branch], found: Incumbent) -> Incumbent:
    """Close every branch that may hold a better plan than the incumbent."""
    query, proven = relaxation.break_query, found.utility
    assert query is not None  # it has branches
    node.work.add(branches=len(branches))
    for branch in branches:
        above = branch.bound
        if above - found.utility > node.gap * (node.fixed + found.utility):
            alone = replace(node, flat=node.flat.take(np.array([query])))
            child = replace(
                node,
                flat=branch.flat,
                budget=node.budget - branch.cost,
                most=node.most - alone.evaluate(np.array([branch.state])).cost,
                fixed=node.fixed + branch.utility,
                depth=node.depth + 1,
            )
            rest = close(child, branch.relaxation, Incumbent(utility=found.utility - branch.utility))
            above = rest.bound + branch.utility
            if rest.assignment is not None:
                plan = node.evaluate(np.insert(rest.assignment, query, branch.state))
                if plan.cost <= node.most:  # where tokens are not whole, this sum rounds otherwise
                    found = found.offered(plan.states, plan.utility)
        proven = max(proven, above)
    return found.bounded(max(proven, found.utility))
