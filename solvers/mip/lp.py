"""The linear relaxation: a bound and a shadow price, no plan."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from robatch.solvers.mip.formulation import MipModel, build
from robatch.solvers.mip.highs import finished, solver
from robatch.solvers.registry import Answer, Request

BOUND_ROUNDING = 1e-12  # relative; more than the sums of a bound can err


def run(request: Request) -> Answer:
    """Solve the linear relaxation with HiGHS and bound every plan by its duals."""
    model = build(request.problem, request.budget, request.cost)
    highs = solver(model, request, relaxed=True)
    ended = finished(highs)
    solution = highs.getSolution()
    if ended.infeasible:
        return Answer(infeasible=True)
    if ended.limit is not None or not solution.dual_valid:
        return Answer(limit=ended.limit or "other", message=ended.message)
    duals = np.array(solution.row_dual)
    price = float(duals[model.budget_row or 0]) * model.problem.n_queries / request.budget
    bound = dual_bound(model, duals) / model.objective_scale
    return Answer(bound=bound * (1 + BOUND_ROUNDING), shadow_price=max(price, 0.0) / model.objective_scale)


def dual_bound(model: MipModel, duals: npt.NDArray[np.float64]) -> float:
    """Return the bound on the objective that any row duals prove (weak duality), whatever their accuracy."""
    duals = np.where(np.isneginf(model.row_lower), np.maximum(duals, 0.0), duals)
    rows = np.repeat(np.arange(model.n_rows), np.diff(model.starts))
    used = np.bincount(model.index, model.value * duals[rows], minlength=model.n_columns)
    left = model.objective - used
    if model.n_columns == model.n_candidates:  # one state a query: the best of each query counts, not their sum
        best = np.full(model.problem.n_queries, -np.inf)
        np.maximum.at(best, model.query, left[: model.n_candidates])
        return float(np.sum(duals * model.row_upper) + np.sum(best))
    return float(np.sum(duals * model.row_upper) + np.sum(np.maximum(left, 0.0) * model.upper))
