"""The plots of a scaling benchmark: time and gap against the number of queries, a panel a series."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from robatch.bench.common.panels import draw_hollow, draw_line, figure, gap_axis, gap_foot, png
from robatch.bench.scale.cells import Series
from robatch.bench.scale.rows import ScaleRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def time_plot(rows: Sequence[ScaleRow]) -> bytes:
    """Draw the time of each solver as a multiple of a pass, both axes logarithmic, as PNG."""

    def draw(axes: Axes, rows: Sequence[ScaleRow], solvers: Sequence[str]) -> None:
        for solver in solvers:
            mine = [row for row in rows if row.solver == solver and row.time_to_pass]
            ratios = [row.time_to_pass or 0.0 for row in mine]
            draw_line(axes, [row.queries for row in mine], ratios, solver, solvers, clip=True)
            for row, ratio in zip(mine, ratios, strict=True):
                if row.limit == "time":
                    draw_hollow(axes, row.queries, ratio, solver, solvers)
        if any(row.time_to_pass for row in rows):
            axes.set_yscale("log")
        axes.axhline(1, color="#404040", linewidth=1, zorder=1)
        _sizes(axes, rows)

    solvers = list(dict.fromkeys(row.solver for row in rows if row.time_to_pass))
    note = "Line: one pass over the utilities as a dense array. Hollow: stopped by its time limit."
    return _draw(rows, solvers, draw, "Time", "solver time, times one pass", note)


def gap_plot(rows: Sequence[ScaleRow]) -> bytes:
    """Draw the gap of each solver, both axes logarithmic, as PNG."""
    foot = gap_foot(row.gap for row in rows)

    def draw(axes: Axes, rows: Sequence[ScaleRow], solvers: Sequence[str]) -> None:
        for solver in solvers:
            mine = [row for row in rows if row.solver == solver and row.gap is not None]
            percent = [max(0.0, 100 * (row.gap or 0.0)) for row in mine]
            draw_line(axes, [row.queries for row in mine], percent, solver, solvers)
        gap_axis(axes, foot)
        _sizes(axes, rows)

    solvers = list(dict.fromkeys(row.solver for row in rows if row.gap is not None))
    note = "0: proven best, to a relative 1e-9. Gaps are to the least bound that any solver proved."
    return _draw(rows, solvers, draw, "Gap to the proven optimum", "gap, %", note)


def _sizes(axes: Axes, rows: Sequence[ScaleRow]) -> None:
    """Make the horizontal axis logarithmic, with all sizes of the benchmark on it."""
    sizes = [row.queries for row in rows]
    axes.set_xscale("log")
    axes.set_xlim(min(sizes) / 1.6, max(sizes) * 1.6)


def _draw(
    rows: Sequence[ScaleRow],
    solvers: Sequence[str],
    draw: Callable[[Axes, Sequence[ScaleRow], Sequence[str]], None],
    title: str,
    label: str,
    note: str,
) -> bytes:
    panels: dict[Series, list[ScaleRow]] = {}
    for row in rows:
        panels.setdefault(row.series, []).append(row)
    titled = [(f"{each.family} · {each.shape}\n{each.held}", members) for each, members in panels.items()]
    return png(figure(titled, solvers, draw, title, "queries", label, note, across=2 if len(panels) == 4 else 3))
