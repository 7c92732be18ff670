"""Proven optima of the amortized problem at any size.

The linear relaxation gives a shadow price, a bound and the greedy plan. At that price, every state of every query
has a loss against the query's best one; no plan that beats the incumbent has a state whose loss reaches the
incumbent's shortfall from the bound, so nearly all states are fixed (reduced-cost fixing). What is left, the
core, is searched by two lists that meet in the middle, see `core`. Where the lists outgrow their space, which
takes a query whose steps are a large part of the budget, the search branches on the states of the query that the
relaxation splits. Sources: Pisinger, "A minimal algorithm for the multiple-choice knapsack problem", European
Journal of Operational Research 83, 1995; Kellerer, Pferschy and Pisinger, "Knapsack Problems", 2004, chapter 11.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from operator import mul
from typing import Any

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import IntArray
from robatch.instances.kernels import Flat, tally
from robatch.instances.money import Money, Whole, times
from robatch.solvers.bounds import relaxation_kernels as sweeps
from robatch.solvers.bounds.granularity import lower_to_grade
from robatch.solvers.bounds.relaxation import EDGE, ROUNDING, Relaxation, Relaxer, at_budget, over_chunks
from robatch.solvers.exact.core import Core
from robatch.solvers.registry import Answer, Request
from robatch.solvers.search_limits import Work

FIRST_CUT = 8  # the first search leaves out states whose loss is above the shortfall over this ...
AT_ONCE = 500  # ... if there are more queries than these
MOST_ITEMS = 3_000_000  # states in the core
PROVEN = 0.99  # part of the gap at which a search stops, so that rounding does not take the proof away again
DEPTH = 4  # queries that are branched on, one below the other
LEFT, LOWER = 0.5, 0.05  # of the distance from plan to bound: what branching may leave, what the bound has to give

Found = tuple[IntArray | None, float]


@dataclass(frozen=True, slots=True)
class Node:
    """A problem to close: the whole one, or what is left of it when some queries are fixed.

    Attributes
    ----------
    flat, money
        The queries that are not fixed, and the prices.
    budget, most
        What is left of the budget, in USD and in units of `money`.
    fixed
        Utility of the fixed queries.
    gap
        Relative gap at which to stop, of the utility of all queries.
    work
        Limits and counts.
    depth
        Number of fixed queries.
    """

    flat: Flat
    money: Money
    budget: float
    most: Whole
    fixed: float
    gap: float
    work: Work
    depth: int = 0

    def evaluate(self, states: IntArray) -> tuple[float, Whole]:
        """Return utility, and amortized cost in units, of an assignment."""
        queries = np.zeros((1, len(self.flat.share)), dtype=np.int64)
        _, utility, sent, received = tally(states, np.empty(0, dtype=np.int64), queries, self.flat)
        own = times(self.money.price_in, sent.tolist()) + times(self.money.price_out, received.tolist())
        return utility, own + sum(map(mul, self.money.share, queries[0].tolist()))

    def greedy(self, relaxation: Relaxation) -> tuple[IntArray, float]:
        """Return the greedy assignment and its utility; -inf if it does not keep the budget."""
        for budget in (self.budget, self.budget * (1 - 3 * EDGE)):  # a plan may exceed it by `EDGE`
            states, utility, cost = at_budget(relaxation.steps, budget).plan()
            if cost <= self.budget * (1 - EDGE):  # clear of the edge, sums of floating-point numbers will do
                return states, utility
            utility, units = self.evaluate(states)
            if units <= self.most:
                return states, utility
        return states, -math.inf

    def tolerance(self, incumbent: float, margin: float) -> float:
        """Return the distance to the bound at which the node is closed."""
        return max(PROVEN * self.gap * (self.fixed + incumbent), 4 * margin)


def run(request: Request) -> Answer:
    """Return a plan that is proven best to the requested gap, or the best one found and its bound."""
    prompts = (request.problem.call_price > 0.0) & (request.problem.state_batch_size > 1)
    if request.cost == "realized" and prompts.any():  # otherwise both cost models are the same
        from robatch.solvers.exact import realized as realized_exact

        return realized_exact.run(request)
    problem, budget = request.problem, request.budget
    relaxer = Relaxer.of(request)
    work = Work(request.time_limit, relaxer.threads)
    relaxation = relaxer.at(budget)
    node = Node(relaxer.flat, problem.money, budget, problem.money.most(budget), 0.0, request.gap, work)
    best, incumbent = None, -math.inf
    if request.initial is not None and problem.amortized_cost(request.initial) <= budget:
        best, incumbent = request.initial, problem.total_utility(request.initial)
    found, bound = close(node, relaxation, incumbent)
    if found is None and best is None:  # at the very edge of the budget
        found = problem.cheapest_assignment
    if work.limit is not None:  # what the search lowered may come to a grade
        bound = lower_to_grade(node.flat, bound)
    return Answer(
        best if found is None else found,
        bound=bound,
        limit=work.limit,
        shadow_price=relaxation.price,
        statistics=work.counts,
    )


def close(node: Node, relaxation: Relaxation, incumbent: float) -> Found:
    """Find the best assignment of more utility than an incumbent's, and a bound on all assignments.

    Parameters
    ----------
    node, relaxation
        What to close, and the relaxation at its budget.
    incumbent
        Utility to beat, -inf if there is no plan yet.

    Returns
    -------
    tuple
        The assignment (N,), None if none was found, and the bound.
    """
    best: IntArray | None = None
    states: IntArray
    states, utility = node.greedy(relaxation)
    if utility > incumbent:
        best, incumbent = states, utility
    bound = linear = relaxation.bound
    if relaxation.price == 0.0 and incumbent < bound:  # but for rounding, the budget would buy all that there is
        relaxation = at_budget(relaxation.steps, node.budget * (1 - 3 * EDGE))
    price = relaxation.price
    # without a binding budget there is nothing to search; a price may overflow where a step costs next to nothing
    if not 0.0 < price < math.inf or incumbent == -math.inf:
        return best, bound
    margin = ROUNDING * (abs(utility) + price * node.budget)  # what the sums here can err at most
    if node.depth == 0 and bound - incumbent > node.tolerance(incumbent, margin):
        bound = lower_to_grade(node.flat, bound)
    if bound - incumbent <= node.tolerance(incumbent, margin):
        return best, bound
    states = relaxation.whole_steps()
    utility, cost = node.evaluate(states)
    if cost <= node.most and utility > incumbent:
        best, incumbent = states, utility
    shortfall = linear - incumbent
    cut = shortfall / FIRST_CUT if len(states) > AT_ONCE else shortfall * (1 + 1e-9)
    branches: list[Branch] = []
    while not node.work.late:
        columns = _near(node, price, cut, states)
        if columns is None:
            break
        core = Core(node.flat, node.money, columns, price, states, utility, cost, node.most, cut, node.work)
        for edge in (False, True):
            if edge:
                core.lower_room()  # at the very edge of the budget, the last digits decide
            done = core.search(incumbent, node.tolerance(incumbent, margin) - 2 * margin)
            if not done and not branches:
                branches = _branches(node, relaxation)
            if not done and _promising(branches, incumbent, bound):
                found, bound = _branch(node, relaxation, branches, incumbent, bound)
                return (best if found is None else found), bound
            if not done:
                core.persist()
            if not edge:
                bound = max(min(bound, core.bound + margin), incumbent)
            if not core.found:
                break
            found = core.apply()
            value, units = node.evaluate(found)
            if units <= node.most:
                if value > incumbent:
                    best, incumbent = found, value
                break
        if bound - incumbent <= node.tolerance(incumbent, margin):
            return best, bound
        shortfall = core.linear_bound - incumbent
        if core.incomplete or cut >= shortfall:
            node.work.limit = node.work.limit or ("memory" if core.incomplete else "other")
            break
        cut = shortfall * (1 + 1e-9)
    return best, bound


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


def _near(node: Node, price: float, cut: float, states: IntArray) -> list[npt.NDArray[Any]] | None:
    """Return the states that lose less than `cut` at a price; None if they are too many."""
    plain = node.flat.plain
    parts = over_chunks(
        lambda begin, end: sweeps.near(begin, end, price, cut, MOST_ITEMS, plain, states, node.flat),
        len(states),
        node.work.threads,
    )
    columns = [np.concatenate([part[i] for part in parts]) for i in range(5)] if len(parts) > 1 else list(parts[0])
    if len(columns[0]) > MOST_ITEMS:
        node.work.limit = "memory"
        return None
    return columns


def _branches(node: Node, relaxation: Relaxation) -> list[Branch]:
    """Return a branch for each state of the query that the relaxation splits, the most promising one first."""
    query = relaxation.split
    if query is None or node.flat.n_queries < 2 or node.depth >= DEPTH:
        return []
    rest = node.flat.take(np.delete(np.arange(node.flat.n_queries), query))
    relaxer = Relaxer(rest, node.work.threads, (relaxation.price * 1.01, relaxation.price * 0.99))
    row = sweeps.new_row(node.flat)
    sweeps.load_row(query, node.flat, row)
    branches = []
    for state in np.flatnonzero(row.utility >= 0.0).tolist():
        cost, utility = float(row.cost[state]), float(row.utility[state])
        below = relaxer.at(max(node.budget - cost, 0.0)) if cost <= node.budget * (1 + EDGE) else None
        if below is not None and below.steps.cost <= node.budget * (1 + EDGE) - cost:
            greedy = below.plan()[1] + utility
            branches.append(Branch(below.bound + utility, greedy, state, utility, cost, rest, below))
    return sorted(branches, key=lambda branch: (-branch.bound, branch.state))


def _promising(branches: list[Branch], incumbent: float, bound: float) -> bool:
    """Whether branching alone would bring plan and bound much closer, the bound not least."""
    if not branches:
        return False
    above, reached = branches[0].bound, max(incumbent, *(branch.greedy for branch in branches))
    gap = bound - incumbent
    return above - reached < LEFT * gap and bound - above > LOWER * gap


def _branch(node: Node, relaxation: Relaxation, branches: list[Branch], incumbent: float, bound: float) -> Found:
    """Close every branch that may hold a better plan than the incumbent."""
    best: IntArray | None = None
    query, proven = relaxation.split, incumbent
    assert query is not None  # it has branches
    node.work.add(branches=len(branches))
    for branch in branches:
        above = branch.bound
        if above - incumbent > node.gap * (node.fixed + incumbent):
            _, units = replace(node, flat=node.flat.take(np.array([query]))).evaluate(np.array([branch.state]))
            child = replace(
                node,
                flat=branch.flat,
                budget=node.budget - branch.cost,
                most=node.most - units,
                fixed=node.fixed + branch.utility,
                depth=node.depth + 1,
            )
            found, above = close(child, branch.relaxation, incumbent - branch.utility)
            above += branch.utility
            if found is not None:
                plan = np.insert(found, query, branch.state)
                utility, units = node.evaluate(plan)  # where tokens are not whole, this sum rounds otherwise
                if units <= node.most and utility > incumbent:
                    best, incumbent = plan, utility
        proven = max(proven, above)
    return best, min(bound, max(proven, incumbent))
