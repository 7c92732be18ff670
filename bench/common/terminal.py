"""A benchmark in the terminal: a progress bar, and one table that grows by the rows of each cell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from robatch.bench.common.rows import BenchmarkRow
from robatch.instances.display import wording
from robatch.instances.display.terminal import PLAIN_WIDTH, console

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress, TaskID
    from rich.table import Table

R = TypeVar("R", bound=BenchmarkRow)
Shown = TypeVar("Shown", contravariant=True)

STYLES = {"error": "red", "skipped": "dim", "proven": "green", "": ""}
"""Styles of the terminal by the kind of a row."""


@dataclass(frozen=True)
class Column(Generic[Shown]):
    """A column of the table of rows.

    Attributes
    ----------
    title, width
        Title, and width in the terminal.
    text
        From a row to what the column shows of it.
    words
        Whether it holds words, which are set flush left.
    bold
        Whether it is set in bold.
    left_out
        Its turn to be left out where the terminal is too narrow; None to keep it always.
    """

    title: str
    width: int
    text: Callable[[Shown], str]
    words: bool = False
    bold: bool = False
    left_out: int | None = None


def solver_column(width: int) -> Column[BenchmarkRow]:
    """Return the column of who solved."""
    return Column("solver", width, lambda row: row.solver, words=True)


def status_column(width: int) -> Column[BenchmarkRow]:
    """Return the column of how it ended, with the limit that stopped the solver."""
    return Column("status", width, lambda row: row.status + (f" ({row.limit})" if row.limit else ""), words=True)


def seconds_column(width: int) -> Column[BenchmarkRow]:
    """Return the column of the median runtime."""
    return Column("time", width, lambda row: wording.seconds(row.runtime_s))


class LiveTerminal(Generic[R]):
    """Shows rows as they are made, with a progress bar; plain lines where there is no terminal.

    Parameters
    ----------
    stderr
        Whether to write to standard error instead of standard output.
    quiet
        Whether to show nothing.
    """

    columns: ClassVar[tuple[Column[Any], ...]]

    def __init__(self, stderr: bool = False, quiet: bool = False) -> None:
        from rich.live import Live

        self.console = console(stderr)
        self.console.quiet = quiet
        self._live = Live(console=self.console, transient=True, refresh_per_second=4)
        self._bar, self._task = _bar(self.console)
        self._heading = ""

    def heading(self, row: R) -> str:
        """Return the line above all cells that are like this row's, with rich's markup."""
        raise NotImplementedError

    def ending(self, rows: Sequence[R]) -> Iterable[RenderableType]:
        """Return what is shown below the table of all rows."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        if self.console.is_terminal and not self.console.quiet:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live.is_started:
            self._live.update("", refresh=True)
            self._live.stop()

    def begin(self, total: int, kept: int) -> None:
        """Announce the number of rows, and of those that an earlier run left."""
        self._bar.update(self._task, total=total)
        if kept:
            self.console.print(f"{kept} of {total} rows are taken from an earlier run.", highlight=False)
        self._show([])

    def working(self, text: str) -> None:
        """Announce what is measured next."""
        self._bar.update(self._task, description=text)

    def compiled(self, seconds: float) -> None:
        """Announce how long kernels were compiled before anything was timed."""
        text = f"Kernels were compiled or loaded in {wording.seconds(seconds)}, before anything was timed."
        self.console.print(text, style="dim", highlight=False)

    def made(self, cell: Sequence[R], kept: bool) -> None:
        """Show the rows so far of a cell, of which the last is new, or kept from an earlier run."""
        self._bar.advance(self._task)
        if not kept:
            self._show(cell)

    def cell(self, rows: Sequence[R]) -> None:
        """Show a whole cell."""
        self._show([])
        heading = self.heading(rows[0])
        new = heading != self._heading
        if new:
            self.console.print(f"\n{heading}", highlight=False)
        self.console.print(fixed_table(self.columns, rows, new, self.console.width), highlight=False)
        for row in rows:
            if row.kind in ("error", "skipped"):
                text = f"{' ' * (self.columns[0].width + 2)}{row.solver}: {row.message}"
                self.console.print(text, style=STYLES[row.kind], markup=False, highlight=False)
        self._heading = heading

    def end(self, rows: Sequence[R]) -> None:
        """Show what all rows say together."""
        self.__exit__()
        for part in self.ending(rows):
            self.console.print(part, style="dim" if isinstance(part, str) else None, markup=False, highlight=False)

    def _show(self, cell: Sequence[R]) -> None:
        """Show the rows of a cell that is not done above the progress bar."""
        if self._live.is_started:
            from rich.console import Group

            parts = [fixed_table(self.columns, cell, False, self.console.width)] if cell else []
            self._live.update(Group(*parts, self._bar), refresh=True)


def fixed_table(
    columns: Sequence[Column[R]], rows: Sequence[R], header: bool = True, width: int = PLAIN_WIDTH
) -> Table:
    """Return the rows of a cell as a table of fixed columns, so that the tables of several cells form one.

    Parameters
    ----------
    columns
        What is shown of each row. What the first column says is shown once.
    rows
        The rows.
    header
        Whether to show the titles.
    width
        Characters of a line of the terminal.
    """
    from rich.table import Table

    shown = list(columns)
    for column in sorted((each for each in columns if each.left_out is not None), key=lambda each: each.left_out or 0):
        if sum(each.width + 1 for each in shown) > width:
            shown.remove(column)
    table = Table(box=None, show_header=header, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    for column in shown:
        style = "cyan" if column is columns[0] else "bold" if column.bold else ""
        justify = "left" if column.words else "right"
        table.add_column(column.title, width=column.width, justify=justify, no_wrap=True, style=style)  # type: ignore[arg-type]
    for i, row in enumerate(rows):
        words = [column.text(row) for column in shown]
        table.add_row(*(words if i == 0 else ["", *words[1:]]), style=STYLES[row.kind])
    return table


def _bar(console: Console) -> tuple[Progress, TaskID]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    text = TextColumn("{task.description}")
    bar = Progress(BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn(), text, console=console)
    return bar, bar.add_task("", total=None)
