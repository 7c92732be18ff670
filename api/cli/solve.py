"""``robatch solve``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from robatch.cli import support
from robatch.instances.errors import InputError

if TYPE_CHECKING:
    from robatch.instances.problem import Problem
    from robatch.solvers.plan.plan import Cost, Plan

SMALL = 20_000  # queries times states up to which an exact solver is named for a plan that is not proven
WIDE = 0.01  # gap of a plan with constraints above which it is


@click.command(short_help="Solve a problem within a budget.")
@click.argument("problem")
@click.option("--budget", type=float, help="USD; by default the problem's capacity, if it has one.")
@click.option(
    "--budget-fraction",
    type=float,
    help="Budget between the cheapest (0) and the dearest (1) that make sense, as if every call were full.",
)
@click.option(
    "--solver", default="auto", show_default=True,
    help="A name of `robatch solvers`; auto: greedy for realized cost and constraints, exact under amortized cost.",
)  # fmt: skip
@support.register_option
@support.cost_option("Cost held against the budget: realized, what is billed, or amortized, every call full.")
@support.search_options("Relative gap")
@click.option(
    "--effort", type=float, default=1.0, show_default=True,
    help="Times the usual work of greedy and exact under realized cost, before they give up a proof; at least 1. "
    "Without --solver, up to 200 queries get ten times that.",
)  # fmt: skip
@click.option("--initial", type=support.FILE, help="Plan to start from.")
@support.output_option("Parquet file to write the plan to.")
@click.option("--write-model", type=support.FILE, help="MPS or LP file to write the mathematical model to.")
@click.option("--unscaled", is_flag=True, help="Write the model in USD and utility as they are, without scaling rows.")
@support.json_option
def solve(  # wide: one parameter per option
    problem: str,
    budget: float | None,
    budget_fraction: float | None,
    solver: str,
    register: tuple[str, ...],
    cost: Cost,
    initial: Path | None,
    output: Path | None,
    write_model: Path | None,
    unscaled: bool,
    as_json: bool,
    **limits: Any,
) -> None:
    """Choose a model and a batch size for every query of PROBLEM: a file, or the bundled `measured`.

    \b
    robatch solve problem.parquet --budget 0.25 --solver greedy
    robatch solve measured --budget-fraction 0.3 --solver highs --time-limit 10 -o plan.parquet
    """
    from robatch.solvers.plan.plan import Plan
    from robatch.solvers.registry import get
    from robatch.solvers.solve import solve as find_plan

    if budget is not None and budget_fraction is not None:
        raise InputError("exactly one of --budget and --budget-fraction is needed")
    support.check_file(output)
    support.check_file(write_model)
    own = support.registered(register)
    if solver == "auto" and len(own) == 1:
        solver = own[0]
    if solver != "auto":
        get(solver)  # an unknown name is refused before anything is written
    task = support.read_problem(problem)
    start = None if initial is None else Plan.read(initial)
    usd = task.capacity if budget is None else budget
    usd = usd if budget_fraction is None else task.budget_at(budget_fraction)
    if usd is None:
        raise InputError("exactly one of --budget and --budget-fraction is needed")
    if write_model is not None:
        from robatch.solvers.exchange.export import export

        export(task, usd, write_model, cost=cost, scale=not unscaled)
    progress = not as_json and support.progress_wanted()
    plan = find_plan(task, usd, solver, cost, initial_plan=start, progress=progress, **limits)
    if output is not None and plan.assignment is not None:
        plan.write(output)
    if as_json:
        support.print_json({**plan.summary(), "states": plan.states_used()})
    elif plan.assignment is not None or plan.bound is not None:
        show_plan(plan, output)
    if solver == "auto":
        advise(task, plan)
    only_bounds = plan.bound is not None and plan.limit is None and get(plan.solver).proves == "bound"
    if plan.assignment is None and not only_bounds:
        raise support.failed(plan.message, solver, plan.limit)
    if plan.assignment is None and output is not None:
        raise click.ClickException(f"solver {solver!r} gives a bound and no plan: nothing was written")


def advise(problem: Problem, plan: Plan) -> None:
    """Say on stderr that an exact solver may do better, where the problem is small and the plan is not proven best."""
    if plan.status != "feasible" or plan.gap is None or problem.n_queries * problem.n_states > SMALL:
        return
    if problem.constraints is not None:
        if plan.gap > WIDE:
            click.echo("an exact solver may do better: --solver highs", err=True)
    elif plan.cost == "realized" and plan.solver == "greedy":
        click.echo("an exact solver may find a better plan or prove this one: --solver exact", err=True)


def show_plan(plan: Plan, output: Path | None) -> None:
    """Print a plan's figures and its states."""
    from robatch.instances.display import wording

    proof = "" if plan.gap is None else f", gap {wording.gap(plan.gap)}"
    costs = {}
    if plan.amortized_cost is not None and plan.realized_cost is not None:
        over = " (over the budget)" if plan.realized_cost > plan.budget * (1 + 1e-9) else ""
        costs = {
            "amortized cost": f"{plan.amortized_cost:.6g} USD",
            "realized cost": f"{plan.realized_cost:.6g} USD{over}",
        }
    figures: dict[str, str | None] = {
        "status": plan.status + (f" (limit: {plan.limit})" if plan.limit else ""),
        "utility": wording.utility(plan.utility),
        "profit": None if plan.profit is None else f"{plan.profit:.12g}",
        "bound": None if plan.bound is None else f"{wording.utility(plan.bound)}{proof}",
        "budget": f"{plan.budget:.6g} USD, {plan.cost} cost",
        **costs,
        "note": plan.message,
    }
    support.show_figures(figures, plan, plan.shadow_price, plan.runtime, output)
