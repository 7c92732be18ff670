"""The core of the realized problem: the queries that can move between states at little loss, and the search of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from robatch.instances.arrays import FloatArray, IntArray
from robatch.instances.kernels import Flat
from robatch.instances.problem import Problem
from robatch.instances.problem_costs import Evaluation
from robatch.solvers.bounds.whole_call_dual import dense
from robatch.solvers.greedy import annealing_kernels, call_count_kernels
from robatch.solvers.greedy.call_count_kernels import Assigned, Queries, Terms
from robatch.solvers.plan.incumbent import Incumbent

COUNT_CHANGES, COUNT_CHANGES_PER_GROUP = 6_000, 60  # changes of call counts tried at each price
FULL_EFFORT_QUERIES = 2_000  # the more queries there are than these, the fewer are tried, down to a sixth
CHANGES_PER_FIT = 60  # changes for each time that a plan may be fitted to the budget
SMALL_CORE = 20  # queries below which there is less to try, in proportion
ALL_STATES_QUERIES = 64  # queries in the core up to which no state is left out
MAX_ANNEALED_PER_GROUP = 150  # queries up to which plans are annealed too
MIN_MOVES, MOVES_PER_QUERY, MAX_MOVES = 300_000, 1_000, 3_000_000  # of an annealing
BY_STATE = ("utility", "own", "fixed", "prompt", "size", "share")


class Prices(NamedTuple):
    """Utility per USD: at which queries are packed, and which a USD of the budget is worth then."""

    cost: float
    budget: float


@dataclass(frozen=True, slots=True)
class Core:
    """The queries that the search moves, and what the others hold already.

    Attributes
    ----------
    rows
        Their positions, sorted by group: (M,).
    start, group
        Where each group begins (groups + 1), and the group of each: (M,).
    utility, own
        Utility, `NOT_ALLOWED` where it is not, and token cost in USD of each in each state: (M, S).
    fixed
        Queries that are not in the core, by group and state: (groups, S).
    fixed_utility, fixed_own
        Utility and token cost of all of these.
    prompt, size, share
        USD of a call, batch size, and the least part of a call's USD that a query can pay: (S,).
    """

    rows: IntArray
    start: IntArray
    group: IntArray
    utility: FloatArray
    own: FloatArray
    fixed: IntArray
    fixed_utility: float
    fixed_own: float
    prompt: FloatArray
    size: IntArray
    share: FloatArray

    def only(self, used: IntArray) -> Core:
        """Return the core with some of its states."""
        parts: dict[str, Any] = {name: np.ascontiguousarray(getattr(self, name)[..., used]) for name in BY_STATE}
        return replace(self, **parts)

    def count(self, states: IntArray) -> tuple[IntArray, FloatArray]:
        """Return the queries of each group and state, and the core's utility and token cost, under an assignment."""
        here, width = np.arange(len(states)), len(self.size)
        counts = np.bincount(self.group * width + states, minlength=self.fixed.size).reshape(self.fixed.shape)
        return self.fixed + counts, np.array([self.utility[here, states].sum(), self.own[here, states].sum()])

    def prompts(self, counts: IntArray) -> float:
        """Return the USD of the calls that queries of each group and state need: (groups, S)."""
        return float((-(-counts // self.size) * self.prompt).sum())


def core_of(problem: Problem, flat: Flat, states: IntArray, evaluation: Evaluation, rows: IntArray) -> Core:
    """Return some queries as a core, and sum up the others under an evaluated assignment (N,)."""
    codes = problem.group_codes
    rows = rows[np.argsort(codes[rows], kind="stable")]
    group = codes[rows]
    utility, own = dense(flat.take(rows))
    width = problem.n_states
    fixed = np.bincount(codes * width + states, minlength=problem.n_groups * width)
    fixed -= np.bincount(group * width + states[rows], minlength=len(fixed))
    here = np.arange(len(rows))
    prompts = float((evaluation.calls.sum(axis=0) * problem.call_price).sum())
    return Core(
        rows=rows,
        start=np.searchsorted(group, np.arange(problem.n_groups + 1)),
        group=group,
        utility=utility,
        own=own,
        fixed=fixed.reshape(problem.n_groups, width),
        fixed_utility=evaluation.utility - float(utility[here, states[rows]].sum()),
        fixed_own=evaluation.realized_cost - prompts - float(own[here, states[rows]].sum()),
        prompt=problem.call_price,
        size=problem.state_batch_size,
        share=flat.share,
    )


def search(
    core: Core, states: IntArray, budget: float, prices: Prices, found: Incumbent, rng: np.random.Generator
) -> IntArray | None:
    """Return the best assignment of the core that is found within a budget, None if none beats the incumbent."""
    reached, bound, paid = found.utility, found.bound, prices.budget
    profit = core.utility - prices.cost * core.own  # without calls
    net = profit - prices.cost * core.share
    # a state that is kept from a query since gives way to its next best one
    states = np.where(net[np.arange(len(states)), states] == -np.inf, net.argmax(axis=1), states)
    counts, total = core.count(states)
    over = core.fixed_own + total[1] + core.prompts(counts) - budget
    # a guess at what the best plan loses against the bound: no more than is paid for calls that are not full
    short = min(bound - max(reached, 0.9 * bound), paid * max(over, float(core.prompt.max())))
    loss = net.max(axis=1)[:, None] - net
    used, promising = _useful(core, states, loss, 2 * short)
    core, profit, loss = core.only(used), profit[:, used], loss[:, used]
    states = np.searchsorted(used, states)
    promising = np.tile(np.searchsorted(used, promising), (len(core.fixed), 1))
    best, target = states.copy(), reached - core.fixed_utility
    budget -= core.fixed_own
    counts, total = core.count(states)
    hot = 0.1 * max(short, 1e-9 * bound)
    less = min(max(math.sqrt(FULL_EFFORT_QUERIES / (core.fixed.sum() + len(states))), 1 / 6), 1.0)
    small = min(len(states) / SMALL_CORE, 1.0)
    changes = int(max(COUNT_CHANGES, COUNT_CHANGES_PER_GROUP * len(core.fixed)) * less * small)
    queries = Queries(core.start, core.group, profit, core.utility, core.own, core.prompt, core.size)
    terms = Terms(budget, paid, 0.8 * paid, 1.3 * paid, changes, hot, 0.1 * hot)
    now = Assigned(states.copy(), counts, total)
    top = call_count_kernels.search(queries, now, promising, terms, changes // CHANGES_PER_FIT, rng, best, target)
    if len(states) <= MAX_ANNEALED_PER_GROUP * len(core.fixed) and core.prompt.any():
        moves = int(min(max(MIN_MOVES * small, MOVES_PER_QUERY * len(states)), MAX_MOVES))
        counts, total = core.count(best)
        total[1] += core.prompts(counts)
        hot = 0.3 * paid * float(core.prompt.mean())
        terms = Terms(budget, paid, 0.2 * paid, 4.0 * paid, moves, hot, hot / 300)
        now = Assigned(best.copy(), counts, total)
        top = annealing_kernels.anneal(queries, now, np.argsort(loss, axis=1), terms, rng, best, top)
    return used[best] if top > target else None


def _useful(core: Core, states: IntArray, loss: FloatArray, most: float) -> tuple[IntArray, IntArray]:
    """Return the states that queries are in or that may fill a call at little loss, and these by what that loses.

    Parameters
    ----------
    core, states
        The core, and its assignment.
    loss
        Reduced profit of each state below that of its query's best one: (M, S).
    most
        Utility, that a call may lose.
    """
    ranked = np.sort(loss, axis=0)
    lost = np.array([ranked[: min(int(size), len(loss)), s].sum() for s, size in enumerate(core.size)])
    useful = (lost <= most) | (len(loss) <= ALL_STATES_QUERIES)
    useful[states] = True
    useful |= core.fixed.any(axis=0)
    used = np.flatnonzero(useful)
    return used, used[np.argsort(lost[used], kind="stable")]
