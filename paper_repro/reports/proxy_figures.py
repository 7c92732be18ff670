"""The figures of PROXY.md, from the recorded tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from paper_repro.common.csv_tables import Table, distinct, where
from paper_repro.common.figures import MARKS, new_figure, save
from paper_repro.proxy.checks import ALL
from paper_repro.proxy.tables import Results

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#999999", "#000000")
"""Of the strategies."""


def draw_curves(results: Results, path: Path) -> None:
    """Draw the utility of held-out queries by budget, a panel for each task."""
    tasks = distinct(results["curves"], "task")
    drawn, axes = new_figure(1, len(tasks), (3.4 * len(tasks), 3.8), squeeze=False)
    for axis, task in zip(axes[0], tasks, strict=True):
        rows = where(results["curves"], task=task)
        for name, colour in zip(distinct(rows, "strategy"), COLOURS, strict=True):
            mine = where(rows, strategy=name)
            place = [row["budget"] + 1 for row in mine]
            axis.plot(place, [row["mean"] for row in mine], color=colour, label=name, lw=2 if name == "proxy" else 1)
            if name in ("proxy", "state means"):
                low, high = ([row[f"mean_{end}"] for row in mine] for end in ("low", "high"))
                axis.fill_between(place, low, high, color=colour, alpha=0.15, lw=0)
        axis.set(title=task, xlabel="budget, from cheapest to dearest", ylim=(0, 1))
        axis.grid(alpha=0.3)
    axes[0, 0].set_ylabel("utility per held-out query")
    drawn.legend(*axes[0, 0].get_legend_handles_labels(), frameon=False, loc="outside lower center", ncols=7)
    save(drawn, path)


def draw_checks(results: Results, path: Path) -> None:
    """Draw the reliability of predictions, and Brier score and area by profiling cost."""
    drawn, (left, middle, right) = new_figure(1, 3, (13, 4.2))
    left.plot([0, 1], [0, 1], color="0.6", lw=1, ls="--", label="exact")
    _lines(left, results["reliability"], "left_out", "predicted", "measured", label="by {}")
    left.set(title="Reliability, cross-validated", xlabel="predicted", ylabel="measured", xlim=(0, 1), ylim=(0, 1))
    rows = where(results["ablation"], task=ALL)
    for axis, measure, title in ((middle, "brier", "Brier score"), (right, "area", "Area under the curve of plans")):
        _lines(axis, rows, "design", "cost", measure)
        axis.set_xscale("log", base=2)
        axis.set(title=title, xlabel="profiling cost, as a part of the full one")
    for axis in (left, middle, right):
        axis.grid(alpha=0.3)
    left.legend(frameon=False)
    middle.legend(frameon=False)
    save(drawn, path)


def _lines(axis: Any, rows: Table, line: str, x: str, y: str, label: str = "{}") -> None:
    for name, (colour, marker) in zip(distinct(rows, line), MARKS, strict=False):
        mine = where(rows, **{line: name})
        axis.plot([r[x] for r in mine], [r[y] for r in mine], color=colour, marker=marker, label=label.format(name))
