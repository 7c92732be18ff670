"""``robatch run``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from robatch.cli.rows import rows_options, rules_of
from robatch.cli.support import (
    FILE,
    WHOLE_NUMBERS,
    check_file,
    check_outputs,
    json_option,
    keep_answers,
    prices_option,
    print_json,
    progress_wanted,
)
from robatch.cli.tables import show_curve, show_table


@click.command("run", short_help="Answer a table within a budget: the whole job.")
@click.argument("table")
@rows_options
@click.option("--pool", type=FILE, required=True, help="TOML file with [[models]], as robatch profile takes it.")
@click.option("--prompt", type=FILE, help="Text file with what is asked of every row; a sentence that fits without.")
@click.option("--system", type=FILE, help="Text file with a system message.")
@prices_option("Prices by name of models that have none.")
@click.option("--budget", type=float, required=True, help="USD, for all steps and all runs of this job.")
@click.option("--measure", type=float, default=0.2, show_default=True, help="The most of the budget to measure with.")
@click.option(
    "--of-best",
    type=float,
    default=0.99,
    show_default=True,
    help="Plan the least cost of this share of the best model's utility.",
)
@click.option(
    "--routing",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="auto: where it can pay; never: all to the dearest model, without measuring.",
)
@click.option(
    "--batch-sizes", type=WHOLE_NUMBERS, default="1,4,16", show_default=True, help="Of models that name none."
)
@click.option("--max-output-tokens", type=int, help="Of an answer; 16, of a text 256.")
@click.option(
    "--form", type=click.Choice(["lines", "json"]), default="lines", show_default=True, help="Of the answers."
)
@click.option("--grader", default="auto", show_default=True, help="How answers are scored, as in robatch profile.")
@click.option("--concurrency", type=int, default=8, show_default=True, help="Calls in flight at a server.")
@click.option("--timeout", type=float, default=120.0, show_default=True, help="Seconds until a try is given up.")
@click.option("--max-wait", type=float, default=60.0, show_default=True, help="The most seconds of a wait.")
@click.option(
    "--max-unread",
    type=float,
    default=0.5,
    show_default=True,
    help="Part of a model's first calls that may be unread; with surely more the run stops.",
)
@click.option("--retry-unread", is_flag=True, help="Ask again what earlier runs left unread.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of every random choice.")
@click.option("--folder", type=FILE, help="Where the steps are kept; OUTPUT with the ending .run without it.")
@click.option("-o", "--output", type=FILE, help="CSV, TSV, Parquet or JSONL file of the rows with their answers.")
@click.option("--dry-run", is_flag=True, help="Print calls, tokens, USD and minutes; send and write nothing.")
@json_option
def run_command(
    table: str, output: Path | None, folder: Path | None, dry_run: bool, as_json: bool, **options: Any
) -> None:  # fmt: skip
    """Answer the rows of TABLE within a budget, and write them with their answers.

    TABLE is a CSV, TSV, Parquet, JSON or JSONL file, a folder or a pattern of such. A part of the budget measures a
    sample of the rows with every model and batch size, as long as that is worth what it costs; a proxy is fitted to it,
    the rest is planned at least cost and executed. Where measuring cannot pay, all rows go to the dearest model. Rows
    without true answers (--answer) are compared with those of the dearest model, asked alone.

    Every step is kept in a folder, also to be used by robatch fit, route and execute: the same command goes on after
    any interruption, and asks only the new rows of a table that has grown. A page about the job is written beside the
    output. Exit code 1: the budget did not suffice for all rows.

    \b
    robatch run tickets.csv --id ticket_id --text 'Subject: {subject}\\n{body}' --choices billing,delivery \\
      --pool pool.toml --prompt prompt.txt --budget 5 -o out.csv
    """
    from robatch.job.job import Job

    if output is None and not dry_run:
        raise click.UsageError("Missing option '-o' / '--output', the file of the answers; only --dry-run needs none.")
    if output is not None:
        inputs = [Path(table), options["pool"], options["prompt"], options["system"]]
        check_outputs({"--output": output}, inputs)
        check_file(output.with_suffix(".html"))
    rules, pool, budget = rules_of(options), options.pop("pool"), options.pop("budget")
    prompt, system = options.pop("prompt"), options.pop("system")
    kept = folder if folder is not None or output is not None else Path("robatch.run")
    options |= {"progress": progress_wanted() and not as_json}
    options |= {"on_note": None if as_json else lambda text: click.echo(text, err=not dry_run)}
    with keep_answers():
        job = Job.of(table, pool, budget, prompt, output, kept, rules, system, options)
        if dry_run:
            _preview(job, as_json)
            return
        made = job.run()
    if as_json:
        print_json({"path": str(output), **made.to_dict()})
    else:
        show_curve(made.curve)
        counts = ", ".join(f"{count:,} {status}" for status, count in made.statuses.items())
        click.echo(f"{counts}; {made.total:.6g} of {budget:g} USD spent; written to {output}")
    if not made.complete:
        count = made.statuses["unanswered"]
        raise click.ClickException(f"{count:,} rows were not asked: a rerun with a larger --budget asks them")


def _preview(job: Any, as_json: bool) -> None:
    """Print the steps that a job would do."""
    from robatch.job.forecast import told

    steps, notes = job.preview()
    rows = told(steps)
    if as_json:
        print_json({"notes": notes, "steps": rows, "budget": job.settings.budget})
        return
    titles = ("step", "queries", "calls", "input tokens", "output tokens", "USD", "minutes")
    cells = [
        (row["name"], row["queries"], row["calls"], f"~{row['input_tokens']:,.0f}", f"~{row['output_tokens']:,.0f}",
         row["usd"], row["minutes"])
        for row in rows
    ]  # fmt: skip
    show_table(titles, cells)
    click.echo(
        "\nAt most, and estimated: answers as if all went to the dearest model alone, 4 bytes a token, half a second a "
        "call and 50 output tokens a second. Nothing was sent."
    )
