"""``robatch fit``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from robatch.cli.rows import rows_options, rules_of
from robatch.cli.support import FILE, check_outputs, json_option, print_json
from robatch.cli.tables import show_table

if TYPE_CHECKING:
    from robatch.proxies.utility.diagnostics import Diagnosis


@click.command(short_help="Fit a proxy to measurements.")
@click.argument("measurements", type=FILE)
@click.option(
    "--queries",
    type=FILE,
    help="The queries that were measured, unchanged, in a JSONL file or a table (see robatch route --help); by default "
    "the file that robatch profile wrote.",
)
@rows_options
@click.option("--task", help="The task, where the measurements hold several.")
@click.option("-o", "--output", type=FILE, required=True, help="File to write the proxy to.")
@click.option(
    "--router",
    type=click.Choice(["logistic", "knn", "mlp", "boosting", "constant"]),
    default="logistic",
    show_default=True,
    help="What predicts a model's utility from a query.",
)
@click.option(
    "--scaling",
    type=click.Choice(["isotonic", "exponential", "logistic-drop", "table", "none"]),
    default="isotonic",
    show_default=True,
    help="What a model keeps as batches grow; none: a router for each state.",
)
@click.option(
    "--calibration",
    type=click.Choice(["platt", "isotonic", "none"]),
    default="platt",
    show_default=True,
    help="How predictions are drawn to what was measured.",
)
@click.option(
    "--features",
    default="tfidf",
    show_default=True,
    help="tfidf, sentence-transformers:NAME or endpoint:URL#MODEL.",
)
@click.option("--floor", default="0", show_default=True, help="Utility of guessing, or: estimate.")
@click.option(
    "--folds", type=click.IntRange(2, 50), default=5, show_default=True, help="Parts of the cross-validation."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of all random choices.")
@click.option("--plot", type=FILE, help="PNG file to draw the reliability of the predictions to.")
@json_option
def fit(  # wide: one parameter per option
    measurements: Path,
    queries: Path | None,
    task: str | None,
    output: Path,
    router: str,
    scaling: str,
    calibration: str,
    features: str,
    floor: str,
    folds: int,
    seed: int,
    plot: Path | None,
    as_json: bool,
    **rows: Any,
) -> None:
    """Fit a proxy to MEASUREMENTS, a file of robatch profile: it predicts the utility of new queries in every state.

    What is printed was found on queries left out of the fit. The proxy's file holds no text and no code.
    """
    from robatch.proxies.profiling.measurements import Measurements
    from robatch.proxies.profiling.query_files import query_files
    from robatch.proxies.sources.rows import read_rows
    from robatch.proxies.utility.diagnostics import diagnose
    from robatch.proxies.utility.fit_context import sample, task_of
    from robatch.proxies.utility.utility_proxy import UtilityProxy

    measured = Measurements.read(measurements)
    if queries is None:
        queries = query_files(measurements, measured.tasks)[task_of(measured, task)]
    check_outputs({"--output": output, "--plot": plot}, (measurements, queries))
    given = read_rows(queries, rules_of(rows)).queries
    proxy = UtilityProxy.from_measurements(
        measured,
        given,
        task,
        router=router,
        scaling=None if scaling == "none" else scaling,
        calibration=None if calibration == "none" else calibration,
        features=features,
        floor=_floor(floor),
        folds=folds,
        random_state=seed,
    )
    found = sample(measured, given, task)
    costs = found.costs(measured.states)
    diagnosis = diagnose(proxy, found.texts, found.utility, folds=folds, seed=seed, costs=costs)
    proxy.save(output)
    if plot is not None:
        diagnosis.plot(plot)
    if as_json:
        print_json(
            {"path": str(output), "queries": len(found.texts), "measure": measured.measure(task), **diagnosis.summary()}
        )
        return
    _show(diagnosis)
    if measured.measure(task) != "accuracy":
        click.echo(f"\nutility is {measured.measure(task)}, no accuracy: people's answers tell how far that is from it")
    click.echo(f"\n{len(found.texts):,} of {len(given):,} queries were measured; written to {output}")


def _floor(text: str) -> float | str:
    if text == "estimate":
        return text
    try:
        return float(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is neither a number nor 'estimate'.", param_hint="--floor") from None


def _show(diagnosis: Diagnosis) -> None:
    """Print the figures of each state and of all."""
    titles = ("model", "batch size", "queries", "measured", "predicted", "Brier", "log loss", "ECE", "AUC")
    rows = []
    for state in diagnosis.per_state:
        figures = [state[name] for name in ("measured", "predicted", "brier", "log_loss", "ece", "auc")]
        texts = ["" if figure is None else f"{figure:.3f}" for figure in figures]
        rows.append((state["model"], state["batch_size"], state["queries"], *texts))
    show_table(titles, rows, no_wrap=True)
    auc = "" if diagnosis.auc is None else f", AUC {diagnosis.auc:.3f}"
    click.echo(
        f"\nall states: Brier {diagnosis.brier:.4f} ({diagnosis.baseline_brier:.4f} with each state's mean alone), "
        f"log loss {diagnosis.log_loss:.4f}, ECE {diagnosis.ece:.4f}{auc}"
    )
    decisions = diagnosis.decisions
    if decisions is None:
        return
    click.echo(
        f"routing by these predictions was worth {decisions.gain:+.4f} a query (standard error {decisions.error:.4f}), "
        f"utility less price times cost over {len(decisions.per_price)} shadow prices, against treating all queries "
        "alike"
    )
    if not decisions.clear:
        click.echo(
            "warning: routing is not clearly better than treating all queries alike: more measured queries may help, "
            "or take --router constant",
            err=True,
        )
