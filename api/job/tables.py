"""What routing is worth, as tables: the break-even with single states, and the least cost of shares of the best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from robatch.cli.tables import show_table

if TYPE_CHECKING:
    from robatch.solvers.cheapest.curve import CurvePoint, SingleState


def show_break_even(cost: float, utility: float, queries: int, states: Sequence[SingleState]) -> None:
    """Say what the same queries would cost in a single state: the best one, and the cheapest that is no worse."""
    for line in break_even(cost, utility / queries, states):
        click.echo(line)


def break_even(cost: float, mean: float, states: Sequence[SingleState]) -> list[str]:
    """Return sentences that compare a plan of a cost and a mean utility with all queries in one state."""
    from robatch.solvers.cheapest.curve import best_single

    best = best_single(states)
    if best is None:
        return []
    lines = [
        f"break-even: all queries to {best.model} at batch size {best.batch_size} cost {best.cost:.4g} USD, with a "
        f"predicted mean utility of {best.mean:.3f}; this plan costs {cost:.4g} USD, with {mean:.3f}"
    ]
    as_good = [one for one in states if one.mean >= mean and one.cost <= cost]
    if as_good:
        one = min(as_good, key=lambda one: one.cost)
        lines.append(
            f"Routing does not pay here: all queries to {one.model} at batch size {one.batch_size} cost {one.cost:.4g} "
            f"USD and are predicted to be worth {one.mean:.3f}."
        )
    return lines


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
