"""Proven optima under realized cost: a small core for the plan, then all pairs that can matter for the proof.

The greedy scheduler gives a plan, and the dual of `call_bound` what every pair loses at least. No better plan holds a
pair whose loss reaches the distance from plan to bound, so those pairs are fixed. HiGHS first searches the pairs of a
small loss, which the best plan is nearly always made of; the plan found brings the distance down, and the pairs that
are left then are searched to prove it (an expanding core, after Pisinger, European Journal of Operational Research 83,
1995).
"""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np

from robatch.instances.arrays import IntArray
from robatch.solvers.bounds.whole_call_dual import Fixing
from robatch.solvers.greedy.realized import run as schedule
from robatch.solvers.limits import legal
from robatch.solvers.mip.cut_loop import keep_budget
from robatch.solvers.mip.formulation import build
from robatch.solvers.mip.highs import run_once
from robatch.solvers.plan.plan import Limit
from robatch.solvers.registry import Answer, Request

FIRST = 4  # the first core leaves out pairs that lose more than the distance from plan to bound over this
MANY = 4_000  # pairs from which the calls are found first
SMALL = 64  # then pairs that lose more than the distance over this are left out
ROUGH = 0.02  # part of the distance at which that search stops
MOST_PAIRS = 20_000_000  # queries times states, which are held in memory


def run(request: Request) -> Answer:
    """Return a plan that is proven best as billed, to the requested gap, or the best one found and its bound."""
    problem = request.problem
    answer = schedule(request)
    if answer.infeasible or answer.bound is None:
        return answer
    known = [states for states in (answer.assignment, request.initial) if states is not None]
    known = [states for states in known if problem.realized_cost(states) <= request.budget]
    if not known:  # the scheduler found nothing where something may be: the whole program decides
        return _no_worse_bound(request, keep_budget(request, run_once), answer)
    search = Search(request, max(known, key=problem.total_utility), answer.bound)
    if search.open and problem.n_queries * problem.n_states > MOST_PAIRS:
        search.limit = "memory"
    elif search.open:
        search.close(answer.shadow_price or 0.0)
    return Answer(
        search.best,
        bound=search.bound,
        limit=search.limit,
        shadow_price=answer.shadow_price,
        statistics={"cores": search.cores, "pairs": search.pairs},
    )


def _no_worse_bound(request: Request, found: Answer, scheduled: Answer) -> Answer:
    """Return what the whole program found, bounded by the scheduler, too: a search that is cut short may prove less."""
    if found.infeasible:
        return found
    bounds = [bound for bound in (found.bound, scheduled.bound) if bound is not None]
    least = 0.0 if found.assignment is None else request.problem.total_utility(found.assignment)
    return replace(found, bound=max(min(bounds), least), shadow_price=scheduled.shadow_price)


class Search:
    """The best plan so far and the bound, and what closes in on them.

    Parameters
    ----------
    request
        What is asked.
    best, bound
        A plan within the budget (N,), and a proven bound.
    """

    def __init__(self, request: Request, best: IntArray, bound: float) -> None:
        self.request, self.best, self.bound = request, best, bound
        self.reached = request.problem.total_utility(best)
        self.begin, self.cores, self.pairs = time.perf_counter(), 0, 0
        self.limit: Limit | None = None

    @property
    def open(self) -> bool:
        """Whether the plan is not yet proven good enough."""
        return self.bound - self.reached > self.request.gap * self.bound

    def asked(self, gap: float) -> Request | None:
        """Return a request for the time that is left; None, and a limit, if there is none."""
        limit, left = self.request.time_limit, None
        if limit is not None:
            left = limit - (time.perf_counter() - self.begin)
            if left <= 0.0:
                self.limit = "time"
                return None
        return replace(self.request, initial=self.best, time_limit=left, gap=gap)

    def close(self, price: float) -> None:
        """Search a small core, then all pairs that can matter."""
        fixing = Fixing.of(self.request.problem, self.request.budget, price, self.reached)
        self.bound = min(self.bound, fixing.bound)
        cut = (fixing.bound - self.reached) / FIRST
        if fixing.kept(self.reached, math.inf, self.best).sum() > MANY:
            self.find_calls(fixing)
            cut = math.inf
        while self.open:
            asked = self.asked(self.request.gap)
            if asked is None:
                return
            kept = fixing.kept(self.reached, cut, self.best)
            found = keep_budget(asked, run_once, kept)
            self.cores, self.pairs = self.cores + 1, int(kept.sum())
            self.offer(found.assignment)
            self.lower(fixing, cut, found.bound)
            if found.limit is not None and self.open:
                self.limit = found.limit
                return
            if cut >= fixing.bound - self.reached:
                return
            cut = math.inf

    def find_calls(self, fixing: Fixing) -> None:
        """Find call counts while queries may be split between states, which few are; then a plan with these calls."""
        distance = fixing.bound - self.reached
        asked = self.asked(ROUGH * distance / self.bound)
        if asked is None:
            return
        problem, cut = self.request.problem, distance / SMALL
        kept = fixing.kept(self.reached, cut, self.best)
        model = build(problem, self.request.budget, "realized", kept=kept)
        outcome = run_once(model, asked, model.to_values(self.best), split=True)
        if outcome.bound is not None and model.n_columns > model.n_pairs:  # HiGHS gives linear programs a bound of 0
            self.lower(fixing, cut, outcome.bound / model.objective_scale)
        if outcome.values is None or not self.open:
            return
        asked = self.asked(ROUGH * distance / self.bound)
        if asked is None:
            return
        calls = np.rint(np.asarray(outcome.values)[model.n_pairs :])
        upper = np.concatenate([model.upper[: model.n_pairs], calls])
        found = run_once(replace(model, upper=upper), asked, None)
        if found.values is not None:
            self.offer(model.to_assignment(found.values))

    def offer(self, states: IntArray | None) -> None:
        """Take a plan if it is legal and better."""
        problem, budget = self.request.problem, self.request.budget
        if states is not None and legal(problem, states, budget, "realized"):
            utility = problem.total_utility(states)
            if utility > self.reached:
                self.best, self.reached = states, utility

    def lower(self, fixing: Fixing, cut: float, bound: float | None) -> None:
        """Lower the bound to that of a program without the pairs that lose more than `cut`, or by what these lose."""
        if bound is not None:
            outside = self.reached if cut >= fixing.bound - self.reached else fixing.bound - cut
            self.bound = max(min(self.bound, max(bound, outside)), self.reached)
