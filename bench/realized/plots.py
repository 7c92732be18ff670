"""The plots of the benchmark of realized cost, all against the number of queries."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from robatch.bench.common.plots import Labels, Point, gap_axis, gap_foot, line_plot
from robatch.bench.realized.rows import RealizedRow
from robatch.bench.realized.sums import losses, overspends, times
from robatch.instances.display import wording

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def overspend_plot(rows: Sequence[RealizedRow]) -> bytes:
    """Draw the share of amortized optima that are over their budget, their mean and worst overspend, as PNG."""
    rows = sorted(rows, key=lambda row: row.queries)
    records = overspends(rows, "queries", "budget_fraction")
    foot = gap_foot(record[name] for record in records for name in ("share", "mean", "worst"))
    most = max([1.0, *(record["worst"] for record in records if record["worst"] is not None)])

    def points(name: str) -> list[Point]:
        budgets = [wording.fraction(record["budget_fraction"]) for record in records]
        return [
            Point(budget, record["queries"], 100 * (record[name] or 0.0))
            for budget, record in zip(budgets, records, strict=True)
        ]

    titles = {"share": "plans over their budget", "mean": "mean overspend", "worst": "worst"}
    panels = [(title, points(name)) for name, title in titles.items()]
    note = "A line a budget, % between cheapest and dearest. Overspend: of the plans that are over, 0 where none is."
    labels = Labels("The amortized optimum, billed", "queries", "% of plans, % of the budget", note)
    return line_plot(panels, labels, _percents_by_size(rows, foot, math.ceil(math.log10(100 * most))))


def loss_plot(rows: Sequence[RealizedRow]) -> bytes:
    """Draw the median and the worst utility lost by each solver, a panel for each budget, as PNG."""
    rows = sorted(rows, key=lambda row: row.queries)
    solvers = dict.fromkeys(row.solver for row in rows if row.loss is not None)
    records = [
        (solver, record)
        for solver in solvers
        for record in losses(rows, solver, "budget_fraction", "queries")
        if record["median"] is not None
    ]
    foot = gap_foot(record[name] for _, record in records for name in ("median", "worst"))
    panels = [
        (
            f"budget {wording.fraction(fraction)}",
            [
                Point(solver, each["queries"], 100 * each["median"], bool(each["at_most"]), 100 * each["worst"])
                for solver, each in records
                if each["budget_fraction"] == fraction
            ],
        )
        for fraction in sorted({row.budget_fraction for row in rows})
    ]
    note = "Median, dotted: worst. 0: the proven optimum. Hollow: at most, some losses are against a bound."
    return line_plot(
        panels, Labels("Utility lost under realized cost", "queries", "loss, %", note), _percents_by_size(rows, foot)
    )


def time_plot(rows: Sequence[RealizedRow]) -> bytes:
    """Draw the median time of each solver under realized cost, a panel for each family, as PNG."""
    rows = sorted(rows, key=lambda row: row.queries)
    records = [record for record in times(rows, "family", "queries") if record["median_s"]]

    def finish(axes: Axes) -> None:
        axes.set_yscale("log")
        _sizes(axes, rows)

    panels = [
        (
            family,
            [
                Point(each["solver"], each["queries"], each["median_s"], bool(each["stopped"]))
                for each in records
                if each["family"] == family
            ],
        )
        for family in dict.fromkeys(row.family for row in rows)
    ]
    note = "Median of the cells. Hollow: some were stopped by the time limit."
    return line_plot(panels, Labels("Time under realized cost", "queries", "time, s", note), finish, clip=True)


def _percents_by_size(rows: Sequence[RealizedRow], foot: float, top: int = 2) -> Callable[[Axes], None]:
    def finish(axes: Axes) -> None:
        gap_axis(axes, foot, top)
        _sizes(axes, rows)

    return finish


def _sizes(axes: Axes, rows: Sequence[RealizedRow]) -> None:
    """Make the horizontal axis logarithmic, with all sizes of the benchmark on it."""
    sizes = sorted({row.queries for row in rows})
    axes.set_xscale("log")
    axes.set_xlim(sizes[0] / 1.3, sizes[-1] * 1.3)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
