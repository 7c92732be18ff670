"""``robatch execute``."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from robatch.cli.support import FILE, check_file, json_option, keep_answers, print_json, progress_wanted
from robatch.cli.tables import show_facts, show_table, shown, with_interval

if TYPE_CHECKING:
    from robatch.proxies.engines.waits import Wait
    from robatch.proxies.execution.outlook import Outlook
    from robatch.proxies.execution.plan import RoutedPlan
    from robatch.proxies.execution.report import ExecutionReport

    OnAnswers = Callable[[int, float], None]
    OnWait = Callable[[Wait], None]


def _finite(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    """Refuse nan and inf, which a range lets pass."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is not a finite number.", context, parameter)
    return value


ROUNDING = 1e-15  # USD; less is the rounding of sums
MOST_REASONS = 5  # why queries are unread, the most frequent ones


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
@click.option("--dry-run", is_flag=True, help="Print what would be sent and what it may cost; send nothing.")
@json_option
def execute(  # wide: one parameter per option
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
    from robatch.proxies.execution.plan import RoutedPlan
    from robatch.proxies.execution.preview import preview
    from robatch.proxies.execution.prices import warn_of_age
    from robatch.proxies.execution.run import execute as run
    from robatch.proxies.execution.sending import Sending
    from robatch.proxies.tasks.first_calls import StoppedEarly

    routed = RoutedPlan.read(plan)
    if pool is not None:
        routed = routed.with_pool(pool)
    if queries is not None:
        routed = routed.with_queries(queries)
    target = plan.with_suffix(".answers.jsonl") if output is None else output
    check_file(target)
    if dry_run:
        sending = Sending(budget, overrun, lost)  # type: ignore[arg-type]  # a choice
        warn_of_age(routed.pool, max_price_age)
        seen = preview(routed, target, sending, api_key_env, grader)
        _show_dry_run(*seen, as_json)
        return
    with keep_answers(), _failing(TooMuchLoss, StoppedEarly):
        made = _with_progress(routed, lambda tell, waits: run(
            routed, target, concurrency=concurrency, timeout=timeout, budget=budget, overrun=overrun,
            lost=lost,  # type: ignore[arg-type]
            max_loss=max_loss, key_variables=api_key_env, grader=grader, on_answers=tell, max_wait=max_wait,
            max_unread=max_unread, max_price_age=max_price_age, on_wait=waits, retry_unread=retry_unread, on_loss=_ask,
            on_note=lambda note: click.echo(note, err=True),
        ))  # fmt: skip
    if as_json:
        print_json({"path": str(target), **made.to_dict()})
    else:
        _show(made)
        click.echo(f"\nwritten to {target}")
    _check(made)


def _check(made: ExecutionReport) -> None:
    """Let a run that exceeded its budget, or that it did not suffice for, end with exit code 1."""
    if not made.kept:
        raise click.ClickException(
            f"over budget by {made.over_budget:.4g} USD: a model took more tokens than the bound of its call"
        )
    if not made.complete:
        raise click.ClickException(
            f"{made.unanswered} of {made.queries} queries were not sent: {made.left:.4g} USD are left, and a call for "
            "them may cost more; a rerun with a larger --overrun or --budget sends them"
        )


@contextmanager
def _failing(*kinds: type[Exception]) -> Iterator[None]:
    """Let an error of some kinds end the command with exit code 1: no input was wrong."""
    try:
        yield
    except kinds as error:
        raise click.ClickException(str(error)) from None


def _ask(seen: Outlook) -> bool:
    """Ask whether to go on though more of the predicted utility is lost than --max-loss allows."""
    if not sys.stdin.isatty():
        return False
    words = (
        f"As it must be executed, the plan is worth {seen.utility:.6g} of {seen.planned:.6g} ({seen.moves()}). Go on?"
    )
    return click.confirm(words, err=True)


def _with_progress(
    routed: RoutedPlan, work: Callable[[OnAnswers | None, OnWait | None], ExecutionReport]
) -> ExecutionReport:
    """Run with a progress bar where a person looks."""
    if not progress_wanted():
        return work(None, None)
    from robatch.instances.display.terminal import progress_bar

    with progress_bar((), ("{task.description}",)) as bar:
        task, told = bar.add_task("", total=routed.problem.n_queries), ""

        def tell(done: int, spent: float) -> None:
            nonlocal told
            told = f"{spent:.4g} of {routed.plan.budget:.4g} USD"
            bar.update(task, completed=done, description=told)

        def tell_wait(wait: Wait) -> None:
            bar.update(task, description=f"{told} {wait}".strip())

        return work(tell, tell_wait)


def _show_dry_run(rows: Sequence[Mapping[str, Any]], budget: float, left: float, as_json: bool) -> None:
    sums = ("done", "queries", "calls", "expected", "worst")
    total = {name: sum(row[name] for row in rows) for name in sums}
    if as_json:
        print_json({"budget": budget, "left": left, **total, "states": list(rows)})
        return
    titles = ("model", "batch size", "calls done", "queries", "calls", "expected USD", "worst USD")
    lines = [*rows, {"model": "all", "batch_size": "", **total}]
    keys = ("model", "batch_size", *sums)
    show_table(titles, [[row[key] for key in keys] for row in lines])
    click.echo(f"\nbudget {budget:.6g} USD, of which {left:.6g} are left; nothing was sent")
    click.echo(
        "Worst is each call at the most that it may bill. A call is sent only if that fits into what is left: the last "
        "calls may be planned again in cheaper states, or not be asked (see --overrun)."
    )


def _show(made: ExecutionReport) -> None:
    facts = [
        ("queries", f"{made.answered} answered, {made.unread} unread, {made.unanswered} unanswered"),
        ("calls", f"{made.calls}, of these {made.splits} halves; {made.replans} times planned again"),
        ("billed", f"{made.billed:.6g} USD of {made.budget:.6g}, planned {made.planned:.6g}"),
    ]
    if made.lost_calls:
        charged = "" if made.lost == made.lost_worst else f", charged {made.lost:.6g} as expected (--lost)"
        facts.append(
            ("lost", f"{made.lost_calls} tries whose bill is not known: {made.lost_worst:.6g} USD at worst{charged}")
        )
    if made.over_budget:
        facts.append(("over budget", f"{made.over_budget:.4g} USD of {made.overrun:.4g} allowed"))
    for name, count in made.uncounted.items():
        facts.append(
            ("not counted", f"{count} calls of {name}: its server gives no possible token counts; at their bound")
        )
    if made.uncounted_cost:
        facts.append(("", f"{made.uncounted_cost:.4g} USD of what is billed above are such bounds"))
    for row in made.outages:
        cost = (
            f"{row['queries']} queries planned again, {row['utility_lost']:.4g} utility and {row['cost']:.4g} USD lost"
        )
        facts.append(("given up", f"{row['model']}: {row['why']} ({cost})"))
    for name, names in made.replied.items():
        others = ", ".join(f"{other} ({count} calls)" for other, count in names.items())
        facts.append(("replied", f"{name} was answered by {others}"))
    for why, count in sorted(made.unread_why.items(), key=lambda item: -item[1])[:MOST_REASONS]:
        facts.append(("unread", f"{count} queries: {why}"))
    for name, told in made.engines.items():
        if len(told) > 1:
            facts.append(("engines", f"{len(told)} that differ answered for {name}: see the report"))
    for name, count in made.loose.items():
        facts.append(("form", f"{count} calls of {name} did not keep it (structured = true): read with tolerance"))
    for name, refused in made.refused.items():
        facts.append(("requests", f"{name} refused {', '.join(refused)}: calls went on without, see the report"))
    facts.append(("amortized", f"{made.amortized:.6g} USD, from which the bill differs by"))
    for name, usd in made.difference.items():
        facts.append((f"  {name.replace('_', ' ')}", f"{0.0 if abs(usd) < ROUNDING else usd:+.4g} USD"))
    facts.append(("planned utility", with_interval(made.predicted, ".4g")))
    moves = made.executed.moves()
    if moves:
        facts.append(("as executed", f"{with_interval(made.executed.to_dict(), '.4g')}: {moves}"))
    if made.actual is not None:
        graded = f"{made.actual:.6g} over {made.graded} graded, {shown(made.predicted_graded)} predicted"
        facts.append(("actual utility", graded))
    for name, measure in (("planned", made.predicted_measure), ("actual", made.actual_measure)):
        if measure != "accuracy":
            facts.append((f"  {name}", f"{measure}, no accuracy"))
    show_facts(facts)
    click.echo()
    titles = ("model", "batch size", "planned", "queries", "calls", "predicted", "actual", "planned USD", "billed USD")
    keys = (
        "model", "batch_size", "planned_queries", "queries", "calls", "predicted_utility", "actual_utility",
        "planned_cost", "billed",
    )  # fmt: skip
    show_table(titles, [[row[key] for key in keys] for row in made.states])
