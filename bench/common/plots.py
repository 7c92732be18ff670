"""The plots of the benchmarks: a line a solver, a panel a group of rows. matplotlib is imported when one is drawn."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from robatch.instances.display.wording import PROVEN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette and two greys, told apart by marker too: readable without seeing colours
_STYLES = {
    "exact": ("#882255", "p"),
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
    "python-heap": ("#44AA99", "h"),
    "brute-force": ("#000000", "*"),
    "reduced-budget": ("#999933", "H"),
}
_OTHERS = (("#8C564B", "p"), ("#7F3C8D", "h"), ("#11A579", "H"), ("#3969AC", "8"), ("#E73F74", "+"))

WITHOUT_FACE = "x+12"
"""Markers that cannot be hollow."""

LEAST_FOOT = 1e-6
"""Least percent at the foot of a logarithmic axis, which says 0."""

R = TypeVar("R")


class Point(NamedTuple):
    """A point of a line: whose line it is, where it lies, and the worst value behind it, which is drawn dotted.

    A hollow point stands for something that was stopped, or that is only a bound.
    """

    name: str
    x: float
    y: float
    hollow: bool = False
    worst: float | None = None


class Labels(NamedTuple):
    """What stands around a plot: title, names of the axes, and how to read it."""

    title: str
    x: str
    y: str
    note: str


Panels = Sequence[tuple[str, Sequence[R]]]
"""Groups of rows with a title each."""


def line_plot(
    panels: Panels[Point], labels: Labels, finish: Callable[[Axes], None], across: int = 3, clip: bool = False
) -> bytes:
    """Draw a line a name in each panel, as PNG.

    Parameters
    ----------
    panels
        Points of each panel, those of a line in the order in which it goes.
    labels
        What stands around them.
    finish
        Sets the axes of a panel up.
    across
        Most panels beside each other.
    clip
        Whether lines end at the edge of the panel.
    """
    names = list(dict.fromkeys(point.name for _, points in panels for point in points))

    def draw(axes: Axes, points: Sequence[Point], names: Sequence[str]) -> None:
        for place, name in enumerate(names):
            mine = [point for point in points if point.name == name]
            if mine:
                _line(axes, mine, style(name, names), size(place, names), clip)
        finish(axes)

    return png(figure(panels, names, draw, labels, across=across))


def _line(axes: Axes, points: Sequence[Point], style: tuple[str, str], size: float, clip: bool) -> None:
    (colour, marker), x = style, [point.x for point in points]
    (line,) = axes.plot(
        x, [point.y for point in points], color=colour, marker=marker, markersize=size, linewidth=1.4,
        clip_on=clip, zorder=3,
    )  # fmt: skip
    if not clip:
        line.set_in_layout(False)  # the layout would make room for what lies outside
    if any(point.worst is not None for point in points):
        axes.plot(x, [point.worst or 0.0 for point in points], color=colour, linestyle=":", linewidth=1.1, zorder=2)
    for point in points:
        if point.hollow and marker not in WITHOUT_FACE:
            axes.plot(
                point.x, point.y, color=colour, marker=marker, markersize=size, markerfacecolor="white",
                clip_on=clip, zorder=4,
            )  # fmt: skip


def style(name: str, names: Sequence[str]) -> tuple[str, str]:
    """Return colour and marker of a solver: the same in every plot."""
    if name in _STYLES:
        return _STYLES[name]
    others = [other for other in names if other not in _STYLES]
    return _OTHERS[others.index(name) % len(_OTHERS)]


def size(place: int, names: Sequence[str]) -> float:
    """Return a marker size that falls from line to line, so that none hides an earlier one."""
    return 9 - 5 * place / max(len(names) - 1, 1)


def percent(value: float | None) -> float:
    """Return a share in percent; what is unknown or below zero by rounding, as zero."""
    return max(0.0, 100 * (value or 0.0))


def gap_foot(gaps: Iterable[float | None]) -> float:
    """Return the power of ten, in percent, below which gaps are drawn towards zero."""
    shown = [gap for gap in gaps if gap is not None and gap > PROVEN]
    return 10.0 ** math.floor(math.log10(max(100 * min(shown), LEAST_FOOT))) if shown else 0.1


def gap_axis(axes: Axes, foot: float, top: int = 2) -> None:
    """Make the vertical axis logarithmic in percent, with "0" at its foot, up to a power of ten."""
    axes.set_yscale("symlog", linthresh=foot, linscale=0.6)
    axes.set_ylim(0, 10.0**top)
    powers = range(top, round(math.log10(foot)) - 1, -1 if foot > 1e-4 else -2)
    ticks = [0.0, *(10.0**power for power in powers)]
    axes.set_yticks(ticks, ["0", *(f"{tick:g}" for tick in ticks[1:])])
    axes.minorticks_off()


def figure(
    panels: Panels[R],
    names: Sequence[str],
    draw: Callable[[Axes, Sequence[R], Sequence[str]], None],
    labels: Labels,
    legend: bool = True,
    across: int = 3,
) -> Figure:
    """Lay out a panel for each titled group of rows, at most `across` beside each other, and draw each.

    Without a legend the names stand on the vertical axis of every panel, and the panels share the horizontal one.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    across = min(len(panels), across)
    down = math.ceil(len(panels) / across)
    height = 2.5 if legend else 0.9 + 0.27 * len(names)
    with rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        width = max(7.2, 3.5 * across)
        made = Figure(figsize=(width, 1.3 + down * (height + 0.35)), dpi=150, layout="constrained")
        grid = made.subplots(down, across, squeeze=False, sharey=True, sharex=not legend)
        for axes, (heading, members) in zip(grid.flat, panels, strict=False):
            axes.grid(color="#E4E4E4", linewidth=0.8)
            axes.set_axisbelow(True)
            draw(axes, members, names)
            axes.set_title(heading, fontsize=10, loc="left")
        for place, unused in enumerate(grid.flat[len(panels) :], len(panels)):
            unused.remove()
            grid.flat[place - across].tick_params(labelbottom=True)  # nothing below it has the labels
        made.supxlabel(f"{labels.x}\n{labels.note}", fontsize=9)
        if labels.y:
            made.supylabel(labels.y, fontsize=9)
        if legend:
            _legend(made, names, labels.title, width)
        else:
            made.suptitle(labels.title, fontsize=13, fontweight="bold", x=0.006, ha="left")
        return made


def _legend(made: Figure, names: Sequence[str], title: str, width: float) -> None:
    from matplotlib.lines import Line2D

    handles = []
    for place, name in enumerate(names):
        (colour, marker), marker_size = style(name, names), size(place, names)
        handles.append(Line2D([], [], color=colour, marker=marker, markersize=marker_size, linewidth=1.4, label=name))
    made.legend(
        handles=handles, title=title, title_fontproperties={"size": 13, "weight": "bold"}, loc="outside upper left",
        alignment="left", ncols=max(1, min(len(handles), int(width / 1.25))), frameon=False, borderpad=0,
    )  # fmt: skip


def png(figure: Figure) -> bytes:
    """Render without a display: a Figure made without pyplot draws with Agg."""
    image = io.BytesIO()
    figure.savefig(image, format="png")
    return image.getvalue()
