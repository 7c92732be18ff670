"""CP-SAT of OR-Tools, which takes whole-number coefficients only: they are scaled, and plans checked in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from ortools.sat.python import cp_model

from robatch.instances.arrays import FloatArray, IntArray
from robatch.solvers.mip.cut_loop import Backend, Outcome
from robatch.solvers.mip.formulation import MipModel
from robatch.solvers.registry import Request

FINEST = 40  # bits after the point: 1e-12 of the greatest utility, far below what makes a plan optimal
MAX_SUM = 2.0**60  # no sum of coefficients may come near 2^63
MAX_SERIAL_COLUMNS = 2_000  # up to which starting more than one worker costs more than it brings


def run_once(model: MipModel, request: Request, start: FloatArray | None) -> Outcome:
    """Run CP-SAT once on a model."""
    lp, columns = program(model)
    if start is not None:
        for column, value in zip(columns, start, strict=True):
            lp.add_hint(column, int(value))
    cpsat = solver(model, request)
    return outcome(model, columns, start, cpsat, cpsat.solve(lp))


def program(model: MipModel) -> tuple[cp_model.CpModel, list[cp_model.IntVar]]:
    """Return the model as CP-SAT keeps it, and its columns.

    Rounding is outward: utilities are rounded up, and costs down against a budget rounded down after the
    sum, so that no plan within the budget is lost and the bound stays a bound.
    """
    lp = cp_model.CpModel()
    columns = [lp.new_int_var(0, int(most), "") for most in model.upper]
    for row, (used, values, _, upper) in enumerate(model.rows()):
        terms = [columns[j] for j in used]
        if row < model.problem.n_queries:
            lp.add_exactly_one(terms)
            continue
        whole = bool((values == np.rint(values)).all())  # counts stay what they are
        factor = 1.0 if whole else scale(values, model.upper[used])
        weights = np.floor(values * factor).astype(np.int64)
        lp.add(cp_model.LinearExpr.weighted_sum(terms, weights.tolist()) <= int(np.floor(upper * factor)))
    lp.maximize(cp_model.LinearExpr.weighted_sum(columns, whole_objective(model)[0].tolist()))
    return lp, columns


def whole_objective(model: MipModel) -> tuple[IntArray, float]:
    """Return the objective in whole numbers, and the power of two that made it so."""
    unit = scale(model.objective, model.upper)
    return np.ceil(model.objective * unit).astype(np.int64), unit


def scale(coefficients: FloatArray, upper: FloatArray) -> float:
    """Return the power of two that makes coefficients whole: as fine as needed, and no sum overflows."""
    total = max(float(np.sum(np.abs(coefficients) * upper)), 1.0)
    return float(2.0 ** min(FINEST, int(np.floor(np.log2(MAX_SUM / total)))))


def solver(model: MipModel, request: Request) -> cp_model.CpSolver:
    """Return a CP-SAT with the limits and the seed of a request."""
    cpsat = cp_model.CpSolver()
    cpsat.parameters.random_seed = request.seed % 2**31
    cpsat.parameters.relative_gap_limit = request.gap
    # 9.15 loses optima of programs like these in this step of its presolve (google/or-tools issue 5293)
    cpsat.parameters.presolve_inclusion_work_limit = 0
    cpsat.parameters.log_search_progress = request.progress
    if request.threads is not None or model.n_columns <= MAX_SERIAL_COLUMNS:
        cpsat.parameters.num_workers = request.threads or 1
    if request.time_limit is not None:
        cpsat.parameters.max_time_in_seconds = request.time_limit
    return cpsat


def outcome(
    model: MipModel, columns: list[cp_model.IntVar], start: FloatArray | None, cpsat: cp_model.CpSolver, status: Any
) -> Outcome:
    """Read what CP-SAT ended with; a bound that says nothing is None."""
    if status == cp_model.INFEASIBLE:
        return Outcome(infeasible=True)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE, cp_model.UNKNOWN):
        return Outcome(limit="other", message=f"CP-SAT stopped with status {cpsat.status_name(status)}")
    gains, unit = whole_objective(model)
    found, bound = status != cp_model.UNKNOWN, cpsat.best_objective_bound
    values = np.array([cpsat.value(column) for column in columns], dtype=np.float64) if found else None
    # before any search the bound may be the trivial one, or none at all: below what is reached, or 0 where nothing is
    known = found or bound < float(np.sum(np.maximum(gains, 0) * model.upper))
    least = cpsat.objective_value if found else 0.0 if start is None else float(gains @ start)
    known = known and bound >= least and (found or bound > 0.0)
    return Outcome(values, bound / unit if known else None, limit=None if status == cp_model.OPTIMAL else "time")


run = Backend(run_once)
