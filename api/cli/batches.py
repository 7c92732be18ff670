"""What ``robatch calls`` and ``robatch collect`` share where calls go as batches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from robatch.cli.outcome import check_outcome, failing, show_outcome
from robatch.cli.support import FILE, check_file, keep_answers

if TYPE_CHECKING:
    from robatch.proxies.execution.plan import RoutedPlan

OPTIONS = (
    click.option(
        "--answers", type=FILE, metavar="FILE",
        help="openai-batch: the answers file of this execution, beside PLAN without one; its journal is kept there.",
    ),
    click.option("--queries", type=FILE, help="openai-batch: the plan's queries, where the plan has them elsewhere."),
    click.option("--pool", type=FILE, help="openai-batch: TOML file with [[models]] that changes models' names there."),
    click.option("--budget", type=click.FloatRange(0), help="openai-batch: USD instead of the plan's."),
    click.option("--overrun", type=click.FloatRange(0), help="openai-batch: USD that the budget may be exceeded by."),
    click.option("--max-requests", type=click.IntRange(1), help="openai-batch: most requests of a file, else 50000."),
    click.option("--max-bytes", type=click.IntRange(1), help="openai-batch: most bytes of a file, else 200000000."),
    click.option("--rewrite", is_flag=True, help="openai-batch: write files again that were lost, not handed over."),
    click.option("--grader", metavar="MODULE:FUNCTION", help="openai-batch: the plan's, if a function of your own."),
)  # fmt: skip


def batch_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of requests for batch APIs to a command."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def read_routed(plan: Path, pool: Path | None, queries: Path | None) -> RoutedPlan:
    """Read a routed plan, with what a command changes of it."""
    from robatch.proxies.execution.plan import RoutedPlan

    routed = RoutedPlan.read(plan)
    if pool is not None:
        routed = routed.with_pool(pool)
    return routed if queries is None else routed.with_queries(queries)


def write_batches(  # wide: one parameter per option
    plan: Path,
    folder: Path,
    answers: Path | None,
    queries: Path | None,
    pool: Path | None,
    budget: float | None,
    overrun: float | None,
    max_requests: int | None,
    max_bytes: int | None,
    rewrite: bool,
    grader: str | None,
) -> None:
    """Write the requests of a routed plan's calls."""
    from robatch.proxies.batch.requests import MOST_BYTES, MOST_REQUESTS, FileLimits
    from robatch.proxies.batch.run import write_requests
    from robatch.proxies.execution.sending import Sending
    from robatch.proxies.tasks.first_calls import StoppedEarly

    target = plan.with_suffix(".answers.jsonl") if answers is None else answers
    check_file(target)
    limits = FileLimits(max_requests or MOST_REQUESTS, max_bytes or MOST_BYTES)
    sending = Sending(budget, overrun or 0.0, on_note=lambda note: click.echo(note, err=True))
    routed = read_routed(plan, pool, queries)
    with keep_answers(), failing(StoppedEarly):
        made, files = write_requests(
            routed, folder, target, sending, grader=grader, limits=limits, rewrite=rewrite
        )  # fmt: skip
    for path, count in files:
        click.echo(f"{path}: {count:,} requests")
    if not made.waiting:
        show_outcome(made)
        check_outcome(made)
        return
    click.echo(
        f"{made.waiting:,} of {made.queries:,} queries wait, at most {made.reserved:.6g} USD of {made.budget:.6g} are "
        f"set aside for what batches hold; robatch collect {plan} RESULTS takes their results in"
    )
    if not files:
        click.echo("no call was written: those that batches hold are waited for first (--rewrite writes them again)")
