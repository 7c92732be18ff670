"""Tables of words and figures: in the terminal, as Markdown, and on the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class Sheet:
    """A table of words and figures.

    Attributes
    ----------
    title, note
        What it shows and how to read it.
    columns, lines
        Titles, and a list of texts a line.
    words
        How many of the first columns hold words.
    """

    title: str
    note: str
    columns: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    words: int = 1

    def markdown(self) -> str:
        """Return the table as Markdown."""
        rule = ["---"] * self.words + ["---:"] * (len(self.columns) - self.words)
        lines = [self.columns, rule, *([cell.replace("|", "\\|") for cell in line] for line in self.lines)]
        return "".join("| " + " | ".join(line) + " |\n" for line in lines)

    def table(self) -> Table:
        """Return the table for the terminal."""
        from rich.table import Table

        table = Table(box=None, title=self.title, title_justify="left", header_style="bold", pad_edge=False)
        table.title_style = "bold"
        for place, title in enumerate(self.columns):
            justify = "left" if place < self.words else "right"
            table.add_column(title.replace(" ", "\n"), vertical="bottom", justify=justify, no_wrap=True)  # type: ignore[arg-type]
        for line in self.lines:
            table.add_row(*line)
        return table
