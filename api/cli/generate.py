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
@click.option(
    "--largest", default=1000, show_default=True, help="R of mckp-*: the largest profit and weight of an item."
)
@seed_option("The same seed gives the same problem.")
@click.option(
    "--dtype", type=click.Choice(["float64", "float32"]), default="float64", show_default=True,
    help="Floating-point type of the utilities.",
)  # fmt: skip
@output_option("Parquet file to write.", required=True)
@click.option("--list-families", is_flag=True, is_eager=True, expose_value=False, callback=lambda *given: _list(*given))
@json_option
def generate(  # wide: one parameter per option
    family: str,
    queries: int,
    models: int,
    batch_sizes: tuple[int, ...],
    largest: int,
    seed: int,
    dtype: str,
    output: Path,
    as_json: bool,
) -> None:
    """Write a generated problem to a file.

    The families mckp-* are multiple-choice knapsacks: --queries classes of --models items, and the capacity as the
    budget that `solve` takes where it is given none.

    \b
    robatch generate --family mckp-zig-zag --queries 1000 --models 10 --largest 10000 -o knapsack.parquet
    robatch generate --family realistic --queries 1000 --models 4 --seed 0 -o problem.parquet
    """
    from robatch.instances.families import generate as make

    check_file(output)
    problem = make(family, queries, models, batch_sizes, seed, dtype, largest=largest)
    problem.write(output)
    show_problem(problem, output, as_json)


def _list(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Print the families and end."""
    if not wanted:
        return
    from robatch.instances.families import FAMILIES
    from robatch.instances.multiple_choice import KNAPSACK_FAMILIES

    families = {**FAMILIES, **KNAPSACK_FAMILIES}
    width = max(map(len, families))
    for name, text in families.items():
        click.echo(f"{name:{width}}  {text}")
    ctx.exit()
