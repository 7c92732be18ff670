"""The greedy scheduler under realized cost: a plan that keeps its budget as it is billed, and a bound.

The amortized relaxation gives a price and a bound. At that price most queries have one state that is clearly best;
the others, the core, can move between states at little loss. They are seated in whole calls by a search over call
counts, see `seats`, and, where there are few, by annealing, see `shuffle`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from robatch.instances.arrays import FloatArray, IntArray
from robatch.instances.kernels import Flat
from robatch.instances.problem import Problem
from robatch.solvers.bounds import relaxation_kernels as sweeps
from robatch.solvers.bounds import whole_call_dual as call_bound
from robatch.solvers.bounds.fit_to_budget import within
from robatch.solvers.bounds.relaxation import (
    DIRECT,
    EDGE,
    SAMPLE,
    Relaxer,
    find_steps,
    over_chunks,
    sample,
    thread_count,
)
from robatch.solvers.bounds.whole_call_dual import dense, strengthened
from robatch.solvers.greedy import annealing_kernels as shuffle
from robatch.solvers.greedy import call_count_kernels as seats
from robatch.solvers.greedy.last_calls import shrunk
from robatch.solvers.plan.plan import OPTIMAL_GAP
from robatch.solvers.registry import Answer, Request

CORE = 1_000  # queries in the core, but for many groups
EACH = 32  # queries in the core of each group, on average
MOST_CORE = 50_000
ROUNDS = 6_000  # changes of call counts tried at each price ...
EACH_GROUP = 60  # ... and for each group ...
MANY = 2_000  # ... and less, down to a sixth, the more queries there are than these
FITS = 60  # rounds for each time that a plan may be fitted to the budget
TINY = 20  # queries below which there is less to try, in proportion
ALL_STATES = 64  # queries in the core up to which no state is left out
FEW = 150  # queries a group up to which plans are annealed too
FEWEST_MOVES, EACH_QUERY, MOST_MOVES = 300_000, 1_000, 3_000_000  # moves of an annealing
BY_STATE = ("utility", "own", "fixed", "prompt", "size", "share")
FAR_OVER = 1.1  # times the budget
TRIES, TRIES_APART = (
    6,
    16,
)  # searches until a plan keeps the budget: more than one at the very edge, or where queries conflict
HIGHER = 1.4  # a second price, where the first leaves no room for what whole calls cost more ...
SEVERAL = 300  # ... for no more queries than these
LAST_CALLS = 100_000  # queries up to which last calls are looked at one by one: later, they hardly matter
PAIRS = 500_000  # queries times states for which the bound looks at whole calls too


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
        Utility, negative where a state is not allowed, and own USD of each in each state: (M, S).
    fixed
        Queries that are not in the core, by group and state: (groups, S).
    fixed_utility, fixed_own
        Utility and own USD of all of these.
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
        """Return the queries of each group and state, and the core's utility and own USD, under an assignment."""
        here, width = np.arange(len(states)), len(self.size)
        held = np.bincount(self.group * width + states, minlength=self.fixed.size).reshape(self.fixed.shape)
        return self.fixed + held, np.array([self.utility[here, states].sum(), self.own[here, states].sum()])


def run(request: Request) -> Answer:
    """Schedule under realized cost: relaxation, core, search over call counts.

    The bound is the relaxation's, in which each query pays its share of a call that is as full as it can be; for
    problems that are not large, the lower one of `call_bound`.
    """
    problem, budget = request.problem, request.budget
    arrays = strengthened(problem)
    relaxer = Relaxer(arrays, thread_count(request.threads))
    relaxation = relaxer.at(budget)
    if relaxation.steps.cost > budget * (1 + 1e-9):  # even if all calls were full
        return Answer(infeasible=True)
    bound, price = relaxation.bound, relaxation.price
    best, reached = None, -math.inf
    shared = bool(((problem.call_price > 0.0) & (problem.state_batch_size > 1)).any())
    searched = shared and price < math.inf
    if problem.n_queries <= DIRECT or not searched:  # cheap, or all that there is to do
        best, reached = _scheduled(request, relaxer)
    if searched and _short(bound, reached):
        states = relaxation.whole_steps()
        for price_, paid in _prices(problem, relaxer, states, budget, price):
            if not _short(bound, reached):
                break
            best, reached = _improve(
                request, arrays, relaxer, states if price_ == price else None, price_, paid, bound, best, reached
            )
    if best is None:
        best, reached = _scheduled(request, relaxer)
    if best is not None and problem.n_queries <= LAST_CALLS:
        best = shrunk(problem, best, budget, "realized")
        reached = problem.total_utility(best)
    if best is not None and searched and _short(bound, reached) and problem.n_queries * problem.n_states <= PAIRS:
        bound = min(bound, call_bound.Pairs.of(problem, arrays).minimize(budget, price, reached).bound)
    message = (
        None if best is not None else "no plan was found that keeps the budget as billed; 'exact' can tell if one is"
    )
    return Answer(best, bound=bound, shadow_price=price, message=message)


def _short(bound: float, reached: float) -> bool:
    """Whether a plan is not known to be best."""
    return bound - reached > 0.5 * OPTIMAL_GAP * bound


def _prices(
    problem: Problem, relaxer: Relaxer, states: IntArray, budget: float, price: float
) -> list[tuple[float, float]]:
    """Return prices at which to seat queries, each with what a USD of the budget is worth then.

    Where the assignment that is best at the relaxation's price bills far more than it costs on paper, USD are worth
    more than that: as much as they are on paper with a budget that is smaller in the same proportion.
    """
    utility, amortized, billed, _ = problem.evaluate(states)
    prices = [(price, price)] if price > 0.0 else []
    if price > 0.0 and problem.n_queries <= SEVERAL:
        prices.append((HIGHER * price, price))
    if billed > FAR_OVER * budget or (price == 0.0 and billed > budget):
        higher = relaxer.at(amortized * budget / billed).price
        if not price < higher < math.inf and not prices:
            higher = utility / budget  # what a USD buys on average
        if price < higher < math.inf:
            prices.append((higher, higher))
    return prices


def _scheduled(request: Request, relaxer: Relaxer) -> tuple[IntArray | None, float]:
    """Return the best plan that amortized schedules of less and less budget give, and its utility, -inf without one."""
    best = within(request, relaxer.schedule)
    return best, (-math.inf if best is None else request.problem.total_utility(best))


def _improve(
    request: Request, arrays: Flat, relaxer: Relaxer, states: IntArray | None, price: float, paid: float, bound: float,
    best: IntArray | None, reached: float,
) -> tuple[IntArray | None, float]:  # fmt: skip
    """Search for a better plan around the assignment that is best at a price, which `states` gives if it is known."""
    problem = request.problem
    if states is None:
        states = _at_price(arrays, price, relaxer.threads)
    rows = _closest(arrays, states, price, min(max(CORE, EACH * problem.n_groups), MOST_CORE), relaxer.threads)
    core = _core(problem, arrays, states, rows)
    rng = np.random.default_rng(request.seed)
    cap = request.budget * (1 + EDGE)
    for _ in range(TRIES if problem.conflicts is None else TRIES_APART):
        found = _search(core, states[core.rows], cap, price, paid, bound, rng, reached)
        if found is None:
            break
        plan = states.copy()
        plan[core.rows] = found
        value, _, bill, calls = problem.evaluate(plan)
        if bill <= request.budget:
            return (plan, value) if value > reached else (best, reached)
        if problem.conflicts is None or not _keep_apart(problem, core, plan, calls):
            # the last digits, or calls that conflicts make necessary
            cap -= 1.01 * (bill - request.budget) + EDGE * request.budget
    return best, reached


def _keep_apart(problem: Problem, core: Core, plan: IntArray, calls: IntArray) -> bool:
    """Forbid states to conflicting queries where a plan needs more calls than its queries fill; False if none can be.

    The search counts calls as if queries could share any. Of two queries that conflict in such a group and state, the
    one that loses less in its next best state has to stay out of it.
    """
    codes, width = problem.group_codes, problem.n_states
    held = np.bincount(codes * width + plan, minlength=calls.size).reshape(calls.shape)
    crowded = calls > -(-held // problem.state_batch_size)
    place = np.full(problem.n_queries, -1)
    place[core.rows] = np.arange(len(core.rows))
    one, other = problem.conflicts.T if problem.conflicts is not None else np.empty((2, 0), dtype=np.int64)
    together = (codes[one] == codes[other]) & (plan[one] == plan[other]) & crowded[codes[one], plan[one]]
    changed = False
    for pair in zip(one[together].tolist(), other[together].tolist(), strict=True):
        losses = []
        for query in pair:
            row, state = place[query], plan[query]
            if row < 0 or core.utility[row, state] < 0.0:
                losses.append(math.inf if row < 0 else -math.inf)  # fixed; or kept out already
                continue
            other = np.delete(core.utility[row], state).max(initial=-1.0)
            losses.append(core.utility[row, state] - other if other >= 0.0 else math.inf)
        if -math.inf not in losses and min(losses) < math.inf:
            query = pair[losses.index(min(losses))]
            core.utility[place[query], plan[query]] = -1.0
            changed = True
    return changed


def _at_price(arrays: Flat, price: float, threads: int) -> IntArray:
    """Return every query's best state at a price: (N,)."""
    return find_steps(arrays, price, price * (1 - 1e-9), threads).states.astype(np.int64)


def _closest(arrays: Flat, states: IntArray, price: float, most: int, threads: int) -> IntArray:
    """Return the queries whose best two states are closest in worth at a price, about `most` of them, in order."""
    rows = arrays.n_queries
    if rows <= max(most, DIRECT):
        chosen, part = np.arange(rows), arrays
    else:
        chosen = sample(rows, max(rows // SAMPLE, DIRECT))
        part = arrays.take(chosen)
    margin, following = np.empty(len(chosen)), np.empty(len(chosen), dtype=np.int64)
    sweeps.margins(0, len(chosen), price, states[chosen], margin, following, part)
    if len(chosen) == rows:
        return chosen if rows <= most else np.sort(np.argpartition(margin, most - 1)[:most])
    place = min(most * len(chosen) // rows + 1, len(chosen) - 1)
    threshold = max(float(np.partition(margin, place)[place]), 0.0)
    plain = arrays.plain
    parts = over_chunks(
        lambda begin, end: sweeps.near(begin, end, price, threshold, rows, plain, states, arrays), rows, threads
    )
    query, loss = (np.concatenate([part[i] for part in parts]) for i in (0, 2))
    heads = np.flatnonzero(np.diff(query, prepend=-1))  # of each query's states, the second least loss is its margin
    order = np.lexsort((loss, query))
    second = loss[order][heads + 1]
    closest = np.argsort(second, kind="stable")[: 2 * most]
    return np.sort(query[heads][closest])


def _core(problem: Problem, arrays: Flat, states: IntArray, rows: IntArray) -> Core:
    """Return some queries as a core, and sum up the others."""
    codes = problem.group_codes
    rows = rows[np.argsort(codes[rows], kind="stable")]
    group = codes[rows]
    utility, own = dense(arrays.take(rows))
    width = problem.n_states
    shape = (problem.n_groups, width)
    fixed = np.bincount(codes * width + states, minlength=shape[0] * shape[1])
    fixed -= np.bincount(group * width + states[rows], minlength=len(fixed))
    total, _, bill, calls = problem.evaluate(states)
    here = np.arange(len(rows))
    prompts = float((calls.sum(axis=0) * problem.call_price).sum())
    return Core(
        rows=rows,
        start=np.searchsorted(group, np.arange(problem.n_groups + 1)),
        group=group,
        utility=utility,
        own=own,
        fixed=fixed.reshape(shape),
        fixed_utility=total - float(utility[here, states[rows]].sum()),
        fixed_own=bill - prompts - float(own[here, states[rows]].sum()),
        prompt=problem.call_price,
        size=problem.state_batch_size,
        share=arrays.share,
    )


def _search(
    core: Core, states: IntArray, budget: float, price: float, paid: float, bound: float,
    rng: np.random.Generator, reached: float,
) -> IntArray | None:  # fmt: skip
    """Return the best assignment of the core that is found within a budget, None if none beats what was reached."""
    value = np.where(core.utility < 0.0, -np.inf, core.utility - price * core.own)
    net = value - price * core.share
    # a state that is kept from a query since gives way to its next best one
    states = np.where(net[np.arange(len(states)), states] == -np.inf, net.argmax(axis=1), states)
    held, total = core.count(states)
    over = core.fixed_own + total[1] + float((-(-held // core.size) * core.prompt).sum()) - budget
    # a guess at what the best plan loses against the bound: no more than is paid for calls that are not full
    short = min(bound - max(reached, 0.9 * bound), paid * max(over, float(core.prompt.max())))
    loss = net.max(axis=1)[:, None] - net
    used, likely = _useful(core, states, loss, 2 * short)
    core, value, loss = core.only(used), value[:, used], loss[:, used]
    states = np.searchsorted(used, states)
    likely = np.tile(np.searchsorted(used, likely), (len(core.fixed), 1))
    best, target = states.copy(), reached - core.fixed_utility
    budget -= core.fixed_own
    held, total = core.count(states)
    hot = 0.1 * max(short, 1e-9 * bound)
    less = min(max(math.sqrt(MANY / (core.fixed.sum() + len(states))), 1 / 6), 1.0)
    tiny = min(len(states) / TINY, 1.0)
    rounds = int(max(ROUNDS, EACH_GROUP * len(core.fixed)) * less * tiny)
    top = seats.search(
        core.start, states.copy(), held, total, value, core.utility, core.own, core.prompt, core.size,
        likely, budget, paid, 0.8 * paid, 1.3 * paid, rounds, rounds // FITS, hot, 0.1 * hot, rng, best, target,
    )  # fmt: skip
    if len(states) <= FEW * len(core.fixed) and core.prompt.any():
        moves = int(min(max(FEWEST_MOVES * tiny, EACH_QUERY * len(states)), MOST_MOVES))
        held, total = core.count(best)
        total[1] += (-(-held // core.size) * core.prompt).sum()
        hot = 0.3 * paid * float(core.prompt.mean())
        top = shuffle.anneal(
            core.start, core.group, best.copy(), held, total, value, core.utility, core.own, core.prompt,
            core.size, np.argsort(loss, axis=1), budget, paid, 0.2 * paid, 4.0 * paid, moves, hot, hot / 300, rng,
            best, top,
        )  # fmt: skip
    return used[best] if top > target else None


def _useful(core: Core, states: IntArray, loss: FloatArray, most: float) -> tuple[IntArray, IntArray]:
    """Return the states that queries are in or that may fill a call at little loss, and these by what that loses.

    Parameters
    ----------
    core, states
        The core, and its assignment.
    loss
        Of each pair, against its query's best one: (M, S).
    most
        Utility, that a call may lose.
    """
    ranked = np.sort(loss, axis=0)
    lost = np.array([ranked[: min(int(size), len(loss)), s].sum() for s, size in enumerate(core.size)])
    useful = (lost <= most) | (len(loss) <= ALL_STATES)
    useful[states] = True
    useful |= core.fixed.any(axis=0)
    used = np.flatnonzero(useful)
    return used, used[np.argsort(lost[used], kind="stable")]
