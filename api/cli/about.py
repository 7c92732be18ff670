"""``robatch solvers`` and ``robatch version``."""

from __future__ import annotations

import click

from robatch.cli.support import json_option, print_json


@click.command(short_help="List the solvers.")
@json_option
def solvers(as_json: bool) -> None:
    """List the solvers with what each proves, the costs and constraints it knows, and whether it is installed."""
    from robatch.solvers.registry import COUPLED
    from robatch.solvers.registry import solvers as registered

    records = [
        {
            "name": solver.name,
            "summary": solver.summary,
            "proves": solver.proves,
            "costs": list(solver.costs),
            "constraints": sorted(solver.constraints),
            "package": solver.package,
            "installed": solver.installed,
            "version": solver.version,
        }
        for solver in registered()
    ]
    if as_json:
        print_json(records)
        return
    from rich.table import Table

    from robatch.instances.display import terminal

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("solver", no_wrap=True)
    table.add_column("what it does")
    table.add_column("proves", no_wrap=True)
    table.add_column("costs")
    table.add_column("constraints", no_wrap=True)
    table.add_column("version")
    for solver in registered():
        kept = "all" if solver.constraints >= COUPLED else ", ".join(sorted(solver.constraints)) or "of pairs"
        version = f"{solver.package} {solver.version}" if solver.installed else "not installed"
        table.add_row(solver.name, solver.summary, solver.proves, ", ".join(solver.costs), kept, version)
    terminal.console().print(table, highlight=False)


@click.command(short_help="Show the versions of robatch and of every backend.")
@json_option
def version(as_json: bool) -> None:
    """Show the versions of robatch, Python, the platform and every backend, for bug reports.

    Packages of a version that RoBatch is not made for, or that is not to be relied on, are named with what is known.
    """
    from robatch.bench.common import machine
    from robatch.doctor import diagnose

    described = {**machine.describe(), "packages": machine.package_versions()}
    known = [one for one in diagnose() if one.state != "unused"]
    troubled = {one.package for one in known if one.trouble}
    warnings = [f"{one.package} {one.version or 'is missing'}: {one.what}" for one in known if one.package in troubled]
    if as_json:
        print_json({"robatch": described["packages"]["robatch"], **described, "warnings": warnings})
        return
    lines = {
        "robatch": described["packages"].pop("robatch"),
        "python": described["python"],
        "platform": described["system"],
        "cpu": f"{described['cpu']}, {described['cores']} cores",
        **{name: found or "not installed" for name, found in described["packages"].items()},
    }
    width = max(map(len, lines))
    for name, text in lines.items():
        click.echo(f"{name:{width}}  {text}")
    for warning in warnings:
        click.echo(f"\nWarning: {warning} (see `robatch doctor`)")
