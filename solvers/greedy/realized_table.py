"""What the search as billed looks at: queries in states, and what each loses at the relaxation's price."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np

from robatch.instances.arrays import NOT_ALLOWED, BoolArray, FloatArray, IntArray
from robatch.instances.problem import Problem
from robatch.instances.problem_costs import Evaluation
from robatch.solvers.bounds import relaxation_kernels
from robatch.solvers.bounds.relaxation import DIRECT, SAMPLE, Relaxation, Relaxer, sample
from robatch.solvers.bounds.threads import over_chunks
from robatch.solvers.bounds.whole_call_dual import dense
from robatch.solvers.greedy.realized_counts import Counts

ROUNDING = 1e-14  # relative, of what is summed


@dataclass(frozen=True, slots=True)
class Table:
    """Queries in states, as the search sees them.

    Attributes
    ----------
    rows
        Positions of the queries in the problem: (N,).
    utility, own
        Utility, below 0 where it is not allowed, and token cost in USD, calls of a single query included: (N, S).
    price, size, share
        USD of a call, 0 where it holds a single query; batch size; and the least of that USD that a query pays: (S,).
    group
        Group of each query: (N,).
    fixed
        Queries that are not in the table, by group and state: (groups, S).
    fixed_utility, fixed_own
        Their utility and token cost.
    """

    rows: IntArray
    utility: FloatArray
    own: FloatArray
    price: FloatArray
    size: IntArray
    share: FloatArray
    group: IntArray
    fixed: IntArray
    fixed_utility: float = 0.0
    fixed_own: float = 0.0

    @classmethod
    def of(cls, problem: Problem, relaxer: Relaxer, rows: IntArray | None = None) -> Table:
        """Return the table of a problem, or of some of its queries, the others left out."""
        utility, own = dense(relaxer.flat if rows is None else relaxer.flat.take(rows))
        alone = problem.state_batch_size == 1
        return cls(
            rows=np.arange(problem.n_queries) if rows is None else rows,
            utility=utility,
            own=own + np.where(alone, problem.call_price, 0.0),
            price=np.where(alone, 0.0, problem.call_price),
            size=problem.state_batch_size,
            share=np.where(alone, 0.0, relaxer.flat.share),
            group=problem.group_codes if rows is None else problem.group_codes[rows],
            fixed=np.zeros((problem.n_groups, problem.n_states), dtype=np.int64),
        )

    @classmethod
    def around(cls, problem: Problem, relaxer: Relaxer, relaxation: Relaxation, price: float, size: int) -> Table:
        """Return the table of about `size` queries that can move at little loss.

        The others keep the states of the break solution.
        """
        states, steps, paid = relaxation.break_solution(), relaxation.steps, relaxation.break_step
        table = cls.of(problem, relaxer, closest(relaxer, relaxation, states, price, size))
        counts = Counts(problem).of(steps, states)
        utility = steps.utility + float(steps.step_utility[:paid].sum())
        cost = steps.cost + float(steps.step_cost[:paid].sum())
        calls = np.where(table.price > 0.0, 0.0, problem.call_price)  # in the queries' own cost
        own = cost + float((counts * (calls - relaxer.flat.share)).sum())
        return table._beside(states, counts, utility, own)

    @classmethod
    def part(cls, problem: Problem, relaxer: Relaxer, states: IntArray, rows: IntArray) -> Table:
        """Return the table of some queries; the others keep their states (N,)."""
        table, whole = cls.of(problem, relaxer, rows), problem.evaluate(states)
        cells = problem.group_codes * problem.n_states + states
        counts = np.bincount(cells, minlength=table.fixed.size).reshape(table.fixed.shape)
        calls = float((whole.calls.sum(axis=0) * table.price).sum())
        return table._beside(states, counts, whole.utility, whole.realized_cost - calls)

    def _beside(self, states: IntArray, counts: IntArray, utility: float, own: float) -> Table:
        """Return the table with the rest of a plan (N,), whose counts (groups, S), utility and token cost are given."""
        here, mine = np.arange(len(self.rows)), states[self.rows]
        cells = np.bincount(self.group * len(self.size) + mine, minlength=counts.size)
        return replace(
            self,
            fixed=counts - cells.reshape(counts.shape),
            fixed_utility=utility - float(self.utility[here, mine].sum()),
            fixed_own=own - float(self.own[here, mine].sum()),
        )


class Looked(Protocol):
    """Queries that a search moves: their positions, and their utilities, below 0 where they are not allowed."""

    @property
    def rows(self) -> IntArray:
        """Positions: (M,)."""

    @property
    def utility(self) -> FloatArray:
        """Utilities: (M, S)."""


class Chosen(NamedTuple):
    """Pairs that a tree may use (N, S), and what those that are left out lose at least."""

    pairs: BoolArray
    lost: float


@dataclass(frozen=True, slots=True)
class Losses:
    """What pairs lose at a price, where a query pays its share of a full call.

    Attributes
    ----------
    pair, state
        What each pair loses against the query's best state, and what each state's first call loses at least: (N, S),
        (S,).
    best
        An assignment that loses nothing: (N,).
    price, bound
        Utility per USD, and the utility that the losses are taken from: no plan has more.
    """

    pair: FloatArray
    state: FloatArray
    best: IntArray
    price: float
    bound: float

    @classmethod
    def of(cls, table: Table, budget: float, price: float, states: IntArray) -> Losses:
        """Return what is lost in a table at a budget in USD and a price, at which states (N,) are best."""
        share = table.share
        net = table.utility - price * (table.own + share)
        net[table.utility < 0.0] = -np.inf
        here, top = np.arange(len(net)), net.max(axis=1)
        best = np.where(net[here, states] > -np.inf, states, net.argmax(axis=1))
        spare = price * (budget - table.fixed_own - float((table.fixed * share).sum()))
        bound = table.fixed_utility + spare + math.fsum(top)
        bound += ROUNDING * (table.fixed_utility + price * budget + math.fsum(np.abs(top)))
        loss = top[:, None] - net
        places = np.ones(len(share))
        np.divide(table.price, share, out=places, where=share > 0.0)
        places = np.maximum(np.rint(places), 1.0)
        most = int(min(places.max(), len(loss)))  # queries in a state's first call
        closest = np.partition(loss, most - 1, axis=0)[:most] if most < len(loss) else loss
        total, number = np.cumsum(np.sort(closest, axis=0), axis=0), np.arange(1.0, most + 1.0)[:, None]
        total += np.where(number <= places, price * share * (places - number), np.inf)
        return cls(loss, total.min(axis=0), best, price, bound)

    def chosen(self, most_loss: float, most_pairs: int, movers: int) -> Chosen:
        """Return pairs of least loss, at most so many but for the best movers between two states."""
        here, used = np.arange(len(self.best)), self.state <= most_loss
        used[self.best] = True
        loss = np.where(used, self.pair, np.inf)
        loss[here, self.best] = np.inf
        pairs, lost = (loss <= most_loss) & (loss < np.inf), most_loss
        if pairs.sum() > most_pairs:
            least = np.argpartition(loss, most_pairs, axis=None)  # those that tie with the last one stay out
            lost = float(loss.flat[least[most_pairs]])
            few = np.zeros_like(pairs)
            few.flat[least[:most_pairs]] = True
            for s in np.unique(self.best):
                rows = np.flatnonzero(self.best == s)
                nearest = rows[np.argpartition(loss[rows], min(movers, len(rows)) - 1, axis=0)[:movers]]
                few[nearest, np.arange(len(used))] = True
            pairs &= few
        pairs[here, self.best] = True
        return Chosen(pairs, lost)


def closest(relaxer: Relaxer, relaxation: Relaxation, states: IntArray, price: float, size: int) -> IntArray:
    """Return the queries whose best two states are closest in reduced profit at a price, about `size`, in order.

    If there are enough steps near the price, it is those of least loss.
    """
    flat, rows, steps = relaxer.flat, relaxer.flat.n_queries, relaxation.steps
    if rows > DIRECT and size < len(steps.query):
        lost = np.abs(steps.step_utility - price * steps.step_cost)  # by a step too many or too few
        return np.unique(steps.query[np.argpartition(lost, size)[:size]])
    if rows <= max(size, DIRECT):
        chosen, part = np.arange(rows), flat
    else:
        chosen = sample(rows, max(rows // SAMPLE, DIRECT))
        part = flat.take(chosen)
    margin, following = np.empty(len(chosen)), np.empty(len(chosen), dtype=np.int64)
    relaxation_kernels.margins(0, len(chosen), price, states[chosen], margin, following, part)
    if len(chosen) == rows:
        return chosen if rows <= size else np.sort(np.argpartition(margin, size - 1)[:size])
    place = min(size * len(chosen) // rows + 1, len(chosen) - 1)
    threshold = max(float(np.partition(margin, place)[place]), 0.0)
    plain = flat.plain
    parts = over_chunks(
        lambda begin, end: relaxation_kernels.near(begin, end, price, threshold, rows, plain, states, flat),
        rows,
        relaxer.threads,
    )
    query, loss = (np.concatenate([part[i] for part in parts]) for i in (0, 2))
    heads = np.flatnonzero(np.diff(query, prepend=-1))  # of each query's states, the second least loss is its margin
    order = np.lexsort((loss, query))
    second = loss[order][heads + 1]
    return np.sort(query[heads][np.argsort(second, kind="stable")[: 2 * size]])


def unshared(problem: Problem, plan: IntArray, found: Evaluation) -> IntArray:
    """Return the calls of each group and state that only conflicts make a plan send: (groups, S)."""
    counts = np.bincount(problem.group_codes * problem.n_states + plan, minlength=found.calls.size)
    return found.calls - -(-counts.reshape(found.calls.shape) // problem.state_batch_size)


def keep_apart(
    problem: Problem, table: Looked, plan: IntArray, found: Evaluation, rng: np.random.Generator | None = None
) -> bool:
    """Forbid states to conflicting queries where a plan needs more calls than its queries fill; False if none can be.

    The search counts calls as if queries could share any. Of two queries that conflict in such a group and state, the
    one that loses less in its next best state has to stay out of it; with `rng`, either, and of few pairs.
    """
    codes, crowded = problem.group_codes, unshared(problem, plan, found) > 0
    place = np.full(problem.n_queries, -1)
    place[table.rows] = np.arange(len(table.rows))
    one, other = problem.conflicts.T if problem.conflicts is not None else np.empty((2, 0), dtype=np.int64)
    together = (codes[one] == codes[other]) & (plan[one] == plan[other]) & crowded[codes[one], plan[one]]
    edges, changed = np.stack([one[together], other[together]], axis=1), False
    if rng is not None:
        edges = rng.permuted(rng.permutation(edges)[: 1 + len(edges) // 4], axis=1)
    for edge in edges.tolist():
        losses = []
        for query in edge:
            row, state = place[query], plan[query]
            if row < 0 or table.utility[row, state] < 0.0:
                losses.append(math.inf if row < 0 else -math.inf)  # fixed; or kept out already
                continue
            next_best = np.delete(table.utility[row], state).max(initial=-1.0)
            losses.append(table.utility[row, state] - next_best if next_best >= 0.0 else math.inf)
        if -math.inf not in losses and min(losses) < math.inf:
            query = edge[losses.index(min(losses) if rng is None or losses[0] == math.inf else losses[0])]
            table.utility[place[query], plan[query]] = NOT_ALLOWED
            changed = True
    return changed
