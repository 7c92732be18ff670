"""``robatch plan-from``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from robatch.cli import support
from robatch.cli.solve import show_plan
from robatch.instances.errors import InputError

if TYPE_CHECKING:
    from robatch.solvers.plan.plan import Cost


@click.command("plan-from", short_help="Make a plan of another solver's solution.")
@click.argument("problem")
@click.argument("assignment", type=support.FILE)
@click.option("--budget", type=float, help="USD that the plan must keep. Without it: what it costs.")
@click.option("--budget-fraction", type=float, help="The budget as a fraction, as for robatch solve.")
@support.cost_option("Cost held against the budget.")
@click.option("--bound", type=float, help="An upper bound on utility that the solver has proven.")
@click.option("--solver", default="given", show_default=True, help="Name of the solver, for the plan to say.")
@support.output_option("Parquet file to write the plan to.")
@support.json_option
def plan_from(  # wide: one parameter per option
    problem: str,
    assignment: Path,
    budget: float | None,
    budget_fraction: float | None,
    cost: Cost,
    bound: float | None,
    solver: str,
    output: Path | None,
    as_json: bool,
) -> None:
    """Read ASSIGNMENT, which another solver found for PROBLEM, check it, and make a plan of it.

    ASSIGNMENT is a solution file of HiGHS, SCIP, CBC, GLPK, Gurobi or CPLEX (.sol, .txt, .xml) of the program that
    robatch solve --write-model wrote, or a table (CSV, Parquet, JSONL) with the columns model and batch_size, or
    state, and query_id where queries have ids. Exit code 1: it breaks the budget or a constraint.

    \b
    robatch solve problem.parquet --budget 0.25 --write-model problem.mps
    highs problem.mps --solution_file highs.sol
    robatch plan-from problem.parquet highs.sol --budget 0.25 --solver highs -o plan.parquet
    """
    from robatch.solvers.exchange.plan_from import plan_from as made

    if budget is not None and budget_fraction is not None:
        raise InputError("at most one of --budget and --budget-fraction is possible")
    support.check_outputs({"--output": output}, [Path(problem), assignment])
    task = support.read_problem(problem)
    usd = budget if budget_fraction is None else task.budget_at(budget_fraction)
    plan = made(task, assignment, usd, cost, bound=bound, solver=solver)
    if output is not None:
        plan.write(output)
    if as_json:
        support.print_json({**plan.summary(), "states": plan.states_used()})
    else:
        show_plan(plan, output)
