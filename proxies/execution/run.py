"""The execution of a routed plan: plan, queue of calls, meter, record."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from robatch.instances.errors import InputError
from robatch.instances.files import write_text
from robatch.proxies.engines.waits import MAX_WAIT, Wait
from robatch.proxies.execution.answers_file import AnswersFile
from robatch.proxies.execution.meter import Charge
from robatch.proxies.execution.outlook import Outlook
from robatch.proxies.execution.plan import RoutedPlan
from robatch.proxies.execution.prices import MAX_PRICE_AGE, warn_of_age
from robatch.proxies.execution.report import ExecutionReport, report
from robatch.proxies.execution.sending import Sending
from robatch.proxies.execution.session import Session
from robatch.proxies.execution.state import Execution
from robatch.proxies.execution.trust import check_trust
from robatch.proxies.journal import Journal, read_lines
from robatch.proxies.tasks.first_calls import MOST_UNREAD, StoppedEarly
from robatch.proxies.tasks.grading import Grader, grader_of
from robatch.proxies.tasks.queries import Query

JOURNAL_SYNC_EVERY = 0.1
"""Seconds of answers that a crash of the machine may lose: these calls are charged as lost, and asked again."""
ANSWERS_SYNC_EVERY = 5.0
"""The file of answers is mended by the journal."""
HANDED_OVER = ("sent", "batched")  # events by which calls leave this machine

Prepared = tuple[RoutedPlan, Sequence[Query], Grader]
"""What an execution needs to begin."""
S = TypeVar("S", bound=Session)


def journal_path(output: str | os.PathLike[str]) -> Path:
    """Return where an execution keeps its journal: beside the answers."""
    return Path(f"{os.fspath(output)}.journal.jsonl")


def report_path(output: str | os.PathLike[str]) -> Path:
    """Return where an execution writes its report: beside the answers."""
    return Path(f"{os.fspath(output)}.report.json")


def execute(  # wide: one parameter for each option
    plan: RoutedPlan | str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    concurrency: int = 8,
    timeout: float = 120.0,
    budget: float | None = None,
    overrun: float = 0.0,
    lost: Charge = "worst",
    max_loss: float | None = None,
    key_variables: Collection[str] = (),
    grader: str | None = None,
    on_answers: Callable[[int, float], None] | None = None,
    max_wait: float = MAX_WAIT,
    on_wait: Callable[[Wait], None] | None = None,
    on_loss: Callable[[Outlook], bool] | None = None,
    on_note: Callable[[str], None] | None = None,
    retry_unread: bool = False,
    max_unread: float = MOST_UNREAD,
    max_price_age: float | None = MAX_PRICE_AGE,
) -> ExecutionReport:
    """Send a plan's calls to its models, within its budget, and write the answers as they come.

    The answers, one JSON line a query, go to `output`; a journal beside it makes a rerun go on where a run was ended,
    even killed: what was answered is not sent again, and calls in flight at that moment are charged at their bound and
    sent again. At the end the report is written beside `output`.

    Parameters
    ----------
    plan
        A routed plan or its file.
    output
        The JSONL file of the answers.
    concurrency, timeout
        Calls in flight at a server, and seconds until a try is given up.
    budget
        USD, 0 too; None for that of the run before, at first the plan's. A run that ended goes on where this, or
        `overrun`, is larger than it was then.
    overrun
        USD by which the budget may be exceeded at worst, for those who would rather have the last calls answered.
    lost
        What a try whose bill is not known is charged. ``"worst"``: its bound, so that the budget holds whatever is
        billed. ``"expected"``: what a call like it is expected to cost, and nothing where the server answered with an
        error (such as 429 or 503), for which hardly anybody bills; then the budget holds on the mean.
    max_loss
        Part of the predicted utility, from 0 to 1, that may be lost by planning again; None for any.
    key_variables
        Environment variables whose value may be sent to the plan's servers as a key: a plan may come from somebody
        else. ``OPENAI_API_KEY`` need not be named for api.openai.com, this machine, or a server that the file of
        `RoutedPlan.with_pool` names; nor the variables that this file names.
    grader
        The plan's grader where this is a function of the user's, ``"package.module:function"``: a plan's file alone
        runs no code.
    on_answers
        Called with the number of finished queries and the USD spent.
    max_wait
        The most seconds of a wait that a server asks for (``Retry-After``).
    on_wait
        Called with every wait, maybe in another thread.
    on_loss
        Asked whether to go on where more than `max_loss` would be lost; without it, the run stops.
    on_note
        Called with a sentence on what is about to be sent, where an ended run goes on.
    retry_unread
        Whether to ask again what an earlier run of this output left unread; otherwise it is never asked again.
    max_unread
        The part of a model's first calls that may be unread: with surely more, also of single queries, the run stops.
        1 never stops.
    max_price_age
        Days beyond which prices that were found by name are called old, with an `InputWarning`; None for never.

    Raises
    ------
    InputError
        If an argument is not allowed, the queries were changed, the grader cannot be had, the plan asks for what the
        user did not name, a model cannot be reached, or `output` belongs to another plan or a run in progress. What
        was answered is kept. `TooMuchLoss`, a kind of it, where the run stops for `max_loss`;
        `StoppedEarly`, where it stops for `max_unread`, with the report written.

    Notes
    -----
    A call is sent only if what is spent, the bounds of calls in flight and its own bound are within the budget (and
    `overrun`). A bound counts all output tokens that a call is allowed; its input tokens by the model's own tokenizer
    where its folder is at hand, otherwise one for every byte; and what the chat template adds, as measured, or 128
    tokens. An answer replaces the bound by its bill; a try whose bill is not known (a timeout, a lost connection, an
    error of the server's) is charged the whole bound, and what the provider refuses nothing. So the budget is exceeded
    only where a provider counts more tokens than that, as those of a long chat template that was not measured: a
    model's first call, which goes alone, tells. Where the rest of the plan no longer fits at the tokens that calls
    really take, or no waiting call fits by its bound, the rest is planned again in states whose calls do. Queries for
    which no such state is left stay unanswered.

    The failure of one call is that call's: the others go on, and it is tried again behind them, a refused one twice in
    all and any other three times (`robatch.proxies.execution.health`). Then it is asked in halves, and a single query
    stays unread, with the reason. A model that refuses or fails every call is given up, and the rest is planned again
    over the others; without any other, the run ends with the reason, and a rerun goes on.
    """
    sending = Sending(
        budget=budget, overrun=overrun, lost=lost, concurrency=concurrency, timeout=timeout, max_wait=max_wait,
        on_wait=on_wait, max_loss=max_loss, on_loss=on_loss, on_note=on_note, retry_unread=retry_unread,
        max_unread=max_unread,
    )  # fmt: skip
    prepared = prepare(plan, output, key_variables, grader)
    warn_of_age(prepared[0].pool, max_price_age)

    def make(state: Execution, queries: Sequence[Query], journal: Journal, answers: AnswersFile) -> Session:
        return Session(state, queries, journal, answers, sending, on_answers)

    return run(prepared, output, make, Session.drain)


def run(
    prepared: Prepared,
    output: str | os.PathLike[str],
    make: Callable[[Execution, Sequence[Query], Journal, AnswersFile], S],
    work: Callable[[S], object],
) -> ExecutionReport:
    """Let a session `work` where an earlier one of the same output ended, and report what came of all of them.

    `make` makes it of a state, the queries, the journal and the file of answers.
    """
    routed, queries, grade = prepared
    target = Path(output)
    with ExitStack() as stack:
        journal = Journal(journal_path(target), '{"event": "begin"', JOURNAL_SYNC_EVERY)
        stack.callback(journal.close)
        answers = Journal(target, '{"id": ', ANSWERS_SYNC_EVERY)
        stack.callback(answers.close)
        state = Execution.begin(routed)
        session = make(state, queries, journal, AnswersFile(answers, state, queries))
        session.resume()
        try:
            work(session)
        except StoppedEarly:
            _write_report(target, report(routed, queries, state, grade))
            raise
        except InputError:
            if not any(line.get("event") in HANDED_OVER for line in journal.lines()):  # nothing is worth keeping
                journal.remove()
                answers.remove()
            raise
        made = report(routed, queries, state, grade)
        _write_report(target, made)
        return made


def _write_report(target: Path, made: ExecutionReport) -> None:
    write_text(report_path(target), json.dumps(made.to_dict(), indent=2, ensure_ascii=False) + "\n")


def prepare(
    plan: RoutedPlan | str | os.PathLike[str],
    output: str | os.PathLike[str] | None,
    key_variables: Collection[str],
    grader: str | None,
) -> Prepared:
    """Make all checks of an execution that need no model, as the dry run does too: plan, queries and grader."""
    routed = plan if isinstance(plan, RoutedPlan) else RoutedPlan.read(plan)
    check_trust(routed, key_variables, grader)
    if output is not None:
        target = Path(output)
        if target.is_dir() or not target.parent.is_dir():
            raise InputError(f"cannot write {str(target)!r}: a file in a folder that exists is needed")
        journal = journal_path(target)
        begun = journal.exists() and next(read_lines(journal), None) is not None
        if not begun and target.exists() and target.stat().st_size:  # answers that somebody paid for
            raise InputError(f"{str(target)!r} exists and has no journal of an execution: choose another output")
    grade = grader_of(routed.grader)

    def check(query: Query) -> None:
        """Find out now a truth that the grader cannot read; a user's function may be costly."""
        if query.answer is not None:
            grade(query.answer, query)

    return routed, routed.queries(check if ":" not in routed.grader else None), grade
