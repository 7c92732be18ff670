"""The search behind `explain`: which limits conflict, and how little of a limit the plans that keep the others use."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from robatch.instances.arrays import IntArray
from robatch.instances.constraints import Constraints
from robatch.instances.problem import Problem
from robatch.solvers.limits import Entry, amounts, entries
from robatch.solvers.mip import Found, MipModel, build, solve_and_cut
from robatch.solvers.mip.constraints import uses
from robatch.solvers.mip.highs import outcome, run_once, solver
from robatch.solvers.plan.incumbent import Incumbent
from robatch.solvers.plan.plan import Cost
from robatch.solvers.registry import Request

GAP = 1e-7  # relative, of the least use
PRICED = 1e-7  # of a limit's own size: prices below are rounding
SUBSET_SHARE = 0.5  # of the time for the smallest set; then comes what would be enough
ENOUGH_SHARE = 0.8  # of the time for that; what is left is for what is needed, where that is another number
MAX_SOLVED = 5_000  # queries times states up to which sets are told apart by plans, not by linear programs alone
LEAST_SECONDS = 1e-3

Limits = Sequence[Entry | None]  # None stands for the budget


class Search:
    """Looks for plans that keep some of a problem's limits, within some seconds from now.

    Attributes
    ----------
    unsure
        Whether some set of limits was not decided, so that the set found may not be a smallest one.
    """

    def __init__(self, problem: Problem, budget: float, cost: Cost, time_limit: float) -> None:
        self.problem, self.budget, self.cost = problem, budget, cost
        self.begin, self.time_limit = time.perf_counter(), time_limit
        self.unsure = False
        self.limits: list[Entry | None] = [None, *entries(problem)]

    def prices(self) -> list[Entry | None]:
        """Return the limits that have a price when all are broken by the least sum; all where none need be broken.

        By linear duality, these already conflict.
        """
        model = self._model(self.limits)
        highs = solver(model, self._request(SUBSET_SHARE), relaxed=True)
        assert model.budget_row is not None
        rows = np.arange(model.budget_row, model.budget_row + len(self.limits))  # constraints follow, as listed
        scale = np.maximum(np.abs(model.row_upper[rows]), 1.0)
        for row, size in zip(rows.tolist(), scale.tolist(), strict=True):
            highs.addCol(-1.0 / size, 0.0, math.inf, 1, np.array([row], dtype=np.int32), np.array([-1.0]))
        highs.run()
        solution = highs.getSolution()
        if not solution.dual_valid:
            return self.limits
        priced = np.abs(np.array(solution.row_dual)[rows]) * scale > PRICED
        return [limit for limit, has in zip(self.limits, priced.tolist(), strict=True) if has] or self.limits

    def smallest(self, kept: list[Entry | None], fresh: bool, some: list[Entry | None]) -> list[Entry | None]:
        """Return a smallest part of `some` that conflicts with what is `kept`; all of `some` does."""
        if fresh:
            large = self.problem.n_queries * self.problem.n_states > MAX_SOLVED
            feasible = self.feasible(kept, SUBSET_SHARE, only_linear=large)
            self.unsure |= feasible is None
            if feasible is False:
                return []
        if len(some) == 1:
            return some
        first, second = some[: len(some) // 2], some[len(some) // 2 :]
        of_second = self.smallest(kept + first, True, second)
        of_first = self.smallest(kept + of_second, bool(of_second), first)
        return of_first + of_second

    def feasible(self, limits: Limits, share: float, only_linear: bool = False) -> bool | None:
        """Return whether a plan keeps some limits, None if that was not decided within a share of the time."""
        if only_linear:
            return False if self._relaxed(self._model(limits), share)[0] else None
        found = self._solve(self._model(limits), share, lambda _: 0.0)
        return False if found.infeasible else (True if found.incumbent.assignment is not None else None)

    def enough(self, limit: Entry | None, others: Limits, share: float) -> tuple[float | None, bool]:
        """Return the least use of a limit by a plan that keeps the others, of a least utility the greatest one.

        Returns
        -------
        tuple
            The use, None if there is no such plan; and whether that, or that there is none, is proven.
        """
        found = self._solve(self._model(others, [limit]), share, lambda states: self._value(limit, states))
        if found.incumbent.assignment is None:
            return None, found.infeasible
        return abs(found.incumbent.utility), found.incumbent.proven(2 * GAP)

    def needed(self, limit: Entry | None, others: Limits) -> float | None:
        """Return what every plan that keeps the others uses of a limit at least, or of a least utility has at most."""
        model = self._model(others, [limit])
        _, most = self._relaxed(model, 1.0)
        if most is None:
            return None
        most /= model.objective_scale
        return most if _is_least(limit) else max(-most, 0.0)

    def _value(self, limit: Entry | None, assignment: IntArray) -> float:
        """Return what a plan has of a least utility, or minus what it uses of another limit."""
        if limit is None:
            return -self.problem.cost(assignment, self.cost)
        amount = amounts(self.problem, assignment, self.cost)[self.limits.index(limit) - 1]
        return amount if _is_least(limit) else -amount

    def _request(self, share: float) -> Request:
        """Return a request for what is left of a share of the time."""
        left = self.begin + share * self.time_limit - time.perf_counter()
        return Request(self.problem, self.budget, self.cost, max(left, LEAST_SECONDS), GAP)

    def _model(self, limits: Limits, aim: Limits = ()) -> MipModel:
        """Return the program of some limits; any plan of it will do, or one that uses least of the limit in `aim`."""
        kept: dict[str, dict[str | int, float]] = {}
        for limit in limits:
            if limit is not None:
                kept.setdefault(limit.kind, {})[limit.label] = limit.limit
        for limit in aim:
            if limit is not None and limit.kind == "max_calls":  # a limit that never binds has its calls counted
                kept.setdefault(limit.kind, {})[limit.label] = self.problem.n_queries
        problem = self.problem.replace(constraints=Constraints(**kept))  # type: ignore[arg-type]
        model = build(problem, self.budget if None in limits else None, self.cost)
        objective, scale = np.zeros(model.n_columns), 1.0
        for limit in aim:
            columns = model.columns
            used, amount = (np.arange(model.n_columns), columns.usd) if limit is None else uses(columns, limit)
            scale = 1.0 / (float(amount.max(initial=0.0)) or 1.0)
            objective[used] = amount * (scale if _is_least(limit) else -scale)
            if limit is not None and _is_least(limit):  # a mean
                scale *= int(np.count_nonzero(problem.group_codes == limit.place))
        return replace(model, objective=objective, objective_scale=scale)

    def _relaxed(self, model: MipModel, share: float) -> tuple[bool, float | None]:
        """Return whether the linear program has no solution, and the greatest objective, None if it is not known."""
        highs = solver(model, self._request(share), relaxed=True)
        highs.run()
        ended = outcome(highs)
        known = not ended.infeasible and ended.limit is None
        return ended.infeasible, float(highs.getInfo().objective_function_value) if known else None

    def _solve(self, model: MipModel, share: float, value: Callable[[IntArray], float]) -> Found:
        """Look for the plan of greatest value that keeps a program's limits, within a share of the time."""
        deadline = self.begin + share * self.time_limit
        return solve_and_cut(model, run_once, self._request(share), value, Incumbent(), deadline, tightenings=0)


def _is_least(limit: Entry | None) -> bool:
    return limit is not None and limit.kind == "min_group_utility"
