"""The table in the terminal: cell by cell while the benchmark runs, the sum at its end."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self

from robatch.bench import wording
from robatch.bench.rows import PROVEN, Row, summary

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID
    from rich.table import Table

PLAIN_WIDTH = 160  # of lines that go to a file or a pipe
COLUMNS = (  # title, width
    ("budget", 6),
    ("solver", 12),
    ("status", 18),
    ("utility", 9),
    ("bound", 9),
    ("gap", 9),
    ("own gap", 9),
    ("USD", 10),
    ("billed USD", 11),
    ("time", 8),
    ("x greedy", 8),
)
LEFT_OUT = ("own gap", "bound", "USD", "billed USD")  # in this order, where the terminal is too narrow


class Display(Protocol):
    """What shows a benchmark while it runs."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...

    def begin(self, total: int, kept: int) -> None:
        """Announce the number of rows, and of those that an earlier run left."""

    def working(self, instance: str, cost: str, fraction: float, solver: str) -> None:
        """Announce what is measured next."""

    def made(self, cell: Sequence[Row], kept: bool) -> None:
        """Show the rows so far of a cell, of which the last is new, or kept from an earlier run."""

    def cell(self, rows: Sequence[Row]) -> None:
        """Show a whole cell."""

    def end(self, rows: Sequence[Row]) -> None:
        """Show the sum."""


class Silent:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Do nothing."""

    def begin(self, total: int, kept: int) -> None:
        """Do nothing."""

    def working(self, instance: str, cost: str, fraction: float, solver: str) -> None:
        """Do nothing."""

    def made(self, cell: Sequence[Row], kept: bool) -> None:
        """Do nothing."""

    def cell(self, rows: Sequence[Row]) -> None:
        """Do nothing."""

    def end(self, rows: Sequence[Row]) -> None:
        """Do nothing."""


class Terminal:
    """Shows rows as they are made, with a progress bar; plain lines where there is no terminal.

    Parameters
    ----------
    stderr
        Whether to write to standard error instead of standard output.
    """

    def __init__(self, stderr: bool = False) -> None:
        from rich.live import Live

        self.console = console(stderr)
        self._live = Live(console=self.console, transient=True, refresh_per_second=4)
        self._bar, self._task = _bar(self.console)
        self._last = ("", "")
        self._kept = 0

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop()

    def begin(self, total: int, kept: int) -> None:
        """Announce the number of rows, and of those that an earlier run left."""
        self._bar.update(self._task, total=total)
        self._kept = kept
        if kept:
            self.console.print(f"{kept} of {total} rows are taken from an earlier run.", highlight=False)
        self._show([])

    def working(self, instance: str, cost: str, fraction: float, solver: str) -> None:
        """Announce what is measured next."""
        text = f"{instance} · {cost} · {wording.fraction(fraction)} · {solver}"
        self._bar.update(self._task, description=text)

    def made(self, cell: Sequence[Row], kept: bool) -> None:
        """Show the rows so far of a cell, of which the last is new, or kept from an earlier run."""
        self._bar.advance(self._task)
        if not kept:
            self._show(cell)

    def cell(self, rows: Sequence[Row]) -> None:
        """Show a whole cell."""
        self._show([])
        first = rows[0]
        head = (first.instance, first.cost)
        if head != self._last:
            sizes = f"{first.queries:,} queries, {first.models} models, {first.states} states"
            self.console.print(f"\n[bold]{first.instance}[/bold] · {first.cost} cost · {sizes}", highlight=False)
        self.console.print(cell_table(rows, head != self._last, self.console.width), highlight=False)
        for row in rows:
            if row.status == "error":
                self.console.print(f"        {row.solver}: {row.message}", style="red", markup=False, highlight=False)
        self._last = head

    def end(self, rows: Sequence[Row]) -> None:
        """Show the sum."""
        self._stop()
        self.console.print()
        self.console.print(summary_table(rows), highlight=False)
        self.console.print(
            "gap: to the least bound that any solver proved in the cell; 0 is a proof (to 1e-9). "
            "own gap: to the bound that the solver itself proved. * bills more than its budget.",
            style="dim",
            highlight=False,
        )

    def _stop(self) -> None:
        if self._live.is_started:
            self._live.update("", refresh=True)
            self._live.stop()

    def _show(self, cell: Sequence[Row]) -> None:
        if self._live.is_started:
            from rich.console import Group

            parts = [cell_table(cell, False, self.console.width)] if cell else []
            self._live.update(Group(*parts, self._bar), refresh=True)


def console(stderr: bool = False) -> Console:
    """Return a console that does not break lines short where they go to a file or a pipe."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    made = Console(file=stream, soft_wrap=False)
    return made if made.is_terminal else Console(file=stream, width=PLAIN_WIDTH)


def cell_table(rows: Sequence[Row], header: bool = True, width: int = PLAIN_WIDTH) -> Table:
    """Return a cell's rows as a table of fixed columns, so that the tables of several cells form one."""
    from rich.table import Table

    shown = list(COLUMNS)
    for title in LEFT_OUT:
        if sum(room + 1 for _, room in shown) > width:
            shown = [column for column in shown if column[0] != title]
    places = [COLUMNS.index(column) for column in shown]
    table = Table(box=None, show_header=header, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    for title, room in shown:
        left = title in ("solver", "status")
        style = {"budget": "cyan", "gap": "bold"}.get(title, "")
        table.add_column(title, width=room, justify="left" if left else "right", no_wrap=True, style=style)
    for i, row in enumerate(rows):
        words = cells(row) if i == 0 else ["", *cells(row)[1:]]
        table.add_row(*(words[place] for place in places), style=_row_style(row))
    return table


def cells(row: Row) -> list[str]:
    """Return the words and figures of a row, in the order of the table's columns."""
    return [
        wording.fraction(row.budget_fraction),
        row.solver,
        row.status + (f" ({row.limit})" if row.limit else ""),
        wording.utility(row.utility),
        wording.utility(row.bound),
        wording.gap(row.gap),
        wording.gap(row.own_gap),
        wording.usd(row.amortized_cost),
        wording.usd(row.realized_cost) + ("*" if row.over_budget else " "),
        wording.seconds(row.runtime_s),
        wording.ratio(row.time_to_greedy),
    ]


def summary_cells(record: dict[str, Any]) -> list[str]:
    """Return the words and figures of a solver's sum."""
    return [
        record["cost"],
        record["solver"],
        f"{record['plans']} of {record['cells']}",
        str(record["proven"]),
        wording.gap(record["mean_gap"]),
        wording.gap(record["worst_gap"]),
        wording.seconds(record["median_runtime_s"]),
        wording.ratio(record["median_time_to_greedy"]),
        str(record["errors"] or ""),
    ]


SUMMARY_COLUMNS = (
    "cost", "solver", "plans", "proven best", "mean gap", "worst gap", "median time", "x greedy", "errors",
)  # fmt: skip


def summary_table(rows: Sequence[Row]) -> Table:
    """Return the sum of each solver as a table."""
    from rich.table import Table

    table = Table(box=None, title="All cells", title_justify="left", header_style="bold", pad_edge=False)
    table.title_style = "bold"
    for title in SUMMARY_COLUMNS:
        table.add_column(title, justify="left" if title in ("cost", "solver") else "right", no_wrap=True)
    for record in summary(rows):
        table.add_row(*summary_cells(record))
    return table


def _row_style(row: Row) -> str:
    if row.status == "error":
        return "red"
    return "green" if row.gap is not None and row.gap <= PROVEN else ""


def _bar(console: Console) -> tuple[Progress, TaskID]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    bar = Progress(
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
        console=console,
    )
    return bar, bar.add_task("", total=None)
