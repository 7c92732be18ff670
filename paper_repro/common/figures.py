"""The figures of the experiments: panels of lines, drawn from their tables."""

from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from paper_repro.common.csv_tables import Table
from robatch.instances.files import replacing

WIDTH, HEIGHT = 4.2, 3.4  # of a panel, inches
COLUMNS = 3
FEW_TICKS, MANY = 7, 1000  # so many values, and below this, are all labelled


def panels(
    table: Table,
    path: Path,
    *,
    by: str,
    line: str,
    x: str,
    y: str,
    lines: tuple[str, ...] | None = None,
    labels: tuple[str, str],
    log: bool = False,
    log_y: bool = False,
    band: tuple[str, str] | None = None,
) -> None:
    """Draw lines of `y` over `x`, a panel for each value of the column `by`, a line for each of the column `line`.

    `lines` are those to draw, by default all; `band` names two columns between which to shade.
    """
    names = list(dict.fromkeys(row[by] for row in table))
    drawn = [name for name in dict.fromkeys(row[line] for row in table) if lines is None or name in lines]
    columns = min(COLUMNS, len(names))
    height = -(-len(names) // columns)
    figure = Figure(figsize=(WIDTH * columns, HEIGHT * height + 0.9), layout="constrained")
    FigureCanvasAgg(figure)
    handles: dict[str, object] = {}
    for place, name in enumerate(names):
        axes = figure.add_subplot(height, columns, place + 1)
        for number, which in enumerate(drawn):
            rows = [row for row in table if row[by] == name and row[line] == which and row[y] is not None]
            if not rows:
                continue
            color, style = f"C{number % 10}", "-" if number < 10 else "--"
            rows.sort(key=lambda row: row[x])
            xs, ys = [row[x] for row in rows], [row[y] for row in rows]
            (handles[str(which)],) = axes.plot(xs, ys, marker="o", markersize=3, color=color, linestyle=style)
            if band is not None:
                low, high = ([row[column] for row in rows] for column in band)
                axes.fill_between(xs, low, high, color=color, alpha=0.15, linewidth=0)
        axes.set(title=str(name), xlabel=labels[0], ylabel=labels[1] if place % columns == 0 else "")
        if log:
            axes.set_xscale("log")
            axes.xaxis.set_minor_formatter(NullFormatter())
            ticks = sorted({row[x] for row in table if row[by] == name})
            if len(ticks) <= FEW_TICKS and ticks[-1] < MANY:  # batch sizes
                axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
                axes.xaxis.set_minor_locator(NullLocator())
        if log_y:
            axes.set_yscale("log")
        axes.grid(alpha=0.3)
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=min(5, len(handles)))
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110, metadata={"Software": None})
