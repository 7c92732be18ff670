"""The search for the best plans at many budgets as billed: windows of neighbouring budgets, from the least one up."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import FloatArray, IntArray
from robatch.instances.errors import InputError
from robatch.instances.problem import Problem
from robatch.solvers.analysis.known_plans import KnownPlans
from robatch.solvers.analysis.realized_frontier import RealizedFrontier
from robatch.solvers.analysis.walk import bills_along
from robatch.solvers.analysis.window import IMPROVE_WORK, Walked, Window
from robatch.solvers.bounds.granularity import grade, lower_to_grades
from robatch.solvers.bounds.least_bill import cheapest_realized_assignment
from robatch.solvers.bounds.relaxation import EDGE, Relaxation, Relaxer, Steps, find_steps, sample
from robatch.solvers.bounds.whole_call_dual import strengthened
from robatch.solvers.greedy.realized import LOW_PRICE, MAX_TREE_GROUPS
from robatch.solvers.limits import needs
from robatch.solvers.solve import asked
from robatch.solvers.writes import as_billed, with_writes

POINTS, FEW_POINTS = 200, 40  # budgets unless told otherwise; and where each of them is solved by itself
MAX_ALL_STEPS = 100_000  # queries up to which all steps are held
SAMPLE = 20_000  # beyond: queries whose steps say where budgets are spread
MAX_WHOLE = 300  # queries up to which all of them can move in every window
STEPS, MARGIN = 100, 80  # of a window, and on both sides of it
WHOLE_STEPS = 3  # of a window in which all queries can move, times these
WIDE, HARDER = 1e-3, 8  # relative gap at which a budget is searched again, with so many times the limits
COARSE = 8  # one budget in so many is searched first
WORK, WORK_PER_QUERY, MOST_WORK = 30e6, 0.2e6, 1e9  # units of about a nanosecond, of all trees


@dataclass(frozen=True, slots=True)
class Start:
    """An assignment that is held: (N,)."""

    held: IntArray

    def states(self) -> IntArray:
        """Return it."""
        return self.held


def realized_frontier(problem: Problem, budgets: npt.ArrayLike | None, threads: int) -> RealizedFrontier:
    """Return what is known at every budget; see `robatch.frontier`."""
    given = None if budgets is None else checked(budgets)
    asked_for, problem = problem, as_billed(problem)
    each = bool(needs(problem, "realized")) or problem.n_groups > MAX_TREE_GROUPS or bool(problem.write_charge.any())
    relaxer = Relaxer(strengthened(problem), threads)
    if problem.n_queries <= MAX_ALL_STEPS:
        relaxer.steps = find_steps(relaxer.flat, np.inf, 0.0, threads)
    ends = [problem.cheapest_assignment, cheapest_realized_assignment(problem), problem.best_assignment]
    points = FEW_POINTS if each else POINTS
    known = KnownPlans(problem, spread(problem, relaxer, ends, points) if given is None else given)
    for states in ends if problem.constraints is None else []:
        known.offer(Start(states), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))
    greatest = problem.total_utility(ends[-1]) * (1 + 1e-15 * problem.n_queries)
    known.bounded(len(known.budgets) - 1, greatest)
    lines = [(0.0, greatest, 0.0)]
    grades, left = grade(relaxer.flat), 0.0
    if relaxer.steps is not None and problem.constraints is None:
        walked(known, relaxer, relaxer.steps)
    a_budget = min(WORK + WORK_PER_QUERY * problem.n_queries, MOST_WORK) / len(known.budgets)
    for places, at in windows(known, relaxer):
        for place, one in zip(places, at, strict=True):
            known.bounded(place, one.bound)
            if one.price < math.inf:
                lines.append((float(known.budgets[place]), one.bound, one.price))
        if each:
            scheduled(known, places, threads)
            continue
        left += a_budget * len(places)
        left -= searched(known, relaxer, places, at, grades, left)
    return replace(finished(known, relaxer, np.array(lines)), problem=asked_for)


def checked(budgets: npt.ArrayLike) -> FloatArray:
    """Return budgets in USD, rising, each once.

    Raises
    ------
    InputError
        If they are not finite numbers of at least 0, or there is none.
    """
    try:
        found = np.asarray(budgets, dtype=np.float64).ravel()
    except (TypeError, ValueError):
        found = np.array([np.nan])
    if len(found) == 0 or not (np.isfinite(found) & (found >= 0.0)).all():
        raise InputError(f"budgets is {budgets!r}: finite numbers of USD of at least 0 are needed, and at least one")
    return np.unique(found)


def spread(problem: Problem, relaxer: Relaxer, ends: list[IntArray], points: int) -> FloatArray:
    """Return some budgets from the least bill known to that of the greatest utility.

    They are evenly spread by the way along the relaxation's curve, USD and utility each taken relative to its range.
    """
    bills = [problem.realized_cost(states) for states in ends]
    low, high = min(bills), max(bills[-1], min(bills))
    steps, times = relaxer.steps, 1.0
    if steps is None:
        times = problem.n_queries / SAMPLE
        steps = find_steps(relaxer.flat.take(sample(problem.n_queries, SAMPLE)), np.inf, 0.0, relaxer.threads)
    usd = times * (steps.cost + np.concatenate([[0.0], np.cumsum(steps.step_cost)]))
    utility = np.concatenate([[0.0], np.cumsum(steps.step_utility)])
    inside = (usd > low) & (usd < high)
    if high <= low:
        return np.array([low])
    corners = np.concatenate([[low], usd[inside], [high]])
    usd, utility = corners, np.interp(corners, usd, utility)
    way = (usd - low) / (high - low) + (utility - utility[0]) / max(float(utility[-1] - utility[0]), 1e-300)
    found = np.interp(np.linspace(0.0, way[-1], points), way, usd)
    found[0], found[-1] = low, high
    return np.unique(found)


def windows(known: KnownPlans, relaxer: Relaxer) -> Iterator[tuple[list[int], list[Relaxation]]]:
    """Yield the places of neighbouring budgets, and the relaxation at each."""
    held, queries = relaxer.steps is not None, known.problem.n_queries
    most = max(WHOLE_STEPS * queries, STEPS) if queries <= MAX_WHOLE else STEPS
    places: list[int] = []
    at: list[Relaxation] = []
    for place, budget in enumerate(known.budgets.tolist()):
        one = relaxer.at(budget)
        if places and (not held or one.break_step - at[0].break_step > most):
            yield places, at
            places, at = [], []
        places.append(place)
        at.append(one)
    yield places, at


def walked(known: KnownPlans, relaxer: Relaxer, steps: Steps) -> None:
    """Keep spare the plan of most steps that each budget pays for."""
    least_later = np.minimum.accumulate(bills_along(known.problem, steps, relaxer.flat.share)[::-1])[::-1]
    numbers = np.searchsorted(least_later, known.budgets * (1 - 2 * EDGE), side="right") - 1
    known.spare = {
        place: Walked(relaxer, steps.high, steps.low, number)
        for place, number in enumerate(numbers.tolist())
        if number >= 0
    }


def searched(
    known: KnownPlans, relaxer: Relaxer, places: list[int], at: list[Relaxation],
    grades: tuple[float, float], most_work: float,
) -> float:  # fmt: skip
    """Search the plans of a window: first a few budgets, then those of the largest gaps; return the work."""
    prices = {}
    for place, one in zip(places, at, strict=True):
        budget = float(known.budgets[place])
        if budget > 0.0 and one.steps.cost <= budget * (1 + 1e-9):  # else none, even if all calls were full
            average = one.bound / budget
            prices[place] = (one.price if one.price < math.inf else average) or LOW_PRICE * average
    places = list(prices)
    if not places:
        return 0.0
    steps, queries = at[0].steps, known.problem.n_queries
    first, last = max(at[0].break_step - MARGIN, 0), min(at[-1].break_step + MARGIN, len(steps.slope))
    ends = [(float(known.budgets[place]), prices[place]) for place in (places[0], places[-1])]
    window = Window.of(known, relaxer, steps, first, last, ends, grades, queries <= MAX_WHOLE)
    fitting = IMPROVE_WORK * len(window.tree.core.options)
    work = sum(window.grow(place, prices[place]) for place in dict.fromkeys([*places[::COARSE], places[-1]]))
    while work + fitting * (len(places) - len(window.done)) < most_work:
        gaps = known.gaps[places]
        gaps[[place in window.done for place in places]] = -1.0
        place = places[int(gaps.argmax())]
        if gaps.max() <= 1e-9 * known.bounds[place]:
            break
        work += window.grow(place, prices[place])
    for place in sorted(places, key=lambda place: -float(known.gaps[place] / known.bounds[place])):
        if known.gaps[place] <= WIDE * known.bounds[place]:
            break
        known.fall_back(place)
        if work < most_work:
            work += window.grow(place, prices[place], HARDER)
    for place in places:
        if place not in window.done and known.gaps[place] > 1e-9 * known.bounds[place]:
            work += window.fit(place, prices[place])
    window.base.held = None
    return work


def scheduled(known: KnownPlans, places: list[int], threads: int) -> None:
    """Ask the greedy scheduler at each budget, which keeps constraints and counts the calls that conflicts need."""
    problem, all_rows = known.problem, np.arange(known.problem.n_queries)
    base = Start(problem.cheapest_assignment)
    for place in places:
        known_before = known.plans[place]
        initial = None if known_before is None else known_before.states()
        entry, request = asked(problem, float(known.budgets[place]), "greedy", "realized", initial, threads=threads)
        answer = with_writes(entry.load(), entry.proves)(request)
        if answer.bound is not None:
            known.bounded(place, answer.bound)
        if answer.assignment is not None:
            known.offer(base, all_rows, answer.assignment)


def finished(known: KnownPlans, relaxer: Relaxer, lines: FloatArray) -> RealizedFrontier:
    """Return the frontier of what is known."""
    plans = tuple(dict.fromkeys(plan for plan in known.plans if plan is not None))
    at, most, price = lines.T
    utilities = np.where(known.utilities > -np.inf, known.utilities, np.nan)
    bounds = np.fmax(lower_to_grades(relaxer.flat, known.bounds), utilities)
    nearest = (most + price * (known.budgets[:, None] - at)).argmin(axis=1)
    return RealizedFrontier(known.problem, known.budgets, utilities, bounds, price[nearest], plans, (at, most, price))
