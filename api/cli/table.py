"""``robatch import``: routing tables and measurements become problems."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from robatch.cli import support
from robatch.cli.prices import show_origins
from robatch.instances.errors import InputError

if TYPE_CHECKING:
    from robatch.instances.prices import PriceEntry
    from robatch.instances.problem import Problem


class NumberOrColumn(support.ParamType):
    """A number, or the name of a column."""

    name = "number or column"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a float, or the text."""
        try:
            return float(value)
        except ValueError:
            return value


NUMBER_OR_COLUMN = NumberOrColumn()

table_options = support.add_options(
    click.option(
        "--prices",
        type=support.FILE,
        help="Table with model, price_in and price_out (USD per million), or a source of prices by name, as robatch "
        "prices has them; by default the bundled one. none: a wide table's own costs, at batch size 1, as where "
        "--prices is left out and the bundled table lacks a model.",
    ),
    click.option(
        "--degradation", type=support.FILE, help="Table with model (* for all others), batch_size and retention."
    ),
    click.option(
        "--shared-tokens",
        type=float,
        help="Tokens of the shared prompt of every call, unless the prices have a column shared_tokens.",
    ),
    click.option(
        "--cached", type=float, metavar="SHARE",
        help="Shared prompts are cached where the prices have a price of that; the part of the calls expected to find "
        "them, from 0 to 1.",
    ),
    click.option("--batch-api", is_flag=True, help="All calls go through batch APIs, at their prices."),
    click.option(
        "--batch-sizes", type=support.WHOLE_NUMBERS,
        help="Of every model. Without it: 1 alone, and with a --degradation 1,2,4,8,16,32.",
    ),
    click.option("--models", type=support.NAMES, help="Only these models of the table."),
    click.option("--query", help="Column of the query ids; query_id or query. Dots lead into nested fields."),
    click.option("--model-column", default="model", show_default=True, help="Column of the models."),
    click.option("--score", help="Column of the scores; by default correct, score or utility."),
    click.option("--group", help="Column whose values never share a call."),
    click.option(
        "--input-tokens", type=NUMBER_OR_COLUMN, help="Column of the input tokens, or a number where there is none."
    ),
    click.option(
        "--output-tokens", type=NUMBER_OR_COLUMN, help="Column of the output tokens, or a number where there is none."
    ),
    click.option(
        "--duplicates", type=click.Choice(["mean", "first", "error"]), default="error", show_default=True,
        help="What several rows of a query and model mean.",
    ),
    click.option(
        "--missing", type=click.Choice(["drop", "zero", "error"]), default="error", show_default=True,
        help="What missing rows, scores and tokens mean: queries left out, or a score of 0 with mean tokens.",
    ),
)  # fmt: skip
"""Adds the options that say what a routing table means."""


def read_routing_table(path: Path, prices: Path | None, model_column: str, **options: Any) -> Problem:
    """Make a problem of a routing table and the options of `table_options`."""
    return priced_table(path, prices, model_column, **options)[0]


def priced_table(
    path: Path, prices: Path | None, model_column: str, **options: Any
) -> tuple[Problem, list[PriceEntry]]:
    """Make the same problem, and return the prices of its models that were found by name."""
    from robatch.instances.price_tables import Prices
    from robatch.instances.prices import SOURCES, price_table
    from robatch.instances.tables import from_table

    if str(prices) == "none" or (prices is None and _only_own_costs(path, options)):
        return from_table(path, None, model=model_column, **options), []
    if prices is None:
        given = Prices.of(replace(price_table(), source="the bundled price table, (--prices FILE names another)"))
    else:
        given = Prices.of(str(prices) if str(prices) in SOURCES else prices)
    problem = from_table(path, given, model=model_column, **options)
    return problem, given.entries([model.name for model in problem.models])


def _only_own_costs(path: Path, options: dict[str, Any]) -> bool:
    """Whether a table has costs, and a model that the bundled prices lack, and nothing is asked that needs prices."""
    from robatch.instances.arrow_tables import Table
    from robatch.instances.prices import price_table
    from robatch.instances.routing_table import COST_SUFFIX

    if any(options[name] is not None for name in ("degradation", "shared_tokens", "cached")) or options["batch_api"]:
        return False
    table = Table.of(path, "the routing table")
    costly = [name.removesuffix(COST_SUFFIX) for name in table.columns if name.endswith(COST_SUFFIX)]
    known = price_table()
    try:
        for name in options["models"] or costly:
            known.find(name)
    except InputError:
        return bool(costly)
    return False


@click.command("import", short_help="Make a problem of a routing table or of measurements.")
@click.argument("table", type=support.FILE)
@table_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["auto", "mckp"]),
    default="auto",
    show_default=True,
    help="mckp: a multiple-choice knapsack as text: number of classes; for each, its number of items and their profits "
    "and weights; capacity.",
)
@click.option("--task", help="Task of the measurements; needed if they have several.")
@support.output_option("Parquet file to write.", required=True)
@support.json_option
def import_table(
    table: Path, output: Path, as_json: bool, prices: Path | None, task: str | None, form: str, **options: Any
) -> None:
    """Make a problem of a routing table, or of the measurements of `robatch profile`.

    A table is long (a row for each query and model) or wide (a column of scores for each MODEL, and one named
    MODEL|total_cost in USD, or tokens). It is a CSV, TSV, Parquet, JSON or JSONL file; so are prices and degradation.
    Prices may also be found by the names of the models: --prices bundled, litellm, genai-prices, or LiteLLM's or
    OpenRouter's JSON.
    Measurements know their prices and batch sizes: at most --task is needed.

    \b
    robatch import mmlu.parquet --prices prices.json --degradation curves.json --shared-tokens 900 -o problem.parquet
    robatch import measurements.parquet -o problem.parquet
    """
    support.check_file(output)
    for given in (table, prices, options["degradation"]):
        if given is not None and given.exists() and output.exists() and output.samefile(given):
            raise InputError(f"-o is {str(output)!r}, which is read here: another file is needed")
    found: list[PriceEntry] = []
    source = click.get_current_context().get_parameter_source
    given_options = [name for name in ("prices", "task", *options) if source(name) is ParameterSource.COMMANDLINE]
    if form == "mckp":
        if given_options:
            option = "--" + given_options[0].replace("_", "-")
            raise InputError(f"--format mckp takes no {option}: profits, weights and capacity are all there is")
        from robatch.instances.multiple_choice import read_mckp
        from robatch.instances.problem import Problem

        classes, capacity = read_mckp(table)
        problem = Problem(**classes.fields(capacity))
    elif _holds_measurements(table):
        if any(name != "task" for name in given_options):
            raise InputError(f"{str(table)!r} holds measurements, which need no prices or other options than --task")
        from robatch.proxies.profiling.measurements import Measurements

        problem = Measurements.read(table).to_problem(task)
    else:
        if task is not None:
            raise InputError(f"--task belongs to measurements, and {str(table)!r} is a routing table")
        problem, found = priced_table(table, prices, **options)
    problem.write(output)
    support.show_problem(problem, output, as_json, prices=[entry.to_dict() for entry in found])
    only_one = form == "auto" and all(model.batch_sizes == (1,) for model in problem.models)
    if only_one and "batch_sizes" not in given_options and options["degradation"] is None and not as_json:
        click.echo(
            "batch size 1 alone: what larger batches keep of the scores is not known without --degradation "
            "(--batch-sizes 1,8 takes it that they keep all)"
        )
    if not as_json:
        for model in problem.models:
            if model.padding:
                click.echo(
                    f"{model.name}: a shared prompt of {model.padding} tokens more would be cached (from "
                    f"{model.cache_min_tokens} on), and each call cost less"
                )
        counted = ["tier", "call fee", *(["cache"] if options["cached"] is not None else [])]
        show_origins((entry.to_dict() for entry in found), [*counted, *(["batch"] if options["batch_api"] else [])])


def _holds_measurements(path: Path) -> bool:
    """Whether the file says that `robatch profile` wrote it; what it is otherwise, its reader finds out."""
    if path.suffix.lower() != ".parquet" or not path.is_file():
        return False
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as file:
            metadata = pq.read_schema(file).metadata or {}
    except (pa.ArrowException, OSError, ValueError):
        return False
    return b'"measurements"' in metadata.get(b"robatch", b"")
