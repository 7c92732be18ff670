"""The motivating studies: utility by model, and the shared prompt's part of the cost, against batch size.

From the recorded profile (`paper_repro/PROFILE_TASKS.md`), with 95 % intervals.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from paper_repro.common import plots
from paper_repro.common.csv_tables import Table
from robatch.proxies.profiling.measurements import Measurements

PROFILE = Path(__file__).resolve().parents[1] / "profile_tasks.parquet"
COLUMNS = ("task", "model", "batch_size", "queries", "accuracy", "low", "high", "shared_cost_share")

Settings = dict[str, Any]


def cells(settings: Settings) -> Table:
    """Give one cell a task."""
    return [{"task": name} for name in settings["tasks"]]


def compute(settings: Settings, cell: dict[str, Any]) -> Table:
    """Give a row a model and batch size."""
    found = Measurements.read(PROFILE).summary(cell["task"])
    return [{name: row[name] for name in COLUMNS} for row in found]


def tables(settings: Settings, rows: Table) -> dict[str, Table]:
    """Give the rows, and what each model keeps of its accuracy alone."""
    alone = {(row["task"], row["model"]): row for row in rows if row["batch_size"] == 1}
    kept: Table = []
    for (task, model), first in alone.items():
        sizes = {row["batch_size"]: row for row in rows if (row["task"], row["model"]) == (task, model)}
        last = sizes[max(sizes)]
        # the largest size up to which no size is worse than alone by more than both intervals allow
        stable = 1
        for size in sorted(sizes):
            if sizes[size]["high"] < first["low"]:
                break
            stable = size
        kept.append(
            {
                "task": task, "model": model, "accuracy_alone": first["accuracy"], "largest": max(sizes),
                "accuracy_largest": last["accuracy"], "stable_to": stable,
                "shared_share_alone": first["shared_cost_share"], "shared_share_largest": last["shared_cost_share"],
            }
        )  # fmt: skip
    return {"states": rows, "models": kept}


def draw(tables: dict[str, Table], folder: Path) -> None:
    """Draw utility and cost share against batch size."""
    common = {"by": "task", "line": "model", "x": "batch_size", "log": True}
    plots.panels(tables["states"], folder / "utility.png", y="accuracy", labels=("batch size", "mean utility"),
                 band=("low", "high"), **common)  # fmt: skip
    plots.panels(tables["states"], folder / "cost_share.png", y="shared_cost_share",
                 labels=("batch size", "shared prompt's part of the cost"), **common)  # fmt: skip
