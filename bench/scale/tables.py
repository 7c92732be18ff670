"""The tables of the scaling benchmark: in the terminal while it runs, and as Markdown for documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from robatch.bench.common.rows import grouped
from robatch.bench.common.sheets import Sheet
from robatch.bench.common.terminal import Column, LiveTerminal, seconds_column, solver_column, status_column
from robatch.bench.scale.cells import Series
from robatch.bench.scale.rows import ScaleRow
from robatch.instances.display import wording

if TYPE_CHECKING:
    from rich.console import RenderableType

LEGEND = (
    "gap: to the least bound that any solver proved on the problem; 0 is a proof (to 1e-9). x pass: solver time over "
    "the time of one pass over the dense utilities. call: with evaluation and check. memory: peak beyond the input."
)

COLUMNS: tuple[Column[ScaleRow], ...] = (
    Column("queries", 10, lambda row: wording.count(row.queries)),
    solver_column(12),
    status_column(16),
    Column("gap", 10, lambda row: wording.gap(row.gap)),
    Column("own gap", 10, lambda row: wording.gap(row.own_gap), left_out=0),
    seconds_column(8),
    Column("x pass", 10, lambda row: wording.ratio(row.time_to_pass), bold=True),
    Column("call x pass", 11, lambda row: wording.ratio(row.wall_to_pass), left_out=1),
    Column("memory", 9, lambda row: wording.size(row.memory_bytes), left_out=2),
    Column("x input", 7, lambda row: wording.ratio(row.memory_to_input), left_out=3),
    Column("core", 8, lambda row: wording.count(row.core), left_out=5),
    Column("nodes", 10, lambda row: wording.count(row.nodes), left_out=4),
)


class ScaleTerminal(LiveTerminal[ScaleRow]):
    """Shows the rows of a scaling benchmark as they are made."""

    columns = COLUMNS

    def heading(self, row: ScaleRow) -> str:
        """Return the series."""
        return f"[bold]{row.series.title}[/bold]"

    def ending(self, rows: Sequence[ScaleRow]) -> Iterable[RenderableType]:
        """Return how to read the table."""
        return "", LEGEND


def markdown(rows: Sequence[ScaleRow]) -> str:
    """Return tables of each series: solvers down, sizes across."""
    return "\n".join(_series(series, members) for series, members in grouped(rows, lambda row: row.series).items())


def _series(series: Series, rows: Sequence[ScaleRow]) -> str:
    tables: list[tuple[str, Callable[[ScaleRow], str | None]]] = [
        ("time, times one pass", _time),
        ("gap", lambda row: None if row.gap is None else wording.gap(row.gap)),
        ("peak memory, times the input", _memory),
        ("queries in the core / nodes", _search),
    ]
    made = [sheet.markdown() for title, text in tables if (sheet := _pivot(title, rows, text)).lines]
    return "\n".join([f"## {series.title}", "", _pass_line(rows), "", *made, *_notes(rows)])


def _time(row: ScaleRow) -> str | None:
    mark = "†" if row.limit == "time" else ""
    return None if row.time_to_pass is None else wording.ratio(row.time_to_pass) + mark


def _search(row: ScaleRow) -> str | None:
    if row.core is None and row.nodes is None:
        return None
    return f"{wording.count(row.core)} / {wording.count(row.nodes)}"


def _memory(row: ScaleRow) -> str | None:
    return None if row.memory_to_input is None else wording.ratio(row.memory_to_input)


def _pivot(title: str, rows: Sequence[ScaleRow], text: Callable[[ScaleRow], str | None]) -> Sheet:
    """Return a figure of each row, solvers down and sizes across; no line for a solver that has none."""
    found = {(row.solver, row.queries): text(row) for row in rows}
    sizes = list(dict.fromkeys(row.queries for row in rows))
    lines = []
    for name in dict.fromkeys(row.solver for row in rows):
        figures = [found.get((name, size)) for size in sizes]
        if any(figures):
            lines.append((f"`{name}`", *(figure or wording.NONE for figure in figures)))
    return Sheet(title, "", (title, *(f"{size:,}" for size in sizes)), tuple(lines))


def _pass_line(rows: Sequence[ScaleRow]) -> str:
    """Say how long a pass took at each size."""
    parts = []
    for size in dict.fromkeys(row.queries for row in rows):
        mine = sorted(row.pass_s for row in rows if row.queries == size and row.pass_s is not None)
        scaled = any(row.pass_scaled for row in rows if row.queries == size)
        if mine:
            text = wording.seconds(mine[len(mine) // 2])
            parts.append(f"{text} ({size:,} queries{', scaled from fewer' if scaled else ''})")
    return "One pass: " + (", ".join(parts) or "not measured") + "."


def _notes(rows: Sequence[ScaleRow]) -> list[str]:
    """Say what was not run, and what failed: each solver and reason once."""
    first: dict[tuple[str, str], ScaleRow] = {}
    for row in rows:
        if row.status in ("error", "skipped"):
            first.setdefault((row.solver, row.status), row)
    lines = []
    for (solver, status), row in first.items():
        what = "failed at" if status == "error" else "not run from"
        line = f"- `{solver}` {what} {row.queries:,} queries{'' if status == 'error' else ' on'}: {row.message}"
        lines.append(line.replace("|", "\\|"))
    return [*lines, ""] if lines else []
