"""One run of an execution whose calls go as batches: it hands calls over, and takes results in."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from robatch.instances.errors import InputError
from robatch.proxies.batch.requests import FileLimits, ModelRequests
from robatch.proxies.batch.results import FileCount, Result
from robatch.proxies.engines.engine import CONTENT_ERROR, CONTEXT_ERROR, ModelAnswer
from robatch.proxies.engines.reply import read_reply
from robatch.proxies.engines.token_count import least_tokens
from robatch.proxies.execution.answers_file import AnswersFile
from robatch.proxies.execution.calls import Batch
from robatch.proxies.execution.dispatch import Ready
from robatch.proxies.execution.health import Health
from robatch.proxies.execution.sending import Sending
from robatch.proxies.execution.session import FEW, Session
from robatch.proxies.execution.state import Execution
from robatch.proxies.journal import Journal
from robatch.proxies.tasks.queries import Query

_NO_ANSWER = 500  # the status of a failure that names none


@dataclass
class Collected:
    """What results came to.

    Attributes
    ----------
    answered, failed, back
        Calls with an answer, however it could be read; that failed; that go back to be sent again, uncharged, as they
        were not run or are to be asked in another form.
    known
        Results of calls whose result had been taken in before: they change nothing.
    waiting
        Calls that are still without a result.
    lost
        Calls without a result that are charged as lost.
    why
        Why all calls of a model were refused, by its name.
    lines
        Lines of the files that were of no use.
    """

    answered: int = 0
    failed: int = 0
    back: int = 0
    known: int = 0
    waiting: int = 0
    lost: int = 0
    why: dict[str, str] = field(default_factory=dict)
    lines: FileCount = field(default_factory=FileCount)

    def to_dict(self) -> dict[str, Any]:
        """Give the counts as plain values for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        words = {
            "calls have answers": self.answered,
            "failed": self.failed,
            "go back to be sent again": self.back,
            "are charged as lost": self.lost,
            "wait for results": self.waiting,
            "results had been taken in before": self.known,
            "lines are of something else": self.lines.foreign,
            "lines cannot be read": self.lines.unreadable,
            "files are cut off": self.lines.cut,
        }
        told = [f"{count:,} {what}" for what, count in words.items() if count]
        told += [f"model {name!r}: {why}" for name, why in self.why.items()]
        return "; ".join(told) or "nothing was taken in"


class BatchSession(Session):
    """A session whose calls are handed over as batches; `deliver` says how."""

    way = "file"  # in the journal: how a batch is handed over

    def __init__(  # wide: what a session needs, and the limits of files
        self,
        state: Execution,
        queries: Sequence[Query],
        journal: Journal,
        answers: AnswersFile,
        sending: Sending,
        on_answers: Callable[[int, float], None] | None = None,
        limits: FileLimits | None = None,
    ) -> None:
        super().__init__(state, queries, journal, answers, sending, on_answers)
        self.limits = limits or FileLimits()
        self.collected = Collected()
        self._made: dict[str, tuple[dict[str, Any], ModelRequests]] = {}
        self._healths: dict[int, Health] = {}

    def deliver(self, batch: Batch) -> None:
        """Hand a batch over, which is in the journal already."""
        raise NotImplementedError

    def prepare(self, model: int) -> None:
        """Refuse a model whose calls cannot be handed over, before anything is written down."""

    def own(self) -> list[Batch]:
        """Return the batches of this way that still hold calls."""
        return [batch for batch in self.state.batches.values() if batch.held and batch.way == self.way]

    def requests(self, model: int) -> ModelRequests:
        """Return what makes a model's requests, by what refusals taught before this run."""
        entry = self.routed.pool[model]
        learned = self.state.requests.get(entry.name, {}).get("learned", {})
        if entry.name not in self._made or self._made[entry.name][0] != learned:
            seed = self.routed.settings.get("seed", 0)
            self._made[entry.name] = learned, ModelRequests(entry, seed, learned)
        return self._made[entry.name][1]

    def lines(self, batch: Batch) -> bytes:
        """Return the requests of the calls that a batch holds."""
        return b"".join(
            self.requests(self.dispatcher.model_of(call)).line(
                batch.key, call.number, self._ready(batch, call.number).message
            )
            for call in map(self.state.flying.__getitem__, batch.held)
        )

    def take(self, passes: Callable[[], Iterable[Result]]) -> None:
        """Take results in, answers before failures, so that no failure stands before an answer to the same request."""
        back: dict[int, ModelRequests] = {}
        for failures in (False, True):
            for result in passes():
                if result.failed == failures:
                    self._take(result, back)
        if back:
            self.collected.back += len(back)
            self._record({"event": "returned", "calls": list(back), "charged": []})

    def _take(self, result: Result, back: dict[int, ModelRequests]) -> None:
        batch = self.state.batches.get(result.key)
        if batch is None:
            self.collected.lines.foreign += 1
            return
        if result.call not in batch.held or result.call in back:
            self.collected.known += 1
            return
        ready = self._ready(batch, result.call)
        model = self.dispatcher.model_of(ready.call)
        made = self.requests(model)
        answer = None if result.not_run else self._answer(made, batch, ready, result)
        if answer is None:
            back[result.call] = made
            self._keep_requests(model, {"learned": made.requests.learned, "refused": made.requests.refused})
            return
        self.health = self._healths.setdefault(model, Health())
        self.health.take(ready.call, answer.fault, self._answered(model))
        failed = answer.error is not None and answer.finish_reason == "error"
        self.collected.failed += failed
        self.collected.answered += not failed
        self._record(self._event(model, ready, answer))

    def _ready(self, batch: Batch, number: int) -> Ready:
        """Return a call as it was handed over."""
        ready = self.dispatcher.ready(self.state.flying[number])
        bound, allowed = batch.held[number]
        return replace(ready, message=replace(ready.message, max_tokens=allowed), bound_in=bound)

    def _answer(self, made: ModelRequests, batch: Batch, ready: Ready, result: Result) -> ModelAnswer | None:
        """Return what a result answers to its call; None where the call is to be asked again at no cost."""
        call, whole = ready.message, json.dumps(result.reply)
        reply = read_reply(whole.encode(), "", least_tokens(call.whole))
        status = result.status or reply.status or _NO_ANSWER
        if result.failed:
            failure = made.failures.of_result(status, reply, whole)
        elif (failed := made.failures.of_reply(reply, {})) is None:
            return reply.answer(call.max_tokens)
        else:
            failure = failed
        if failure.nature == "server":
            self.collected.why.setdefault(batch.model, f"its provider {failure.why}")
            return None
        own = failure.why in (CONTEXT_ERROR, CONTENT_ERROR)
        if not own and made.adapts(call, status, reply.said or "", result.reply):
            return None
        why = failure.why if failure.nature == "settled" else f"its provider {failure.why}"
        usage = reply.usage  # of what a batch says has failed only the tokens that it counts are billed
        return ModelAnswer(
            "", usage.input_tokens or 0, usage.output_tokens or 0, 0.0, "error", why, 0, failure.fault, usage.details,
            reply.model, refused=True,
        )  # fmt: skip

    def give_back(self, batches: Iterable[Batch], charged: bool) -> None:
        """Let the calls of batches that are over wait again; with `charged`, as they may be billed all the same."""
        for batch in batches:
            if calls := list(batch.held):
                self.collected.lost += len(calls) if charged else 0
                self.collected.back += 0 if charged else len(calls)
                self._record({"event": "returned", "calls": calls, "charged": calls if charged else []})

    def _send_next(self, again: bool = False) -> bool:
        """Hand over calls of one model that fit, as one batch; tell whether any fitted.

        Where most of its first calls could not be read, a few of the smallest go, which tell whether it is their size.
        """
        for model in self._models():
            small = self._first(model).suspect
            if small and any(batch.model == self.routed.pool[model].name for batch in self.own()):
                continue
            most = min(FEW, self.limits.requests) if small else self.limits.requests
            if wave := self.dispatcher.fitting(model, most, again, not small):
                self.prepare(model)
                self.deliver(self._batch(model, wave))
                return True
        return False

    def _batch(self, model: int, wave: Sequence[Ready]) -> Batch:
        """Write down a batch of as many calls as a file may have."""
        made, entry, key = self.requests(model), self.routed.pool[model], secrets.token_hex(6)
        calls: list[list[Any]] = []
        size = 0
        for ready in wave:
            number = ready.call.number
            size += len(made.line(key, number, ready.message))
            if size > self.limits.bytes:
                break
            calls.append([number, ready.worst, ready.bound_in, ready.message.max_tokens])
        if not calls:
            raise InputError(
                f"a request to model {entry.name!r} has {size:,} bytes: a file may have {self.limits.bytes:,}"
            )
        safe = "".join(c if c.isalnum() or c in "-._" else "_" for c in entry.name).lstrip(".") or "model"
        about = {"name": entry.name, "server": entry.server, "model": made.model, "address": made.address}
        file = f"{safe}-{len(self.state.batches) + 1:04}.jsonl"
        self._record({"event": "batched", "batch": key, "way": self.way, "file": file, "calls": calls, **about})
        return self.state.batches[key]
