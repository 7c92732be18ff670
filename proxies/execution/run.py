"""The execution of a routed plan: plan, queue of calls, meter, record."""

from __future__ import annotations

import json
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from robatch.instances.errors import InputError
from robatch.instances.files import write_text
from robatch.proxies.engines.engine import Engine, EngineFailure, ModelAnswer
from robatch.proxies.execution.dispatch import Dispatcher, Ready
from robatch.proxies.execution.plan import RoutedPlan
from robatch.proxies.execution.report import ExecutionReport, report
from robatch.proxies.execution.state import JOURNAL, Event, Execution
from robatch.proxies.execution.trust import check_trust
from robatch.proxies.journal import Journal
from robatch.proxies.tasks.grading import Grader, grader_of
from robatch.proxies.tasks.queries import Query
from robatch.proxies.tasks.reading import read

RETRIES = 4  # tries of a call beyond the first, after failures that may be billed; each is charged at its bound


def journal_path(output: str | os.PathLike[str]) -> Path:
    """Return where an execution keeps its journal: beside the answers."""
    return Path(f"{os.fspath(output)}.journal.jsonl")


def report_path(output: str | os.PathLike[str]) -> Path:
    """Return where an execution writes its report: beside the answers."""
    return Path(f"{os.fspath(output)}.report.json")


def execute(
    plan: RoutedPlan | str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    concurrency: int = 8,
    timeout: float = 120.0,
    overrun: float = 0.0,
    key_variables: Collection[str] = (),
    grader: str | None = None,
    on_answers: Callable[[int, float], None] | None = None,
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
    overrun
        USD by which the budget may be exceeded at worst, for those who would rather have the last calls answered.
    key_variables
        Environment variables whose value may be sent to the plan's servers as a key: a plan may come from somebody
        else. ``OPENAI_API_KEY`` need not be named for api.openai.com, this machine, or a server that the file of
        `RoutedPlan.with_pool` names; nor the variables that this file names.
    grader
        The plan's grader where this is a function of the user's, ``"package.module:function"``: a plan's file alone
        runs no code.
    on_answers
        Called with the number of finished queries and the USD spent.

    Raises
    ------
    InputError
        If an argument is not allowed, the queries were changed, the grader cannot be had, the plan asks for what the
        user did not name, a model cannot be reached, or `output` belongs to another plan or a run in progress. What
        was answered is kept.

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
    """
    _check_number("timeout", timeout, positive=True)
    _check_number("overrun", overrun)
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
        raise InputError(f"concurrency is {concurrency!r}: a whole number of at least 1 is needed")
    routed, queries, grade = prepare(plan, output, key_variables, grader)
    target = Path(output)
    with ExitStack() as stack:
        journal = Journal(journal_path(target), '{"event": "begin"')
        stack.callback(journal.close)
        answers = Journal(target, '{"id": ')
        stack.callback(answers.close)
        state = Execution.begin(routed, float(overrun))
        run = _Run(routed, queries, state, journal, answers, concurrency, timeout, on_answers)
        run.resume()
        try:
            run.drain()
        except InputError:
            if not any(line.get("event") == "sent" for line in journal.lines()):  # nothing is worth keeping
                journal.remove()
                answers.remove()
            raise
        made = report(routed, queries, state, grade)
        write_text(report_path(target), json.dumps(made.to_dict(), indent=2, ensure_ascii=False) + "\n")
        return made


def prepare(
    plan: RoutedPlan | str | os.PathLike[str],
    output: str | os.PathLike[str] | None,
    key_variables: Collection[str],
    grader: str | None,
) -> tuple[RoutedPlan, tuple[Query, ...], Grader]:
    """Make all checks of an execution that need no model, as the dry run does too: plan, queries and grader."""
    routed = plan if isinstance(plan, RoutedPlan) else RoutedPlan.read(plan)
    check_trust(routed, key_variables, grader)
    if output is not None:
        target = Path(output)
        if target.is_dir() or not target.parent.is_dir():
            raise InputError(f"cannot write {str(target)!r}: a file in a folder that exists is needed")
        if not journal_path(target).exists() and target.exists() and target.stat().st_size:
            raise InputError(f"{str(target)!r} exists and has no journal of an execution: choose another output")
    queries, grade = routed.queries(), grader_of(routed.grader)
    if ":" not in routed.grader:  # a truth that it cannot read is found out now; a user's function may be costly
        for query in queries:
            if query.answer is not None:
                grade(query.answer, query)
    return routed, queries, grade


def _check_number(name: str, value: float, positive: bool = False) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or value < 0 or (positive and value == 0):
        raise InputError(f"{name} is {value!r}: a finite number {'above' if positive else 'of at least'} 0 is needed")


class _Run:
    """One run of an execution: chooses, sends, and records, in that order."""

    def __init__(
        self,
        routed: RoutedPlan,
        queries: Sequence[Query],
        state: Execution,
        journal: Journal,
        answers: Journal,
        concurrency: int,
        timeout: float,
        on_answers: Callable[[int, float], None] | None,
    ) -> None:
        self.routed, self.queries, self.journal, self.answers = routed, queries, journal, answers
        self.concurrency, self.timeout, self.on_answers = concurrency, timeout, on_answers
        self.state = state
        self.dispatcher = Dispatcher(routed, queries, state)
        self.engine: Engine | None = None
        self.opened: int | None = None
        self.failures = 0  # since the last answer
        self.tries: Counter[int] = Counter()  # tries of each call that may be billed and gave no answer

    def resume(self) -> None:
        """Take in what an earlier run recorded, and add the answers that it did not come to write."""
        over = self.state.replay(self.journal.lines(), self.journal.path)
        if over is None:
            begin = {"event": "begin", "version": JOURNAL, "plan": self.routed.sha256}
            self.journal.append([begin | {"budget": self.routed.plan.budget}])
        written = {line.get("id") for line in self.answers.lines()}
        self._write([query for query in over or () if self.queries[query].id not in written])
        if self.state.flying:
            self._record({"event": "lost"})

    def drain(self) -> None:
        """Send calls until nothing is left that the budget pays for."""
        try:
            while not self.state.finished:
                if self.dispatcher.exceeds():
                    self._record(self.dispatcher.replan())
                elif not self._send_next():
                    waits = self.state.unplanned or any(True for _ in self.state.rest())
                    again = waits and self.state.moved
                    self._record(self.dispatcher.replan() if again else {"event": "finished"})
        finally:
            self._close()

    def _send_next(self) -> bool:
        """Send one wave of one model; tell whether any call fitted."""
        for model in self._models():
            most = self.concurrency * 4 if self.opened != model or self.engine is None else self.engine.chunk
            wave = self.dispatcher.wave(model, max(1, most))
            if wave:
                self._open(model)
                self._send(model, wave)
                return True
        return False

    def _models(self) -> list[int]:
        """Return the models with waiting calls: servers not measured yet, the open one, then dear before cheap."""
        waiting = {self.dispatcher.model_of(call) for call in self.state.queue.values()}

        def rank(model: int) -> tuple[bool, bool, float, int]:
            entry = self.routed.pool[model]
            new = entry.server is not None and not self.state.meter.of(entry).calls
            return (not new, model != self.opened, -entry.price_in - entry.price_out, model)

        return sorted(waiting, key=rank)

    def _send(self, model: int, wave: list[Ready]) -> None:
        assert self.engine is not None
        side_by_side = self.concurrency if self.routed.pool[model].server is not None else len(wave)
        worst = [[ready.call.number, ready.worst, ready.bound_in] for ready in wave]
        entry = self.routed.pool[model]
        about = {"server": entry.server, "model": entry.model or entry.path or entry.name}
        self._record({"event": "sent", "side_by_side": side_by_side, "calls": worst, **about})
        try:
            for index, answer in self.engine.run([ready.message for ready in wave]):
                self._record(self._answered(model, wave[index], answer))
                self.failures = 0
        except EngineFailure as failure:
            self._after(failure, [wave[index].call.number for index in sorted(failure.unknown)])

    def _after(self, failure: EngineFailure, unknown: list[int]) -> None:
        """Charge the calls that may be billed, and go on if the failure may pass."""
        self._record({"event": "failed", "unknown": unknown, "why": str(failure)})
        self.failures += 1
        self.tries.update(unknown)
        if not unknown or self.failures > RETRIES or max(self.tries[call] for call in unknown) > RETRIES:
            raise failure
        time.sleep(min(8.0, 0.5 * 2.0 ** (self.failures - 1)))

    def _answered(self, model: int, ready: Ready, answer: ModelAnswer) -> Event:
        batch = [self.queries[i] for i in ready.call.queries]
        tolerant = not self.routed.pool[model].structured
        given: Sequence[str | None] = [None] * len(batch)
        if not answer.error:
            cut = answer.finish_reason == "length"
            given = read(answer.text, batch, self.routed.template.form, tolerant, cut)
        return {
            "event": "answered",
            "call": ready.call.number,
            "answers": list(given),
            "input_tokens": answer.input_tokens,
            "output_tokens": answer.output_tokens,
            "seconds": round(answer.seconds, 6),
            "finish_reason": answer.finish_reason,
            "error": answer.error,
            "retries": answer.retries,
        }

    def _record(self, event: Event) -> None:
        """Write an event down, and only then believe it."""
        self.journal.append([event])
        over = self.state.apply(event)
        self._write(over)
        if over and self.on_answers is not None:
            self.on_answers(len(self.state.final), self.state.meter.spent)

    def _write(self, finished: Sequence[int]) -> None:
        if finished:
            self.answers.append([self._line(query) for query in finished])

    def _line(self, query: int) -> dict[str, Any]:
        """Return the line of a finished query."""
        line: dict[str, Any] = {"id": self.queries[query].id, "answer": None, "status": "unanswered"}
        cost = self.state.paid.get(query, 0.0)
        if query not in self.state.final:
            return line | {"error": "too little budget was left to ask", "cost": cost}
        call, answer, error = self.state.final[query]
        name, size = self.routed.problem.states[call.column]
        line |= {"answer": answer, "status": "unread" if answer is None else "answered"}
        line |= {"model": name, "batch_size": size, "call": call.number, "call_size": len(call.queries)}
        known = self.state.done.get(call.number)
        if known is not None:
            size = len(call.queries)
            line |= {"input_tokens": known.input_tokens / size, "output_tokens": known.output_tokens / size}
        return line | {"cost": cost} | ({} if error is None else {"error": error})

    def _open(self, model: int) -> None:
        if self.opened == model:
            return
        self._close()
        self.engine = self.routed.pool[model].open(self.concurrency, self.timeout, self.routed.settings.get("seed", 0))
        self.opened = model
        name, about = self.routed.pool[model].name, json.loads(json.dumps(self.engine.describe()))
        if about not in self.state.engines.get(name, ()):
            self._record({"event": "opened", "model": name, "about": about})

    def _close(self) -> None:
        if self.engine is not None:
            with suppress(OSError):
                self.engine.close()
        self.engine, self.opened = None, None
