"""Solvers through PuLP: CBC, which PuLP brings, and HiGHS."""

from __future__ import annotations

import re
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pulp

from robatch.instances.arrays import FloatArray
from robatch.solvers.mip.cut_loop import Backend, Outcome
from robatch.solvers.mip.formulation import MipModel
from robatch.solvers.mip.highs import SMALLEST, TOLERANCE, outcome
from robatch.solvers.mip.highs_watchdog import Watch, until_progress
from robatch.solvers.mip.own_thread import in_own_thread
from robatch.solvers.plan.plan import Limit
from robatch.solvers.registry import Request

# CBC stops improving by less than its increment, and rounds within its tolerances: none may reach 1e-9.
# Preprocessing and knapsack cover cuts of the CBC that PuLP brings (2.10.3) lose optima: with either of them,
# some tiny programs ended below brute force.
CBC_OPTIONS = [
    "preprocess off",
    "knapsackCuts off",
    "primalTolerance 1e-9",
    "dualTolerance 1e-9",
    "integerTolerance 1e-9",
    "increment 1e-10",
]
_LOWER_BOUND = re.compile(r"^Lower bound:\s+(-?\d+\.?\d*)$", re.MULTILINE)


def run_cbc_once(model: MipModel, request: Request, start: FloatArray | None) -> Outcome:
    """Run CBC once on a model."""
    lp, columns = program(model, start)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "cbc.log"
        cbc = pulp.PULP_CBC_CMD(
            **settings(request, start),
            logPath=str(log),
            # a seed of 0 would be the time of day
            options=[*CBC_OPTIONS, f"randomCbcSeed {request.seed % (2**31 - 1) + 1}"],
        )
        cbc.tmpDir = folder
        lp.solve(cbc)
        text = log.read_text(errors="replace") if log.exists() else ""
    if request.progress:
        print(text)
    return outcome_of_cbc(lp, columns, text, request.gap)


def run_highs_once(model: MipModel, request: Request, start: FloatArray | None) -> Outcome:
    """Run HiGHS once on a model."""
    return until_progress(partial(_run_highs, model, start), request)


def _run_highs(model: MipModel, start: FloatArray | None, request: Request, watch: Watch) -> Outcome:
    lp, columns = program(model, start)
    highs = pulp.HiGHS(
        **settings(request, start) | {"msg": request.progress},
        callbackTuple=(watch, None),
        callbacksToActivate=[pulp.HiGHS.hscb.HighsCallbackType.kCallbackMipInterrupt],
        mip_feasibility_tolerance=TOLERANCE,
        primal_feasibility_tolerance=TOLERANCE,
        dual_feasibility_tolerance=TOLERANCE,
        small_matrix_value=SMALLEST,
        random_seed=request.seed % 2**31,
    )
    in_own_thread(partial(lp.solve, highs), watch.stop)
    ended = outcome(lp.solverModel)
    values = None if ended.values is None else [column.value() or 0.0 for column in columns]
    return replace(ended, values=values, bound=None if ended.bound is None else -ended.bound)


def program(model: MipModel, start: FloatArray | None) -> tuple[pulp.LpProblem, list[pulp.LpVariable]]:
    """Return the model as PuLP keeps it, and its columns; it minimizes, so that all bounds have one sign."""
    lp = pulp.LpProblem("robatch", pulp.LpMinimize)
    columns = [
        pulp.LpVariable(name, 0, most, pulp.LpInteger)
        for name, most in zip(model.column_names(), model.upper.tolist(), strict=True)
    ]
    lp += pulp.LpAffineExpression(zip(columns, (-model.objective).tolist(), strict=True))
    for name, (used, values, lower, upper) in zip(model.row_names(), model.rows(), strict=True):
        terms = zip((columns[j] for j in used), values.tolist(), strict=True)
        sense = pulp.LpConstraintEQ if lower == upper else pulp.LpConstraintLE
        lp += pulp.LpConstraint(pulp.LpAffineExpression(terms), sense, name, upper)
    if start is not None:
        for column, value in zip(columns, start.tolist(), strict=True):
            column.setInitialValue(round(value))
    return lp, columns


def settings(request: Request, start: FloatArray | None) -> dict[str, Any]:
    """Return the limits of a request."""
    return {
        "msg": False,
        "timeLimit": request.time_limit,
        "gapRel": request.gap,
        "gapAbs": 0.0,
        "threads": request.threads,
        "warmStart": start is not None,
    }


def outcome_of_cbc(lp: pulp.LpProblem, columns: list[pulp.LpVariable], log: str, gap: float) -> Outcome:
    """Read the solution status and the log: after a time limit PuLP's plain status still says optimal."""
    if lp.status == pulp.LpStatusInfeasible:
        return Outcome(infeasible=True)
    found, bound = _LOWER_BOUND.search(log), None
    if found:  # printed to a few digits: one unit of the last one is the safe side
        bound = 10.0 ** -len(found[1].partition(".")[2]) - float(found[1])
    limit: Limit = "time" if "Stopped on time" in log else "other"
    if lp.sol_status not in (pulp.LpSolutionOptimal, pulp.LpSolutionIntegerFeasible):
        return Outcome(bound=bound, limit=limit)
    values = np.array([column.value() or 0.0 for column in columns])
    if lp.sol_status == pulp.LpSolutionIntegerFeasible:
        return Outcome(values, bound, limit=limit)
    reached = -float(pulp.value(lp.objective))
    # what ending by itself means: nothing is better by more than the gap
    proven = reached + abs(reached) * gap / (1.0 - gap) if gap < 1.0 else np.inf
    return Outcome(values, proven if bound is None else max(min(bound, proven), reached))


run_cbc = Backend(run_cbc_once)
run_highs = Backend(run_highs_once)
