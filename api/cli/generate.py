"""``robatch generate``."""

from __future__ import annotations

from pathlib import Path

import click

from robatch.cli.support import WHOLE_NUMBERS, check_file, json_option, output_option, seed_option, show_problem


@click.command(short_help="Write a generated problem.")
@click.option("--family", default="realistic", show_default=True, help="Family; --list-families shows them.")
@click.option("--queries", default=1000, show_default=True, help="Number of queries.")
@click.option("--models", default=4, show_default=True, help="Number of models.")
@click.option("--batch-sizes", type=WHOLE_NUMBERS, default="1,2,4,8,16,32", show_default=True, help="Of every model.")
@seed_option("The same seed gives the same problem.")
@click.option(
    "--dtype", type=click.Choice(["float64", "float32"]), default="float64", show_default=True,
    help="Floating-point type of the utilities.",
)  # fmt: skip
@output_option("Parquet file to write.", required=True)
@click.option("--list-families", is_flag=True, is_eager=True, expose_value=False, callback=lambda *given: _list(*given))
@json_option
def generate(
    family: str,
    queries: int,
    models: int,
    batch_sizes: tuple[int, ...],
    seed: int,
    dtype: str,
    output: Path,
    as_json: bool,
) -> None:
    """Write a generated problem to a file.

    \b
    robatch generate --family realistic --queries 1000 --models 4 --seed 0 -o problem.parquet
    """
    from robatch.instances.families import generate as make

    check_file(output)
    problem = make(family, queries, models, batch_sizes, seed, dtype)
    problem.write(output)
    show_problem(problem, output, as_json)


def _list(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Print the families and end."""
    if not wanted:
        return
    from robatch.instances.families import FAMILIES

    width = max(map(len, FAMILIES))
    for name, text in FAMILIES.items():
        click.echo(f"{name:{width}}  {text}")
    ctx.exit()
