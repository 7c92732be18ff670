"""The plots of the benchmark of realized cost, all against the number of queries. matplotlib is imported late."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from robatch.bench.common.panels import draw_hollow, draw_line, figure, gap_axis, gap_foot, png, style
from robatch.bench.realized.rows import RealizedRow
from robatch.bench.realized.sums import losses, overspends, times
from robatch.instances.display import wording

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Record = dict[str, Any]


def overspend_plot(rows: Sequence[RealizedRow]) -> bytes:
    """Draw the share of amortized optima that are over their budget, their mean and worst overspend, as PNG."""
    records = overspends(sorted(rows, key=lambda row: row.queries), "queries", "budget_fraction")
    for record in records:
        record["budget"] = wording.fraction(record["budget_fraction"])
    budgets = list(dict.fromkeys(record["budget"] for record in records))
    foot = gap_foot(record[name] for record in records for name in ("share", "mean", "worst"))
    most = max([1.0, *(record["worst"] for record in records if record["worst"] is not None)])

    def draw(axes: Axes, points: Sequence[tuple[str, int, float]], budgets: Sequence[str]) -> None:
        for budget in budgets:
            mine = [(queries, value) for name, queries, value in points if name == budget]
            draw_line(axes, [q for q, _ in mine], [100 * value for _, value in mine], budget, budgets)
        gap_axis(axes, foot, math.ceil(math.log10(100 * most)))
        _sizes(axes, rows)

    panels = [
        (title, [(each["budget"], each["queries"], each[name] or 0.0) for each in records])
        for title, name in (("plans over their budget", "share"), ("mean overspend", "mean"), ("worst", "worst"))
    ]
    note = "A line a budget, % between cheapest and dearest. Overspend: of the plans that are over, 0 where none is."
    title = "The amortized optimum, billed"
    return png(figure(panels, budgets, draw, title, "queries", "% of plans, % of the budget", note))


def loss_plot(rows: Sequence[RealizedRow]) -> bytes:
    """Draw the median and the worst utility lost by each solver, a panel for each budget, as PNG."""
    rows = sorted(rows, key=lambda row: row.queries)
    solvers = list(dict.fromkeys(row.solver for row in rows if row.loss is not None))
    records = [
        {**record, "solver": solver}
        for solver in solvers
        for record in losses(rows, solver, "budget_fraction", "queries")
        if record["median"] is not None
    ]
    foot = gap_foot(record[name] for record in records for name in ("median", "worst"))

    def draw(axes: Axes, records: Sequence[Record], solvers: Sequence[str]) -> None:
        for solver in solvers:
            mine = [record for record in records if record["solver"] == solver]
            queries = [record["queries"] for record in mine]
            worst = [100 * record["worst"] for record in mine]
            draw_line(axes, queries, [100 * record["median"] for record in mine], solver, solvers)
            axes.plot(queries, worst, color=style(solver, solvers)[0], linestyle=":", linewidth=1.1, zorder=2)
            for record in mine:
                if record["at_most"]:
                    draw_hollow(axes, record["queries"], 100 * record["median"], solver, solvers, clip=False)
        gap_axis(axes, foot)
        _sizes(axes, rows)

    fractions = sorted({row.budget_fraction for row in rows})
    panels = [
        (f"budget {wording.fraction(fraction)}", [each for each in records if each["budget_fraction"] == fraction])
        for fraction in fractions
    ]
    note = "Median, dotted: worst. 0: the proven optimum. Hollow: at most, some losses are against a bound."
    return png(figure(panels, solvers, draw, "Utility lost under realized cost", "queries", "loss, %", note))


def time_plot(rows: Sequence[RealizedRow]) -> bytes:
    """Draw the median time of each solver under realized cost, a panel for each family, as PNG."""
    rows = sorted(rows, key=lambda row: row.queries)
    records = [record for record in times(rows, "family", "queries") if record["median_s"]]
    solvers = list(dict.fromkeys(row.solver for row in rows if row.cost == "realized"))

    def draw(axes: Axes, records: Sequence[Record], solvers: Sequence[str]) -> None:
        for solver in solvers:
            mine = [record for record in records if record["solver"] == solver]
            seconds = [record["median_s"] for record in mine]
            draw_line(axes, [record["queries"] for record in mine], seconds, solver, solvers, clip=True)
            for record in mine:
                if record["stopped"]:
                    draw_hollow(axes, record["queries"], record["median_s"], solver, solvers)
        axes.set_yscale("log")
        _sizes(axes, rows)

    families = dict.fromkeys(row.family for row in rows)
    panels = [(family, [record for record in records if record["family"] == family]) for family in families]
    note = "Median of the cells. Hollow: some were stopped by the time limit."
    return png(figure(panels, solvers, draw, "Time under realized cost", "queries", "time, s", note))


def _sizes(axes: Axes, rows: Sequence[RealizedRow]) -> None:
    """Make the horizontal axis logarithmic, with all sizes of the benchmark on it."""
    sizes = sorted({row.queries for row in rows})
    axes.set_xscale("log")
    axes.set_xlim(sizes[0] / 1.3, sizes[-1] * 1.3)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
