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
    from robatch.solvers.analysis.amortized_frontier import Frontier
    from robatch.solvers.analysis.realized_frontier import RealizedFrontier
    from robatch.solvers.plan.plan import Cost

Rows = list[dict[str, float | None]]

POINTS = 101  # budgets of an amortized curve, unless told otherwise


@click.command(short_help="The best utility at every budget at once.")
@click.argument("problem")
@support.cost_option("Cost that keeps the budgets.")
@click.option(
    "--resolution", type=float,
    help="Greatest relative error in utility, 0 to keep every breakpoint; with --cost amortized.",
)  # fmt: skip
@click.option(
    "--points", type=int,
    help="Budgets to write, evenly spread; without it 101 of an amortized curve, else some 200 that are spread over "
    "both budget and utility.",
)  # fmt: skip
@click.option("--budgets", type=support.NUMBERS, help="Budgets to write instead, in USD, such as 0.1,0.25.")
@click.option("--exact", is_flag=True, help="Add the proven optimum at each budget.")
@support.time_limit_option("Seconds for each optimum.")
@support.threads_option()
@support.output_option("CSV file to write.")
@click.option("--plot", type=support.FILE, help="PNG file to draw the curve to.")
@support.json_option
def frontier(  # wide: one parameter per option
    problem: str,
    cost: Cost,
    resolution: float | None,
    points: int | None,
    budgets: tuple[float, ...] | None,
    exact: bool,
    time_limit: float | None,
    threads: int | None,
    output: Path | None,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Write utility and shadow price against the budget for PROBLEM: a file, or the bundled `measured`.

    Utilities are those of the best plans known whose bills keep the budgets, with a bound that no plan exceeds. With
    --cost amortized they are those of the linear relaxation: an upper bound that the best plan nearly reaches.

    \b
    robatch frontier problem.parquet -o frontier.csv --plot frontier.png
    robatch frontier measured --budgets 0.001,0.002 --exact
    robatch frontier problem.parquet --cost amortized
    """
    from robatch.instances.files import replacing, write_text

    support.check_file(output)
    support.check_file(plot)
    if output is not None and output == plot:
        raise InputError(f"output and plot are both {str(output)!r}: two files are needed")
    if time_limit is not None and not exact:
        raise InputError(f"time-limit is {time_limit}: it is for the optima, which --exact adds")
    if points is not None:
        points = whole("points", points, 2, most=1_000_000)
    if budgets is not None and not len(budgets):
        raise InputError("budgets is empty: at least one number is needed")
    task = support.read_problem(problem)
    curve, at = _curve(task, cost, resolution, points, budgets, threads)
    rows = [_row(curve, budget, exact, time_limit, threads) for budget in at]
    if output is not None:
        write_text(output, _csv(rows))
    if plot is not None:
        from robatch.bench.common.frontier_plot import frontier_plot

        with replacing(plot) as temporary:
            temporary.write_bytes(frontier_plot(curve, rows if exact else None))
    if as_json:
        support.print_json({**_figures(curve), "rows": rows})
        return
    if output is None:
        click.echo(_csv(rows), nl=False)
    click.echo(_sentence(curve), err=output is None)
    for path in (output, plot):
        if path is not None:
            click.echo(f"written to {path}")


def _curve(
    problem: Problem,
    cost: Cost,
    resolution: float | None,
    points: int | None,
    budgets: tuple[float, ...] | None,
    threads: int | None,
) -> tuple[Frontier | RealizedFrontier, list[float]]:
    """Return the frontier, and the budgets that are written."""
    from robatch.solvers.analysis.frontier import frontier as compute
    from robatch.solvers.bounds.least_bill import ends_as_billed

    least = problem.cheapest_budget
    if budgets is not None and not all(least * (1 - 1e-12) <= budget < np.inf for budget in budgets):
        raise InputError(
            f"budgets is {budgets}: finite numbers from {least:.9g} USD, which any plan costs at least, are needed"
        )
    if budgets is not None and points is not None:
        raise InputError(f"points is {points}: budgets that are given need no others")
    wanted = None if budgets is None else [max(budget, least) for budget in budgets]
    if cost == "amortized":
        ends = least, problem.dearest_budget  # to the last digit
        spread = np.linspace(*ends, points or POINTS).tolist()
        return compute(problem, resolution, threads, cost="amortized"), spread if wanted is None else wanted
    if wanted is None and points is not None:
        low, high = ends_as_billed(problem)
        wanted = np.linspace(low, high, points).tolist()
    found = compute(problem, resolution, threads, cost=cost, budgets=wanted)
    return found, found.budgets.tolist() if wanted is None else wanted


def _row(
    curve: Frontier | RealizedFrontier, budget: float, exact: bool, time_limit: float | None, threads: int | None
) -> dict[str, float | None]:
    """Return what is known at a budget, and what is proven there if asked for."""
    from robatch.solvers.analysis.realized_frontier import RealizedFrontier

    utility = float(curve.utility(budget))
    row: dict[str, float | None] = {"budget": budget, "utility": None if np.isnan(utility) else utility}
    plan = curve.plan(budget, "exact", time_limit=time_limit, threads=threads) if exact else None
    if isinstance(curve, RealizedFrontier):
        bound, best = float(curve.bound(budget)), row["utility"]
        if plan is not None:
            bound = bound if plan.bound is None else min(bound, plan.bound)
            row["utility"] = best = best if plan.utility is None else plan.utility
        row["bound"] = bound
        row["gap"] = None if best is None else max(bound - best, 0.0) / bound if bound > 0.0 else 0.0
    row["shadow_price"] = float(curve.shadow_price(budget))
    if plan is not None:
        row["optimum"] = plan.utility if plan.status == "optimal" else None
        if not isinstance(curve, RealizedFrontier):
            row |= {"bound": plan.bound, "gap": plan.gap}
    return row


def _figures(curve: Frontier | RealizedFrontier) -> dict[str, Any]:
    """Return what is said of the whole frontier, as plain values for JSON."""
    from robatch.solvers.analysis.realized_frontier import RealizedFrontier

    if isinstance(curve, RealizedFrontier):
        return {"cost": "realized", "budgets": len(curve.budgets), "gap": None if np.isnan(curve.gap) else curve.gap}
    return {"cost": "amortized", "breakpoints": len(curve.budgets), "error": curve.error}


def _sentence(curve: Frontier | RealizedFrontier) -> str:
    """Return the same in words."""
    from robatch.solvers.analysis.realized_frontier import RealizedFrontier

    ends = f"{curve.budgets[0]:.6g} to {curve.budgets[-1]:.6g} USD"
    if isinstance(curve, RealizedFrontier):
        known = curve.utilities[~np.isnan(curve.utilities)]
        if not len(known):
            return f"{len(curve.budgets):,} budgets, {ends}: no plan is known"
        return (
            f"{len(curve.budgets):,} budgets, {ends} as billed, "
            f"utility {known[0]:.6g} to {known[-1]:.6g}, gap at most {curve.gap:.3g}"
        )
    return (
        f"{len(curve.budgets):,} breakpoints, {ends}, "
        f"utility {curve.utilities[0]:.6g} to {curve.utilities[-1]:.6g}, error at most {curve.error:.3g}"
    )


def _csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
