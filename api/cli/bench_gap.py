"""``robatch bench gap``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from robatch.cli.bench_support import given, output_options, report, shown, threads_option, time_limit_option
from robatch.cli.support import FILE, NAMES, NUMBERS, check_folder, cost_choice, register_option, registered
from robatch.cli.table import read_routing_table, table_options
from robatch.instances.errors import InputError

if TYPE_CHECKING:
    from robatch.instances.problem import Problem
    from robatch.solvers.plan.plan import Cost


@click.command(short_help="How far solvers are from the proven optimum, and how long they take.")
@click.option("--quick", is_flag=True, help="Small instances, short limits: a minute on two cores besides compiling.")
@click.option(
    "--instance", "instances", multiple=True, metavar="INSTANCE",
    help="measured, a problem file, or FAMILY:QUERIES. May be given several times.",
)  # fmt: skip
@click.option("--table", type=FILE, help="A routing table as an instance.")
@table_options
@click.option("--fractions", type=NUMBERS, help="Budget fractions, such as 0.1,0.3.")
@click.option("--budgets", type=NUMBERS, help="Budgets in USD, such as 0.5,2; instead of fractions, or beside them.")
@click.option("--solvers", type=NAMES, help="Solvers, such as greedy,highs.")
@register_option
@click.option(
    "--cost", "costs", type=cost_choice, multiple=True,
    help="Cost held against the budget. May be given twice. Without it: realized for instances of your own, amortized, "
    "the paper's, for those that are compared without --instance and --table.",
)  # fmt: skip
@time_limit_option
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of generated instances and solvers.")
@threads_option
@click.option("--repeats", type=int, default=1, show_default=True, help="Least number of timed runs in each cell.")
@output_options("results")
def gap(  # wide: one parameter for each option
    quick: bool,
    instances: tuple[str, ...],
    table: Path | None,
    fractions: tuple[float, ...] | None,
    budgets: tuple[float, ...] | None,
    solvers: tuple[str, ...] | None,
    register: tuple[str, ...],
    costs: tuple[Cost, ...],
    time_limit: float | None,
    seed: int,
    threads: int | None,
    repeats: int,
    output: Path,
    fresh: bool,
    as_json: bool,
    **table_settings: Any,
) -> None:
    """Compare solvers by utility, gap to the best proven optimum, and time.

    Rows are kept as they are made: the same command continues a run that was ended. At its end, the
    folder holds results.csv, gap.png, runtime.png and report.html.

    \b
    robatch bench gap --quick --cost amortized
    robatch bench gap --instance measured --instance realistic:10000 --cost amortized --cost realized
    robatch bench gap --instance mine.parquet --budgets 0.5,2 --register mine.py:solver
    """
    from robatch.bench.gap.benchmark import gap_benchmark
    from robatch.bench.gap.presets import default_preset, quick_preset
    from robatch.bench.gap.tables import Terminal

    preset = quick_preset() if quick else default_preset()
    check_folder(output)
    own_solvers = registered(register)
    own = bool(instances) or table is not None
    named = instances if own else preset.instances
    costs = costs or (("realized",) if own else preset.costs)
    problems, sources = _instances(named, seed, table, table_settings)
    report(
        lambda: gap_benchmark(
            problems,
            given(fractions, preset.fractions if budgets is None else ()),
            given(solvers, (*preset.solvers, *own_solvers)),
            costs,
            time_limit=given(time_limit, preset.time_limit),
            output=output,
            seed=seed,
            threads=threads,
            repeats=repeats,
            resume=not fresh,
            progress=shown(Terminal, as_json),
            sources=sources,
            budgets=given(budgets, ()),
        ),
        output,
        as_json,
    )


def _instances(
    names: tuple[str, ...], seed: int, table: Path | None, table_settings: dict[str, Any]
) -> tuple[dict[str, Problem], dict[str, str]]:
    """Return problems and where they come from, by name."""
    from robatch.bench.common.instances import parse_instance

    if table is None and table_settings["prices"] is not None:
        raise InputError("--prices belongs to a routing table: give --table")
    problems: dict[str, Problem] = {}
    sources: dict[str, str] = {}
    found = [parse_instance(name, seed) for name in names]
    if table is not None:
        source = f"routing table {table.name}"
        if table_settings["degradation"] is not None:
            source += f" with degradation {table_settings['degradation'].name} (semi-synthetic)"
        found.append((table.stem, source, read_routing_table(table, **table_settings)))
    for name, source, problem in found:
        if name in problems:
            raise InputError(f"instance {name!r} is given twice: every instance needs a name of its own")
        problems[name], sources[name] = problem, source
    return problems, sources
