"""The three ways of a batch: files of requests, files of results, and a server's batch API."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, get_args

from robatch.instances.errors import InputError
from robatch.proxies.batch.api import ApiSession
from robatch.proxies.batch.files import FileSession, Missing, Unchanged
from robatch.proxies.batch.requests import FileLimits
from robatch.proxies.batch.session import Collected
from robatch.proxies.execution.plan import RoutedPlan
from robatch.proxies.execution.report import ExecutionReport
from robatch.proxies.execution.run import Prepared, prepare, run
from robatch.proxies.execution.sending import Sending

PathLike = str | os.PathLike[str]


def write_requests(
    plan: RoutedPlan | PathLike,
    folder: PathLike,
    output: PathLike,
    sending: Sending | None = None,
    *,
    grader: str | None = None,
    limits: FileLimits | None = None,
    rewrite: bool = False,
) -> tuple[ExecutionReport, list[tuple[Path, int]]]:
    """Write the calls of a plan whose worst cases fit its budget together as files of requests, for a batch API.

    The journal of the execution beside `output` holds them from then on as calls in flight, so that neither `execute`
    nor another round writes or sends them again; `collect` takes their results in. Calls that do not fit wait for the
    next round. No key is read.

    Parameters
    ----------
    plan
        A routed plan or its file.
    folder
        Where the files go; made where it does not exist. Each holds requests to one model, in the form of OpenAI and
        of vLLM's ``run_batch``.
    output
        The JSONL file of the answers, as of `execute`.
    sending
        Budget and overrun, as of `execute`.
    grader
        As of `execute`.
    limits
        How large a file may be.
    rewrite
        Whether to write files anew, too, whose results are waited for: where they were lost, and not handed over.

    Returns
    -------
    report
        Of the execution so far.
    files
        The files, and how many requests each has.

    Raises
    ------
    InputError
        As of `execute`, or if the files cannot be written.
    """
    prepared = _prepared(plan, output, grader)
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {str(target)!r}: {error.strerror or error}") from None
    written: list[tuple[Path, int]] = []

    def make(*where: Any) -> FileSession:
        return FileSession(*where, sending or Sending(), folder=target, limits=limits)

    def work(session: FileSession) -> None:
        session.write(rewrite)
        written.extend(session.written)

    return run(prepared, output, make, work), written


def collect(
    plan: RoutedPlan | PathLike,
    output: PathLike,
    results: Sequence[PathLike],
    *,
    missing: Missing = "wait",
    grader: str | None = None,
) -> tuple[ExecutionReport, Collected]:
    """Take the results of batches in: answers are read, billed, written and graded as `execute` does.

    Results may come in any order, from several files, with errors in files of their own, twice, or cut off; those of
    calls that have one already change nothing. Failures are planned again by the rules of `execute`, and sent by the
    next `write_requests`, `execute_batches` or `execute`.

    Parameters
    ----------
    plan, output, grader
        As of `write_requests`.
    results
        Files of results.
    missing
        What becomes of calls without a result: ``"wait"``, as their batch may not be over; ``"back"``, to be sent
        again at no cost, as they were never run; ``"lost"``, the same, but charged at their bound, as they may have
        been billed.

    Returns
    -------
    report
        Of the execution so far.
    collected
        What the results came to.

    Raises
    ------
    InputError
        If a file cannot be read or holds no result of this execution; then nothing is changed.
    """
    if missing not in get_args(Missing):
        raise InputError(f"missing is {missing!r}: 'wait', 'back' or 'lost' is needed")
    prepared = _prepared(plan, output, grader)
    seen = Collected()

    def work(session: FileSession) -> None:
        nonlocal seen
        seen = session.collected
        session.collect([Path(path) for path in results], missing)

    return run(prepared, output, lambda *where: FileSession(*where, Unchanged()), work), seen


def execute_batches(
    plan: RoutedPlan | PathLike,
    output: PathLike,
    sending: Sending | None = None,
    *,
    key_variables: Collection[str] = (),
    grader: str | None = None,
    limits: FileLimits | None = None,
    on_answers: Callable[[int, float], None] | None = None,
    on_poll: Callable[[str], None] | None = None,
) -> ExecutionReport:
    """Execute a plan through the batch APIs of its servers, round by round, until nothing is left that can be paid.

    Each batch is in the journal before it is uploaded, and its id as soon as it is known: a run that was ended goes on
    with the same batches, and finds one whose id it never heard of by its metadata.

    Parameters
    ----------
    plan, output, key_variables, grader, on_answers
        As of `robatch.proxies.execute`.
    sending
        Budget, overrun, timeout and so on, as of `execute`.
    limits
        How large a batch may be.
    on_poll
        Called with where a batch stands whenever it was asked for.

    Raises
    ------
    InputError
        As of `execute`; if a server has no batch API.
    """
    prepared = prepare(plan, output, key_variables, grader)
    how = sending or Sending()

    def make(*where: Any) -> ApiSession:
        return ApiSession(*where, how, on_answers, limits, on_poll=on_poll)

    return run(prepared, output, make, ApiSession.work)


def _prepared(plan: RoutedPlan | PathLike, output: PathLike, grader: str | None) -> Prepared:
    """Make all checks of an execution that reads no key."""
    routed = plan if isinstance(plan, RoutedPlan) else RoutedPlan.read(plan)
    return prepare(routed, output, [model.api_key_env for model in routed.pool], grader)
