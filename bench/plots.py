"""The plots of a gap benchmark. matplotlib is imported when one is drawn."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from robatch.bench import wording
from robatch.bench.rows import PROVEN, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette and two greys, told apart by marker too: readable without seeing colours
_STYLES = {
    "greedy": ("#0072B2", "o"),
    "pareto": ("#D55E00", "s"),
    "highs": ("#009E73", "D"),
    "cpsat": ("#CC79A7", "^"),
    "scip": ("#56B4E9", "v"),
    "cbc": ("#E69F00", "<"),
    "pulp-highs": ("#009E73", "d"),
    "lp": ("#000000", "x"),
    "router-only": ("#7A7A7A", "P"),
    "batch-only": ("#B0A000", "X"),
    "cheapest": ("#A0A0A0", "1"),
    "best": ("#404040", "2"),
    "brute-force": ("#000000", "*"),
}
_OTHERS = (("#8C564B", "p"), ("#7F3C8D", "h"), ("#11A579", "H"), ("#3969AC", "8"), ("#E73F74", "+"))

_LEAST = 1e-6  # percent: what is drawn at the foot of the logarithmic axis, "0"
Panel = tuple[str, str]


def style(solver: str, solvers: Sequence[str]) -> tuple[str, str]:
    """Return colour and marker of a solver: the same in every plot."""
    if solver in _STYLES:
        return _STYLES[solver]
    others = [name for name in solvers if name not in _STYLES]
    return _OTHERS[others.index(solver) % len(_OTHERS)]


def gap_plot(rows: Sequence[Row]) -> bytes:
    """Draw the gap of each solver against the budget, a panel for each instance and cost model, as PNG."""
    shown = [row.gap for row in rows if row.gap is not None and row.gap > PROVEN]
    foot = 10.0 ** math.floor(math.log10(max(100 * min(shown), _LEAST))) if shown else 0.1

    def draw(axes: Axes, rows: Sequence[Row], solvers: Sequence[str]) -> None:
        for place, solver in enumerate(solvers):
            mine = [row for row in rows if row.solver == solver and row.gap is not None]
            mine.sort(key=lambda row: row.budget_fraction)
            colour, marker = style(solver, solvers)
            (line,) = axes.plot(
                [100 * row.budget_fraction for row in mine],
                [max(0.0, 100 * (row.gap or 0.0)) for row in mine],
                color=colour,
                marker=marker,
                markersize=_size(place, solvers),
                linewidth=1.4,
                clip_on=False,
                zorder=3,
            )
            line.set_in_layout(False)  # unclipped: the layout would make room for what lies outside
        axes.set_yscale("symlog", linthresh=foot, linscale=0.6)
        axes.set_ylim(0, 100)
        powers = range(2, round(math.log10(foot)) - 1, -1 if foot > 1e-4 else -2)
        ticks = [0.0, *(10.0**power for power in powers)]
        axes.set_yticks(ticks, ["0", *(f"{tick:g}" for tick in ticks[1:])])
        axes.minorticks_off()
        fractions = sorted({100 * row.budget_fraction for row in rows})
        axes.set_xticks(fractions, [f"{value:g}" for value in fractions])
        axes.margins(x=0.08)

    note = "0: proven best, to a relative 1e-9. Gaps are to the least bound that any solver proved."
    title = "Gap to the proven optimum"
    return _png(_figure(rows, draw, title, "budget, % between cheapest and dearest", "gap, %", note))


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
                hollow = limit is not None and marker not in "x+12"
                axes.scatter(
                    value, place, s=42, marker=marker, linewidths=1.5, zorder=3, alpha=0.9,
                    facecolors="white" if hollow else colour, edgecolors=None if marker in "x+12" else colour,
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
    return _png(_figure(rows, draw, "Runtime", unit, "", note, legend=False, share_x=True))


def _figure(
    rows: Sequence[Row],
    draw: Callable[[Any, Sequence[Row], Sequence[str]], None],
    title: str,
    x_label: str,
    y_label: str,
    note: str,
    legend: bool = True,
    share_x: bool = False,
) -> Figure:
    """Lay out a panel for each instance and cost model, and draw each."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    panels: dict[Panel, list[Row]] = {}
    for row in rows:
        panels.setdefault((row.instance, row.cost), []).append(row)
    solvers = list(dict.fromkeys(row.solver for row in rows))
    if legend:  # solvers without a gap have no line
        solvers = [name for name in solvers if any(row.gap is not None for row in rows if row.solver == name)]
    costs = len({cost for _, cost in panels})
    across = min(len(panels), 3) if costs == 1 else costs  # a row an instance where cost models are compared
    down = math.ceil(len(panels) / across)
    height = 2.5 if legend else 0.9 + 0.27 * len(solvers)
    with rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        width = max(7.2, 3.5 * across)
        figure = Figure(figsize=(width, 1.3 + down * (height + 0.35)), dpi=150, layout="constrained")
        grid = figure.subplots(down, across, squeeze=False, sharey=True, sharex=share_x)
        for axes, (name, members) in zip(grid.flat, panels.items(), strict=False):
            axes.grid(color="#E4E4E4", linewidth=0.8)
            axes.set_axisbelow(True)
            draw(axes, members, solvers)
            axes.set_title(_panel_title(name, panels), fontsize=10, loc="left")
        for place, unused in enumerate(grid.flat[len(panels) :], len(panels)):
            unused.remove()
            grid.flat[place - across].tick_params(labelbottom=True)  # nothing below it has the labels
        figure.supxlabel(f"{x_label}\n{note}", fontsize=9)
        if y_label:
            figure.supylabel(y_label, fontsize=9)
        if legend:
            handles = []
            for place, solver in enumerate(solvers):
                colour, marker = style(solver, solvers)
                size = _size(place, solvers)
                handles.append(
                    Line2D([], [], color=colour, marker=marker, markersize=size, linewidth=1.4, label=solver)
                )
            figure.legend(
                handles=handles,
                title=title,
                title_fontproperties={"size": 13, "weight": "bold"},
                loc="outside upper left",
                alignment="left",
                ncols=min(len(handles), int(width / 1.25)),
                frameon=False,
                borderpad=0,
            )
        else:
            figure.suptitle(title, fontsize=13, fontweight="bold", x=0.006, ha="left")
        return figure


def _panel_title(panel: Panel, panels: dict[Panel, list[Row]]) -> str:
    instance, cost = panel
    instance = instance if len(instance) <= 36 else "…" + instance[-35:]
    return f"{instance} · {cost}" if len({cost for _, cost in panels}) > 1 else instance


def _size(place: int, solvers: Sequence[str]) -> float:
    """Return a marker size that falls from solver to solver, so that none hides an earlier one."""
    return 9 - 5 * place / max(len(solvers) - 1, 1)


def _times(value: float) -> str:
    return f"{wording.ratio(value)}x"


def _png(figure: Figure) -> bytes:
    """Render without a display: a Figure made without pyplot draws with Agg."""
    image = io.BytesIO()
    figure.savefig(image, format="png")
    return image.getvalue()
