"""Plans under coupled constraints: from each query's best state at the dual's multipliers to a plan that keeps all.

A start is repaired by moves whose loss per unit of violation is least: violations are priced at `rho`, which
doubles until none is left (an exact penalty; Glover and Kochenberger use the like for multidimensional knapsacks,
"Critical event tabu search", 1996). Then moves, exchanges of two queries and of whole calls gain what can be gained.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robatch.instances.arrays import FloatArray, IntArray
from robatch.solvers.greedy import constrained_moves as moves
from robatch.solvers.greedy.constrained_dual import Dual
from robatch.solvers.greedy.constrained_kernels import reduced_costs
from robatch.solvers.greedy.constrained_moves import Tally
from robatch.solvers.greedy.constrained_rows import Rows

MARGIN = 1e-12  # relative: what sums kept move by move may err
RHO = 0.01  # first price of a violation as large as what one query uses on average, in utility
ROUNDS = 30  # doublings of it
NEAR_ROUNDS = 20  # of these rounds, those in which only queries near the edge move
NEAR = 20_000  # queries nearest to the edge that move at first, and at least one in `NEAR_PART`
NEAR_PART = 10
LISTED = 4_000  # queries nearest to the edge whose moves exchanges combine, and the most moves
MENDS = 8  # rounds in which two moves at once lessen a violation that single moves do not
CHECKS = 500_000  # pairs of moves that are looked at, at most
SHALLOW_CHECKS = 20_000  # the same in a shallow search
LEAST_GAIN = 1e-9  # of utility, that counts
IDLE = 2  # rounds without a gain after which the search ends


@dataclass(frozen=True, eq=False)
class Found:
    """What the search made of a start.

    Attributes
    ----------
    states
        An assignment: (N,).
    utility
        Its utility, but for rounding.
    violation
        How far it is from keeping all rows; 0 if it does.
    """

    states: IntArray
    utility: float
    violation: float

    def better_than(self, other: Found | None) -> bool:
        """Whether it violates less, or as little with more utility."""
        return other is None or (-self.violation, self.utility) > (-other.violation, other.utility)


class Search:
    """Repairs and improves assignments of one problem.

    Parameters
    ----------
    rows
        The constraints.
    dual, x
        The dual function and the scaled multipliers at which it bounds the utility of every plan.
    margin
        By how much each query's best state at these multipliers beats the next: (N,).
    bound
        That bound.

    Notes
    -----
    What the states of a plan lose against the queries' best ones at the multipliers, together, it lacks to the
    bound. So no better plan than one that is known has a state that loses more than the known plan lacks.
    """

    def __init__(self, rows: Rows, dual: Dual, x: FloatArray, margin: FloatArray, bound: float) -> None:
        self.rows, self.flat, self.sides, self.price = rows, dual.flat, dual.sides, x / rows.scale
        self.bound = bound
        self.order = np.argsort(margin, kind="stable")
        self.lead = margin[self.order]
        listed = self.order[:LISTED]
        loss = reduced_costs(listed, dual.multipliers(x), self.flat, self.sides).ravel()
        rank = np.argsort(loss, kind="stable")
        query, state = np.divmod(rank, rows.problem.n_states)
        self.pairs = (loss[rank], listed[query], state)
        possible = np.searchsorted(self.pairs[0], np.inf)
        self.all_pairs = (self.pairs[1][: min(possible, LISTED)], self.pairs[2][: min(possible, LISTED)])
        self.near = self.order[: max(NEAR, len(margin) // NEAR_PART)]
        self.begin(MARGIN)
        self.weight = len(margin) / rows.scale
        n_rows, models = len(rows.most), rows.problem.n_models
        self.exact = np.zeros(n_rows, dtype=np.bool_)  # whole numbers, which need no margin
        self.exact[1 : 1 + 2 * models] = True

    def begin(self, margin: float) -> None:
        """Set the right-hand sides to those of the rows, less a relative margin for rounding."""
        self.most, self.margin, self.known = self.rows.most.copy(), margin, 0.0

    def tighten(self, by: FloatArray) -> None:
        """Lower the right-hand sides: (rows,)."""
        self.most = self.most - by

    def tally(self, states: IntArray) -> Tally:
        """Count an assignment (N,), which the tally then owns."""
        problem, n_rows = self.rows.problem, len(self.most)
        tally = Tally(
            states=states,
            counts=np.zeros((problem.n_groups, problem.n_states), dtype=np.int64),
            use=np.zeros(n_rows),
            most=self.most - self.margin * np.where(self.exact | np.isinf(self.most), 0.0, np.abs(self.most)),
            weight=self.weight,
            price=self.price,
            totals=np.zeros(2),
            row=np.zeros(16, dtype=np.int64),
            by=np.zeros(16),
        )
        moves.count_up(self.flat, self.sides, tally)
        return tally

    def run(self, start: IntArray, rho: float = 0.0, deep: bool = True) -> Found:
        """Repair and improve an assignment (N,), from a first price of violations on.

        A shallow search exchanges pairs of queries only where it found the best plan so far, and tries fewer pairs of
        moves that mend a violation.
        """
        tally = self.tally(start.copy())
        self.repair(tally, rho, CHECKS if deep else SHALLOW_CHECKS)
        moves.count_up(self.flat, self.sides, tally)
        if tally.totals[1] == 0.0:
            self.improve(tally, deep)
            if not deep and tally.totals[0] > self.known + LEAST_GAIN:
                self.improve(tally, True)
            self.known = max(self.known, float(tally.totals[0]))
        over = np.maximum(tally.use - tally.most, 0.0) * self.weight
        return Found(tally.states.copy(), float(tally.totals[0]), float(over.sum()))

    def repair(self, tally: Tally, rho: float, checks: int) -> None:
        """Move queries until no row is violated, or no move helps."""
        parts = (self.flat, self.sides, tally)
        whole = self.rows.whole_calls
        for round_ in range(ROUNDS):
            if tally.totals[1] == 0.0 and round_ > 0:
                return
            moves.sweep(self.near if round_ < NEAR_ROUNDS else self.order, rho, *parts)
            if whole:
                moves.regroup(self.order, rho, *parts)
            rho = max(2.0 * rho, RHO)
        for _ in range(MENDS):
            if tally.totals[1] == 0.0 or not moves.mend(*self.all_pairs, checks, *parts):
                return
            moves.sweep(self.order, rho, *parts)

    def improve(self, tally: Tally, deep: bool) -> None:
        """Gain utility while all rows are kept; the best assignment met is left in the tally."""
        parts = (self.flat, self.sides, tally)
        best, utility, idle = tally.states.copy(), float(tally.totals[0]), 0
        while idle < (IDLE if deep else 1):
            moved, lacks = 0, self.bound - max(utility, self.known)
            queries = self.near[: np.searchsorted(self.lead, lacks, side="right")]
            while moves.sweep(queries, np.inf, *parts):
                moved += 1
            if deep:
                listed = int(np.searchsorted(self.pairs[0], lacks, side="right"))
                listed = min(listed, LISTED + len(queries))  # each query's best state loses nothing
                moved += moves.exchange(self.pairs[1][:listed], self.pairs[2][:listed], CHECKS, *parts)
            if tally.totals[0] > utility + LEAST_GAIN:
                best[:], utility, idle = tally.states, float(tally.totals[0]), 0
            else:
                idle += 1
            if self.rows.whole_calls:
                moved += moves.regroup(self.order, np.inf, *parts)
            if not moved:
                break
        tally.states[:] = best
        moves.count_up(*parts)
