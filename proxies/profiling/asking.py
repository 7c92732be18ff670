"""Calls of a profiling run to one model: asked, read, graded, and recorded with what they are charged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from robatch.instances.errors import InputError
from robatch.proxies.engines.engine import (
    CONTENT_ERROR,
    CUT_ERROR,
    Engine,
    EngineFailure,
    ModelAnswer,
    ModelCall,
    calls_failed,
)
from robatch.proxies.engines.token_count import byte_bounds, least_tokens
from robatch.proxies.engines.usage import Charge, charge
from robatch.proxies.profiling.model_config import ModelConfig
from robatch.proxies.profiling.progress import Progress
from robatch.proxies.profiling.record import Record
from robatch.proxies.profiling.sampling import PlannedCall
from robatch.proxies.tasks.first_calls import FIRST, MOST_UNREAD, FirstCalls
from robatch.proxies.tasks.grading import grader_of
from robatch.proxies.tasks.prompts import model_call
from robatch.proxies.tasks.queries import Query
from robatch.proxies.tasks.reading import read_answer
from robatch.proxies.tasks.task import Task

_FEW = 16  # calls that are asked before it is known whether a model's answers can be read
_TEMPLATE_TOKENS = 128  # tokens that a chat template may add to a prompt


def about(model: ModelConfig, tasks: Sequence[Task], engine: Engine) -> dict[str, Any]:
    """Tell about the engine, and measure the shared prompt's tokens by sending it alone."""
    probes = [ModelCall(task.template.render([]), max_tokens=1, system=task.template.system) for task in tasks]
    shared: dict[str, int] = {}
    billed = [0, 0]
    for index, answer in _probed(model, tasks, probes, engine):
        task = tasks[index]
        for place, count in enumerate(_charge(probes[index], answer)[:2]):
            billed[place] += count + answer.before[place]
        if answer.fault is not None:
            raise calls_failed(1, answer)
        if answer.error is not None and not answer.input_tokens:
            raise InputError(
                f"model {model.name!r}: not even the shared prompt of task {task.name!r} fits: {answer.error}"
            )
        shared[task.name] = _charge(probes[index], answer).input_tokens
    told = {"shared_tokens": {task.name: shared[task.name] for task in tasks}, "probe_tokens": billed}
    return engine.describe() | told


def _probed(
    model: ModelConfig, tasks: Sequence[Task], probes: list[ModelCall], engine: Engine
) -> Iterator[tuple[int, ModelAnswer]]:
    """Send the probes; those whose single token is too little for the provider again, with as many as a query has."""
    short = []
    for index, answer in engine.run(probes):
        if answer.error == CUT_ERROR:
            allowed = model.allowed(max(16, tasks[index].max_output_tokens))
            probes[index] = replace(probes[index], max_tokens=allowed)
            short.append(index)
        else:
            yield index, answer
    for at, answer in engine.run([probes[index] for index in short]) if short else ():
        yield short[at], answer


class Asking:
    """Asks calls of one model and records the answers."""

    def __init__(
        self, model: ModelConfig, engine: Engine, record: Record, shown: Progress, max_unread: float = MOST_UNREAD
    ) -> None:
        self.model, self.engine, self.record, self.shown = model, engine, record, shown
        self._max_unread = max_unread
        self._first: dict[str, FirstCalls] = {}
        self._asked: Counter[str] = Counter()
        self._failing: dict[tuple[str, int], str] = {}  # queries whose calls fail even alone, and why

    def take(self, call: PlannedCall, line: Mapping[str, Any]) -> None:
        """Learn from a recorded call whether it holds one query, with which it fails."""
        if len(call.members) == 1 and _failed(line["error"], line["finish_reason"]):
            self._failing[call.key.task, call.members[0]] = line["error"] or CONTENT_ERROR

    def next_of(self, todo: Sequence[tuple[Task, PlannedCall]], most: int) -> Sequence[tuple[Task, PlannedCall]]:
        """Return the calls to ask now: few of a task until it is known that the model's answers to it can be read.

        Raises
        ------
        StoppedEarly
            If most of the model's first calls cannot be read.
        """
        for first in self._first.values():
            first.check()
        name = todo[0][0].name
        if self._max_unread >= 1 or self._asked[name] >= FIRST:
            return todo[:most]
        return [pair for pair in todo[:_FEW] if pair[0].name == name]

    def _first_of(self, task: str) -> FirstCalls:
        made = FirstCalls(self.model.name, self.model.structured, self._max_unread, min(self.model.batch_sizes))
        return self._first.setdefault(task, made)

    def _built(self, task: Task, batch: Sequence[Query]) -> ModelCall:
        most = self.model.allowed(task.max_output_tokens * len(batch))
        return model_call(task.template, batch, most, chat=self.model.chat, structured=self.model.structured)

    def ask(self, todo: Sequence[tuple[Task, PlannedCall]]) -> None:
        """Ask some calls.

        A call that failed is recorded once the model answers another one: until then it may be the server that fails.
        A call of several that failed is asked again without the queries that fail alone, if it holds any: what is
        measured of the others is then not the fault of these.

        Raises
        ------
        EngineFailure
            If the model answers no more; calls that may have failed for this reason are not recorded.
        """
        batches = [[task.queries[i] for i in call.members] for task, call in todo]
        calls = [self._built(task, batch) for (task, _), batch in zip(todo, batches, strict=True)]
        self._asked.update(task.name for task, _ in todo)
        failed: list[tuple[int, ModelAnswer]] = []

        def keep(at: int, made: ModelAnswer) -> None:
            if _failed(made.error, made.finish_reason) and len(batches[at]) > 1:
                failed.append((at, made))
            else:
                self._keep(*todo[at], calls[at], made)

        held: list[tuple[int, ModelAnswer]] = []
        answers = self.engine.run(calls)
        try:
            for index, answer in answers:
                held.append((index, answer))
                if answer.fault is None:
                    for each in held:
                        keep(*each)
                    held.clear()
        except EngineFailure:
            self._forget(held)
            raise
        except KeyboardInterrupt:
            self._lose([call for (_, planned), call in zip(todo, calls, strict=True) if not self._has(planned)])
            raise
        finally:
            if isinstance(answers, Generator):
                answers.close()  # interrupted: the calls in flight are given up at once
        if held and not self._works():
            self._forget(held)
            raise calls_failed(len(held), held[-1][1])
        for each in held:
            keep(*each)
        self._ask_without_failing([(*todo[at], calls[at], made) for at, made in failed])

    def _ask_without_failing(self, failed: Sequence[tuple[Task, PlannedCall, ModelCall, ModelAnswer]]) -> None:
        """Ask failed calls again without the queries that fail alone; keep the failure where there is none."""
        again: list[tuple[Task, PlannedCall, ModelCall, dict[int, str]]] = []
        for task, call, sent, made in failed:
            places = {i: why for i, m in enumerate(call.members) if (why := self._failing.get((task.name, m)))}
            if not 0 < len(places) < len(call.members):
                self._keep(task, call, sent, made)
                continue
            self._forget([(0, made)])
            batch = [task.queries[m] for i, m in enumerate(call.members) if i not in places]
            again.append((task, call, self._built(task, batch), places))
        for index, made in self.engine.run([sent for _, _, sent, _ in again]) if again else ():
            self._keep(*again[index][:3], made, again[index][3])

    def _works(self) -> bool:
        lines = (line for key, line in self.record.calls.items() if key.model == self.model.name)
        return any(line["error"] is None for line in lines)

    def _keep(
        self,
        task: Task,
        call: PlannedCall,
        sent: ModelCall,
        answer: ModelAnswer,
        left_out: Mapping[int, str] = MappingProxyType({}),
    ) -> None:
        """Read and grade an answer; what the record keeps of it is all that the rows are made of.

        `left_out` tells why queries at some places of the call were not sent.
        """
        queries = [task.queries[i] for i in call.members]
        batch = [query for i, query in enumerate(queries) if i not in left_out]
        answers: Sequence[str | None] = [None] * len(batch)
        loose = False
        if answer.error is None:
            answers, loose = read_answer(answer.text, batch, task.template.form, self.model.structured, answer.cut)
        self._first_of(task.name).add(answers, answer, sent.max_tokens)
        if left_out:
            found = iter(answers)
            answers = [None if i in left_out else next(found) for i in range(len(queries))]
        grade = grader_of(task.grader)
        line = {
            **call.key._asdict(),
            "answers": answers,
            "scores": [grade(given, query) for given, query in zip(answers, queries, strict=True)],
            **_charge(sent, answer)._asdict(),
            "seconds": round(answer.seconds, 6),
            "finish_reason": answer.finish_reason,
            "error": answer.error,
        }
        if loose:
            line["loose"] = True
        if left_out:
            line["left_out"] = {str(place): why for place, why in left_out.items()}
        if answer.details:
            line["details"] = dict(answer.details)
        if answer.model not in (None, self.model.model or self.model.name):
            line["replied"] = answer.model
        self.record.append(line)
        self.take(call, line)
        self._failed_tries(*answer.before)
        self.shown.describe(f"{self.model.name}, {task.name} x {call.key.batch_size}")
        self.shown.advance(len(call.members), self.model.cost(line["input_tokens"], line["output_tokens"]))

    def _forget(self, held: Sequence[tuple[int, ModelAnswer]]) -> None:
        """Leave calls to a later run, but for what the server counted for them."""
        for _, made in held:
            self._failed_tries(made.before[0] + (made.input_tokens or 0), made.before[1] + (made.output_tokens or 0))

    def _has(self, call: PlannedCall) -> bool:
        return call.key in self.record.calls

    def _lose(self, calls: Sequence[ModelCall]) -> None:
        """Record what the calls that may be in flight, and are given up now, may be billed at worst."""
        flying = calls[: getattr(self.engine, "concurrency", 0)]
        if flying:
            most = [(byte_bounds([call.whole])[0] + _TEMPLATE_TOKENS, call.max_tokens) for call in flying]
            tokens = {"input_tokens": sum(t_in for t_in, _ in most), "output_tokens": sum(t_out for _, t_out in most)}
            self.record.append({"lost": self.model.name, "calls": len(flying), **tokens})

    def _failed_tries(self, tokens_in: int, tokens_out: int) -> None:
        """Record tokens that the server counted for tries without an answer."""
        if tokens_in or tokens_out:
            self.record.append({"failed": self.model.name, "input_tokens": tokens_in, "output_tokens": tokens_out})
            self.shown.advance(0, self.model.cost(tokens_in, tokens_out))


def _failed(error: str | None, finish_reason: str) -> bool:
    """Whether there was no answer, or a filter ended it."""
    return error is not None or finish_reason == "content_filter"


def _charge(call: ModelCall, answer: ModelAnswer) -> Charge:
    """Return the tokens that a call is charged."""
    least = (0, 0) if answer.error else (least_tokens(call.whole), least_tokens(answer.text))
    most = byte_bounds([call.whole])[0] + _TEMPLATE_TOKENS, call.max_tokens
    return charge(answer.usage, least=least, most=most)
