"""The greedy scheduler under realized cost: a plan that keeps its budget as it is billed, and a bound.

The amortized relaxation gives a price and a bound. At that price most queries have one state that is clearly best; what
the others do, and how many calls each state sends, is searched by a tree, see `call_tree`: first with the few pairs of
query and state that lose least, for a plan; then with all that a better plan can hold.
"""

from __future__ import annotations

import math
import time

import numpy as np

from robatch.instances.arrays import IntArray
from robatch.solvers.bounds.fit_to_budget import within
from robatch.solvers.bounds.granularity import grade, lower_to_grade
from robatch.solvers.bounds.relaxation import EDGE, Relaxation, Relaxer
from robatch.solvers.bounds.shared import Bounds
from robatch.solvers.greedy.call_tree import Asked, CallTree, Close, Grown, Limits
from robatch.solvers.greedy.first_plans import first_plan
from robatch.solvers.greedy.last_calls import shrunk
from robatch.solvers.greedy.realized_groups import decomposed
from robatch.solvers.greedy.realized_table import Chosen, Losses, Table, keep_apart, unshared
from robatch.solvers.plan.incumbent import Incumbent
from robatch.solvers.registry import Answer, Request
from robatch.solvers.search_limits import deadline_in

LOW_PRICE = 0.1  # where the relaxation has no use for more USD, of all utility a USD of the budget: a first price
CLOSE, LEAST_CLOSE = 0.4, 1e-13  # of the gap that is asked for, at which nothing more is tried; and at least
SPARE = 2.0  # times what the dearest call is worth: what pairs of the first tree may lose
FIRST_BOXES, FIRST_LEAVES, FIRST_WORK = 300, 2, 5.0  # and times the work of the second
MAX_CANDIDATES, CORE_QUERIES = 1_000_000, 2_000  # queries times states up to which all are held; else queries that are
EDGE_PER_QUERY = 2e-16  # relative, that a sum of costs errs a query
MAX_FITS, MAX_FITS_WITH_CONFLICTS = 2, 16  # searches until a plan keeps the budget: at its very edge, or with conflicts
MAX_FITS_WITHOUT_PLAN = 60  # searches with conflicts, as long as there is no plan at all
MOST_FIT_WORK = 5e8  # of all but the first, in units of about a nanosecond
MAX_LAST_CALL_QUERIES = 100_000  # later, single last calls hardly matter
MAX_TREE_GROUPS = 32  # groups up to which a tree over the calls of all follows
MAX_ALL_PAIRS, PAIRS_PER_QUERY = 200_000, 8  # queries times states up to which groups look at all of them
BOXES, LEAVES, STEPS, DEEP = 1_500, 100, 3_000, 1.5
WORK, WORK_PER_QUERY, MANY, MOST_WORK, LARGE_WORK = 7e6, 1e4, 2_000, 15e6, 5e6
STALL, STALL_PER_QUERY = 3e6, 1e3  # work without a better plan that ends a tree
WIDE = 1e-3  # relative gap with which no tree ends at its first limits
MOST_PAIRS, MOVERS = 8_000, 40  # in a tree, besides so many between any two states
FIRST_MOVERS = 12  # in the first tree of many queries, besides half as many pairs
MANY_LESS = 4  # times fewer pairs, and by the square of it fewer movers, of many queries
FEW = 100  # queries up to which all pairs that a better plan may hold are searched, and to the limit
MEDIUM = 200  # queries up to which the first tree has as many pairs as the others


def run(request: Request, close: Close | None = None) -> Answer:
    """Schedule under realized cost: relaxation, first plans, a tree over call counts, whose last leaves `close` closes.

    The bound is the lower one of the relaxation's, in which each query pays its share of a call that is as full as it
    can be, and the tree's. More effort than 1 buys another, larger tree where the proof is still open.
    """
    budget, bounds = request.budget, Bounds.of(request)
    relaxer, relaxation = bounds.tightened, bounds.realized(budget)
    if relaxation.steps.cost > budget * (1 + 1e-9):  # even if all calls were full
        return Answer(infeasible=True)
    price, deadline = relaxation.price, deadline_in(request.time_limit)
    found = first_plan(request, relaxer, relaxation)
    if request.initial is not None:
        found = found.evaluated(request.initial, request.problem.evaluate(request.initial), "realized", budget)
    if not found.proven(CLOSE * request.gap):
        found = searched(request, relaxer, relaxation, found, close)
        if found.bound < 0.0:  # no utility is
            return Answer(infeasible=True)
        if found.assignment is None:
            found = within(request, relaxer.schedule).bounded(found.bound)
    enough = request.problem.n_queries <= MANY and request.problem.n_groups <= MAX_TREE_GROUPS
    enough = enough or request.problem.n_queries > MAX_LAST_CALL_QUERIES
    if found.assignment is not None and not enough:
        evaluation = found.evaluation or request.problem.evaluate(found.assignment)
        states, end = shrunk(request.problem, found.assignment, evaluation, budget)
        found = found.offered(states, end.utility, end.realized_cost, evaluation=end)
    if time.perf_counter() > deadline and not found.proven(request.gap):
        found = found.stopped("time")
    missing = "no plan was found that keeps the budget as billed; 'exact' can tell if one is"
    return Answer.of(found, missing, shadow_price=price)


def joined(request: Request, table: Table, relaxation: Relaxation, price: float, found: Incumbent) -> Incumbent:
    """Return the incumbent after the search of each group by itself at prices of USD."""
    problem, budget = request.problem, request.budget
    losses = Losses.of(table, budget * (1 + EDGE), price, relaxation.break_solution())
    pairs, lost = table.utility >= 0.0, math.inf
    if pairs.size > MAX_ALL_PAIRS:
        spare = SPARE * price * float(table.price.max()) or math.inf
        pairs, lost = losses.chosen(spare, PAIRS_PER_QUERY * problem.n_queries, MOVERS)
    pairs[np.arange(len(losses.best)), losses.best] = True
    mix = decomposed(table, losses.best, pairs, budget * (1 - EDGE), price, deadline_in(request.time_limit))
    rounding = EDGE * (2.0 * budget * mix.price + abs(mix.bound))
    bound, flat = max(mix.bound + rounding, losses.bound - lost), Bounds.of(request).tightened.flat
    found = found.bounded(lower_to_grade(flat, bound) if bound >= 0.0 else bound)
    if mix.states is None:
        return found
    return found.evaluated(mix.states, problem.evaluate(mix.states), "realized", budget)


def searched(
    request: Request, relaxer: Relaxer, relaxation: Relaxation, found: Incumbent, close: Close | None = None
) -> Incumbent:
    """Return the incumbent after a search with a budget that is larger by rounding; and with less, where that counts.

    Calls are counted as if any queries of a group could share them. So with conflicts, there may be more: then queries
    are kept apart. Where that leaves no plan, the search begins anew, and others are kept apart, at random.
    """
    problem, budget = request.problem, request.budget
    average = relaxation.bound / budget
    price = relaxation.price if relaxation.price < math.inf else average
    large = problem.n_queries * problem.n_states > MAX_CANDIDATES
    states = relaxation.break_solution()
    table = Table.of(problem, relaxer) if not large else Table.around(problem, relaxer, relaxation, price, CORE_QUERIES)
    grades, enough_gap = grade(relaxer.flat), max(CLOSE * request.gap, LEAST_CLOSE)
    deadline = deadline_in(request.time_limit)
    if problem.n_groups > 1 and not large:
        found = joined(request, table, relaxation, price or LOW_PRICE * average, found)
        enough = found.assignment is not None and problem.n_groups > MAX_TREE_GROUPS
        if enough or found.bound < 0.0 or found.proven(CLOSE * request.gap):
            return found
    edge = min(EDGE, EDGE_PER_QUERY * (problem.n_queries + 16))
    target = budget * (1 + edge)
    allowed, rng, work = table.utility.copy(), None, 0.0
    fits = MAX_FITS_WITHOUT_PLAN if found.assignment is None else MAX_FITS_WITH_CONFLICTS
    for number in range(MAX_FITS if problem.conflicts is None else fits):
        losses = Losses.of(table, budget * (1 + edge), price, states[table.rows])
        search = Search(table, losses, price or LOW_PRICE * average, grades, enough_gap)
        effort, closer = (request.effort, close) if number == 0 else (1.0, None)
        grown = search.run(found, target, effort, deadline, closer)
        work += grown.work if number > 0 else 0.0
        if number == 0 and not large:
            found = found.bounded(lower_to_grade(relaxer.flat, grown.bound) if grades[0] > 0.0 else grown.bound)
        late = number > 0 and (time.perf_counter() > deadline or work > MOST_FIT_WORK)
        if grown.states is None:
            if late or number == 0 or found.assignment is not None:
                break
            table.utility[:], target = allowed, budget * (1 + edge)
            rng = rng or np.random.default_rng(problem.n_queries)
            continue
        plan = states.copy()
        plan[table.rows] = grown.states
        evaluation = problem.evaluate(plan)
        over = evaluation.realized_cost - budget
        if over <= 0.0:
            return found.evaluated(plan, evaluation, "realized", budget)
        if late:
            break
        if problem.conflicts is None or not keep_apart(problem, table, plan, evaluation, rng):
            counted = evaluation.realized_cost - float((unshared(problem, plan, evaluation) * problem.call_price).sum())
            target = min(target - 1.01 * over, counted) - 2 * edge * budget  # the same plan must not come back
    return found


class Search:
    """Trees with more and more pairs.

    Parameters
    ----------
    table, losses
        The problem, and what its pairs lose.
    price
        Utility per USD at which trees begin.
    grades
        Utility by which plans of different grades differ at least, 0 if that is not known, and those of one at most.
    close
        Relative gap that is close enough.
    """

    def __init__(self, table: Table, losses: Losses, price: float, grades: tuple[float, float], close: float) -> None:
        self.table, self.losses, self.price, self.close = table, losses, price, close
        self.step, self.blur = grades
        self.short = 0.999 * self.step  # what cannot be gained, but for the blur
        self.count = len(losses.best)

    def tree(self, chosen: Chosen, target: float, reached: float, limits: Limits) -> CallTree:
        """Return a tree over some pairs."""
        asked = Asked(target, self.price, reached, self.close, self.step, 2.0 / target, 1)
        boxes = limits.boxes if limits.wide == math.inf else limits.raised().boxes
        return CallTree.of(self.table, self.losses.best, chosen.pairs, asked, boxes + 3)

    def run(
        self, found: Incumbent, target: float, effort: float, deadline: float, closer: Close | None = None
    ) -> Grown:
        """Return the best plan and the bound; `closer` closes the last leaves of trees."""
        bound, lowest, reached = self.losses.bound, min(self.losses.bound, found.bound), found.utility
        spare = SPARE * self.price * float(self.table.price.max()) or math.inf
        work = WORK + WORK_PER_QUERY * self.count if self.count <= MANY else MOST_WORK
        if self.table.fixed.any():  # a core of a large problem, whose gap is small anyway
            work = LARGE_WORK
        less = 1 if self.count <= MANY else MANY_LESS
        pairs, movers = max(MOST_PAIRS // less, 1), max(MOVERS // less**2, 1)
        stall = math.inf if self.count <= FEW else STALL + STALL_PER_QUERY * self.count
        first = (pairs, movers) if self.count <= MEDIUM else (pairs // 2, min(movers, FIRST_MOVERS))
        stages = [
            (*first, Limits(FIRST_BOXES, FIRST_LEAVES, FIRST_WORK * work, STEPS, 0)),
            (pairs, movers, Limits(BOXES, LEAVES, work, STEPS, DEEP, stall, WIDE, close=closer)),
        ]
        if effort > 1.0:
            boxes, leaves = int(BOXES * effort), int(LEAVES * effort)
            more = Limits(boxes, leaves, work * effort, STEPS, DEEP * effort, close=closer)
            stages.append((int(pairs * effort), movers, more))
        best: IntArray | None = None
        most, spent, outside = spare, 0.0, math.inf
        tree: CallTree | None = None
        for number, (most_pairs, movers, limits) in enumerate(stages):
            if tree is None or tree.open or outside > reached + self.short:  # else only its leaves are left
                chosen = self.losses.chosen(min(most, bound - reached), most_pairs, movers)
                tree = self.tree(chosen, target, reached, limits)
            before = tree.work
            grown = tree.grow(limits._replace(deadline=deadline))
            spent += grown.work - before
            best, reached = best if grown.states is None else grown.states, max(reached, grown.utility)
            outside = bound - chosen.lost  # what plans with other pairs may reach
            outside = min(outside, reached + self.blur) if outside <= reached + self.short else outside
            proven = max(grown.bound, outside)
            lowest = min(lowest, max(proven, reached))
            late = number > 0 and time.perf_counter() > deadline
            if late or reached >= min(lowest * (1 - self.close), lowest - self.short):
                break
            # all pairs, where nothing is left among these, or there is time for them
            if self.count <= FEW or number > 0 or grown.bound <= reached + self.short:
                most = math.inf
        return Grown(best, reached, lowest, spent)
