"""Proven optima under realized cost: a small core for the plan, then all candidates that can matter for the proof.

The greedy scheduler's tree over call counts often proves its plan, given more effort; if only a few leaves, in which
all calls are fixed, are left open, each is a small program for HiGHS. Where that does not prove it, HiGHS goes on with
the calls open: the dual of whole calls says what every candidate loses at least. No better plan holds
a candidate whose loss reaches the distance from plan to bound, so those are fixed. HiGHS first searches the candidates
of a small loss, which the best plan is nearly always made of; the plan found brings the distance down, and the
candidates that are left then are searched to prove it (an expanding core, after Pisinger, European Journal of
Operational Research 83, 1995).
"""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np

from robatch.instances.arrays import IntArray
from robatch.solvers.bounds.shared import Bounds
from robatch.solvers.bounds.whole_call_dual import Fixing
from robatch.solvers.exact.leaf import Closer
from robatch.solvers.greedy.realized import run as schedule
from robatch.solvers.mip.cut_loop import keep_budget
from robatch.solvers.mip.formulation import build
from robatch.solvers.mip.highs import run_once
from robatch.solvers.plan.incumbent import Incumbent
from robatch.solvers.registry import Answer, Request
from robatch.solvers.search_limits import Work, deadline_in

EFFORT = 40.0  # times that asked for: of the scheduler, before HiGHS is asked
SCHEDULER_TIME = 0.5  # of the time limit, at most
FIRST_CUT = 4  # the first core leaves out candidates that lose more than the distance from plan to bound over this
CALLS_FIRST_CANDIDATES = 4_000  # candidates from which the calls are found first
CALLS_CUT = 64  # then candidates that lose more than the distance over this are left out
CALLS_GAP = 0.02  # part of the distance at which that search stops
MAX_CANDIDATES = 20_000_000  # queries times states, which are held in memory


def run(request: Request) -> Answer:
    """Return a plan that is proven best as billed, to the requested gap, or the best one found and its bound."""
    request = Bounds.carried(request)
    problem, limit, deadline = request.problem, request.time_limit, deadline_in(request.time_limit)
    scheduled = None if limit is None else SCHEDULER_TIME * limit
    close = Closer(request, deadline_in(scheduled))
    answer = schedule(replace(request, time_limit=scheduled, effort=EFFORT * request.effort), close)
    if limit is not None:
        request = replace(request, time_limit=max(deadline - time.perf_counter(), 1e-9))
    if answer.infeasible or answer.bound is None:
        return answer
    found = Incumbent(bound=answer.bound)
    for states, evaluation in ((answer.assignment, answer.evaluation), (request.initial, None)):
        if states is not None:
            found = found.evaluated(states, evaluation or problem.evaluate(states), "realized", request.budget)
    if found.assignment is None:  # the scheduler found nothing where something may be: the whole program decides
        return _no_worse_bound(request, keep_budget(request, run_once), answer)
    search = Search(request, found)
    if search.open and problem.n_queries * problem.n_states > MAX_CANDIDATES:
        search.work.limit = "memory"
    elif search.open:
        search.close(answer.shadow_price or 0.0)
    found = search.found.stopped(search.work.limit)
    return Answer.of(
        found, shadow_price=answer.shadow_price, statistics={"cores": search.cores, "pairs": search.candidates}
    )


def _no_worse_bound(request: Request, found: Answer, scheduled: Answer) -> Answer:
    """Return what the whole program found, bounded by the scheduler, too: a search that is cut short may prove less."""
    if found.infeasible:
        return found
    bounds = [bound for bound in (found.bound, scheduled.bound) if bound is not None]
    least = 0.0 if found.assignment is None else request.problem.total_utility(found.assignment)
    return replace(found, bound=max(min(bounds), least), shadow_price=scheduled.shadow_price)


class Search:
    """What closes in on the best plan and the bound.

    Parameters
    ----------
    request
        What is asked.
    found
        A plan within the budget, and a proven bound.
    """

    def __init__(self, request: Request, found: Incumbent) -> None:
        self.request, self.found = request, found
        self.work, self.cores, self.candidates = Work(request.time_limit, 1), 0, 0

    @property
    def open(self) -> bool:
        """Whether the plan is not yet proven good enough."""
        return not self.found.proven(self.request.gap)

    def asked(self, gap: float) -> Request | None:
        """Return a request for the time that is left; None, and a limit, if there is none."""
        if self.work.late:
            return None
        return replace(self.request, initial=self.found.assignment, time_limit=self.work.left, gap=gap)

    def close(self, price: float) -> None:
        """Search a small core, then all candidates that can matter."""
        request = self.request
        bounds = Bounds.of(request)
        fixing = bounds.fixing(request.budget, price, self.found.utility)
        bounds.release()
        self.found = self.found.bounded(fixing.bound)
        cut = (fixing.bound - self.found.utility) / FIRST_CUT
        if fixing.kept(self.found, math.inf).sum() > CALLS_FIRST_CANDIDATES:
            self.find_calls(fixing)
            cut = math.inf
        while self.open:
            asked = self.asked(request.gap)
            if asked is None:
                return
            kept = fixing.kept(self.found, cut)
            answer = keep_budget(asked, run_once, kept)
            self.cores, self.candidates = self.cores + 1, int(kept.sum())
            self.offer(answer.assignment)
            self.lower(fixing, cut, answer.bound)
            if answer.limit is not None and self.open:
                self.work.limit = answer.limit
                return
            if cut >= fixing.bound - self.found.utility:
                return
            cut = math.inf

    def find_calls(self, fixing: Fixing) -> None:
        """Find call counts while queries may be split between states, which few are; then a plan with these calls."""
        distance = fixing.bound - self.found.utility
        gap = CALLS_GAP * distance / self.found.bound
        asked = self.asked(gap)
        if asked is None or self.found.assignment is None:
            return
        cut = distance / CALLS_CUT
        model = build(asked.problem, asked.budget, "realized", kept=fixing.kept(self.found, cut))
        outcome = run_once(model, asked, model.to_values(self.found.assignment), split=True)
        bounded = model.n_columns > model.n_candidates  # HiGHS gives linear programs a bound of 0
        if bounded and outcome.bound is not None:
            self.lower(fixing, cut, outcome.bound / model.objective_scale)
        if outcome.values is None or not self.open:
            return
        asked = self.asked(CALLS_GAP * distance / self.found.bound)
        if asked is None:
            return
        calls = np.rint(np.asarray(outcome.values)[model.n_candidates :])
        upper = np.concatenate([model.upper[: model.n_candidates], calls])
        outcome = run_once(replace(model, upper=upper), asked, None)
        if outcome.values is not None:
            self.offer(model.to_assignment(outcome.values))

    def offer(self, states: IntArray | None) -> None:
        """Take a plan if it keeps the budget and is better."""
        if states is not None:
            evaluation = self.request.problem.evaluate(states)
            self.found = self.found.evaluated(states, evaluation, "realized", self.request.budget)

    def lower(self, fixing: Fixing, cut: float, bound: float | None) -> None:
        """Lower the bound to that of a program without candidates that lose more than `cut`, or by what these lose."""
        if bound is not None:
            utility = self.found.utility
            outside = utility if cut >= fixing.bound - utility else fixing.bound - cut
            self.found = replace(self.found, bound=max(min(self.found.bound, max(bound, outside)), utility))
