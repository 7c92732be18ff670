"""The tables of the scaling benchmark: in the terminal while it runs, and as Markdown for documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

from robatch.bench.scale.cells import Series
from robatch.bench.scale.rows import ScaleRow
from robatch.instances.display import wording
from robatch.instances.display.terminal import PLAIN_WIDTH, LiveTerminal, fixed_table

if TYPE_CHECKING:
    from rich.table import Table

T = TypeVar("T")

COLUMNS = (  # title, width
    ("queries", 10),
    ("solver", 12),
    ("status", 16),
    ("gap", 10),
    ("own gap", 10),
    ("time", 8),
    ("x pass", 10),
    ("call x pass", 11),
    ("memory", 9),
    ("x input", 7),
    ("core", 8),
    ("nodes", 10),
)
LEFT_OUT = ("own gap", "call x pass", "memory", "x input", "nodes", "core")  # in this order, where there is no room

LEGEND = (
    "gap: to the least bound that any solver proved on the problem; 0 is a proof (to 1e-9). x pass: solver time over "
    "the time of one pass over the dense utilities. call: with evaluation and check. memory: peak beyond the input."
)


class ScaleTerminal(LiveTerminal[ScaleRow]):
    """Shows the rows of a scaling benchmark as they are made; plain lines where there is no terminal.

    Parameters
    ----------
    stderr
        Whether to write to standard error instead of standard output.
    """

    def __init__(self, stderr: bool = False) -> None:
        super().__init__(stderr)
        self._last: Series | None = None

    def table(self, cell: Sequence[ScaleRow], header: bool) -> Table:
        """Return the rows of a cell as a table."""
        return cell_table(cell, header, self.console.width)

    def cell(self, rows: Sequence[ScaleRow]) -> None:
        """Show a whole cell."""
        self.show([])
        series = rows[0].series
        if series != self._last:
            self.console.print(f"\n[bold]{series.title}[/bold]", highlight=False)
        self.console.print(self.table(rows, series != self._last), highlight=False)
        for row in rows:
            if row.status in ("error", "skipped"):
                style = "red" if row.status == "error" else "dim"
                self.console.print(
                    f"           {row.solver}: {row.message}", style=style, markup=False, highlight=False
                )
        self._last = series

    def end(self, rows: Sequence[ScaleRow]) -> None:
        """Say how to read the table."""
        self.stop()
        self.console.print()
        self.console.print(LEGEND, style="dim", highlight=False)


def cell_table(rows: Sequence[ScaleRow], header: bool = True, width: int = PLAIN_WIDTH) -> Table:
    """Return a cell's rows as a table of fixed columns, so that the tables of several cells form one."""
    return fixed_table(
        COLUMNS, [cells(row) for row in rows], [_style(row) for row in rows], header, width,
        left_out=LEFT_OUT, left=("solver", "status"), bold=("x pass",),
    )  # fmt: skip


def cells(row: ScaleRow) -> list[str]:
    """Return the words and figures of a row, in the order of the table's columns."""
    return [
        wording.count(row.queries),
        row.solver,
        row.status + (f" ({row.limit})" if row.limit else ""),
        wording.gap(row.gap),
        wording.gap(row.own_gap),
        wording.seconds(row.runtime_s),
        wording.ratio(row.time_to_pass),
        wording.ratio(row.wall_to_pass),
        wording.size(row.memory_bytes),
        wording.ratio(row.memory_to_input),
        wording.count(row.core),
        wording.count(row.nodes),
    ]


def _style(row: ScaleRow) -> str:
    if row.status in ("error", "skipped"):
        return "red" if row.status == "error" else "dim"
    return "green" if row.proven else ""


def markdown(rows: Sequence[ScaleRow]) -> str:
    """Return tables of each series: solvers down, sizes across."""
    groups: dict[Series, list[ScaleRow]] = {}
    for row in rows:
        groups.setdefault(row.series, []).append(row)
    return "\n".join(_series(series, members) for series, members in groups.items())


def _series(series: Series, rows: Sequence[ScaleRow]) -> str:
    tables: list[tuple[str, Callable[[ScaleRow], str | None]]] = [
        ("time, times one pass", _time),
        ("gap", lambda row: None if row.gap is None else wording.gap(row.gap)),
        ("peak memory, times the input", lambda row: _some(row.memory_to_input, wording.ratio)),
        ("queries in the core / nodes", _search),
    ]
    made = [_pivot(title, rows, text) for title, text in tables]
    return "\n".join(
        [f"## {series.title}", "", _pass_line(rows), "", *(table for table in made if table), *_notes(rows)]
    )


def _time(row: ScaleRow) -> str | None:
    mark = "†" if row.limit == "time" else ""
    return None if row.time_to_pass is None else wording.ratio(row.time_to_pass) + mark


def _search(row: ScaleRow) -> str | None:
    if row.core is None and row.nodes is None:
        return None
    return f"{wording.count(row.core)} / {wording.count(row.nodes)}"


def _some(value: float | None, text: Callable[[float], str]) -> str | None:
    return None if value is None else text(value)


def _pivot(title: str, rows: Sequence[ScaleRow], text: Callable[[ScaleRow], str | None]) -> str:
    """Return a figure of each row, solvers down and sizes across; nothing where there is none."""
    found = {(row.solver, row.queries): text(row) for row in rows}
    solvers = [name for name in _each(row.solver for row in rows) if any(found[key] for key in found if key[0] == name)]
    sizes = _each(row.queries for row in rows)
    if not solvers:
        return ""
    lines = [[title, *(f"{size:,}" for size in sizes)], ["---", *["---:"] * len(sizes)]]
    for name in solvers:
        lines.append([f"`{name}`", *(found.get((name, size)) or wording.NONE for size in sizes)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _pass_line(rows: Sequence[ScaleRow]) -> str:
    """Say how long a pass took at each size."""
    parts = []
    for size in _each(row.queries for row in rows):
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


def _each(values: Iterable[T]) -> list[T]:
    return list(dict.fromkeys(values))
