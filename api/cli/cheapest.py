"""``robatch cheapest``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from robatch.cli.solve import states_used
from robatch.cli.support import FILE, check_file, cost_choice, json_option, print_json, read_problem

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
    help="greedy, exact, highs, cpsat, scip, cbc or pulp-highs; auto: exact under amortized cost, greedy under "
    "realized cost.",
)  # fmt: skip
@click.option("--cost", type=cost_choice, default="amortized", show_default=True, help="Cost to make least.")
@click.option("--time-limit", type=float, help="Seconds.")
@click.option(
    "--gap", type=float, default=1e-9, show_default=True,
    help="Relative gap in cost at which the solver may stop; 0 for the rounding of float64.",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of every random choice.")
@click.option("--threads", type=int, help="Number of threads.")
@click.option("-o", "--output", type=FILE, help="Parquet file to write the plan to.")
@json_option
def cheapest(
    problem: str,
    utility: float | None,
    mean: float | None,
    of_best: float | None,
    solver: str,
    cost: Cost,
    time_limit: float | None,
    gap: float,
    seed: int,
    threads: int | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Reach a target utility on PROBLEM, a file or the bundled `measured`, at least cost.

    \b
    robatch cheapest problem.parquet --of-best 0.95 -o plan.parquet
    robatch cheapest measured --mean 0.7 --cost realized --solver highs --time-limit 10
    """
    from robatch.instances.errors import InputError
    from robatch.solvers.cheapest.cheapest import cheapest as run

    if sum(value is not None for value in (utility, mean, of_best)) != 1:
        raise InputError("exactly one of --utility, --mean and --of-best is needed")
    check_file(output)
    found = run(
        read_problem(problem),
        utility=utility,
        mean=mean,
        of_best=of_best,
        solver=solver,
        cost=cost,
        time_limit=time_limit,
        gap=gap,
        seed=seed,
        threads=threads,
    )
    if output is not None and found.plan is not None:
        found.plan.write(output)
    if as_json:
        print_json({**found.summary(), "states": [] if found.plan is None else states_used(found.plan)})
    elif found.plan is not None:
        show(found, output)
    if found.plan is None:
        reason = found.message or f"solver {found.solver!r} found no plan{' within its limit' if found.limit else ''}"
        raise click.ClickException(reason)


def show(found: Cheapest, output: Path | None) -> None:
    """Print the figures of a plan of least cost, and its states."""
    from rich.table import Table

    from robatch.instances.display import terminal, wording

    plan = found.plan
    assert plan is not None
    console = terminal.console()
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="bold")
    facts.add_column()
    facts.add_row("status", found.status + (f" (limit: {found.limit})" if found.limit else ""))
    facts.add_row("target", wording.utility(found.target))
    facts.add_row("utility", wording.utility(plan.utility))
    facts.add_row("cost", f"{found.cost:.9g} USD, {plan.cost} cost")
    if found.bound is not None:
        proof = "" if found.gap is None else f", gap {wording.gap(found.gap)}"
        facts.add_row("bound", f"{found.bound:.9g} USD{proof}")
    facts.add_row("amortized cost", f"{plan.amortized_cost:.6g} USD")
    facts.add_row("realized cost", f"{plan.realized_cost:.6g} USD")
    if found.shadow_price is not None:
        facts.add_row("shadow price", f"{found.shadow_price:.6g} utility per extra USD")
    facts.add_row("solver", f"{found.solver} {plan.solver_version}, {wording.seconds(found.runtime)}")
    console.print(facts, highlight=False)
    states = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("model", "batch size", "queries", "calls"):
        states.add_column(title, justify="left" if title == "model" else "right")
    for state in states_used(plan):
        states.add_row(*(str(value) for value in state.values()))
    console.print()
    console.print(states, highlight=False)
    if output is not None:
        console.print(f"\nwritten to {output}", markup=False, highlight=False)
