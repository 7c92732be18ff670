"""The search behind `explain`: which limits conflict, and how little of a limit the plans that keep the others use."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeGuard

import numpy as np

from robatch.instances.arrays import IntArray
from robatch.instances.constraints import Constraints
from robatch.instances.problem import Problem
from robatch.solvers.limits import Entry, amounts, entries
from robatch.solvers.mip import MipModel, build
from robatch.solvers.mip.constraints import uses
from robatch.solvers.mip.cuts import excluded, recounted, violation
from robatch.solvers.mip.highs import finished, run_once, solver
from robatch.solvers.plan.plan import Cost
from robatch.solvers.registry import Request

MAX_ROUNDS = 40  # runs that look for a plan which keeps its limits in float64
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
        model = self._model(self.limits)[0]
        highs = solver(model, self._request(SUBSET_SHARE), relaxed=True)
        assert model.budget_row is not None
        rows = np.arange(model.budget_row, model.budget_row + len(self.limits))  # constraints follow, as listed
        scale = np.maximum(np.abs(model.row_upper[rows]), 1.0)
        for row, size in zip(rows.tolist(), scale.tolist(), strict=True):
            highs.addCol(-1.0 / size, 0.0, math.inf, 1, np.array([row], dtype=np.int32), np.array([-1.0]))
        finished(highs)
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
        model = self._model(limits)[0]
        if only_linear:
            return False if self._relaxed(model, share)[0] else None
        found, proven = self._plan(model, share)
        return True if found is not None else (False if proven else None)

    def enough(self, limit: Entry | None, others: Limits, share: float) -> tuple[float | None, bool]:
        """Return the least use of a limit by a plan that keeps the others, of a least utility the greatest one.

        Returns
        -------
        tuple
            The use, None if there is no such plan; and whether that, or that there is none, is proven.
        """
        found, proven = self._plan(self._model(others, [limit])[0], share)
        if found is None:
            return None, proven
        if limit is None:
            return self.problem.cost(found, self.cost), proven
        return amounts(self.problem, found, self.cost)[self.limits.index(limit) - 1], proven

    def needed(self, limit: Entry | None, others: Limits) -> float | None:
        """Return what every plan that keeps the others uses of a limit at least, or of a least utility has at most."""
        model, unit = self._model(others, [limit])
        _, most = self._relaxed(model, 1.0)
        if most is None or not _is_least(limit):
            return None if most is None else max(-most * unit, 0.0)
        return most * unit / int(np.count_nonzero(self.problem.group_codes == limit.place))

    def _request(self, share: float) -> Request:
        """Return a request for what is left of a share of the time."""
        return Request(self.problem, self.budget, self.cost, max(self._left(share), LEAST_SECONDS), GAP)

    def _left(self, share: float) -> float:
        """Return the seconds that are left of a share of the time."""
        return self.begin + share * self.time_limit - time.perf_counter()

    def _model(self, limits: Limits, aim: Limits = ()) -> tuple[MipModel, float]:
        """Return the program of some limits, and the unit of its objective.

        Any plan of it will do, or one that uses least of the limit in `aim`.
        """
        kept: dict[str, dict[str | int, float]] = {}
        for limit in limits:
            if limit is not None:
                kept.setdefault(limit.kind, {})[limit.label] = limit.limit
        for limit in aim:
            if limit is not None and limit.kind == "max_calls":  # a limit that never binds has its calls counted
                kept.setdefault(limit.kind, {})[limit.label] = self.problem.n_queries
        problem = self.problem.replace(constraints=Constraints(**kept))  # type: ignore[arg-type]
        model = build(problem, self.budget if None in limits else None, self.cost)
        objective, unit = np.zeros(model.n_columns), 1.0
        for limit in aim:
            columns = model.columns
            used, amount = (np.arange(model.n_columns), columns.usd) if limit is None else uses(columns, limit)
            unit = float(amount.max(initial=0.0)) or 1.0
            objective[used] = (1.0 if _is_least(limit) else -1.0) * amount / unit
        return replace(model, objective=objective), unit

    def _relaxed(self, model: MipModel, share: float) -> tuple[bool, float | None]:
        """Return whether the linear program has no solution, and the greatest objective, None if it is not known."""
        highs = solver(model, self._request(share), relaxed=True)
        ended = finished(highs)
        known = not ended.infeasible and ended.limit is None
        return ended.infeasible, float(highs.getInfo().objective_function_value) if known else None

    def _plan(self, model: MipModel, share: float) -> tuple[IntArray | None, bool]:
        """Return the plan that HiGHS finds best of those that keep a program's limits, and whether that is proven.

        No plan, proven, means that there is none. Unlike in `solve_and_cut`, no plan is made by moving a query: one
        that uses a little more is not what is asked for.
        """
        for _ in range(MAX_ROUNDS):
            if self._left(share) <= 0:
                break
            ended = run_once(model, self._request(share), None)
            if ended.infeasible:
                return None, True
            if ended.values is None:
                break
            found = model.to_assignment(ended.values)
            if violation(model, found) <= 0.0:
                return found, ended.limit is None
            model = recounted(model, ended.values, found) or excluded(model, found)
        return None, False


def _is_least(limit: Entry | None) -> TypeGuard[Entry]:
    return limit is not None and limit.kind == "min_group_utility"
