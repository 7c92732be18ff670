"""``robatch route``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from robatch.cli.prices import show_origins
from robatch.cli.support import FILE, check_outputs, json_option, prices_option, print_json, states_used
from robatch.cli.tables import show_facts, with_interval

if TYPE_CHECKING:
    from robatch.proxies.execution.plan import RoutedPlan


@click.command(short_help="Plan the answers of queries with a proxy.")
@click.argument("queries", type=FILE)
@click.option("--proxy", type=FILE, required=True, help="The proxy that predicts utilities and tokens.")
@click.option("--features", help="What the proxy was fitted with, where texts are sent to an endpoint or a model.")
@click.option("--budget", type=float, help="USD, held against realized cost, what is billed.")
@click.option(
    "--budget-fraction",
    type=float,
    help="Budget between the cheapest (0) and the dearest (1) that make sense by the utilities planned on, as if every "
    "call were full: near 0 what is billed may not fit.",
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
@click.option("-o", "--output", type=FILE, required=True, help="Parquet file to write the plan to.")
@json_option
def route(  # wide: one parameter per option
    queries: Path,
    proxy: Path,
    features: str | None,
    budget: float | None,
    budget_fraction: float | None,
    solver: str,
    robust: float | None,
    time_limit: float | None,
    seed: int,
    policy: str,
    vectors: Path | None,
    pool: Path | None,
    prices: str | None,
    output: Path,
    as_json: bool,
) -> None:
    """Choose a model and a batch size for every query of QUERIES, a JSONL file, and form the calls.

    The plan holds all that `robatch execute` needs but the queries' texts, which stay in QUERIES, and API keys.

    \b
    robatch route queries.jsonl --proxy proxy.skops --budget 5.00 -o plan.parquet
    robatch execute plan.parquet -o answers.jsonl
    """
    from robatch.cli.calls import read_vectors
    from robatch.instances.errors import InputError
    from robatch.proxies.execution.routing import route as run

    check_outputs({"--output": output}, (queries, proxy, vectors, pool))
    if (vectors is None) == (policy == "similarity"):
        raise InputError("--vectors is needed with --policy similarity, and only there")
    made = run(
        queries,
        proxy,
        budget,
        features=features,
        budget_fraction=budget_fraction,
        robust=robust,
        solver=solver,
        time_limit=time_limit,
        seed=seed,
        policy=policy,  # type: ignore[arg-type]
        similarity=None if vectors is None else read_vectors(vectors),
        pool=pool,
        prices=prices,
    )
    made.write(output)
    if not as_json:
        _show(made, output)
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
    print_json({"path": str(output), **facts, "states": states_used(made.plan)})


def _show(made: RoutedPlan, output: Path) -> None:
    from robatch.cli.solve import show_plan

    facts = [("planned cost", f"{made.planned_cost:.6g} USD of {made.plan.budget:.6g}")]
    utility = with_interval(made.predicted)
    if utility:
        facts.append(("predicted utility", f"{utility}, corrected for optimism"))
    show_facts(facts)
    show_origins(model.prices for model in made.pool)
    show_plan(made.plan, output)
