"""CP-SAT of OR-Tools, which takes whole-number coefficients only."""

from __future__ import annotations

import numpy as np
from ortools.sat.python import cp_model

from robatch.instances.arrays import FloatArray
from robatch.solvers.mip.cut_loop import Outcome, keep_budget
from robatch.solvers.mip.formulation import MipModel
from robatch.solvers.registry import Answer, Request

FINEST = 40  # bits after the point: 1e-12 of the greatest utility, far below what makes a plan optimal
MOST = 2.0**60  # no sum of coefficients may come near 2^63
SMALL = 2_000  # columns up to which starting more than one worker costs more than it brings


def run(request: Request) -> Answer:
    """Solve the program with CP-SAT, coefficients scaled to whole numbers and the plan checked in float64."""
    return keep_budget(request, run_once)


def scale(coefficients: FloatArray, upper: FloatArray) -> float:
    """Return the power of two that makes coefficients whole: as fine as needed, and no sum overflows."""
    total = max(float(np.sum(np.abs(coefficients) * upper)), 1.0)
    return float(2.0 ** min(FINEST, int(np.floor(np.log2(MOST / total)))))


def run_once(model: MipModel, request: Request, start: FloatArray | None) -> Outcome:
    """Run CP-SAT once on a model.

    Rounding is outward: utilities are rounded up, and costs down against a budget rounded down after the
    sum, so that no plan within the budget is lost and the bound stays a bound.
    """
    program = cp_model.CpModel()
    columns = [program.new_int_var(0, int(most), "") for most in model.upper]
    for row in range(model.n_rows):
        span = slice(model.starts[row], model.starts[row + 1])
        terms = [columns[j] for j in model.index[span]]
        if row < model.problem.n_queries:
            program.add_exactly_one(terms)
            continue
        real = model.value[span]
        whole = bool((real == np.rint(real)).all())  # counts stay what they are
        factor = 1.0 if whole else scale(real, model.upper[model.index[span]])
        weights = np.floor(real * factor).astype(np.int64)
        limit = int(np.floor(model.row_upper[row] * factor))
        program.add(cp_model.LinearExpr.weighted_sum(terms, weights.tolist()) <= limit)
    unit = scale(model.objective, model.upper)
    gains = np.ceil(model.objective * unit).astype(np.int64)
    program.maximize(cp_model.LinearExpr.weighted_sum(columns, gains.tolist()))
    if start is not None:
        for column, value in zip(columns, start, strict=True):
            program.add_hint(column, int(value))
    solver = cp_model.CpSolver()
    settings = solver.parameters
    settings.random_seed = request.seed % 2**31
    settings.relative_gap_limit = request.gap
    # 9.15 loses optima of programs like these in this step of its presolve (google/or-tools issue 5293)
    settings.presolve_inclusion_work_limit = 0
    settings.log_search_progress = request.progress
    if request.threads is not None or model.n_columns <= SMALL:
        settings.num_workers = request.threads or 1
    if request.time_limit is not None:
        settings.max_time_in_seconds = request.time_limit
    status = solver.solve(program)
    if status == cp_model.INFEASIBLE:
        return Outcome(infeasible=True)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE, cp_model.UNKNOWN):
        return Outcome(limit="other", message=f"CP-SAT stopped with status {solver.status_name(status)}")
    found = status != cp_model.UNKNOWN
    values = np.array([solver.value(column) for column in columns], dtype=np.float64) if found else None
    # before any search the bound may be the trivial one, or none at all: below what is reached, or 0 where nothing is
    known = found or solver.best_objective_bound < float(np.sum(np.maximum(gains, 0) * model.upper))
    least = solver.objective_value if found else 0.0 if start is None else float(gains @ start)
    known = known and solver.best_objective_bound >= least and (found or solver.best_objective_bound > 0.0)
    bound = solver.best_objective_bound / unit if known else None
    return Outcome(values, bound, limit=None if status == cp_model.OPTIMAL else "time")
