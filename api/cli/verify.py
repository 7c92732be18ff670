"""``robatch verify``."""

from __future__ import annotations

from pathlib import Path

import click

from robatch.cli.support import FILE, json_option, print_json, read_problem


@click.command(short_help="Check everything that a plan says about itself.")
@click.argument("problem")
@click.argument("plan", type=FILE)
@json_option
def verify(problem: str, plan: Path, as_json: bool) -> None:
    """Recompute PLAN's utility, costs, calls and claims from PROBLEM, by code that no solver shares.

    Exit code 0: all is true. Exit code 1: something is not.
    """
    from robatch.solvers.check.raw import VerificationError
    from robatch.solvers.check.verify import verify as check
    from robatch.solvers.plan.plan import Plan

    task, checked = read_problem(problem), Plan.read(plan)
    try:
        check(task, checked)
    except VerificationError as error:
        if as_json:
            print_json({"verified": False, "reason": str(error), **checked.summary()})
        raise
    if as_json:
        print_json({"verified": True, "reason": None, **checked.summary()})
        return
    if checked.assignment is None:
        click.echo(f"verified: {checked.status}, budget {checked.budget:.6g} USD ({checked.cost} cost)")
        return
    click.echo(
        f"verified: {checked.status}, utility {checked.utility:.6g}, "
        f"amortized {checked.amortized_cost:.6g} USD, realized {checked.realized_cost:.6g} USD, "
        f"budget {checked.budget:.6g} USD ({checked.cost} cost)"
    )
