"""Proven least amortized cost of a target utility, by root finding on the budget.

The best utility within a budget never falls as the budget grows. A budget whose proven bound is below the target is
too small for every plan that reaches the target; a plan found within a budget that reaches it costs no more than
that. Both ends close in: by steps along the shadow price, as utility grows by it from budget to budget, by trying just
below the best plan known, which proves it where no plan is cheaper, and by halving where neither helps.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from robatch.instances.arrays import IntArray
from robatch.instances.problem import Problem
from robatch.solvers.bounds.relaxation import Relaxer
from robatch.solvers.bounds.shared import Bounds
from robatch.solvers.exact.amortized import run
from robatch.solvers.plan.plan import Limit
from robatch.solvers.registry import Request

FINEST_GAP = 4e-16  # relative gap in cost that budgets in float64 can tell apart
GAP_SHARE = 0.1  # of the gap in cost: the gap in utility that is asked for first, counted at the shadow price
ROUNDING_MISS = 1e-12  # relative: a plan that misses the target by no more misses it by rounding
MAX_REMAINDER = 0.5  # part of the distance between the ends that two solves should leave at most
SOLVE_SHARE, LEAST_SECONDS = 0.5, 0.01  # of the time that is left, and seconds: what one solve may take
MAX_OPEN = 8  # budgets that a limit left open, after which the search ends


@dataclass(slots=True)
class Search:
    """What is known about the least cost of a target.

    Attributes
    ----------
    problem, relaxer
        The problem, and its relaxation near the target.
    target, aim
        Utility to reach, and the least utility of at least that which a plan can have, as far as is known.
    price
        Shadow price at the target: utility per USD.
    states, high
        The cheapest plan known that reaches it, and its amortized USD.
    low
        USD that no plan of the target costs less than.
    bound
        Utility that no plan within the budget of `states` exceeds; None if that was not asked.
    limit
        What stopped the search, None if nothing did.
    coarse
        Part of the distance between the ends that an open part has to leave at a side for that to be searched.
    missed
        USD of the cheapest plan seen that misses the target at the last digits only, and by how much; None if none did.
    """

    problem: Problem
    relaxer: Relaxer
    target: float
    aim: float
    price: float
    states: IntArray
    high: float
    low: float
    bound: float | None = None
    limit: Limit | None = None
    missed: tuple[float, float] | None = None
    coarse: float = 0.0

    def close(self, gap: float, seed: int, deadline: float) -> None:
        """Bring the ends together to a relative gap, until a time of `time.perf_counter` at most.

        A budget stays open where the best plan found within it misses the target and the bound does not: at the last
        digits of the utility, or when a limit stops the solver, which gets half of the time that is left. The ends
        then close in on the open part.
        """
        width, before = max(gap, FINEST_GAP), self.high - self.low
        open_low, open_high = self.high, self.low  # the open part, none so far
        opened, guess, just_below = 0, self.high, False
        while self.high - self.low > width * self.high:
            is_open = open_low <= open_high
            left, right = self.low, self.high
            side = max(width * self.high, self.coarse * (self.high - self.low))
            if is_open and self.high - open_high > side:
                left = open_high
            elif is_open and open_low - self.low > side:
                right = open_low
            elif is_open:
                self.limit = self.limit or "other"
                return
            # by turns just below the best plan, which may prove it, and to where the shadow price points
            just_below = not just_below and right == self.high
            budget = right - 0.75 * width * self.high if just_below else guess
            if not just_below and (not left < guess < right or right - left > MAX_REMAINDER * before):
                budget = (left + right) / 2
            if not just_below:
                before = right - left
            if not left < budget < right:
                budget = (left + right) / 2
            if not left < budget < right or budget <= 0.0:
                self.limit = self.limit or "other"  # no float lies between
                return
            if time.perf_counter() >= deadline:
                self.limit = "time"
                return
            utility, bound, stopped = self._solve(budget, gap, seed, deadline)
            if utility >= self.target:
                guess = self.high - (utility - self.aim) / self.price
            elif bound < self.target:
                self.low, guess = budget, budget + (self.aim - utility) / self.price
            else:
                open_low, open_high = min(open_low, budget), max(open_high, budget)
                opened += stopped not in (None, "time")
                if opened > MAX_OPEN:
                    self.limit = stopped
                    return
            if open_low >= self.high or open_high <= self.low:
                open_low, open_high = self.high, self.low

    def _solve(self, budget: float, gap: float, seed: int, deadline: float) -> tuple[float, float, Limit | None]:
        """Solve at a budget, keep a plan that reaches the target, and return utility, bound and limit."""
        spend = self.price * budget / self.target
        for asked in (GAP_SHARE * gap * min(spend, 1.0), 0.0):
            left = None if deadline == math.inf else max(SOLVE_SHARE * (deadline - time.perf_counter()), LEAST_SECONDS)
            threads, bounds = self.relaxer.threads, Bounds(self.problem, self.relaxer)
            request = Request(self.problem, budget, "amortized", left, asked, seed, threads, bounds=bounds)
            answer = run(request)
            bound = math.inf if answer.bound is None else answer.bound
            utility = -1.0
            if answer.assignment is not None:
                utility, cost, _, _ = self.problem.evaluate(answer.assignment)
                short = self.target - utility
                if short <= 0.0 and cost < self.high:
                    self.states, self.high, self.bound = answer.assignment, cost, max(bound, utility)
                elif 0.0 < short <= ROUNDING_MISS * self.target and (self.missed is None or cost < self.missed[0]):
                    self.missed = cost, short
            if utility >= self.target or bound < self.target or answer.limit is not None:
                break
        return utility, bound, answer.limit
