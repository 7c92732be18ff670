"""What the plots of the benchmarks share: a line a solver, a panel a group of rows. matplotlib is imported late."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

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

WITHOUT_FACE = "x+12"  # markers that cannot be hollow

LEAST = 1e-6  # percent: what is drawn at the foot of the logarithmic axis, "0"


R = TypeVar("R")


def style(solver: str, solvers: Sequence[str]) -> tuple[str, str]:
    """Return colour and marker of a solver: the same in every plot."""
    if solver in _STYLES:
        return _STYLES[solver]
    others = [name for name in solvers if name not in _STYLES]
    return _OTHERS[others.index(solver) % len(_OTHERS)]


def size(place: int, solvers: Sequence[str]) -> float:
    """Return a marker size that falls from solver to solver, so that none hides an earlier one."""
    return 9 - 5 * place / max(len(solvers) - 1, 1)


def gap_foot(gaps: Iterable[float | None]) -> float:
    """Return the power of ten, in percent, below which gaps are drawn towards zero."""
    shown = [gap for gap in gaps if gap is not None and gap > PROVEN]
    return 10.0 ** math.floor(math.log10(max(100 * min(shown), LEAST))) if shown else 0.1


def gap_axis(axes: Axes, foot: float, top: int = 2) -> None:
    """Make the vertical axis logarithmic in percent, with "0" at its foot, up to a power of ten."""
    axes.set_yscale("symlog", linthresh=foot, linscale=0.6)
    axes.set_ylim(0, 10.0**top)
    powers = range(top, round(math.log10(foot)) - 1, -1 if foot > 1e-4 else -2)
    ticks = [0.0, *(10.0**power for power in powers)]
    axes.set_yticks(ticks, ["0", *(f"{tick:g}" for tick in ticks[1:])])
    axes.minorticks_off()


def draw_line(
    axes: Axes, x: Sequence[float], y: Sequence[float], solver: str, solvers: Sequence[str], clip: bool = False
) -> None:
    """Draw a solver's line."""
    colour, marker = style(solver, solvers)
    (line,) = axes.plot(
        x, y, color=colour, marker=marker, markersize=size(solvers.index(solver), solvers), linewidth=1.4,
        clip_on=clip, zorder=3,
    )  # fmt: skip
    if not clip:
        line.set_in_layout(False)  # the layout would make room for what lies outside


def draw_hollow(axes: Axes, x: float, y: float, solver: str, solvers: Sequence[str], clip: bool = True) -> None:
    """Draw a point of a solver's line hollow, where its marker can be."""
    colour, marker = style(solver, solvers)
    if marker not in WITHOUT_FACE:
        axes.plot(
            x, y, color=colour, marker=marker, markersize=size(solvers.index(solver), solvers),
            markerfacecolor="white", clip_on=clip, zorder=4,
        )  # fmt: skip


def figure(
    panels: Sequence[tuple[str, Sequence[R]]],
    solvers: Sequence[str],
    draw: Callable[[Axes, Sequence[R], Sequence[str]], None],
    title: str,
    x_label: str,
    y_label: str,
    note: str,
    legend: bool = True,
    share_x: bool = False,
    across: int = 3,
) -> Figure:
    """Lay out a panel for each titled group of rows, at most `across` beside each other, and draw each."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    across = min(len(panels), across)
    down = math.ceil(len(panels) / across)
    height = 2.5 if legend else 0.9 + 0.27 * len(solvers)
    with rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        width = max(7.2, 3.5 * across)
        made = Figure(figsize=(width, 1.3 + down * (height + 0.35)), dpi=150, layout="constrained")
        grid = made.subplots(down, across, squeeze=False, sharey=True, sharex=share_x)
        for axes, (heading, members) in zip(grid.flat, panels, strict=False):
            axes.grid(color="#E4E4E4", linewidth=0.8)
            axes.set_axisbelow(True)
            draw(axes, members, solvers)
            axes.set_title(heading, fontsize=10, loc="left")
        for place, unused in enumerate(grid.flat[len(panels) :], len(panels)):
            unused.remove()
            grid.flat[place - across].tick_params(labelbottom=True)  # nothing below it has the labels
        made.supxlabel(f"{x_label}\n{note}", fontsize=9)
        if y_label:
            made.supylabel(y_label, fontsize=9)
        if legend:
            handles = []
            for place, solver in enumerate(solvers):
                colour, marker = style(solver, solvers)
                handles.append(
                    Line2D(
                        [], [], color=colour, marker=marker, markersize=size(place, solvers), linewidth=1.4,
                        label=solver,
                    )
                )  # fmt: skip
            made.legend(
                handles=handles,
                title=title,
                title_fontproperties={"size": 13, "weight": "bold"},
                loc="outside upper left",
                alignment="left",
                ncols=max(1, min(len(handles), int(width / 1.25))),
                frameon=False,
                borderpad=0,
            )
        else:
            made.suptitle(title, fontsize=13, fontweight="bold", x=0.006, ha="left")
        return made


def png(figure: Figure) -> bytes:
    """Render without a display: a Figure made without pyplot draws with Agg."""
    image = io.BytesIO()
    figure.savefig(image, format="png")
    return image.getvalue()
