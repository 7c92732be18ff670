"""A plan of low realized cost that reaches a target utility, and a bound: root finding on the budget, by decisions.

At a budget, the search as billed only has to decide: boxes of call counts that promise less than the target are closed
at once. So a budget that is too small is proven so by few boxes, and one that is large enough shows a plan. The ends
close in as in `exact`.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

from robatch.solvers.bounds.granularity import grade
from robatch.solvers.bounds.least_bill import cheapest_realized_assignment
from robatch.solvers.bounds.relaxation import Relaxation
from robatch.solvers.bounds.shared import Bounds
from robatch.solvers.bounds.target_relaxation import reach
from robatch.solvers.cheapest.exact import SOLVE_SHARE, Search
from robatch.solvers.cheapest.task import Task
from robatch.solvers.choice import AUTO_QUERIES
from robatch.solvers.greedy.first_plans import first_plan
from robatch.solvers.greedy.realized import CLOSE, LEAST_CLOSE, MAX_TREE_GROUPS, joined, searched
from robatch.solvers.greedy.realized import run as schedule
from robatch.solvers.greedy.realized_table import Table
from robatch.solvers.plan.incumbent import Incumbent
from robatch.solvers.plan.plan import Limit
from robatch.solvers.registry import Request
from robatch.solvers.search_limits import deadline_in
from robatch.solvers.writes import with_writes

MAX_SOLVES = 40  # budgets that are tried
HARDER, MOST_HARDER = 30.0, 3  # times the effort at budgets of few queries that stay open, and how many of these
COARSE = 0.02  # part of the distance between the ends


@dataclass(slots=True)
class BilledSearch(Search):
    """What is known about the least bill of a target.

    Attributes
    ----------
    request
        What is asked; its budget says nothing.
    short
        Utility by which a plan may miss the aim and yet be told from those that reach it.
    solves, harder
        Budgets that were tried, and those at which more effort was.
    """

    request: Request | None = None
    short: float = 0.0
    solves: int = 0
    harder: int = 0

    def _solve(self, budget: float, gap: float, seed: int, deadline: float) -> tuple[float, float, Limit | None]:
        """Decide whether a budget is enough; keep a plan that reaches the target, return utility, bound and limit."""
        assert self.request is not None
        self.solves += 1
        if self.solves > MAX_SOLVES:
            return -1.0, math.inf, "other"
        relaxation = self.relaxer.at(budget)
        if relaxation.bound < self.aim:
            return -1.0, relaxation.bound, None
        left = None if deadline == math.inf else max(SOLVE_SHARE * (deadline - time.perf_counter()), 1e-3)
        request = replace(self.request, budget=budget, time_limit=left)
        found = first_plan(request, self.relaxer, relaxation)
        if found.assignment is not None and found.evaluation is None:  # the last digits decide
            evaluation = self.problem.evaluate(found.assignment)
            found = Incumbent(bound=found.bound).evaluated(found.assignment, evaluation, "realized", budget)
        if found.utility < self.target:
            found = self.decided(request, relaxation)
            if self.is_open(found) and self.problem.n_queries <= AUTO_QUERIES and self.harder < MOST_HARDER:
                self.harder += 1
                found = self.decided(replace(request, effort=HARDER * request.effort), relaxation)
        if found.assignment is not None and found.utility >= self.target and found.cost < self.high:
            self.states, self.high = found.assignment, found.cost
        utility = -1.0 if found.assignment is None else found.utility
        if self.is_open(found):
            return utility, max(found.bound, self.target), "other"
        return utility, found.bound, None

    def decided(self, request: Request, relaxation: Relaxation) -> Incumbent:
        """Search a plan that reaches the aim within the request's budget."""
        if self.problem.write_charge.any():
            answer = with_writes(schedule, "bound")(replace(request, bounds=None))
            found = Incumbent(bound=-1.0) if answer.infeasible else Incumbent().bounded(answer.bound)
            if answer.assignment is None:
                return found
            evaluation = self.problem.evaluate(answer.assignment)
            return found.evaluated(answer.assignment, evaluation, "realized", request.budget)
        asked, budget = Incumbent(utility=self.aim - self.short, bound=relaxation.bound), request.budget
        if self.problem.n_groups > MAX_TREE_GROUPS:
            price = min(relaxation.price, relaxation.bound / budget) or relaxation.bound / budget
            return joined(request, Table.of(self.problem, self.relaxer), relaxation, price, asked)
        return searched(request, self.relaxer, relaxation, asked)

    def is_open(self, found: Incumbent) -> bool:
        """Whether what was found neither reaches the target nor excludes it."""
        return (found.assignment is None or found.utility < self.target) and found.bound >= self.aim


def reaching_realized(task: Task, share: float, effort: float) -> Incumbent:
    """Return the task's incumbent after a search of the least bill, in a share of the time limit, at some effort."""
    problem, target = task.request.problem, task.target
    limit = None if task.request.time_limit is None else share * task.request.time_limit
    request = replace(task.request, effort=effort)
    best, other = task.incumbent, cheapest_realized_assignment(problem)
    if problem.total_utility(other) >= target:
        best = best.offered(other, task.value(other))
    tightened = Bounds.of(request).tightened
    price = math.inf
    if task.relaxed is not None:
        relaxed = reach(tightened, task.aim)
        best, price = best.bounded(-relaxed.bound), relaxed.price
    step, _ = grade(tightened.flat)
    short = max(step, 3.0 * max(CLOSE * request.gap, LEAST_CLOSE) * task.aim, 1e-12)
    assert best.assignment is not None
    search = BilledSearch(
        problem, tightened, target, task.aim, price, best.assignment, -best.utility, min(-best.bound, -best.utility),
        coarse=COARSE, request=request, short=short,
    )  # fmt: skip
    search.close(request.gap, request.seed, deadline_in(limit))
    best = replace(best, assignment=search.states, utility=-search.high, bound=-search.low, evaluation=None)
    return best.stopped("time" if search.limit == "time" else None)
