"""What a leaf of the tree over call counts leaves open, by HiGHS: who takes the places of calls that are paid.

The program has a row for each query, one for the places of each cell, and one for the USD that calls leave, so that its
linear relaxation is all but whole.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import highspy
import numpy as np

from robatch.instances.arrays import IntArray
from robatch.solvers.greedy.call_tree import Places
from robatch.solvers.mip.cut_loop import Outcome
from robatch.solvers.mip.highs import TOLERANCE, finished, solving
from robatch.solvers.mip.highs_watchdog import Watch, until_progress
from robatch.solvers.registry import Request

MOST_NODES = 2_000  # of HiGHS's search


@dataclass(frozen=True, slots=True)
class Closer:
    """HiGHS, as the tree asks it, until a deadline of `time.perf_counter`."""

    request: Request
    deadline: float

    def __call__(self, places: Places) -> tuple[float, IntArray | None]:
        """Return the bound of a leaf's program, and the candidates that its best solution takes; None without one."""
        left = self.deadline - time.perf_counter()
        if left <= 0.0:
            return math.inf, None
        largest = float(places.utility.max())
        scale = 2.0 ** -math.ceil(math.log2(largest)) if largest > 0.0 else 1.0
        asked = replace(self.request, time_limit=None if left == math.inf else left)
        outcome = until_progress(partial(_run, program(places, scale), places.gap * scale), asked)
        if outcome.infeasible:
            return -math.inf, None
        chosen = None if outcome.values is None else np.flatnonzero(np.asarray(outcome.values) > 0.5)
        return math.inf if outcome.bound is None else outcome.bound / scale, chosen


def program(places: Places, scale: float) -> Any:
    """Return the program as HiGHS keeps it, utilities scaled."""
    cells, cell = np.unique(places.cell, return_inverse=True)
    queries, n = int(places.query.max()) + 1, len(places.query)
    rows = queries + len(cells) + 1
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_, lp.sense_ = n, rows, highspy.ObjSense.kMaximize
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = places.utility * scale, np.zeros(n), np.ones(n)
    unit = queries / places.room if places.room > 0.0 else 1.0
    lp.row_lower_ = np.concatenate([np.ones(queries), np.full(len(cells) + 1, -np.inf)])
    lp.row_upper_ = np.concatenate([np.ones(queries), places.free[cells].astype(np.float64), [places.room * unit]])
    matrix = lp.a_matrix_
    matrix.format_, matrix.num_col_, matrix.num_row_ = highspy.MatrixFormat.kColwise, n, rows
    matrix.start_ = np.arange(0, 3 * n + 1, 3, dtype=np.int32)
    index = np.stack([places.query, queries + cell.ravel(), np.full(n, rows - 1)], axis=1)
    matrix.index_ = index.ravel().astype(np.int32)
    matrix.value_ = np.stack([np.ones(n), np.ones(n), places.usd * unit], axis=1).ravel()
    lp.integrality_ = [highspy.HighsVarType.kInteger] * n
    return lp


def _run(lp: Any, gap: float, request: Request, watch: Watch) -> Outcome:
    highs = solving(lp, request)
    highs.setOptionValue("mip_rel_gap", 0.0)
    highs.setOptionValue("mip_abs_gap", gap)
    highs.setOptionValue("mip_feasibility_tolerance", TOLERANCE)
    highs.setOptionValue("mip_max_nodes", MOST_NODES)
    highs.setCallback(watch, None)
    highs.startCallback(highspy.cb.HighsCallbackType.kCallbackMipInterrupt)
    return finished(highs, watch.stop)
