"""The plans of neighbouring budgets: one tree over call counts, grown at one budget after another."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from robatch.instances.arrays import BoolArray, IntArray
from robatch.solvers.analysis.known_plans import KnownPlans
from robatch.solvers.bounds.relaxation import EDGE, Relaxer, Steps, find_steps
from robatch.solvers.greedy.call_tree import Asked, CallTree, Limits
from robatch.solvers.greedy.leaf_move_kernels import improve
from robatch.solvers.greedy.realized import EDGE_PER_QUERY, SPARE
from robatch.solvers.greedy.realized_table import Losses, Table

BOXES, LEAVES, LEAF_STEPS = 40, 2, 3_000  # of a tree at a budget, and steps of a leaf
MOST_BOXES = 400  # that may be open at a time
MOST_PAIRS, MOVERS = 600, 4  # that lose least at either end of a window, besides so many between any two states
CLOSE = 1e-9  # relative gap at which nothing more is tried
IMPROVE_WORK = 120.0  # units of about a nanosecond, a pair, that it takes to fit a plan to a budget


@dataclass(slots=True)
class Walked:
    """The states after the first of a problem's steps between two prices, which can be made again."""

    relaxer: Relaxer
    high: float
    low: float
    first: int
    held: IntArray | None = None

    def states(self) -> IntArray:
        """Return the assignment: (N,)."""
        if self.held is not None:
            return self.held
        steps = self.relaxer.steps
        if steps is None or (steps.high, steps.low) != (self.high, self.low):
            steps = find_steps(self.relaxer.flat, self.high, self.low, self.relaxer.threads)
        return steps.taken(self.first)


class Line(NamedTuple):
    """What plans that are left out of a window reach at most: utility at a budget in USD, and utility per USD."""

    budget: float
    price: float
    most: float


@dataclass(slots=True)
class Window:
    """A tree that is grown at several budgets.

    Attributes
    ----------
    known
        What is known at all budgets.
    base, table
        The states of all queries; and those that can move.
    tree, high, fresh
        The tree, the calls that its cells may have, and its constant utility, USD and greatest utility.
    open, first
        Which states those that can move may take, and the ones that they have in the base: (M, S), (M,).
    outside
        Lines below which plans with other pairs of query and state lie, None where queries are fixed: no bound then.
    grade
        By how much utilities differ at least.
    """

    known: KnownPlans
    base: Walked
    table: Table
    tree: CallTree
    high: IntArray
    fresh: tuple[float, float, float]
    open: BoolArray
    first: IntArray
    outside: list[Line] | None
    grade: float
    done: set[int] = field(default_factory=set)

    @classmethod
    def of(  # wide: what is known of the problem and of the part of it
        cls, known: KnownPlans, relaxer: Relaxer, steps: Steps, first: int, last: int,
        ends: list[tuple[float, float]], grades: tuple[float, float], whole: bool,
    ) -> Window:  # fmt: skip
        """Return the window of the steps from one to another.

        Parameters
        ----------
        known
            What is known.
        relaxer, steps
            The tightened relaxation, and steps of it.
        first, last
            The steps whose queries can move.
        ends
            Budgets in USD and prices whose plans are looked for: the least and the greatest.
        grades
            Utility by which plans differ at least, 0 if that is not known, and plans of one grade at most.
        whole
            Whether all queries can move.
        """
        problem = known.problem
        base = Walked(relaxer, steps.high, steps.low, first)
        base.held = states = base.states()
        rows = np.arange(problem.n_queries) if whole else np.unique(steps.query[first:last])
        table = Table.part(problem, relaxer, states, rows)
        pairs = np.zeros(table.utility.shape, dtype=np.bool_)
        pairs[np.arange(len(rows)), states[rows]] = True
        pairs[np.searchsorted(rows, steps.query[first:last]), steps.state[first:last]] = True
        outside = []
        for budget, price in ends if whole else ends[-1:]:
            losses = Losses.of(table, budget, price, states[rows])
            spare = SPARE * price * float(table.price.max()) or math.inf
            chosen = losses.chosen(spare, MOST_PAIRS, MOVERS)
            pairs |= chosen.pairs
            outside.append(Line(budget, price, losses.bound - chosen.lost))
        budget, price = ends[-1]
        asked = Asked(budget, price, -math.inf, CLOSE, grades[0], 2.0 / budget, 1)
        tree = CallTree.of(table, states[rows], pairs, asked, MOST_BOXES)
        now = tree.core.now[0]
        fresh = float(now["fixed"]), budget - float(now["budget"]), float(now["floor"])
        high = tree.core.cells["high"].copy()
        open_, at = pairs[np.ix_(tree.rows, tree.used)], tree.core.queries["state"].copy()
        lines = outside if whole else None
        return cls(known, base, table, tree, high, fresh, open_, at, lines, grades[0])

    def start(self, budget: float, price: float, reached: float) -> None:
        """Ask for plans within a budget in USD of more than some utility, from the assignment at hand."""
        tree, core = self.tree, self.tree.core
        fixed, spent, top = self.fresh
        asked = Asked(budget, price, reached, CLOSE, self.grade, 2.0 / budget, 1)
        core.now[:] = asked.now(fixed, spent, top)
        core.cells["low"] = -(-core.cells["fixed"] // core.cells["places"])
        core.cells["high"] = self.high
        tree.tree.nodes["order"] = np.arange(len(tree.tree.nodes))
        tree.price, tree.improved, tree.progress = price, False, 0.0
        tree.leaves.clear()
        tree.ended.clear()

    def grow(self, place: int, price: float, times: int = 1) -> float:
        """Grow the tree at a budget, for a plan and a bound, to some times its limits; return its work."""
        known, tree = self.known, self.tree
        budget, work = float(known.budgets[place]), 0.0
        edge = min(EDGE, EDGE_PER_QUERY * (known.problem.n_queries + 16))
        for target in (budget * (1 + edge), budget * (1 - 2 * edge)):  # sums may err: the plan must keep the budget
            self.start(target, price, float(known.utilities[place]))
            grown = tree.grow(Limits(times * BOXES, times * LEAVES, math.inf, LEAF_STEPS, 0))
            work += grown.work
            if target > budget and self.outside is not None:
                lines = [line.most + line.price * (target - line.budget) for line in self.outside]
                known.bounded(place, max(grown.bound, min(lines, default=-math.inf)))
            if grown.states is None or self.offer(grown.states) <= budget:
                break
        self.done.add(place)
        return work

    def fit(self, place: int, price: float) -> float:
        """Fit the plan that is known at a budget to it; return the work."""
        known, tree, core = self.known, self.tree, self.tree.core
        plan, reached = known.plans[place], float(known.utilities[place])
        if plan is None or len(tree.rows) == 0:
            return 0.0
        self.start(float(known.budgets[place]) * (1 - 2 * EDGE), price, reached)
        root = core.queries["state"].copy()
        here = np.searchsorted(tree.used, plan.states()[self.table.rows[tree.rows]])
        here = np.minimum(here, len(tree.used) - 1)  # another window's plan may hold pairs that are closed in this
        core.queries["state"] = np.where(self.open[np.arange(len(here)), here], here, self.first)
        top = improve(price, float(known.bounds[place]), core, tree.pool, tree.above, reached)
        core.queries["state"] = root
        if top > reached:
            states = tree.states.copy()
            states[tree.rows] = tree.used[tree.above]
            self.offer(states)
        return IMPROVE_WORK * len(core.options)

    def offer(self, states: IntArray) -> float:
        """Offer an assignment of the queries in the table; return its USD as billed."""
        return self.known.offer(self.base, self.table.rows, states)
