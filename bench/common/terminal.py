"""What shows a benchmark in the terminal: a progress bar, and the rows of a cell as they are made."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID
    from rich.table import Table

PLAIN_WIDTH = 160  # of lines that go to a file or a pipe

R = TypeVar("R")
Shown = TypeVar("Shown", contravariant=True)


class Display(Protocol[Shown]):
    """What shows a benchmark while it runs."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...

    def begin(self, total: int, kept: int) -> None:
        """Announce the number of rows, and of those that an earlier run left."""

    def working(self, text: str) -> None:
        """Announce what is measured next."""

    def made(self, cell: Sequence[Shown], kept: bool) -> None:
        """Show the rows so far of a cell, of which the last is new, or kept from an earlier run."""

    def cell(self, rows: Sequence[Shown]) -> None:
        """Show a whole cell."""

    def end(self, rows: Sequence[Shown]) -> None:
        """Show the sum."""


class Silent:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Do nothing."""

    def begin(self, total: int, kept: int) -> None:
        """Do nothing."""

    def working(self, text: str) -> None:
        """Do nothing."""

    def made(self, cell: Sequence[Any], kept: bool) -> None:
        """Do nothing."""

    def cell(self, rows: Sequence[Any]) -> None:
        """Do nothing."""

    def end(self, rows: Sequence[Any]) -> None:
        """Do nothing."""


class LiveTerminal(Generic[R]):
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

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def table(self, cell: Sequence[R], header: bool) -> Table:
        """Return the rows of a cell as a table."""
        raise NotImplementedError

    def begin(self, total: int, kept: int) -> None:
        """Announce the number of rows, and of those that an earlier run left."""
        self._bar.update(self._task, total=total)
        if kept:
            self.console.print(f"{kept} of {total} rows are taken from an earlier run.", highlight=False)
        self.show([])

    def working(self, text: str) -> None:
        """Announce what is measured next."""
        self._bar.update(self._task, description=text)

    def made(self, cell: Sequence[R], kept: bool) -> None:
        """Show the rows so far of a cell, of which the last is new, or kept from an earlier run."""
        self._bar.advance(self._task)
        if not kept:
            self.show(cell)

    def stop(self) -> None:
        """Take the progress bar away."""
        if self._live.is_started:
            self._live.update("", refresh=True)
            self._live.stop()

    def show(self, cell: Sequence[R]) -> None:
        """Show the rows of a cell that is not done above the progress bar."""
        if self._live.is_started:
            from rich.console import Group

            parts = [self.table(cell, False)] if cell else []
            self._live.update(Group(*parts, self._bar), refresh=True)


def console(stderr: bool = False) -> Console:
    """Return a console that does not break lines short where they go to a file or a pipe."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    made = Console(file=stream, soft_wrap=False)
    return made if made.is_terminal else Console(file=stream, width=PLAIN_WIDTH)


def progress_bar(before: Sequence[str], after: Sequence[str]) -> Progress:
    """Return a progress bar on standard error, with the time taken and left, for hours of work.

    Parameters
    ----------
    before, after
        Texts before and behind the bar, with fields of a task such as ``"{task.description}"``.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        *map(TextColumn, before), BarColumn(), MofNCompleteColumn(), *map(TextColumn, after), TimeElapsedColumn(),
        TextColumn("left"), TimeRemainingColumn(), console=Console(stderr=True), speed_estimate_period=600,
    )  # fmt: skip


def fixed_table(
    columns: Sequence[tuple[str, int]],
    rows: Sequence[Sequence[str]],
    styles: Sequence[str],
    header: bool,
    width: int,
    left_out: Sequence[str],
    left: Sequence[str],
    bold: Sequence[str] = (),
) -> Table:
    """Return a table of fixed columns, so that the tables of several cells form one.

    Parameters
    ----------
    columns
        Titles and widths.
    rows, styles
        Words of each row in the order of the columns, the first of which is shown once; styles of the rows.
    header
        Whether to show the titles.
    width
        Of the terminal.
    left_out
        Titles of columns to leave out, in this order, where the terminal is too narrow.
    left, bold
        Titles of columns to set flush left, and in bold.
    """
    from rich.table import Table

    shown = list(columns)
    for title in left_out:
        if sum(room + 1 for _, room in shown) > width:
            shown = [column for column in shown if column[0] != title]
    places = [columns.index(column) for column in shown]
    table = Table(box=None, show_header=header, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    for title, room in shown:
        style = "cyan" if title == columns[0][0] else "bold" if title in bold else ""
        table.add_column(title, width=room, justify="left" if title in left else "right", no_wrap=True, style=style)
    for i, (words, style) in enumerate(zip(rows, styles, strict=True)):
        words = words if i == 0 else ["", *words[1:]]
        table.add_row(*(words[place] for place in places), style=style)
    return table


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
