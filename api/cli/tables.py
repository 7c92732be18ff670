"""Tables of the commands: rows under titles, and facts by name, without frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from robatch.solvers.cheapest.curve import CurvePoint

LEFT = ("model", "task", "provider", "source")
"""Titles of columns whose texts begin at the left; numbers end at the right."""


def show_table(titles: Sequence[str], rows: Iterable[Sequence[Any]], no_wrap: bool = False) -> None:
    """Print rows under their titles; numbers to four digits, None as nothing."""
    from rich.table import Table

    from robatch.instances.display import terminal

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, justify="left" if title in LEFT else "right", no_wrap=no_wrap)
    for row in rows:
        table.add_row(*map(shown, row))
    terminal.console().print(table, highlight=False, markup=False)


def show_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Print names in bold with what is to be said of each."""
    from rich.table import Table

    from robatch.instances.display import terminal

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    for name, text in facts:
        table.add_row(name, text)
    terminal.console().print(table, highlight=False, markup=False)


def shown(value: Any) -> str:
    """Return a value as a table shows it."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def with_interval(predicted: Mapping[str, float | None], digits: str = ".6g") -> str:
    """Return a plan's predicted utility, with its 90 % interval where that is known."""
    utility, low, high = (predicted.get(name) for name in ("utility", "low", "high"))
    interval = "" if low is None or high is None else f" (90 %: {low:.6g} to {high:.6g})"
    return "" if utility is None else f"{utility:{digits}}{interval}"


def show_curve(points: Sequence[CurvePoint]) -> None:
    """Print the least cost of each share of the best model's utility."""
    if not points:
        return
    click.echo()
    rows = [
        (
            f"{100 * point.of_best:g} %",
            point.cost,
            None if point.mean is None else f"{point.mean:.3f}",
            ", ".join(f"{name} {count:,}" for name, count in point.models.items()),
        )
        for point in points
    ]
    show_table(("of the best", "USD", "mean utility", "queries by model"), rows)
    click.echo()
