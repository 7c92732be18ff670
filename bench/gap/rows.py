"""What the rows of a gap benchmark sum up to: one record for each solver under each cost model."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, median
from typing import Any

from robatch.bench.common.rows import Row, grouped, is_none


def summary(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Sum up each solver under each cost model.

    Returns
    -------
    list of dict
        ``cost``, ``solver``, ``cells``, ``plans`` (cells with a plan), ``proven`` (cells whose plan is proven
        best by some solver's bound), ``errors``, ``mean_gap``, ``worst_gap``, ``median_runtime_s`` and
        ``median_time_to_greedy``. Gaps are over the cells in which the solver has a plan and any bound is
        known.
    """
    records = []
    for (cost, solver), members in grouped(rows, lambda row: (row.cost, row.solver)).items():
        gaps = [row.gap for row in members if row.gap is not None]
        times = [row.runtime_s for row in members if row.runtime_s is not None]
        ratios = [row.time_to_greedy for row in members if row.time_to_greedy is not None]
        records.append(
            {
                "cost": cost,
                "solver": solver,
                "cells": len(members),
                "plans": sum(row.utility is not None for row in members),
                "proven": sum(is_none(gap) for gap in gaps),
                "errors": sum(row.status == "error" for row in members),
                "mean_gap": fmean(gaps) if gaps else None,
                "worst_gap": max(gaps, default=None),
                "median_runtime_s": median(times) if times else None,
                "median_time_to_greedy": median(ratios) if ratios else None,
            }
        )
    return records
