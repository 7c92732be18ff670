"""``robatch bench ratios``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from robatch.cli.bench_support import RUN_OPTIONS, output_options
from robatch.cli.support import check_folder, given_command, print_json, read_problem

if TYPE_CHECKING:
    from robatch.bench.scale.ratio_results import Ratio

QUICK = 10_000


@click.command(short_help="Times of the schedulers as ratios, side by side in one run.")
@click.option("--quick", is_flag=True, help=f"With {QUICK:,} queries, not a million: about a minute besides compiling.")
@click.option("--queries", type=int, help="Queries of the large problems.")
@click.option("--table", help="A problem file that is solved at nine budgets too.")
@click.option("--time-limit", type=float, default=60.0, show_default=True, help="Seconds for each proof.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the problems.")
@output_options("results-ratios", fresh=False)
@click.pass_context
def ratios(
    context: click.Context,
    /,
    quick: bool,
    queries: int | None,
    table: str | None,
    time_limit: float,
    seed: int,
    output: Path,
    as_json: bool,
) -> None:
    """Measure how fast the schedulers are: against a pass over the utilities, mixed-integer solvers, a Python heap.

    Each figure is a ratio of two times measured in turn in the same process, or says that it is in seconds. The
    folder then holds ratios.csv and ratios.md.

    \b
    robatch bench ratios --quick
    robatch bench ratios --table mine.parquet -o mine
    """
    from robatch.bench.scale.ratio_results import figure
    from robatch.bench.scale.ratios import measure_ratios
    from robatch.instances.display import wording

    check_folder(output)

    def show(row: Ratio) -> None:
        aim = "" if row.reached is None else f"   {row.target}: {'yes' if row.reached else 'no'}"
        click.echo(f"{row.work}: {figure(row)}{aim}{'   ' if row.note else ''}{row.note}", err=as_json)

    results = measure_ratios(
        QUICK if quick and queries is None else 1_000_000 if queries is None else queries,
        None if table is None else read_problem(table),
        time_limit,
        seed,
        given_command(context, RUN_OPTIONS),
        show,
    )
    results.write(output)
    if as_json:
        print_json(results.to_json())
    else:
        click.echo(
            f"Kernels were compiled or loaded in {wording.seconds(results.compiled_s)}, before anything was timed."
        )
        click.echo(f"written to {output}: ratios.md, ratios.csv")
