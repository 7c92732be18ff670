"""One run of an execution: it chooses calls, sends them, and writes down what came."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from robatch.proxies.engines.engine import Engine, EngineFailure, ModelAnswer
from robatch.proxies.execution.dispatch import Dispatcher, Ready
from robatch.proxies.execution.state import JOURNAL_VERSION, Event, Execution
from robatch.proxies.journal import Journal
from robatch.proxies.tasks.queries import Query
from robatch.proxies.tasks.reading import read

MAX_RETRIES = 4
"""Tries of a call beyond the first, after failures that may be billed; each is charged at its bound."""


class Session:
    """One run of an execution: chooses, sends, and records, in that order."""

    def __init__(
        self,
        state: Execution,
        queries: Sequence[Query],
        journal: Journal,
        answers: Journal,
        concurrency: int,
        timeout: float,
        on_answers: Callable[[int, float], None] | None,
    ) -> None:
        self.state, self.routed, self.queries = state, state.routed, queries
        self.journal, self.answers = journal, answers
        self.concurrency, self.timeout, self.on_answers = concurrency, timeout, on_answers
        self.dispatcher = Dispatcher(self.routed, queries, state)
        self.engine: Engine | None = None
        self.opened: int | None = None
        self.failures = 0  # since the last answer
        self.tries: Counter[int] = Counter()  # tries of each call that may be billed and gave no answer

    def resume(self) -> None:
        """Take in what an earlier run recorded, and add the answers that it did not come to write."""
        over = self.state.replay(self.journal.path)
        if over is None:
            begin = {"event": "begin", "version": JOURNAL_VERSION, "plan": self.routed.sha256}
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
        if not unknown or self.failures > MAX_RETRIES or max(self.tries[call] for call in unknown) > MAX_RETRIES:
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
