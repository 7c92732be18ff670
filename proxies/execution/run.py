"""The execution of a routed plan: plan, queue of calls, meter, record."""

from __future__ import annotations

import json
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
from robatch.proxies.execution.state import Event, Execution
from robatch.proxies.journal import Journal
from robatch.proxies.tasks.queries import Query
from robatch.proxies.tasks.reading import read

RETRIES = 4  # tries of a call beyond the first, after failures that may be billed; each is charged at worst


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
    key_variables: Collection[str] = (),
    on_answers: Callable[[int, float], None] | None = None,
) -> ExecutionReport:
    """Send a plan's calls to its models, within its budget, and write the answers as they come.

    The answers, one JSON line a query, go to `output`; a journal beside it makes a rerun go on where a run was ended,
    even killed: what was answered is not sent again. Calls in flight at that moment are charged at their worst case,
    as their bill is not known, and sent again. At the end the report is written beside `output`.

    Parameters
    ----------
    plan
        A routed plan or its file.
    output
        The JSONL file of the answers.
    concurrency, timeout
        Calls in flight at a server, and seconds until a try is given up.
    key_variables
        Environment variables whose value may be sent to the plan's servers as a key, beside ``OPENAI_API_KEY`` and
        those that the file of `RoutedPlan.with_pool` names: a plan may come from somebody else.
    on_answers
        Called with the number of finished queries and the USD spent.

    Raises
    ------
    InputError
        If the queries were changed, a model cannot be reached, or `output` belongs to another plan or a run in
        progress. What was answered is kept.

    Notes
    -----
    Calls are sent side by side only if what is spent and what they cannot exceed (an input token for every byte of
    a prompt and what the chat template adds, and all the output tokens that they are allowed) are within the budget.
    Near its end, where this holds for no call, one call at a time is sent whose input tokens, as predicted, times the
    greatest excess seen, with a margin, fit: only such a call may exceed the budget, and only if it is denser in tokens
    than all before it. The report says so. A try whose bill is not known (a timeout, a lost connection, an error of the
    server's) is charged at its worst case; what the provider refuses is charged nothing. When the rest of the plan, at
    the tokens that calls really take, no longer fits, the rest is planned again with the budget that is left.
    """
    routed = plan if isinstance(plan, RoutedPlan) else RoutedPlan.read(plan)
    _check_keys(routed, key_variables)
    queries = routed.queries()
    target = Path(output)
    if target.is_dir() or not target.parent.is_dir():
        raise InputError(f"cannot write {str(target)!r}: a file in a folder that exists is needed")
    with ExitStack() as stack:
        begun = journal_path(target).exists()
        if not begun and target.exists() and target.stat().st_size:
            raise InputError(f"{str(target)!r} exists and has no journal of an execution: choose another output")
        journal = Journal(journal_path(target), '{"event": "begin"')
        stack.callback(journal.close)
        answers = Journal(target, '{"id": ')
        stack.callback(answers.close)
        run = _Run(routed, queries, journal, answers, concurrency, timeout, on_answers)
        run.resume()
        run.drain()
        made = report(routed, queries, run.state)
        write_text(report_path(target), json.dumps(made.to_dict(), indent=2, ensure_ascii=False) + "\n")
        return made


def _check_keys(routed: RoutedPlan, named: Collection[str]) -> None:
    """Refuse to send a secret that the user did not name to a server that the plan's maker chose."""
    for model in routed.pool:
        variable = model.api_key_env
        if model.server is not None and variable not in {"OPENAI_API_KEY", *named, *routed.key_variables}:
            raise InputError(
                f"the plan would send the environment variable {variable} to {model.server} as a key: "
                "if that is right, name it with --api-key-env, or as api_key_env in a pool file"
            )


class _Run:
    """One run of an execution: chooses, sends, and records, in that order."""

    def __init__(
        self,
        routed: RoutedPlan,
        queries: Sequence[Query],
        journal: Journal,
        answers: Journal,
        concurrency: int,
        timeout: float,
        on_answers: Callable[[int, float], None] | None,
    ) -> None:
        self.routed, self.queries, self.journal, self.answers = routed, queries, journal, answers
        self.concurrency, self.timeout, self.on_answers = concurrency, timeout, on_answers
        self.state = Execution.begin(routed)
        self.dispatcher = Dispatcher(routed, queries, self.state)
        self.engine: Engine | None = None
        self.opened: int | None = None
        self.failures = 0  # since the last answer
        self.tries: Counter[int] = Counter()  # tries of each call that may be billed and gave no answer

    def resume(self) -> None:
        """Take in what an earlier run recorded, and add the answers that it did not come to write."""
        over = self.state.replay(self.journal.lines(), self.journal.path)
        if over is None:
            self.journal.append([{"event": "begin", "plan": self.routed.sha256, "budget": self.routed.plan.budget}])
        written = {line.get("id") for line in self.answers.lines()}
        self._write([query for query in over or () if self.queries[query].id not in written])
        if self.state.flying:
            self._record({"event": "lost"})

    def drain(self) -> None:
        """Send calls until nothing is left that the budget pays for."""
        try:
            while not self.state.finished:
                if self.dispatcher.overruns():
                    self._record(self.dispatcher.replan(cautious=False))
                elif not self._send_next():
                    self._end_or_replan()
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
        """Return the models with waiting calls: servers not measured yet, the one that is open, then dear before cheap.

        The last calls of a budget may not fit at their worst; where they are cheap, less is left over.
        """
        waiting = {self.dispatcher.model_of(call) for call in self.state.queue.values()}

        def rank(model: int) -> tuple[bool, bool, float, int]:
            entry = self.routed.pool[model]
            new = entry.server is not None and not self.state.meter.of(entry).calls
            return (not new, model != self.opened, -entry.price_in - entry.price_out, model)

        return sorted(waiting, key=rank)

    def _end_or_replan(self) -> None:
        """Nothing waiting fits, or nothing waits: give the money left to those queries that it pays for, or end."""
        state = self.state
        stuck = bool(state.replans) and state.replans[-1]["after"] == len(state.done) and state.replans[-1]["cautious"]
        if not stuck and (state.unplanned or any(True for _ in state.rest())):
            event = self.dispatcher.replan(cautious=True)
            self._record(event)
            return
        self._record({"event": "finished"})

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
            return line | {"error": "no budget was left to ask", "cost": cost}
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
