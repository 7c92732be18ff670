"""``robatch frontier``."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from robatch.cli import support
from robatch.instances.errors import InputError
from robatch.instances.scalars import whole

if TYPE_CHECKING:
    from robatch.instances.problem import Problem
    from robatch.solvers.analysis.frontier import Frontier

Rows = list[dict[str, float | None]]


@click.command(short_help="The best utility at every budget at once.")
@click.argument("problem")
@click.option("--resolution", type=float, help="Greatest relative error in utility; 0 keeps every breakpoint.")
@click.option("--points", type=int, default=101, show_default=True, help="Budgets to write, evenly spread.")
@click.option("--budgets", type=support.NUMBERS, help="Budgets to write instead, in USD, such as 0.1,0.25.")
@click.option("--exact", is_flag=True, help="Add the proven optimum at each budget (amortized cost).")
@support.time_limit_option("Seconds for each optimum.")
@support.threads_option()
@support.output_option("CSV file to write.")
@click.option("--plot", type=support.FILE, help="PNG file to draw the curve to.")
@support.json_option
def frontier(  # wide: one parameter per option
    problem: str,
    resolution: float | None,
    points: int,
    budgets: tuple[float, ...] | None,
    exact: bool,
    time_limit: float | None,
    threads: int | None,
    output: Path | None,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Write utility and shadow price against the budget for PROBLEM: a file, or the bundled `measured`.

    Utilities are those of the linear relaxation: an upper bound that the best plan nearly reaches.

    \b
    robatch frontier problem.parquet -o frontier.csv --plot frontier.png
    robatch frontier measured --budgets 0.001,0.002 --exact
    """
    from robatch.instances.files import replacing, write_text
    from robatch.solvers.analysis.frontier import frontier as compute

    support.check_file(output)
    support.check_file(plot)
    if output is not None and output == plot:
        raise InputError(f"output and plot are both {str(output)!r}: two files are needed")
    if time_limit is not None and not exact:
        raise InputError(f"time-limit is {time_limit}: it is for the optima, which --exact adds")
    points = whole("points", points, 2, most=1_000_000)
    task = support.read_problem(problem)
    curve = compute(task, resolution, threads)
    if budgets is not None and not len(budgets):
        raise InputError("budgets is empty: at least one number is needed")
    ends = task.cheapest_budget, task.dearest_budget  # to the last digit
    at = np.array(budgets) if budgets is not None else np.linspace(*ends, points)
    if not ((at >= curve.budgets[0] * (1 - 1e-12)) & np.isfinite(at)).all():
        raise InputError(
            f"budgets is {budgets}: finite numbers from {curve.budgets[0]:.9g} USD, "
            "which the cheapest plan costs, are needed"
        )
    rows = _rows(task, curve, at, exact, time_limit, threads)
    if output is not None:
        write_text(output, _csv(rows))
    if plot is not None:
        from robatch.bench.common.frontier_plot import frontier_plot

        with replacing(plot) as temporary:
            temporary.write_bytes(frontier_plot(curve, rows if exact else None))
    if as_json:
        support.print_json({"breakpoints": len(curve.budgets), "error": curve.error, "rows": rows})
        return
    if output is None:
        click.echo(_csv(rows), nl=False)
    click.echo(
        f"{len(curve.budgets):,} breakpoints, {curve.budgets[0]:.6g} to {curve.budgets[-1]:.6g} USD, "
        f"utility {curve.utilities[0]:.6g} to {curve.utilities[-1]:.6g}, error at most {curve.error:.3g}",
        err=output is None,
    )
    for path in (output, plot):
        if path is not None:
            click.echo(f"written to {path}")


def _rows(
    problem: Problem,
    curve: Frontier,
    budgets: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    exact: bool,
    time_limit: float | None,
    threads: int | None,
) -> Rows:
    """Return budget, utility and shadow price, and what was proven at each budget if asked for."""
    rows: Rows = []
    for budget in budgets.tolist():
        budget = max(budget, problem.cheapest_budget)
        row: dict[str, float | None] = {
            "budget": budget,
            "utility": float(curve.utility(budget)),
            "shadow_price": float(curve.shadow_price(budget)),
        }
        if exact:
            plan = curve.plan(budget, "exact", time_limit=time_limit, threads=threads)
            row |= {"optimum": plan.utility, "bound": plan.bound, "gap": plan.gap}
        rows.append(row)
    return rows


def _csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
