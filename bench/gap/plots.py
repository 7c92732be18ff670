"""The plots of a gap benchmark: gap and runtime, a panel for each instance and cost model."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

from robatch.bench.common.plots import (
    WITHOUT_FACE,
    Labels,
    Panels,
    Point,
    figure,
    gap_axis,
    gap_foot,
    line_plot,
    percent,
    png,
    style,
)
from robatch.bench.common.rows import Row, grouped
from robatch.instances.display import wording

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LONGEST_TITLE = 36


def gap_plot(rows: Sequence[Row]) -> bytes:
    """Draw the gap of each solver against the budget, as PNG."""
    foot = gap_foot(row.gap for row in rows)
    fractions = sorted({100 * row.budget_fraction for row in rows})

    def finish(axes: Axes) -> None:
        gap_axis(axes, foot)
        axes.set_xticks(fractions, [f"{value:g}" for value in fractions])
        axes.margins(x=0.08)

    def points(rows: Sequence[Row]) -> list[Point]:
        known = [row for row in rows if row.gap is not None]
        known.sort(key=lambda row: row.budget_fraction)
        return [Point(row.solver, 100 * row.budget_fraction, percent(row.gap)) for row in known]

    note = "0: proven best, to a relative 1e-9. Gaps are to the least bound that any solver proved."
    labels = Labels("Gap to the proven optimum", "budget, % between cheapest and dearest", "gap, %", note)
    panels, across = _panels(rows)
    return line_plot([(title, points(members)) for title, members in panels], labels, finish, across)


def runtime_plot(rows: Sequence[Row]) -> bytes:
    """Draw the runtime of each solver, as PNG.

    Times are given relative to greedy in the same cell where greedy took part, else in seconds.
    """
    relative = any(row.time_to_greedy is not None for row in rows)

    def draw(axes: Axes, rows: Sequence[Row], solvers: Sequence[str]) -> None:
        for place, solver in enumerate(solvers):
            mine = [row for row in rows if row.solver == solver]
            times = [(row.time_to_greedy if relative else row.runtime_s, row.limit is not None) for row in mine]
            points = [(value, stopped) for value, stopped in times if value]
            _times(axes, place, points, style(solver, solvers), "x" if relative else "s")
        if relative:
            axes.axvline(1, color="#0072B2", linewidth=1, zorder=1)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}" if value < 1e5 else f"{value:.0e}")
        axes.minorticks_off()
        axes.set_yticks(range(len(solvers)), solvers)
        axes.set_ylim(len(solvers) - 0.5, -0.5)
        axes.grid(axis="y", visible=False)

    unit = "runtime, times that of greedy" if relative else "runtime, s"
    labels = Labels("Runtime", unit, "", "A point a budget; hollow: stopped by a limit. On the right: the median.")
    panels, across = _panels(rows)
    solvers = list(dict.fromkeys(row.solver for row in rows))
    return png(figure(panels, solvers, draw, labels, legend=False, across=across))


def _times(axes: Axes, place: int, points: Sequence[tuple[float, bool]], look: tuple[str, str], unit: str) -> None:
    """Draw a solver's times, hollow where a limit stopped it, and their median on the right."""
    colour, marker = look
    for value, stopped in points:
        face = "white" if stopped and marker not in WITHOUT_FACE else colour
        axes.scatter(
            value, place, s=42, marker=marker, linewidths=1.5, zorder=3, alpha=0.9,
            facecolors=face, edgecolors=None if marker in WITHOUT_FACE else colour,
        )  # fmt: skip
    if points:
        middle = median(value for value, _ in points)
        text = f"{wording.ratio(middle)}x" if unit == "x" else f"{middle:.2g} s"
        right = axes.get_yaxis_transform()
        axes.text(1.02, place, text, va="center", fontsize=8, color="#444444", transform=right)


def _panels(rows: Sequence[Row]) -> tuple[Panels[Row], int]:
    """Return the rows of each instance and cost model with a title, and how many panels stand beside each other."""
    costs = len({row.cost for row in rows})
    titled = []
    for (name, cost), members in grouped(rows, lambda row: (row.instance, row.cost)).items():
        short = name if len(name) <= LONGEST_TITLE else "…" + name[1 - LONGEST_TITLE :]
        titled.append((f"{short} · {cost}" if costs > 1 else short, members))
    return titled, 3 if costs == 1 else costs  # a row an instance where cost models are compared
