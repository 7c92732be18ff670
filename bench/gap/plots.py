"""The plots of a gap benchmark. matplotlib is imported when one is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

from robatch.bench.common.panels import WITHOUT_FACE, draw_line, figure, gap_axis, gap_foot, png, style
from robatch.bench.common.rows import Row
from robatch.instances.display import wording

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def gap_plot(rows: Sequence[Row]) -> bytes:
    """Draw the gap of each solver against the budget, a panel for each instance and cost model, as PNG."""
    foot = gap_foot(row.gap for row in rows)

    def draw(axes: Axes, rows: Sequence[Row], solvers: Sequence[str]) -> None:
        for solver in solvers:
            mine = [row for row in rows if row.solver == solver and row.gap is not None]
            mine.sort(key=lambda row: row.budget_fraction)
            percent = [max(0.0, 100 * (row.gap or 0.0)) for row in mine]
            draw_line(axes, [100 * row.budget_fraction for row in mine], percent, solver, solvers)
        gap_axis(axes, foot)
        fractions = sorted({100 * row.budget_fraction for row in rows})
        axes.set_xticks(fractions, [f"{value:g}" for value in fractions])
        axes.margins(x=0.08)

    note = "0: proven best, to a relative 1e-9. Gaps are to the least bound that any solver proved."
    title = "Gap to the proven optimum"
    panels, across = _panels(rows)
    solvers = list(dict.fromkeys(row.solver for row in rows if row.gap is not None))  # the others have no line
    return png(
        figure(panels, solvers, draw, title, "budget, % between cheapest and dearest", "gap, %", note, across=across)
    )


def runtime_plot(rows: Sequence[Row]) -> bytes:
    """Draw the runtime of each solver, a panel for each instance and cost model, as PNG.

    Times are given relative to greedy in the same cell where greedy took part, else in seconds.
    """
    relative = any(row.time_to_greedy is not None for row in rows)

    def draw(axes: Axes, rows: Sequence[Row], solvers: Sequence[str]) -> None:
        for place, solver in enumerate(solvers):
            mine = [row for row in rows if row.solver == solver]
            pairs = [(row.time_to_greedy if relative else row.runtime_s, row.limit) for row in mine]
            points = [(value, limit) for value, limit in pairs if value]
            colour, marker = style(solver, solvers)
            for value, limit in points:
                hollow = limit is not None and marker not in WITHOUT_FACE
                axes.scatter(
                    value, place, s=42, marker=marker, linewidths=1.5, zorder=3, alpha=0.9,
                    facecolors="white" if hollow else colour, edgecolors=None if marker in WITHOUT_FACE else colour,
                )  # fmt: skip
            if points:
                middle = median(value for value, _ in points)
                axes.text(
                    1.02, place, _times(middle) if relative else f"{middle:.2g} s", va="center", fontsize=8,
                    color="#444444", transform=axes.get_yaxis_transform(),
                )  # fmt: skip
        if relative:
            axes.axvline(1, color="#0072B2", linewidth=1, zorder=1)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}" if value < 1e5 else f"{value:.0e}")
        axes.minorticks_off()
        axes.set_yticks(range(len(solvers)), solvers)
        axes.set_ylim(len(solvers) - 0.5, -0.5)
        axes.grid(axis="y", visible=False)

    unit = "runtime, times that of greedy" if relative else "runtime, s"
    note = "A point a budget; hollow: stopped by a limit. On the right: the median."
    panels, across = _panels(rows)
    solvers = list(dict.fromkeys(row.solver for row in rows))
    return png(figure(panels, solvers, draw, "Runtime", unit, "", note, legend=False, share_x=True, across=across))


def _panels(rows: Sequence[Row]) -> tuple[list[tuple[str, list[Row]]], int]:
    """Return the rows of each instance and cost model with a title, and how many panels stand beside each other."""
    costs = len({row.cost for row in rows})
    panels: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        panels.setdefault((row.instance, row.cost), []).append(row)
    titled = []
    for (name, cost), members in panels.items():
        short = name if len(name) <= 36 else "…" + name[-35:]
        titled.append((f"{short} · {cost}" if costs > 1 else short, members))
    return titled, 3 if costs == 1 else costs  # a row an instance where cost models are compared


def _times(value: float) -> str:
    return f"{wording.ratio(value)}x"
