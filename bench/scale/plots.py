"""The plots of a scaling benchmark: time and gap against the number of queries, a panel a series."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from robatch.bench.common.plots import Labels, Point, gap_axis, gap_foot, line_plot, percent
from robatch.bench.common.rows import grouped
from robatch.bench.scale.rows import ScaleRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def time_plot(rows: Sequence[ScaleRow]) -> bytes:
    """Draw the time of each solver as a multiple of a pass, both axes logarithmic, as PNG."""

    def point(row: ScaleRow) -> Point | None:
        ratio = row.time_to_pass
        return Point(row.solver, row.queries, ratio, row.limit == "time") if ratio else None

    def finish(axes: Axes) -> None:
        if axes.lines:
            axes.set_yscale("log")
        axes.axhline(1, color="#404040", linewidth=1, zorder=1)

    note = "Line: one pass over the utilities as a dense array. Hollow: stopped by its time limit."
    return _by_size(rows, point, Labels("Time", "queries", "solver time, times one pass", note), finish, clip=True)


def gap_plot(rows: Sequence[ScaleRow]) -> bytes:
    """Draw the gap of each solver, both axes logarithmic, as PNG."""
    foot = gap_foot(row.gap for row in rows)

    def point(row: ScaleRow) -> Point | None:
        return None if row.gap is None else Point(row.solver, row.queries, percent(row.gap))

    note = "0: proven best, to a relative 1e-9. Gaps are to the least bound that any solver proved."
    labels = Labels("Gap to the proven optimum", "queries", "gap, %", note)
    return _by_size(rows, point, labels, lambda axes: gap_axis(axes, foot))


def _by_size(
    rows: Sequence[ScaleRow],
    point: Callable[[ScaleRow], Point | None],
    labels: Labels,
    finish: Callable[[Axes], None],
    clip: bool = False,
) -> bytes:
    """Draw a panel a series, all sizes of the benchmark on a logarithmic axis."""
    sizes = [row.queries for row in rows]

    def finish_both(axes: Axes) -> None:
        finish(axes)
        axes.set_xscale("log")
        axes.set_xlim(min(sizes) / 1.6, max(sizes) * 1.6)

    panels = [
        (f"{series.family} · {series.shape}\n{series.held}", [made for row in members if (made := point(row))])
        for series, members in grouped(rows, lambda row: row.series).items()
    ]
    return line_plot(panels, labels, finish_both, across=2 if len(panels) == 4 else 3, clip=clip)
