"""The motivating studies: utility by model, and the shared prompt's part of the cost, against batch size.

From the recorded profile (`paper_repro/reports/PROFILE_TASKS.md`), with 95 % intervals. A model that is not clearly
better than guessing when queries go alone has little to lose. Guessing is always to give the one answer that is right
most often, as far as any model found right answers, or to choose evenly, if that is better.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from paper_repro.common.csv_tables import Table, by_table
from paper_repro.common.figures import Axis, panels
from paper_repro.common.paths import PROFILE
from paper_repro.common.profile_data import first_loss
from paper_repro.common.settings import Settings
from robatch.proxies.profiling.measurements import Measurements

COLUMNS = ("task", "model", "batch_size", "queries", "accuracy", "low", "high", "shared_cost_share")


def cells(settings: Settings) -> Table:
    """Give one cell a task."""
    return [{"task": name} for name in settings["tasks"]]


def compute(settings: Settings, cell: dict[str, Any]) -> Table:
    """Give a row a model and batch size, and one a model on what it keeps of its accuracy alone."""
    measurements, task = Measurements.read(PROFILE), cell["task"]
    rows = [{"table": "states"} | {name: row[name] for name in COLUMNS} for row in measurements.summary(task)]
    described = next(entry for entry in measurements.provenance["tasks"] if entry["name"] == task)
    guess = max(_commonest(measurements, task), 1 / len(described["choices"]) if described["choices"] else 0.0)
    states = measurements.states
    for model in dict.fromkeys(name for name, _ in states):
        columns = [s for s, (name, _) in enumerate(states) if name == model]
        utility = measurements.utilities(task)[1][:, columns]
        mine = [row for row in rows if row.get("model") == model and row["table"] == "states"]
        lost = first_loss(utility)
        rows.append(
            {
                "table": "models", "task": task, "model": model, "guess": guess,
                "guesses": int(mine[0]["low"] <= guess), "accuracy_alone": mine[0]["accuracy"],
                "largest": states[columns[-1]][1], "accuracy_largest": mine[-1]["accuracy"],
                "loses_from": None if lost is None else states[columns[lost]][1],
                "shared_share_alone": mine[0]["shared_cost_share"],
                "shared_share_largest": mine[-1]["shared_cost_share"],
            }
        )  # fmt: skip
    return rows


def _commonest(measurements: Measurements, task: str) -> float:
    """Return the share of queries that the commonest right answer answers, as far as right answers were given."""
    columns = (measurements.table[name].to_pylist() for name in ("task", "query_id", "answer", "score"))
    right = {
        (answer, query) for name, query, answer, score in zip(*columns, strict=True) if name == task and score == 1
    }
    return max(Counter(answer for answer, _ in right).values(), default=0) / len(measurements.query_ids(task))


def tables(settings: Settings, rows: Table) -> dict[str, Table]:
    """Give accuracy and cost share of all states, and from where on each model loses.

    ``loses_from`` is the smallest batch size from which on every one has less accuracy than queries alone beyond the
    95 % interval of the paired difference; empty where there is none.
    """
    return by_table(rows, ("states", "models"))


def draw(tables: dict[str, Table], folder: Path) -> None:
    """Draw utility and cost share against batch size."""
    states, sizes = tables["states"], Axis("batch_size", "batch size", log=True)
    panels(states, folder / "utility.png", sizes, Axis("accuracy", "mean utility"), by="task", line="model",
           band=("low", "high"))  # fmt: skip
    share = Axis("shared_cost_share", "shared prompt's part of the cost")
    panels(states, folder / "cost_share.png", sizes, share, by="task", line="model")
