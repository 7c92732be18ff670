"""``robatch solve``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from robatch.cli.support import (
    FILE,
    check_file,
    cost_choice,
    json_option,
    print_json,
    progress_wanted,
    read_problem,
)
from robatch.instances.errors import InputError

if TYPE_CHECKING:
    from robatch.solvers.plan.plan import Cost, Plan


@click.command(short_help="Solve a problem within a budget.")
@click.argument("problem")
@click.option("--budget", type=float, help="USD.")
@click.option(
    "--budget-fraction",
    type=float,
    help="Budget between the cheapest (0) and the dearest (1) that make sense.",
)
@click.option(
    "--solver", default="auto", show_default=True,
    help="A name of `robatch solvers`; auto: exact under amortized cost, greedy for realized cost and constraints.",
)  # fmt: skip
@click.option("--cost", type=cost_choice, default="amortized", show_default=True, help="Cost held against the budget.")
@click.option("--time-limit", type=float, help="Seconds.")
@click.option(
    "--gap", type=float, default=1e-9, show_default=True,
    help="Relative gap at which the solver may stop; 0 for the rounding of float64.",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of every random choice.")
@click.option("--threads", type=int, help="Number of threads.")
@click.option("--initial", type=FILE, help="Plan to start from.")
@click.option("-o", "--output", type=FILE, help="Parquet file to write the plan to.")
@click.option("--write-model", type=FILE, help="MPS or LP file to write the mathematical model to.")
@json_option
def solve(
    problem: str,
    budget: float | None,
    budget_fraction: float | None,
    solver: str,
    cost: Cost,
    time_limit: float | None,
    gap: float,
    seed: int,
    threads: int | None,
    initial: Path | None,
    output: Path | None,
    write_model: Path | None,
    as_json: bool,
) -> None:
    """Choose a model and a batch size for every query of PROBLEM: a file, or the bundled `measured`.

    \b
    robatch solve problem.parquet --budget 0.25 --solver greedy
    robatch solve measured --budget-fraction 0.3 --solver highs --time-limit 10 -o plan.parquet
    """
    from robatch.solvers.plan.plan import Plan
    from robatch.solvers.registry import get
    from robatch.solvers.solve import solve as run

    if (budget is None) == (budget_fraction is None):
        raise InputError("exactly one of --budget and --budget-fraction is needed")
    check_file(output)
    check_file(write_model)
    if solver != "auto":
        get(solver)  # an unknown name is refused before anything is written
    task = read_problem(problem)
    start = None if initial is None else Plan.read(initial)
    usd = task.budget_at(budget_fraction) if budget is None and budget_fraction is not None else budget
    assert usd is not None
    if write_model is not None:
        from robatch.solvers.mip.export import export

        export(task, usd, write_model, cost=cost)
    plan = run(
        task,
        usd,
        solver,
        cost,
        time_limit=time_limit,
        gap=gap,
        seed=seed,
        threads=threads,
        initial_plan=start,
        progress=not as_json and progress_wanted(),
    )
    if output is not None and plan.assignment is not None:
        plan.write(output)
    if as_json:
        print_json({**plan.summary(), "states": states_used(plan)})
    elif plan.assignment is not None or plan.bound is not None:
        show_plan(plan, output)
    if plan.assignment is None and not _only_bounds(plan):
        reason = plan.message or f"solver {solver!r} found no plan{' within its limit' if plan.limit else ''}"
        raise click.ClickException(reason)
    if plan.assignment is None and output is not None:
        raise click.ClickException(f"solver {solver!r} gives a bound and no plan: nothing was written")


def _only_bounds(plan: Plan) -> bool:
    """Whether the solver did what it can without a plan."""
    from robatch.solvers.registry import get

    return plan.bound is not None and plan.limit is None and get(plan.solver).proves == "bound"


def states_used(plan: Plan) -> list[dict[str, Any]]:
    """Return queries and calls of each state that the plan uses."""
    if plan.assignment is None:
        return []
    import numpy as np

    calls = plan.calls()
    used = np.bincount(calls.columns, minlength=len(plan.states)).tolist()
    queries = np.bincount(plan.assignment, minlength=len(plan.states)).tolist()
    return [
        {
            "model": state.model,
            "batch_size": state.batch_size,
            "queries": queries[column],
            "calls": used[column],
        }
        for column, state in enumerate(plan.states)
        if used[column]
    ]


def show_plan(plan: Plan, output: Path | None) -> None:
    """Print a plan's figures and its states."""
    from rich.table import Table

    from robatch.instances.display import terminal, wording

    console = terminal.console()
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="bold")
    facts.add_column()
    facts.add_row("status", plan.status + (f" (limit: {plan.limit})" if plan.limit else ""))
    facts.add_row("utility", wording.utility(plan.utility))
    if plan.bound is not None:
        proof = "" if plan.gap is None else f", gap {wording.gap(plan.gap)}"
        facts.add_row("bound", f"{wording.utility(plan.bound)}{proof}")
    facts.add_row("budget", f"{plan.budget:.6g} USD, {plan.cost} cost")
    if plan.amortized_cost is not None and plan.realized_cost is not None:
        over = " (over the budget)" if plan.realized_cost > plan.budget * (1 + 1e-9) else ""
        facts.add_row("amortized cost", f"{plan.amortized_cost:.6g} USD")
        facts.add_row("realized cost", f"{plan.realized_cost:.6g} USD{over}")
    if plan.shadow_price is not None:
        facts.add_row("shadow price", f"{plan.shadow_price:.6g} utility per extra USD")
    facts.add_row("solver", f"{plan.solver} {plan.solver_version}, {wording.seconds(plan.runtime)}")
    console.print(facts, highlight=False)
    if plan.assignment is not None:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for title in ("model", "batch size", "queries", "calls"):
            table.add_column(title, justify="left" if title == "model" else "right")
        for state in states_used(plan):
            table.add_row(*(str(value) for value in state.values()))
        console.print()
        console.print(table, highlight=False)
        if output is not None:
            console.print(f"\nwritten to {output}", markup=False, highlight=False)
