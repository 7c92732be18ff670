"""HiGHS, called directly."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import highspy
import numpy as np

from robatch.instances.arrays import FloatArray
from robatch.solvers.mip.cut_loop import Backend, Outcome
from robatch.solvers.mip.formulation import MipModel
from robatch.solvers.mip.highs_watchdog import Watch, until_progress
from robatch.solvers.mip.own_thread import in_own_thread
from robatch.solvers.plan.plan import Limit
from robatch.solvers.registry import Request

TOLERANCE = 1e-10  # the least that HiGHS allows
SMALLEST = 1e-12  # coefficients below are dropped

LIMITS: dict[Any, Limit] = {
    highspy.HighsModelStatus.kTimeLimit: "time",
    highspy.HighsModelStatus.kInterrupt: "interrupt",
    highspy.HighsModelStatus.kMemoryLimit: "memory",
}

# what presolve of this version returns as the optimum of a program with continuous and whole columns may be none
# (HiGHS issues 2957, 3002, 3043, 3073); programs of whole columns alone are not concerned
LOSES_OPTIMA = "1.14.0"


def run_once(model: MipModel, request: Request, start: FloatArray | None, split: bool = False) -> Outcome:
    """Run HiGHS once on a model; with `split`, queries may be split between states, and only calls are whole."""
    return until_progress(partial(_run, model, start, split), request)


def _run(model: MipModel, start: FloatArray | None, split: bool, request: Request, watch: Watch) -> Outcome:
    highs = solver(model, request)
    if split:
        if highs.version() == LOSES_OPTIMA:
            highs.setOptionValue("presolve", "off")
        candidates = np.arange(model.n_candidates, dtype=np.int32)
        kinds = np.full(model.n_candidates, int(highspy.HighsVarType.kContinuous), dtype=np.uint8)
        highs.changeColsIntegrality(model.n_candidates, candidates, kinds)
    highs.setOptionValue("mip_rel_gap", request.gap)
    highs.setOptionValue("mip_abs_gap", 0.0)
    highs.setOptionValue("mip_feasibility_tolerance", TOLERANCE)
    if start is not None:
        solution = highspy.HighsSolution()
        solution.col_value = start.tolist()
        highs.setSolution(solution)
    highs.setCallback(watch, None)
    highs.startCallback(highspy.cb.HighsCallbackType.kCallbackMipInterrupt)
    return finished(highs, watch.stop)


def program(model: MipModel, relaxed: bool = False) -> Any:
    """Return the model as HiGHS keeps it."""
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = model.n_columns, model.n_rows
    lp.sense_ = highspy.ObjSense.kMaximize
    lp.col_cost_ = model.objective
    lp.col_lower_ = np.zeros(model.n_columns)
    lp.col_upper_ = model.upper
    lp.row_lower_, lp.row_upper_ = model.row_lower, model.row_upper
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.num_col_, lp.a_matrix_.num_row_ = model.n_columns, model.n_rows
    lp.a_matrix_.start_ = model.starts
    lp.a_matrix_.index_ = model.index
    lp.a_matrix_.value_ = model.value
    if not relaxed:
        lp.integrality_ = [highspy.HighsVarType.kInteger] * model.n_columns
    return lp


def solver(model: MipModel, request: Request, relaxed: bool = False) -> Any:
    """Return a HiGHS that holds a model, with the tolerances, limits and seed of a request."""
    return solving(program(model, relaxed), request)


def solving(lp: Any, request: Request) -> Any:
    """Return a HiGHS that holds a program, with the tolerances, limits and seed of a request."""
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", request.progress)
    for name in ("primal_feasibility_tolerance", "dual_feasibility_tolerance"):
        highs.setOptionValue(name, TOLERANCE)
    highs.setOptionValue("small_matrix_value", SMALLEST)
    highs.setOptionValue("random_seed", request.seed % 2**31)
    if request.time_limit is not None:
        highs.setOptionValue("time_limit", request.time_limit)
    highs.setOptionValue("threads", request.threads or 0)
    highs.passModel(lp)
    return highs


def finished(highs: Any, stop: Callable[[], object] = lambda: None) -> Outcome:
    """Run a HiGHS; return what it ended with."""
    in_own_thread(highs.run, stop)
    return outcome(highs)


def outcome(highs: Any) -> Outcome:
    """Read what HiGHS ended with; a bound or a solution that it does not have is None."""
    status, info = highs.getModelStatus(), highs.getInfo()
    known = highspy.HighsModelStatus
    if status in (known.kInfeasible, known.kUnboundedOrInfeasible):  # no model here is unbounded
        return Outcome(infeasible=True)
    values = None
    if info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible:
        values = np.array(highs.getSolution().col_value)
    bound = float(info.mip_dual_bound) if info.valid and np.isfinite(info.mip_dual_bound) else None
    if status == known.kOptimal:
        return Outcome(values, bound)
    limit = LIMITS.get(status, "other")
    message = None if limit != "other" else f"HiGHS stopped with status {highs.modelStatusToString(status)!r}"
    return Outcome(values, bound, limit=limit, message=message)


run = Backend(run_once)
