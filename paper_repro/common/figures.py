"""Figures as PNG, the same bytes for the same figure, without a display."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from paper_repro.common.csv_tables import Table, distinct, where
from robatch.instances.files import replacing

MARKS = (("#0072B2", "o"), ("#E69F00", "s"), ("#009E73", "^"), ("#CC79A7", "D"))
"""Colour and marker of each model."""

PANEL_WIDTH, PANEL_HEIGHT = 4.2, 3.4  # inches
MAX_COLUMNS = 3
MAX_LABELLED_TICKS, MAX_LABELLED_TICK = 7, 1000  # a logarithmic axis with few and small values labels each of them


@dataclass(frozen=True)
class Axis:
    """A column of a table to draw, what its axis is labelled with, and whether it is logarithmic."""

    column: str
    label: str
    log: bool = False


def new_figure(rows: int, columns: int, size: tuple[float, float], **options: Any) -> tuple[Figure, Any]:
    """Return a figure of so many inches, and its axes."""
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, **options)


def save(figure: Figure, path: Path) -> None:
    """Write a figure."""
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png", metadata={"Software": None})


def panels(
    table: Table,
    path: Path,
    x: Axis,
    y: Axis,
    *,
    by: str,
    line: str,
    lines: tuple[str, ...] | None = None,
    band: tuple[str, str] | None = None,
) -> None:
    """Draw lines of `y` over `x`, a panel for each value of the column `by`, a line for each of the column `line`.

    `lines` are those to draw, by default all; `band` names two columns between which to shade.
    """
    names = distinct(table, by)
    drawn = [name for name in distinct(table, line) if lines is None or name in lines]
    columns = min(MAX_COLUMNS, len(names))
    height = -(-len(names) // columns)
    figure = Figure(figsize=(PANEL_WIDTH * columns, PANEL_HEIGHT * height + 0.9), layout="constrained")
    handles: dict[str, Any] = {}
    for place, name in enumerate(names):
        axes, here = figure.add_subplot(height, columns, place + 1), where(table, **{by: name})
        for number, which in enumerate(drawn):
            rows = [row for row in where(here, **{line: which}) if row[y.column] is not None]
            if not rows:
                continue
            rows.sort(key=lambda row: row[x.column])
            xs, ys = [row[x.column] for row in rows], [row[y.column] for row in rows]
            color, style = f"C{number % 10}", "-" if number < 10 else "--"
            (handles[str(which)],) = axes.plot(xs, ys, marker="o", markersize=3, color=color, linestyle=style)
            if band is not None:
                low, high = ([row[column] for row in rows] for column in band)
                axes.fill_between(xs, low, high, color=color, alpha=0.15, linewidth=0)
        axes.set(title=str(name), xlabel=x.label, ylabel=y.label if place % columns == 0 else "")
        if x.log:
            _log_x(axes, sorted({row[x.column] for row in here}))
        if y.log:
            axes.set_yscale("log")
        axes.grid(alpha=0.3)
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=min(5, len(handles)))
    save(figure, path)


def _log_x(axes: Any, values: list[float]) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_minor_formatter(NullFormatter())
    if len(values) <= MAX_LABELLED_TICKS and values[-1] < MAX_LABELLED_TICK:  # batch sizes
        axes.set_xticks(values, [f"{value:g}" for value in values])
        axes.xaxis.set_minor_locator(NullLocator())
