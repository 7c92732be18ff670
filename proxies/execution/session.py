"""One run of an execution: it chooses calls, sends them, and writes down what came."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from robatch.proxies.engines.adapting import with_learned
from robatch.proxies.engines.engine import Engine, EngineFailure, ModelAnswer, calls_failed, requests_of
from robatch.proxies.execution.answers_file import AnswersFile
from robatch.proxies.execution.calls import Event
from robatch.proxies.execution.dispatch import Dispatcher, Ready
from robatch.proxies.execution.health import Health
from robatch.proxies.execution.outlook import TooMuchLoss, last_states, outlook
from robatch.proxies.execution.received import received
from robatch.proxies.execution.replay import JOURNAL_VERSION, replay
from robatch.proxies.execution.sending import PLANNED_AGAIN, Sending
from robatch.proxies.execution.state import Execution
from robatch.proxies.journal import Journal
from robatch.proxies.tasks.first_calls import FirstCalls
from robatch.proxies.tasks.queries import Query

FEW = 3
"""Calls at a time while most of a model's first cannot be read."""
FIRST_WAIT = 0.5
"""Seconds after a wave without an answer; twice as many after each further one."""


class Session:
    """One run of an execution: chooses, sends, and records, in that order."""

    def __init__(
        self,
        state: Execution,
        queries: Sequence[Query],
        journal: Journal,
        answers: AnswersFile,
        sending: Sending,
        on_answers: Callable[[int, float], None] | None,
    ) -> None:
        self.state, self.routed, self.queries = state, state.routed, queries
        self.journal, self.answers = journal, answers
        self.sending, self.on_answers = sending, on_answers
        self.dispatcher = Dispatcher(self.routed, queries, state)
        self.engine: Engine | None = None
        self.opened: int | None = None
        self.health = Health()  # of the open model
        self.given_up: dict[str, str] = {}  # why, by model
        self.first: dict[str, FirstCalls] = {}
        self.accepted = sending.max_loss  # part of the predicted utility that may be lost; None for any

    def resume(self) -> None:
        """Take in what an earlier run recorded, and add the answers that it did not come to write."""
        over = replay(self.state, self.journal.path)
        if over is None:
            begin = {"event": "begin", "version": JOURNAL_VERSION, "plan": self.routed.sha256}
            self.journal.append([begin | {"budget": self.routed.plan.budget}])
        over, kinds = over or (), set[str]()
        for event in self.sending.resumption(self.state):
            self._record(event)
            kinds.add(event["event"])
        asks_again = not kinds.isdisjoint(("continued", "retry"))
        if asks_again:
            over = [query for query in over if query in self.state.final]
        self.answers.restore(over)
        if not kinds.isdisjoint(PLANNED_AGAIN):
            self._replan()
        if asks_again:
            self._tell_rest()

    def _replan(self) -> None:
        """Plan the rest again, if that does not lose more of what was predicted than is allowed."""
        event, allowed = self.dispatcher.replan(), self.accepted
        if allowed is not None:
            seen = outlook(self.routed, last_states(self.state, event))
            if seen.loss > allowed:
                if self.sending.on_loss is None or not self.sending.on_loss(seen):
                    raise TooMuchLoss(
                        f"the plan was predicted {seen.planned:.6g}, and would be worth {seen.utility:.6g} as it must "
                        f"be executed, {seen.loss:.1%} less ({seen.moves()}), where {self.sending.max_loss:.1%} are "
                        "allowed: nothing more was sent; a rerun with more of --max-loss, --budget or --overrun goes on"
                    )
                self.accepted = 2.0 * seen.loss
        self._record(event)

    def _tell_rest(self) -> None:
        """Tell a person what is left of a run that had ended, and what it may cost."""
        if self.sending.on_note is not None:
            calls = self.state.queue.values()
            left = sum(len(call.queries) for call in calls) + len(self.state.unplanned)
            worst = min(sum(map(self.dispatcher.worst, calls)), max(0.0, self.state.meter.slack))
            sent = f"sending {'them' if not self.state.unplanned else 'what can be paid'}, at most {worst:.4g} USD"
            self.sending.on_note(
                f"{left} {'query' if left == 1 else 'queries'} left; {sent if calls else 'no call fits'}"
            )

    def drain(self) -> None:
        """Send calls until nothing is left that the budget pays for; those that failed go after all others."""
        try:
            while not self.state.finished and self._step():
                pass
        finally:
            self._close()

    def _step(self) -> bool:
        """Do what comes next; tell whether the run goes on."""
        if self.state.held:  # what these will have cost is not known: nothing is planned again before
            return self._send_next() or self._send_next(again=True) or self._wait()
        waits = self.state.unplanned or self.state.queue.planned
        if self.dispatcher.exceeds():
            self._replan()
        elif self._send_next():
            pass
        elif waits and self.state.moved:
            self._replan()
        elif self._send_next(again=True):
            pass
        elif failed := self.state.to_release():
            self._record({"event": "released", "calls": failed})
        else:
            self._record({"event": "finished"})
        return True

    def _wait(self) -> bool:
        """Wait until batches are over, if they are this run's; tell whether the run goes on."""
        return False

    def _send_next(self, again: bool = False) -> bool:
        """Send one wave of one model; tell whether any call fitted."""
        for model in self._models():
            most = self.sending.concurrency * 4 if self.opened != model or self.engine is None else self.engine.chunk
            dry = self.health.dry if self.opened == model else 0
            small = self._first(model).suspect
            wave = self.dispatcher.wave(model, min(most, FEW) if small else max(1, most), again, small, dry)
            if wave:
                self._send(model, wave)
                return True
        return False

    def _models(self) -> list[int]:
        """Return the models with waiting calls: servers not measured yet, the open one, then dear before cheap."""

        def rank(model: int) -> tuple[bool, bool, float, int]:
            entry = self.routed.pool[model]
            new = entry.server is not None and not self.state.meter.of(entry).calls
            return (not new, model != self.opened, -entry.price_in - entry.price_out, model)

        return sorted(self.state.queue.models, key=rank)

    def _send(self, model: int, wave: list[Ready]) -> None:
        """Send a wave of a model; one that fails for good is given up."""
        failure, last, answered = None, None, False
        try:
            self._open(model)
            assert self.engine is not None
            for index, answer in self._run(model, wave):
                self._keep_requests(model, requests_of(self.engine))
                self.health.take(wave[index].call, answer.fault, self._answered(model))
                answered |= answer.fault is None
                self._record(self._event(model, wave[index], answer))
                last = answer
        except EngineFailure as error:
            failure = error
            if self.state.loose_calls:
                unknown = [wave[index].call.number for index in sorted(error.unknown)]
                self._record({"event": "failed", "unknown": unknown, "why": str(error)})
        if self.state.queue:
            self._first(model).check()
        self.health.end_wave(answered)
        if failure is not None and not failure.in_a_row:
            self._give_up(model, failure)
        elif last is not None and self.health.gone(self._answered(model), last.fault):
            self._give_up(model, calls_failed(len(self.health.failing), last))
        elif last is not None and last.fault == "passing" and not answered:
            time.sleep(FIRST_WAIT * 2.0**self.health.dry)

    def _first(self, model: int) -> FirstCalls:
        """Return the count of a model's first calls in this run."""
        entry = self.routed.pool[model]
        made = FirstCalls(entry.name, entry.structured, self.sending.max_unread)
        return self.first.setdefault(entry.name, made)

    def _run(self, model: int, wave: list[Ready]) -> Iterator[tuple[int, ModelAnswer]]:
        """Write down what is sent, and send it."""
        assert self.engine is not None
        entry = self.routed.pool[model]
        side_by_side = self.sending.concurrency if entry.server is not None else len(wave)
        worst = [[ready.call.number, ready.worst, ready.bound_in] for ready in wave]
        about = {"server": entry.server, "model": entry.model or entry.path or entry.name}
        self._record({"event": "sent", "side_by_side": side_by_side, "calls": worst, **about})
        return self.engine.run([ready.message for ready in wave])

    def _keep_requests(self, model: int, now: Mapping[str, Any]) -> None:
        """Write down what the server's refusals taught, once."""
        name = self.routed.pool[model].name
        known = self.state.requests.get(name, {"learned": {}, "refused": {}})
        refused = {**known["refused"], **now.get("refused", {})}
        if refused != known["refused"]:
            learned = with_learned(known["learned"], now["learned"])
            self._record({"event": "requests", "model": name, "learned": learned, "refused": refused})

    def _answered(self, model: int) -> int:
        """Return how many calls of this execution a model has answered."""
        return self.state.meter.of(self.routed.pool[model]).calls

    def _give_up(self, model: int, failure: EngineFailure) -> None:
        """Take a model out and plan the rest again over the others; without another one, the run ends."""
        entry = self.routed.pool[model]
        self._close()
        self.given_up[entry.name] = str(failure)
        out = {*self.state.out, entry.name}
        others = any(other.name not in out and (other.server or other.path) for other in self.routed.pool)
        self._record({"event": "out", "model": entry.name, "why": str(failure), "replan": others})
        if others:
            self._replan()
        elif len(self.given_up) == 1:
            raise failure
        else:
            whys = "; ".join(f"model {name!r}: {why}" for name, why in self.given_up.items())
            raise EngineFailure(f"no model is left that works: {whys}", passes=failure.passes)

    def _event(self, model: int, ready: Ready, answer: ModelAnswer) -> Event:
        """Return what an answer is recorded as."""
        event = {"call": ready.call.number, "details": dict(answer.details), "seconds": round(answer.seconds, 6)}
        if answer.fault is None:
            return {"event": "answered", **event, **self._read(model, ready, answer)}
        counted = answer.input_tokens is not None and answer.output_tokens is not None
        tokens = (answer.input_tokens, answer.output_tokens) if counted else (None, None)
        end = self.health.own(ready.call, answer.fault, self._answered(model))
        event |= {"input_tokens": tokens[0], "output_tokens": tokens[1], "fault": answer.fault}
        return {"event": "faulted", **event, "why": answer.error, "refused": answer.refused, "end": end}

    def _read(self, model: int, ready: Ready, answer: ModelAnswer) -> Event:
        """Read an answer, and count it among the model's first."""
        entry, batch = self.routed.pool[model], [self.queries[i] for i in ready.call.queries]
        read = received(entry, self.routed.template.form, batch, ready, answer)
        self._first(model).add(read["answers"], answer, ready.message.max_tokens)
        if read["loose"] and not self.state.loose[entry.name] and self.sending.on_note is not None:
            self.sending.on_note(
                f"warning: the server of model {entry.name!r} does not hold answers to the form that it is asked for: "
                "they are read with tolerance"
            )
        return read

    def _record(self, event: Event) -> None:
        """Write an event down, and only then believe it."""
        self.journal.append([event], wait=event["event"] in ("sent", "batched", "submitted"))
        over = self.state.apply(event)
        self.answers.write(over)
        if over and self.on_answers is not None:
            self.on_answers(len(self.state.final), self.state.meter.spent)

    def _open(self, model: int) -> None:
        if self.opened == model:
            return
        self._close()
        how, seed = self.sending, self.routed.settings.get("seed", 0)
        entry = self.routed.pool[model]
        learned = self.state.requests.get(entry.name, {}).get("learned", {})
        entry = replace(entry, request=with_learned(entry.request, learned))
        self.engine = entry.open(how.concurrency, how.timeout, seed, max_wait=how.max_wait, on_wait=how.on_wait)
        self.opened = model
        name, about = self.routed.pool[model].name, json.loads(json.dumps(self.engine.describe()))
        if about not in self.state.engines.get(name, ()):
            self._record({"event": "opened", "model": name, "about": about})

    def _close(self) -> None:
        if self.engine is not None:
            with suppress(OSError):
                self.engine.close()
        self.engine, self.opened, self.health = None, None, Health()
