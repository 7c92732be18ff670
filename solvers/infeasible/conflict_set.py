"""The search behind `explain`: which limits conflict, and how little of a limit the plans that keep the others use."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from robatch.instances.arrays import IntArray
from robatch.instances.constraints import Constraints
from robatch.instances.problem import Problem
from robatch.solvers.limits import Entry, amounts, entries, legal
from robatch.solvers.mip.constraints import uses
from robatch.solvers.mip.cut_loop import excluded, recounted
from robatch.solvers.mip.formulation import MipModel, build
from robatch.solvers.mip.highs import outcome, run_once, solver
from robatch.solvers.plan.plan import Cost
from robatch.solvers.registry import Request

ROUNDS = 40  # solves that look for a plan which keeps its limits in float64
GAP = 1e-7  # relative, of the least use
PRICED = 1e-7  # of a limit's own size: prices below are rounding
SHARE = 0.5  # of the time for the smallest set; then comes what would be enough
LAST = 0.8  # of the time for that; what is left is for what is needed, where that is another number
LARGE = 5_000  # queries times states from which sets are told apart by their linear programs alone
LEAST = 1e-3  # seconds

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
        model = build(self.problem, self.budget, self.cost)
        model = replace(model, objective=np.zeros(model.n_columns))
        highs = solver(model, self._request(model, max(self.left(SHARE), LEAST)), relaxed=True)
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
            large = self.problem.n_queries * self.problem.n_states > LARGE
            feasible = self.feasible(kept, SHARE, only_linear=large)
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
            model = self._model(limits)
            return False if self._relaxed(replace(model, objective=np.zeros(model.n_columns)), share)[0] else None
        found, done = self._plan(limits, None, False, share)
        return True if found is not None else (False if done else None)

    def enough(self, limit: Entry | None, others: Limits, share: float) -> tuple[float | None, bool]:
        """Return the least use of a limit by a plan that keeps the others, of a least utility the greatest one.

        Returns
        -------
        tuple
            The use, None if there is no such plan; and whether that, or that there is none, is proven.
        """
        found, done = self._plan(others, limit, True, share)
        if found is None:
            return None, done
        if limit is None:
            return self.problem.cost(found, self.cost), done
        return amounts(self.problem, found, self.cost)[self.limits.index(limit) - 1], done

    def needed(self, limit: Entry | None, others: Limits) -> float | None:
        """Return what every plan that keeps the others uses of a limit at least, or of a least utility has at most."""
        model, unit = _aiming(self._model(others, limit), limit)
        _, value = self._relaxed(model, 1.0)
        if value is None or limit is None or limit.kind != "min_group_utility":
            return None if value is None else max(-value * unit, 0.0)
        return value * unit / int(np.count_nonzero(self.problem.group_codes == limit.place))

    def left(self, share: float) -> float:
        """Return the seconds that are left of a share of the time."""
        return self.begin + share * self.time_limit - time.perf_counter()

    def _request(self, model: MipModel, seconds: float) -> Request:
        return Request(model.problem, model.budget or math.inf, self.cost, seconds, GAP)

    def _model(self, limits: Limits, aim: Entry | None = None) -> MipModel:
        """Return the program of some limits, which counts the calls of a limit that is aimed at too."""
        kept: dict[str, dict[str | int, float]] = {}
        for limit in limits:
            if limit is not None:
                kept.setdefault(limit.kind, {})[limit.label] = limit.limit
        if aim is not None and aim.kind == "max_calls":  # a limit that never binds
            kept.setdefault(aim.kind, {})[aim.label] = self.problem.n_queries
        problem = self.problem.replace(constraints=Constraints(**kept))  # type: ignore[arg-type]
        return build(problem, self.budget if None in limits else None, self.cost)

    def _relaxed(self, model: MipModel, share: float) -> tuple[bool, float | None]:
        """Return whether the linear program has no solution, and the greatest objective, None if it is not known."""
        highs = solver(model, self._request(model, max(self.left(share), LEAST)), relaxed=True)
        highs.run()
        ended = outcome(highs)
        known = not ended.infeasible and ended.limit is None
        return ended.infeasible, float(highs.getInfo().objective_function_value) if known else None

    def _plan(self, limits: Limits, aim: Entry | None, aimed: bool, share: float) -> tuple[IntArray | None, bool]:
        """Return a plan that keeps some limits, if `aimed` one that uses least of `aim`, and whether that is proven.

        No plan, proven, means that there is none.
        """
        model = self._model(limits, aim)
        model = _aiming(model, aim)[0] if aimed else replace(model, objective=np.zeros(model.n_columns))
        problem, most = model.problem, math.inf if model.budget is None else model.budget
        for _ in range(ROUNDS):
            left = self.left(share)
            if left <= 0:
                break
            ended = run_once(model, self._request(model, left), None)
            if ended.infeasible:
                return None, True
            if ended.values is None:
                break
            found = model.to_assignment(ended.values)
            if legal(problem, found, most, self.cost):
                return found, ended.limit is None
            counted = recounted(model, ended.values, found)
            over = problem.cost(found, self.cost) > most
            model = excluded(model, found, over) if counted is None else counted
        return None, False


def _aiming(model: MipModel, aim: Entry | None) -> tuple[MipModel, float]:
    """Return a model that aims to use least of a limit, of the budget if it is None, and the unit of its objective."""
    objective = np.zeros(model.n_columns)
    used, amount = (np.arange(model.n_columns), model.columns.usd) if aim is None else uses(model.columns, aim)
    unit = float(amount.max(initial=0.0)) or 1.0
    objective[used] = (1.0 if aim is not None and aim.kind == "min_group_utility" else -1.0) * amount / unit
    return replace(model, objective=objective), unit
