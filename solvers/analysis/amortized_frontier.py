"""The frontier under amortized cost: the best utility at every budget at once, by the linear relaxation."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import FloatArray
from robatch.instances.display.frames import Library, frame
from robatch.instances.problem import Problem
from robatch.instances.scalars import number
from robatch.solvers.choice import check_constraints
from robatch.solvers.limits import needs
from robatch.solvers.plan.plan import Plan
from robatch.solvers.solve import answered, asked

if TYPE_CHECKING:
    from robatch.solvers.bounds.relaxation import Relaxer, Steps


MAX_ALL_STEPS = 100_000  # queries up to which every breakpoint is kept unless told otherwise
RESOLUTION = 1e-8  # beyond: error allowed in utility, relative to the greatest
RANGES = 4  # parts of the queries that are counted by themselves, whatever the number of threads
MAX_BINS = 1 << 20
LEAST_BITS, MAX_BITS = 4, 16  # an octave of slopes is cut in two to the power of so many parts at first
UNEVEN_BITS = 0.75  # bits more than an even spread of slopes needs
SUM_ROUNDING = 1e-12  # relative: what sums may err at most
BRACKET = 0.001  # relative width, to each side, of a bracket around a price of the curve
MARGIN_OCTAVES = 4  # octaves of slopes beyond those of the sample that have bins of their own


@dataclass(frozen=True, eq=False)
class Frontier:
    """Best utility at every amortized budget, by the linear relaxation: a concave, piecewise linear curve.

    No plan lies above the curve by more than `error`, and the best plans lie just below it: by less than the
    utility of one query, and mostly by far less. `plan` makes them.

    Attributes
    ----------
    problem
        The problem.
    budgets, utilities
        The breakpoints, from the cheapest plan to the cheapest of greatest utility: USD and utility.
    shadow_prices
        Utility per USD from each breakpoint to the next: one less than there are breakpoints.
    error
        Utility by which the true curve may lie above this one between two breakpoints; 0 if all are kept.
    """

    problem: Problem
    budgets: FloatArray
    utilities: FloatArray
    shadow_prices: FloatArray
    error: float
    _relaxer: Relaxer

    def utility(self, budget: npt.ArrayLike) -> Any:
        """Return the utility at one or many budgets in USD; nan below the cheapest plan."""
        return np.interp(self._at_least(budget), self.budgets, self.utilities, left=np.nan)[()]

    def bound(self, budget: npt.ArrayLike) -> Any:
        """Return the utility that no plan exceeds at one or many budgets in USD; nan below the cheapest plan."""
        return (self.utility(budget) + self.error) * (1 + SUM_ROUNDING)

    def budget(self, utility: npt.ArrayLike) -> Any:
        """Return the least budget in USD that reaches one or many utilities; nan above the greatest."""
        wanted = np.asarray(utility, dtype=np.float64)
        rising = np.concatenate([[True], np.diff(self.utilities) > 0])
        found = np.interp(wanted, self.utilities[rising], self.budgets[rising])
        return np.where(wanted > self.utilities[-1], np.nan, found)[()]

    def shadow_price(self, budget: npt.ArrayLike) -> Any:
        """Return what the next dollar buys at one or many budgets: utility per USD; nan below the cheapest plan."""
        place = np.searchsorted(self.budgets, self._at_least(budget), side="right")
        prices = np.concatenate([[np.nan], self.shadow_prices, [0.0]])
        return prices[place][()]

    def _at_least(self, budget: npt.ArrayLike) -> FloatArray:
        """Raise budgets that are below the cheapest plan by no more than rounding."""
        wanted, least = np.asarray(budget, dtype=np.float64), self.budgets[0]
        return np.where((wanted < least) & (wanted >= least * (1 - SUM_ROUNDING)), least, wanted)

    def plan(self, budget: float, solver: str = "greedy", **options: Any) -> Plan:
        """Return a plan at a budget in USD: ``greedy`` takes what is known already, ``exact`` proves the optimum.

        Parameters
        ----------
        budget
            USD, not below the cheapest plan. At either end of the curve, what the plan there costs to the last digit.
        solver
            ``"greedy"`` or ``"exact"``.
        options
            As for `solve`; the cost model is amortized unless they say otherwise.

        Raises
        ------
        InputError
            As `solve` does.
        """
        budget = number("budget", budget, needed="a finite number of USD of at least 0")
        if budget == self.budgets[0]:
            budget = max(budget, self.problem.cheapest_budget)
        if budget == self.budgets[-1]:
            budget = max(budget, self.problem.dearest_budget)
        price = float(self.shadow_price(budget))
        if 0.0 < price < math.inf:  # where only bins are known, one pass near the price finds the steps
            self._relaxer.prices = price * (1 + BRACKET), price * (1 - BRACKET)
        from robatch.solvers.bounds.shared import Bounds

        entry, request = asked(self.problem, budget, solver, **{"cost": "amortized", **options})
        return answered(entry, replace(request, bounds=Bounds(self.problem, self._relaxer)))

    def to_frame(self, library: Library = "pandas") -> Any:
        """Return the breakpoints as a table of pandas, polars or pyarrow: budget, utility and shadow price of each."""
        return frame(
            {
                "budget": self.budgets,
                "utility": self.utilities,
                "shadow_price": np.append(self.shadow_prices, 0.0),
            },
            library,
        )

    def __repr__(self) -> str:
        return (
            f"Frontier({len(self.budgets)} breakpoints, budgets {self.budgets[0]:.6g} to {self.budgets[-1]:.6g} USD, "
            f"utilities {self.utilities[0]:.6g} to {self.utilities[-1]:.6g}, error {self.error:.3g})"
        )


def amortized_frontier(problem: Problem, resolution: float | None, threads: int) -> Frontier:
    """Return the curve of a problem; see `robatch.frontier` for the arguments, which are checked here."""
    from robatch.instances.kernels import flat
    from robatch.solvers.bounds.relaxation import Relaxer, find_steps

    check_constraints("the frontier", frozenset(), needs(problem, "amortized"), "amortized")
    if resolution is None:
        resolution = 0.0 if problem.n_queries <= MAX_ALL_STEPS else RESOLUTION
    resolution = number("resolution", resolution, most=1.0, needed="a number from 0 to 1")
    relaxer = Relaxer(flat(problem), threads)
    if resolution > 0.0:
        return _binned(problem, relaxer, resolution)
    relaxer.steps = steps = find_steps(relaxer.flat, np.inf, 0.0, threads)
    return _curve(problem, relaxer, steps.cost, steps.utility, steps.step_cost, steps.step_utility, 0.0)


def _curve(
    problem: Problem, relaxer: Relaxer, cost: float, utility: float, costs: FloatArray, gains: FloatArray, error: float
) -> Frontier:
    budgets = cost + np.concatenate([[0.0], np.cumsum(costs)])
    utilities = utility + np.concatenate([[0.0], np.cumsum(gains)])
    with np.errstate(over="ignore"):  # a step may cost next to nothing
        prices = gains / costs
    return Frontier(problem, budgets, utilities, prices, error, relaxer)


def _binned(problem: Problem, relaxer: Relaxer, resolution: float) -> Frontier:
    """Count the steps by slope, in finer bins until the error is small enough."""
    from robatch.solvers.bounds.relaxation import DIRECT, find_steps, sample

    rows = sample(problem.n_queries, min(problem.n_queries, DIRECT))
    some = find_steps(relaxer.flat.take(rows), np.inf, 0.0)
    slopes = some.slope[np.isfinite(some.slope)]
    slopes = slopes if len(slopes) else np.ones(1)
    low, high = (math.frexp(float(slope))[1] for slope in (slopes.min(), slopes.max()))
    low, high = max(low - MARGIN_OCTAVES - 1, -1020), min(high + MARGIN_OCTAVES, 1020)
    shift = 52 - _bits(some, resolution)
    while True:
        edges = _leading_bits(np.array([2.0**low, 2.0**high]), shift)
        bins = int(edges[1] - edges[0]) + 2  # and one at each end for what lies beyond
        cost, utility, counts = _count(relaxer, shift, int(edges[0]) - 1, bins)
        costs, gains, least, greatest = counts[counts[:, 0] > 0.0][::-1].T
        # within a bin, the curve lies between its chord and lines of the least and the greatest slope
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # steps may cost next to nothing
            mean = gains / costs
            gap = costs * np.maximum(greatest - mean, 0.0) * np.maximum(mean - least, 0.0) / (greatest - least)
        several = (greatest > least) | np.isinf(greatest)  # infinite slopes may differ and not show it
        error = float(np.where(several, np.where(np.isfinite(gap), gap, gains), 0.0).max(initial=0.0))
        if error <= resolution * (utility + gains.sum()) or 4 * bins > MAX_BINS:
            break
        shift -= 2
    return _curve(problem, relaxer, cost, utility, costs, gains, error)


def _bits(sampled: Steps, resolution: float) -> int:
    """Guess from a sample in how many parts, as a power of two, each octave of slopes has to be counted.

    Cut in 2**bits parts, the steps of an octave that gain some utility err by at most that over 4**(bits + 1), if
    they are spread evenly.
    """
    gained = float(sampled.step_utility.sum())
    if not gained > 0.0:
        return LEAST_BITS
    octaves = np.frexp(sampled.slope)[1]
    most = np.bincount(octaves - octaves.min(), sampled.step_utility).max()
    parts = most / (max(resolution, 1e-12) * (sampled.utility + gained))
    bits = math.ceil(math.log(parts, 4) - 1 + UNEVEN_BITS) if parts > 1.0 else LEAST_BITS
    return min(max(bits, LEAST_BITS), MAX_BITS)


def _leading_bits(slopes: FloatArray, shift: int) -> npt.NDArray[np.int64]:
    bits: npt.NDArray[np.int64] = slopes.view(np.int64) >> shift
    return bits


def _count(relaxer: Relaxer, shift: int, lowest: int, bins: int) -> tuple[float, float, FloatArray]:
    """Return USD and utility of the cheapest plan, and what `histogram` counts in each bin: (bins, 4)."""
    from robatch.solvers.bounds import relaxation_kernels
    from robatch.solvers.bounds.threads import over_ranges

    rows = relaxer.flat.n_queries

    def counted(begin: int, end: int) -> tuple[FloatArray, FloatArray]:
        counts = np.tile([0.0, 0.0, np.inf, -np.inf], (bins, 1))
        return relaxation_kernels.histogram(begin, end, shift, lowest, counts, relaxer.flat), counts

    edges = [rows * part // RANGES for part in range(RANGES + 1)]
    ranges = [(begin, end) for begin, end in pairwise(edges) if begin < end]
    parts = over_ranges(counted, ranges, relaxer.threads)
    cost, utility = (math.fsum(float(x) for sums, _ in parts for x in sums[i]) for i in range(2))
    counts = parts[0][1]
    for _, more in parts[1:]:
        counts[:, :2] += more[:, :2]
        np.minimum(counts[:, 2], more[:, 2], out=counts[:, 2])
        np.maximum(counts[:, 3], more[:, 3], out=counts[:, 3])
    return cost, utility, counts
