"""``robatch execute``."""

from __future__ import annotations

import math
from pathlib import Path

import click

from robatch.cli.batches import read_routed
from robatch.cli.outcome import ask, check_outcome, failing, show_dry_run, show_outcome, with_progress
from robatch.cli.support import FILE, check_file, json_option, keep_answers, print_json


def _finite(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    """Refuse nan and inf, which a range lets pass."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is not a finite number.", context, parameter)
    return value


@click.command(short_help="Send a plan's calls to its models.")
@click.argument("plan", type=FILE)
@click.option("-o", "--output", type=FILE, help="JSONL file of the answers; beside PLAN without one.")
@click.option("--queries", type=FILE, help="The plan's queries, where they are no longer where the plan has them.")
@click.option("--pool", type=FILE, help="TOML file with [[models]] that changes servers or paths.")
@click.option(
    "--concurrency", type=click.IntRange(1), default=8, show_default=True, help="Calls in flight at a server."
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    callback=_finite,
    default=120.0,
    show_default=True,
    help="Seconds until a try is given up.",
)
@click.option(
    "--max-wait",
    type=click.FloatRange(0),
    callback=_finite,
    default=60.0,
    show_default=True,
    help="The most seconds of a wait that a server asks for (Retry-After).",
)
@click.option(
    "--budget",
    type=click.FloatRange(0),
    callback=_finite,
    help="USD instead of the plan's; a run that ended takes more.",
)
@click.option(
    "--overrun",
    type=click.FloatRange(0),
    callback=_finite,
    default=0.0,
    show_default=True,
    help="USD by which the budget may be exceeded at worst, to have the last calls answered.",
)
@click.option(
    "--lost",
    type=click.Choice(["worst", "expected"]),
    default="worst",
    show_default=True,
    help="What a try whose bill is not known is charged: the most that it may bill, or what is expected of it, "
    "which is nothing where the server answered with an error such as 429 or 503.",
)
@click.option(
    "--max-loss", type=click.FloatRange(0, 1), callback=_finite,
    help="Part of the predicted utility, such as 0.1, beyond which planning again asks, or stops if nobody is there.",
)  # fmt: skip
@click.option(
    "--max-unread",
    type=click.FloatRange(0, 1),
    callback=_finite,
    default=0.5,
    show_default=True,
    help="Part of a model's first calls that may be unread; with surely more the run stops. 1 never stops.",
)
@click.option(
    "--max-price-age", type=click.FloatRange(0), callback=_finite, default=90.0, show_default=True, metavar="DAYS",
    help="Warn of prices that were found by name and are older.",
)  # fmt: skip
@click.option(
    "--api-key-env",
    multiple=True,
    metavar="NAME",
    help="Environment variable that the plan may send to its servers as a key; repeatable. OPENAI_API_KEY need not be "
    "named for api.openai.com, this machine, or a server that --pool names.",
)
@click.option("--grader", metavar="MODULE:FUNCTION", help="The plan's grader, where this is a function of your own.")
@click.option("--retry-unread", is_flag=True, help="Ask again what an earlier run left unread; else it never is.")
@click.option(
    "--via", type=click.Choice(["calls", "batch"]), default="calls", show_default=True,
    help="batch: through the batch APIs of the plan's servers, whose answers may take a day. Ctrl-C loses nothing.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Print what would be sent and what it may cost; send nothing.")
@json_option
def execute(  # wide: one parameter per option  # long: they are handed on one by one
    plan: Path,
    output: Path | None,
    queries: Path | None,
    pool: Path | None,
    concurrency: int,
    timeout: float,
    max_wait: float,
    budget: float | None,
    overrun: float,
    lost: str,
    max_loss: float | None,
    max_unread: float,
    max_price_age: float,
    api_key_env: tuple[str, ...],
    grader: str | None,
    retry_unread: bool,
    via: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Answer the queries of PLAN, made by `robatch route`, within its budget.

    Answers are written as they come; a run that was ended goes on when it is started again, and one that came to its
    end goes on when it is given a larger --overrun or --budget. The report, predicted against actual utility and
    planned against billed cost, is written to OUTPUT.report.json. The exit code is 0 when all queries were sent within
    the budget (and --overrun), 1 when it did not suffice, or the bill and what lost tries may have cost exceed it.
    """
    from robatch.proxies.execution.outlook import TooMuchLoss
    from robatch.proxies.execution.preview import preview
    from robatch.proxies.execution.prices import warn_of_age
    from robatch.proxies.execution.run import execute as run
    from robatch.proxies.execution.sending import Sending
    from robatch.proxies.tasks.first_calls import StoppedEarly

    routed = read_routed(plan, pool, queries)
    target = plan.with_suffix(".answers.jsonl") if output is None else output
    check_file(target)
    if dry_run:
        sending = Sending(budget, overrun, lost)  # type: ignore[arg-type]  # a choice
        warn_of_age(routed.pool, max_price_age)
        seen = preview(routed, target, sending, api_key_env, grader)
        show_dry_run(*seen, as_json)
        return
    with keep_answers(), failing(TooMuchLoss, StoppedEarly):
        if via == "batch":
            from robatch.proxies.batch.run import execute_batches

            warn_of_age(routed.pool, max_price_age)
            how = Sending(
                budget, overrun, lost,  # type: ignore[arg-type]
                timeout=timeout, max_loss=max_loss, on_loss=ask, on_note=lambda note: click.echo(note, err=True),
                retry_unread=retry_unread, max_unread=max_unread,
            )  # fmt: skip
            made = with_progress(routed, lambda tell, waits: execute_batches(
                routed, target, how, key_variables=api_key_env, grader=grader, on_answers=tell, on_poll=waits
            ))  # fmt: skip
        else:
            made = with_progress(routed, lambda tell, waits: run(
                routed, target, concurrency=concurrency, timeout=timeout, budget=budget, overrun=overrun,
                lost=lost,  # type: ignore[arg-type]
                max_loss=max_loss, key_variables=api_key_env, grader=grader, on_answers=tell, max_wait=max_wait,
                max_unread=max_unread, max_price_age=max_price_age, on_wait=waits, retry_unread=retry_unread,
                on_loss=ask, on_note=lambda note: click.echo(note, err=True),
            ))  # fmt: skip
    if as_json:
        print_json({"path": str(target), **made.to_dict()})
    else:
        show_outcome(made)
        click.echo(f"\nwritten to {target}")
    check_outcome(made)
