"""SCIP through OR-Tools MathOpt."""

from __future__ import annotations

import datetime

import numpy as np
from ortools.math_opt.python import mathopt
from ortools.math_opt.solvers.gscip import gscip_pb2

from robatch.instances.arrays import FloatArray
from robatch.solvers.mip.cut_loop import Outcome, keep_budget
from robatch.solvers.mip.formulation import MipModel
from robatch.solvers.plan.plan import Limit
from robatch.solvers.registry import Answer, Request

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


def run(request: Request) -> Answer:
    """Solve the mixed-integer program with SCIP."""
    return keep_budget(request, run_once)


def run_once(model: MipModel, request: Request, start: FloatArray | None) -> Outcome:
    """Run SCIP once on a model."""
    program = mathopt.Model()
    columns = [program.add_variable(lb=0.0, ub=most, is_integer=True) for most in model.upper.tolist()]
    program.maximize(mathopt.LinearSum(gain * column for gain, column in zip(model.objective, columns, strict=True)))
    for row in range(model.n_rows):
        constraint = program.add_linear_constraint(lb=model.row_lower[row], ub=model.row_upper[row])
        span = slice(model.starts[row], model.starts[row + 1])
        for column, value in zip(model.index[span].tolist(), model.value[span].tolist(), strict=True):
            constraint.set_coefficient(columns[column], value)
    settings = mathopt.SolveParameters(
        enable_output=request.progress,
        relative_gap_tolerance=request.gap,
        absolute_gap_tolerance=0.0,
        random_seed=request.seed % 2**31,
        threads=request.threads,
        gscip=gscip_pb2.GScipParameters(real_params=NUMERICS),
    )
    if request.time_limit is not None:
        settings.time_limit = datetime.timedelta(seconds=request.time_limit)
    about = mathopt.ModelSolveParameters()
    if start is not None:
        about.solution_hints = [mathopt.SolutionHint(dict(zip(columns, start.tolist(), strict=True)))]
    result = mathopt.solve(program, mathopt.SolverType.GSCIP, params=settings, model_params=about)
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
