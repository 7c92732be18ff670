"""``robatch route``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from robatch.cli.prices import show_origins
from robatch.cli.rows import rows_options, rules_of
from robatch.cli.support import FILE, check_outputs, json_option, prices_option, print_json
from robatch.cli.tables import show_curve, show_facts, with_interval

if TYPE_CHECKING:
    from robatch.proxies.execution.plan import RoutedPlan
    from robatch.solvers.cheapest.curve import CurvePoint, SingleState


@click.command(short_help="Plan the answers of queries with a proxy.")
@click.argument("queries", type=FILE)
@rows_options
@click.option("--proxy", type=FILE, required=True, help="The proxy that predicts utilities and tokens.")
@click.option("--features", help="What the proxy was fitted with, where texts are sent to an endpoint or a model.")
@click.option("--budget", type=float, help="USD, held against realized cost, what is billed.")
@click.option(
    "--budget-fraction",
    type=float,
    help="Budget between the cheapest (0) and the dearest (1) that make sense by the utilities planned on, as if every "
    "call were full: near 0 what is billed may not fit.",
)
@click.option(
    "--of-best", type=float, help="Plan the least cost of this share, from 0 to 1, of the best model's utility."
)
@click.option("--mean", type=float, help="Plan the least cost of this utility a query, from 0 to 1.")
@click.option(
    "--curve", "with_curve", is_flag=True, help="Print the USD of 90 to 100 % of the best; -o may be left out."
)
@click.option("--solver", default="auto", show_default=True, help="A name of `robatch solvers`.")
@click.option("--robust", type=float, help="Plan on lower bounds of the utilities at this level, such as 0.9.")
@click.option("--time-limit", type=float, help="Seconds.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of every random choice.")
@click.option(
    "--policy", type=click.Choice(["order", "length", "similarity", "random"]), default="order", show_default=True,
    help="Which queries of a state share a call.",
)  # fmt: skip
@click.option("--vectors", type=FILE, help="With the policy similarity: .npy, or .npz of a scipy sparse matrix.")
@click.option("--pool", type=FILE, help="TOML file with [[models]] that changes servers, paths or prices.")
@prices_option("Prices of all models by their names, in place of those of the measurements.")
@click.option(
    "--cached", type=float, metavar="SHARE",
    help="Prices of cached prompts, and fees, that come with prices by name count: part of the calls expected to find "
    "the prompt, from 0 to 1.",
)  # fmt: skip
@click.option("-o", "--output", type=FILE, help="Parquet file to write the plan to.")
@json_option
def route(
    queries: Path,
    proxy: Path,
    vectors: Path | None,
    output: Path | None,
    with_curve: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Choose a model and a batch size for every query of QUERIES, and form the calls.

    QUERIES is a JSONL file of queries, or a table: a CSV, TSV, Parquet or JSONL file, a folder or a pattern of such.
    The plan holds all that `robatch execute` needs but the queries' texts, which stay in QUERIES, and API keys. The
    queries of a table are written beside the plan, each text once; rows that repeat it get its answer.

    With --of-best or --mean the plan is the cheapest one with that utility, where --budget allows it, and says what
    sending everything to the best model would cost.

    \b
    robatch route queries.jsonl --proxy proxy.skops --budget 5.00 -o plan.parquet
    robatch route tickets.csv --id ticket_id --text body --proxy proxy.skops --of-best 0.97 -o plan.parquet
    robatch execute plan.parquet -o answers.jsonl
    """
    from robatch.cli.calls import read_vectors
    from robatch.instances.errors import InputError
    from robatch.proxies.execution.routing import route as run
    from robatch.solvers.cheapest.curve import curve, single_states

    check_outputs({"--output": output}, (queries, proxy, vectors, options["pool"]))
    if output is None and not with_curve:
        raise click.UsageError("Missing option '-o' / '--output', the file of the plan; only --curve needs none.")
    if output is None and all(options[name] is None for name in ("budget", "budget_fraction", "of_best", "mean")):
        options["of_best"] = 1.0
    if (vectors is None) == (options["policy"] == "similarity"):
        raise InputError("--vectors is needed with --policy similarity, and only there")
    similarity = None if vectors is None else read_vectors(vectors)
    rules = rules_of(options)
    with TemporaryDirectory() as folder:
        beside = Path(folder) / "queries.jsonl"
        if output is not None:
            beside = output.with_name(f"{output.name.removesuffix('.parquet')}.queries.jsonl")
        made = run(queries, proxy, similarity=similarity, rules=rules, queries_to=beside, **options)
    if output is not None:
        made.write(output)
    points, states = curve(made.problem) if with_curve else (), single_states(made.problem)
    if not as_json:
        _show(made, output, points, states)
        return
    facts = {
        **made.plan.summary(),
        "queries": made.problem.n_queries,
        "calls": len(made.columns),
        "planned_cost": made.planned_cost,
        "predicted": dict(made.predicted),
        "settings": dict(made.settings),
        "prices": {model.name: None if model.prices is None else dict(model.prices) for model in made.pool},
    }
    told = {"single_states": [asdict(one) for one in states], "curve": [point.to_dict() for point in points]}
    path = None if output is None else str(output)
    print_json({"path": path, **facts, **told, "copies": copied(made), "states": made.plan.states_used()})


def copied(made: RoutedPlan) -> dict[str, float]:
    """Return how many rows repeat a query's text, and the USD that asking them would cost as planned."""
    import numpy as np

    counts = np.array([len(made.copies.get(str(id), ())) for id in np.asarray(made.problem.query_ids)])
    costs = made.problem.amortized_costs()[np.arange(len(counts)), np.asarray(made.plan.assignment)]
    return {"rows": int(counts.sum()), "usd_saved": float(counts @ costs)}


def _show(made: RoutedPlan, output: Path | None, points: Sequence[CurvePoint], states: Sequence[SingleState]) -> None:
    from robatch.cli.solve import show_plan
    from robatch.job.compared import break_even

    facts = [("planned cost", f"{made.planned_cost:.6g} USD of {made.plan.budget:.6g}")]
    utility = with_interval(made.predicted)
    if utility:
        facts.append(("predicted utility", f"{utility}, corrected for optimism"))
        if made.measure != "accuracy":
            facts.append(("which is", f"{made.measure}, no accuracy"))
    rows = copied(made)
    if rows["rows"]:
        more = f"{rows['rows']:,} repeat the text of another: asked once, {rows['usd_saved']:.4g} USD saved as planned"
        facts.append(("rows", more))
    show_facts(facts)
    mean = (made.plan.utility or 0.0) / made.problem.n_queries
    for line in break_even(made.planned_cost, mean, states):
        click.echo(line)
    show_curve(points)
    show_origins(model.prices for model in made.pool)
    show_plan(made.plan, output)
