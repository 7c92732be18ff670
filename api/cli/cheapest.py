"""``robatch cheapest``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from robatch.cli import support

if TYPE_CHECKING:
    from robatch.solvers.cheapest.cheapest import Cheapest
    from robatch.solvers.plan.plan import Cost


@click.command(short_help="Find the least cost of a utility.")
@click.argument("problem")
@click.option("--utility", type=float, help="Target: total utility.")
@click.option("--mean", type=float, help="Target: utility a query, from 0 to 1.")
@click.option(
    "--of-best", type=float,
    help="Target: share, from 0 to 1, of the utility of the best model, each query in its best batch size there.",
)  # fmt: skip
@click.option(
    "--solver", default="auto", show_default=True,
    help="greedy, exact, highs, cpsat, scip, cbc or pulp-highs; auto: greedy under realized cost, exact under "
    "amortized cost, highs with constraints.",
)  # fmt: skip
@support.cost_option("Cost to make least.")
@support.search_options("Relative gap in cost")
@support.output_option("Parquet file to write the plan to.")
@support.json_option
def cheapest(  # wide: one parameter per option
    problem: str,
    utility: float | None,
    mean: float | None,
    of_best: float | None,
    solver: str,
    cost: Cost,
    output: Path | None,
    as_json: bool,
    **limits: Any,
) -> None:
    """Reach a target utility on PROBLEM, a file or the bundled `measured`, at least cost.

    \b
    robatch cheapest problem.parquet --of-best 0.95 -o plan.parquet
    robatch cheapest measured --mean 0.7 --solver highs --time-limit 10
    """
    from robatch.instances.errors import InputError
    from robatch.solvers.cheapest.cheapest import cheapest as find_cheapest

    if sum(value is not None for value in (utility, mean, of_best)) != 1:
        raise InputError("exactly one of --utility, --mean and --of-best is needed")
    support.check_file(output)
    task = support.read_problem(problem)
    found = find_cheapest(task, utility=utility, mean=mean, of_best=of_best, solver=solver, cost=cost, **limits)
    if output is not None and found.plan is not None:
        found.plan.write(output)
    if as_json:
        support.print_json({**found.summary(), "states": [] if found.plan is None else found.plan.states_used()})
    elif found.plan is not None:
        show(found, output)
    if found.plan is None:
        raise support.failed(found.message, found.solver, found.limit)


def show(found: Cheapest, output: Path | None) -> None:
    """Print the figures of a plan of least cost, and its states."""
    from robatch.instances.display import wording

    plan = found.plan
    assert plan is not None
    proof = "" if found.gap is None else f", gap {wording.gap(found.gap)}"
    figures = {
        "status": found.status + (f" (limit: {found.limit})" if found.limit else ""),
        "target": wording.utility(found.target),
        "utility": wording.utility(plan.utility),
        "cost": f"{found.cost:.9g} USD, {plan.cost} cost",
        "bound": None if found.bound is None else f"{found.bound:.9g} USD{proof}",
        "amortized cost": f"{plan.amortized_cost:.6g} USD",
        "realized cost": f"{plan.realized_cost:.6g} USD",
    }
    support.show_figures(figures, plan, found.shadow_price, found.runtime, output)
