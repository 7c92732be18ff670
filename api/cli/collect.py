"""``robatch collect``."""

from __future__ import annotations

from pathlib import Path

import click

from robatch.cli.batches import read_routed
from robatch.cli.outcome import check_outcome, failing, show_outcome
from robatch.cli.support import FILE, check_file, json_option, keep_answers, print_json


@click.command(short_help="Take the results of batches in.")
@click.argument("plan", type=FILE)
@click.argument("results", type=FILE, nargs=-1)
@click.option("-o", "--output", type=FILE, help="JSONL file of the answers; beside PLAN without one.")
@click.option("--queries", type=FILE, help="The plan's queries, where they are no longer where the plan has them.")
@click.option("--pool", type=FILE, help="TOML file with [[models]] that changes servers or paths.")
@click.option(
    "--missing", type=click.Choice(["wait", "back", "lost"]), default="wait", show_default=True,
    help="Calls without a result: wait, as their batch is not over; go back to be sent again, as they were never run; "
    "or are lost, and go back charged at the most that they may have billed.",
)  # fmt: skip
@click.option("--grader", metavar="MODULE:FUNCTION", help="The plan's grader, where this is a function of your own.")
@json_option
def collect(  # wide: one parameter per option
    plan: Path,
    results: tuple[Path, ...],
    output: Path | None,
    queries: Path | None,
    pool: Path | None,
    missing: str,
    grader: str | None,
    as_json: bool,
) -> None:
    """Take in the RESULTS of requests that `robatch calls --format openai-batch` wrote for PLAN.

    RESULTS are files in the form of OpenAI and of vLLM's run_batch, with answers, errors or both, in any order. The
    report is written as by `robatch execute`. What failed, or could not be read, is planned again: the next `robatch
    calls --format openai-batch` writes it, and `robatch execute` sends it directly. The exit code is 0 when all queries
    were sent within the budget, else 1.

    \b
    robatch collect routed.parquet results/*.jsonl
    """
    from robatch.proxies.batch.run import collect as run
    from robatch.proxies.tasks.first_calls import StoppedEarly

    if not results and missing == "wait":
        raise click.UsageError("RESULTS are needed: files of results, or --missing back or lost.")
    target = plan.with_suffix(".answers.jsonl") if output is None else output
    check_file(target)
    with keep_answers(), failing(StoppedEarly):
        made, seen = run(
            read_routed(plan, pool, queries), target, results,
            missing=missing,  # type: ignore[arg-type]  # a choice
            grader=grader,
        )  # fmt: skip
    if as_json:
        print_json({"path": str(target), "collected": seen.to_dict(), **made.to_dict()})
    else:
        click.echo(f"{seen}\n")
        show_outcome(made)
        click.echo(f"\nwritten to {target}")
    check_outcome(made)
