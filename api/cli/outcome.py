"""What the commands that execute plans show: progress, questions, and what came of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from robatch.cli.support import print_json, progress_wanted
from robatch.cli.tables import show_facts, show_table, shown, with_interval

if TYPE_CHECKING:
    from robatch.proxies.execution.outlook import Outlook
    from robatch.proxies.execution.plan import RoutedPlan
    from robatch.proxies.execution.report import ExecutionReport

    OnAnswers = Callable[[int, float], None]
    OnWait = Callable[[object], None]

ROUNDING = 1e-15  # USD; less is the rounding of sums
MOST_REASONS = 5  # why queries are unread, the most frequent ones


def check_outcome(made: ExecutionReport) -> None:
    """Let a run that exceeded its budget, or that it did not suffice for, end with exit code 1."""
    if not made.kept:
        raise click.ClickException(
            f"over budget by {made.over_budget:.4g} USD: a model took more tokens than the bound of its call"
        )
    if made.waiting:
        raise click.ClickException(
            f"{made.waiting} of {made.queries} queries wait for results of batches, or for these to be over: take them "
            "in with robatch collect"
        )
    if not made.complete:
        raise click.ClickException(
            f"{made.unanswered} of {made.queries} queries were not sent: {made.left:.4g} USD are left, and a call for "
            "them may cost more; a rerun with a larger --overrun or --budget sends them"
        )


@contextmanager
def failing(*kinds: type[Exception]) -> Iterator[None]:
    """Let an error of some kinds end the command with exit code 1: no input was wrong."""
    try:
        yield
    except kinds as error:
        raise click.ClickException(str(error)) from None


def ask(seen: Outlook) -> bool:
    """Ask whether to go on though more of the predicted utility is lost than --max-loss allows."""
    if not sys.stdin.isatty():
        return False
    words = (
        f"As it must be executed, the plan is worth {seen.utility:.6g} of {seen.planned:.6g} ({seen.moves()}). Go on?"
    )
    return click.confirm(words, err=True)


def with_progress(
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

        def tell_wait(wait: object) -> None:
            bar.update(task, description=f"{told} {wait}".strip())

        return work(tell, tell_wait)


def show_dry_run(rows: Sequence[Mapping[str, Any]], budget: float, left: float, as_json: bool) -> None:
    """Show what would be sent, by state, and what it may cost."""
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


def show_outcome(made: ExecutionReport) -> None:
    """Show what an execution came to."""
    waiting = f", of these {made.waiting} wait for batches" if made.waiting else ""
    facts = [
        ("queries", f"{made.answered} answered, {made.unread} unread, {made.unanswered} unanswered{waiting}"),
        ("calls", f"{made.calls}, of these {made.splits} halves; {made.replans} times planned again"),
        *([("set aside", f"{made.reserved:.6g} USD at worst, for what batches hold")] if made.reserved else []),
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
