"""SCIP through OR-Tools MathOpt."""

from __future__ import annotations

import datetime
import os
import threading
import time
from dataclasses import replace

import numpy as np
from ortools.math_opt.python import mathopt
from ortools.math_opt.solvers.gscip import gscip_pb2

from robatch.instances.arrays import FloatArray
from robatch.instances.errors import first_line
from robatch.solvers.mip.cut_loop import Backend, Outcome
from robatch.solvers.mip.formulation import MipModel
from robatch.solvers.plan.plan import Limit
from robatch.solvers.registry import Request

NUMERICS = {
    "numerics/feastol": 1e-10,
    "numerics/dualfeastol": 1e-10,
    "numerics/epsilon": 1e-13,
    "numerics/sumepsilon": 1e-12,
}

LIMITS: dict[mathopt.Limit, Limit] = {
    mathopt.Limit.TIME: "time",
    mathopt.Limit.MEMORY: "memory",
    mathopt.Limit.INTERRUPTED: "interrupt",
}


# SCIP has one pool of threads for the whole process: runs on several threads wait for one another
_several_threads = threading.Lock()


def _renew() -> None:
    """In a forked process no run is under way, whatever there was in its parent."""
    global _several_threads
    _several_threads = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


def run_once(model: MipModel, request: Request, start: FloatArray | None) -> Outcome:
    """Run SCIP once on a model; a run on several threads waits until no other one is under way."""
    if (request.threads or 1) == 1:
        return _run(model, request, start)
    begin, limit = time.perf_counter(), request.time_limit
    turn = _several_threads
    if not turn.acquire(timeout=threading.TIMEOUT_MAX if limit is None else limit):
        return Outcome(limit="time")
    try:
        left = None if limit is None else max(limit - (time.perf_counter() - begin), 0.0)
        return _run(model, replace(request, time_limit=left), start)
    finally:
        turn.release()


def _run(model: MipModel, request: Request, start: FloatArray | None) -> Outcome:
    lp, columns = program(model)
    about = mathopt.ModelSolveParameters()
    if start is not None:
        about.solution_hints = [mathopt.SolutionHint(dict(zip(columns, start.tolist(), strict=True)))]
    try:
        result = mathopt.solve(lp, mathopt.SolverType.GSCIP, params=settings(request), model_params=about)
    except Exception as error:  # ends that OR-Tools has no reason for, which it cannot raise as what they are either
        reason = first_line(error.__context__ or error)
        return Outcome(limit="other", message=f"SCIP stopped without an answer: {reason}")
    return outcome(columns, result)


def program(model: MipModel) -> tuple[mathopt.Model, list[mathopt.Variable]]:
    """Return the model as MathOpt keeps it, and its columns."""
    lp = mathopt.Model()
    columns = [lp.add_variable(lb=0.0, ub=most, is_integer=True) for most in model.upper.tolist()]
    lp.maximize(mathopt.LinearSum(gain * column for gain, column in zip(model.objective, columns, strict=True)))
    for used, values, lower, upper in model.rows():
        constraint = lp.add_linear_constraint(lb=lower, ub=upper)
        for column, value in zip(used, values.tolist(), strict=True):
            constraint.set_coefficient(columns[column], value)
    return lp, columns


def settings(request: Request) -> mathopt.SolveParameters:
    """Return the tolerances, limits and seed of a request."""
    limit = request.time_limit
    return mathopt.SolveParameters(
        time_limit=None if limit is None else datetime.timedelta(seconds=limit),
        enable_output=request.progress,
        relative_gap_tolerance=request.gap,
        absolute_gap_tolerance=0.0,
        random_seed=request.seed % 2**31,
        threads=request.threads,
        gscip=gscip_pb2.GScipParameters(real_params=NUMERICS),
    )


def outcome(columns: list[mathopt.Variable], result: mathopt.SolveResult) -> Outcome:
    """Read what SCIP ended with; a bound or a solution that it does not have is None."""
    ended, reason = result.termination, mathopt.TerminationReason
    if ended.reason in (reason.INFEASIBLE, reason.INFEASIBLE_OR_UNBOUNDED):  # no model here is unbounded
        return Outcome(infeasible=True)
    values = np.array(result.variable_values(columns)) if result.has_primal_feasible_solution() else None
    bound = ended.objective_bounds.dual_bound
    known = bound if np.isfinite(bound) else None
    if ended.reason == reason.OPTIMAL:
        return Outcome(values, known)
    limit: Limit = "other" if ended.limit is None else LIMITS.get(ended.limit, "other")
    message = None if limit != "other" else f"SCIP stopped with {ended.reason.name}: {ended.detail}"
    return Outcome(values, known, limit=limit, message=message)


run = Backend(run_once)
