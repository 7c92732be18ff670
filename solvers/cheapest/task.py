"""What is asked for the least cost of a target, and what the relaxation knows about it before any search."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from robatch.instances.arrays import IntArray
from robatch.solvers.bounds.granularity import raise_to_grade
from robatch.solvers.bounds.shared import Bounds
from robatch.solvers.bounds.target_relaxation import Reach, reach, reaching
from robatch.solvers.plan.incumbent import Incumbent
from robatch.solvers.registry import Request
from robatch.solvers.search_limits import deadline_in


@dataclass(frozen=True, slots=True)
class Task:
    """The least cost of a target utility.

    Attributes
    ----------
    request
        Problem, cost model, gap, seed and threads, and the relaxations; its budget says nothing.
    target, aim
        Utility to reach, and the least utility of at least that which a plan can have, as far as is known.
    relaxed
        The relaxation at the target; None where the plan of least amortized cost reaches it.
    incumbent
        The cheapest plan known, its utility and bound being minus USD: no plan costs less than minus the bound.
    deadline
        Time of `time.perf_counter` at which the search ends.
    """

    request: Request
    target: float
    aim: float
    relaxed: Reach | None
    incumbent: Incumbent
    deadline: float

    @classmethod
    def of(cls, request: Request, target: float, graded: bool) -> Task:
        """Return a task with what the relaxation knows; `graded` raises the aim to what utilities can sum up to."""
        problem, request = request.problem, Bounds.carried(request)
        relaxer, deadline = Bounds.of(request).relaxer, deadline_in(request.time_limit)
        least = problem.cheapest_budget  # no plan costs less under either cost model
        states = problem.cheapest_assignment
        if problem.total_utility(states) >= target:
            task = cls(request, target, target, None, Incumbent(bound=-least), deadline)
        else:
            aim = raise_to_grade(relaxer.flat, target) if graded else target
            relaxed = reach(relaxer, aim)
            states = reaching(problem, relaxer, target)
            task = cls(request, target, aim, relaxed, Incumbent(bound=-max(relaxed.bound, least)), deadline)
        return replace(task, incumbent=task.incumbent.offered(states, task.value(states)))

    @property
    def price(self) -> float | None:
        """Utility per USD at the target; None if unknown."""
        return None if self.relaxed is None or self.relaxed.price == math.inf else self.relaxed.price

    def value(self, assignment: IntArray) -> float:
        """Return minus the USD of an assignment (N,) under the task's cost model."""
        return -self.request.problem.cost(assignment, self.request.cost)
