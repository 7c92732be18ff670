"""The state of an execution: what its journal says, event by event. A run and its resumption share this one reading."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from robatch.instances.arrays import FloatArray, IntArray
from robatch.proxies.execution.answered import Answered, FailedTries
from robatch.proxies.execution.billing import CallBill, found_tokens
from robatch.proxies.execution.call_queue import CallQueue
from robatch.proxies.execution.calls import AnsweredCall, Batch, Event, Outage, Waiting
from robatch.proxies.execution.finished import Asked, Finished
from robatch.proxies.execution.meter import Meter
from robatch.proxies.execution.plan import RoutedPlan
from robatch.proxies.execution.planned_calls import PlannedCalls
from robatch.proxies.execution.pool import PoolModel

MOST_REMEMBERED = 10_000  # calls whose predicted tokens are not summed again


@dataclass
class Execution:
    """Where an execution stands.

    Attributes
    ----------
    final
        Each finished query's call, answer (None where unread) and error.
    paid
        USD of each query so far: its even share of the calls it was in.
    engines
        What the engines of each model told about themselves, by the model's name; several where they differed.
    """

    routed: RoutedPlan
    meter: Meter
    queue: CallQueue = field(init=False)  # calls to send
    flying: dict[int, Waiting] = field(default_factory=dict)  # calls handed to an engine and not answered
    batches: dict[str, Batch] = field(default_factory=dict)  # that were ever made, by key
    held: dict[int, str] = field(default_factory=dict)  # calls in flight that a batch holds: its key
    unplanned: list[int] = field(default_factory=list)  # queries that the last planning left without a call
    final: Finished = field(init=False)
    paid: FloatArray = field(init=False)
    done: Answered = field(init=False)
    failed: FailedTries = field(init=False)
    out: set[str] = field(default_factory=set)  # models that answer no more
    outages: list[Outage] = field(default_factory=list)
    released: dict[int, Waiting] = field(default_factory=dict)  # failed calls that were planned again, by query
    engines: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    replied: dict[str, Counter[str]] = field(default_factory=dict)  # calls by the name under which a model replied
    details: dict[str, Counter[str]] = field(default_factory=dict)  # parts of the tokens that an engine names
    requests: dict[str, dict[str, Any]] = field(default_factory=dict)  # what refusals taught, by the model's name
    finishes: dict[str, Counter[str]] = field(default_factory=dict)  # calls by why their output ended
    loose: Counter[str] = field(default_factory=Counter)  # calls that were read with tolerance against the form
    slots: FloatArray = field(init=False)  # asked and read, of calls of each state
    replans: int = 0
    lost_calls: int = 0
    finished: bool = False
    _models: list[int] = field(init=False)  # of the states, by column
    _unpaid: list[Waiting] = field(default_factory=list)  # at the end: calls to ask again that were not paid for
    _unreleased: list[int] = field(default_factory=list)  # and queries asked before that had no call
    _left_at_end: float = 0.0  # USD
    _bounds: dict[int, int] = field(default_factory=dict)
    _next: int = 0
    _replanned_at: int = -1
    _side_by_side: int = 1
    _expected: dict[int, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._models = self.routed.problem.state_model.tolist()
        problem = self.routed.problem
        self.final, self.paid = Finished(problem.n_queries), np.zeros(problem.n_queries)
        self.done, self.failed = Answered(problem.n_states), FailedTries(problem.n_states)
        self.slots = np.zeros((problem.n_states, 2))
        self.queue = CallQueue(lambda call: self._models[call.column], self.expected)

    @classmethod
    def begin(cls, routed: RoutedPlan) -> Execution:
        """Return the state before anything is sent."""
        budget = routed.plan.budget
        state = cls(routed, Meter(budget, allowed=budget))
        state._plan(routed.columns, routed.starts, routed.order)
        return state

    def _plan(self, columns: IntArray, starts: IntArray, order: IntArray, blamed: frozenset[int] = frozenset()) -> None:
        """Let the calls of a plan wait, in place of those that were not sent."""
        problem = self.routed.problem
        models = problem.state_model[columns]
        calls = PlannedCalls(self._next, columns, starts, order, problem.state_model, blamed)
        expected = {}
        for model in np.unique(models).tolist():
            own = models == model
            inputs, outputs = self.routed.tokens_of(model, order[np.repeat(own, np.diff(starts))])
            expected[model] = problem.models[model].shared_tokens * int(own.sum()) + inputs, outputs
        self.queue.plan(calls, expected)
        self._next += len(columns)

    def _add(self, column: int, queries: tuple[int, ...], depth: int, **of_whole: Any) -> None:
        self.queue[self._next] = Waiting(self._next, column, queries, depth, **of_whole)
        self._next += 1

    def model_of(self, call: Waiting) -> PoolModel:
        """Return a call's model."""
        return self.routed.pool[self._models[call.column]]

    def bill_of(self, call: Waiting) -> CallBill:
        """Return how a call is billed."""
        return self.routed.bills[self._models[call.column]]

    def expected(self, call: Waiting) -> tuple[float, float]:
        """Return a call's input and output tokens as predicted when the plan was made."""
        if call.number not in self._expected:
            if len(self._expected) >= MOST_REMEMBERED:
                self._expected.clear()
            problem = self.routed.problem
            inputs, outputs = self.routed.tokens(call.column, call.queries)
            shared = problem.models[int(problem.state_model[call.column])].shared_tokens
            self._expected[call.number] = shared + inputs, outputs
        return self._expected[call.number]

    def expected_cost(self, call: Waiting) -> float:
        """Return the USD of a call at the tokens that its model's calls really take."""
        model, (expected_in, expected_out) = self.model_of(call), self.expected(call)
        tokens = self.meter.of(model)
        extra = self.bill_of(call).extra(tokens.found_share)
        return model.cost(expected_in * tokens.ratio_in, expected_out * tokens.ratio_out) + extra

    def apply(self, event: Event) -> list[int]:
        """Take one event in; return the queries that it finished."""
        if self.flying and event["event"] == "finished":
            raise ValueError("a line is missing: calls in flight have no end")
        return getattr(self, f"_{event['event']}")(event) or []

    def _begin(self, event: Event) -> None:
        pass

    def _opened(self, event: Event) -> None:
        self.engines.setdefault(event["model"], []).append(event["about"])

    def _requests(self, event: Event) -> None:
        self.requests[event["model"]] = {"learned": event["learned"], "refused": event["refused"]}

    def _sent(self, event: Event) -> None:
        self._side_by_side = event["side_by_side"]
        for number, worst, bound in event["calls"]:
            self._fly(number, worst, bound)

    def _fly(self, number: int, worst: float, bound: int) -> None:
        self.flying[number] = self.queue.take(number)
        self._bounds[number] = bound
        self.meter.reserve(number, worst)

    def _land(self, number: int) -> Waiting:
        """Return a call that flies no more."""
        if (key := self.held.pop(number, None)) is not None:
            del self.batches[key].held[number]
        return self.flying.pop(number)

    @property
    def loose_calls(self) -> list[int]:
        """Return the calls in flight that no batch holds: a run that ended has lost them."""
        return [number for number in self.flying if number not in self.held]

    def _batched(self, event: Event) -> None:
        batch = Batch(event["batch"], event["file"], event["name"], event["way"], {})
        for number, worst, bound, allowed in event["calls"]:
            self._fly(number, worst, bound)
            self.held[number], batch.held[number] = batch.key, (bound, allowed)
        self.batches[batch.key] = batch

    def _submitted(self, event: Event) -> None:
        self.batches[event["batch"]].id = event["id"]

    def _returned(self, event: Event) -> None:
        self._put_back(event["calls"], event["charged"])

    def _lost(self, event: Event) -> None:
        loose = self.loose_calls
        self._put_back(loose, self.meter.dearest(loose, self._side_by_side))

    def _failed(self, event: Event) -> None:
        self._put_back(self.loose_calls, event["unknown"])

    def _put_back(self, calls: list[int], charged: list[int]) -> None:
        """Put calls in flight back and charge some of them."""
        self.lost_calls += len(charged)
        for number in charged:
            self.meter.lose(number, self.expected_cost(self.flying[number]))
        self.meter.release(calls)
        self.queue.update((number, self._land(number)) for number in calls)

    def _faulted(self, event: Event) -> list[int]:
        call = self._land(event["call"])
        cost, lost = 0.0, 0.0
        if event["input_tokens"] is None:
            self.lost_calls += 1
            lost = self.meter.lose(call.number, 0.0 if event["refused"] else self.expected_cost(call))
        else:
            cost = self.bill_of(call).billed(event["input_tokens"], event["output_tokens"], event["details"])
            self.meter.settle(call.number, cost)
            self._share(call, cost)
        self.failed.add(call.column, cost, lost)
        self._bounds.pop(call.number, None)
        since = call.since if call.tries else self.meter.of(self.model_of(call)).calls
        call = replace(call, tries=call.tries + 1, why=event["why"], since=since)
        if not event["end"]:
            self.queue[call.number] = call
            return []
        self._expected.pop(call.number, None)
        if len(call.queries) == 1:
            tries = f", in {call.tries} tries" if call.tries > 1 else ""
            self.final[call.queries[0]] = (Asked.of(call), None, f"{call.why}{tries}")
            return [*call.queries]
        self._halve(replace(call, blamed=True), call.queries)
        return []

    def _share(self, call: Waiting, cost: float) -> None:
        for query in call.queries:
            self.paid[query] += cost / len(call.queries)

    def _halve(self, call: Waiting, queries: Sequence[int]) -> None:
        """Let queries of a call be asked again, in calls of at most half its size."""
        half = (len(call.queries) + 1) // 2
        for start in range(0, len(queries), half):
            part = tuple(queries[start : start + half])
            self._add(call.column, part, call.depth + 1, why=call.why, blamed=call.blamed)

    def _answered(self, event: Event) -> list[int]:
        call = self._land(event["call"])
        model = self.model_of(call)
        tokens_in, tokens_out = event["input_tokens"], event["output_tokens"]
        bill, (expected_in, expected_out) = self.bill_of(call), self.expected(call)
        cost = bill.billed(tokens_in, tokens_out, event["details"])
        del self._expected[call.number]
        self.meter.settle(call.number, cost)
        tokens = self.meter.of(model)
        tokens.learn(event["counted"], tokens_in - self._bounds.pop(call.number), tokens_out / event["allowed"])
        tokens.uncounted_cost += 0.0 if event["counted"] else cost
        if event["error"] is None:
            tokens.add(expected_in, expected_out, tokens_in, tokens_out)
            if bill.terms.cached:
                tokens.cache(found_tokens(event["details"]), bill.terms.shared_tokens)
        took = AnsweredCall(expected_in, expected_out, tokens_in, tokens_out, cost, event["retries"])
        self.done.add(call, model, took, bill.extra())
        self.details.setdefault(model.name, Counter()).update(event["details"])
        if event["replied"] is not None:
            self.replied.setdefault(model.name, Counter())[event["replied"]] += 1
        if not call.depth:
            self.slots[call.column] += len(call.queries), sum(answer is not None for answer in event["answers"])
        self.finishes.setdefault(model.name, Counter())[event["finish_reason"]] += 1
        self.loose.update([model.name] if event["loose"] else ())
        self._share(call, cost)
        unread, over = [], []
        for query, answer in zip(call.queries, event["answers"], strict=True):
            if answer is None and len(call.queries) > 1:
                unread.append(query)
                continue
            self.final[query] = (Asked.of(call), answer, event["why"] if answer is None else None)
            over.append(query)
        self._halve(replace(call, why=event["why"]), unread)
        return over

    def _out(self, event: Event) -> None:
        """Take a model out: what was planned for it is planned again, or waits for a later run where no other works."""
        self.out.add(event["model"])
        queries, columns = array("q"), array("q")
        for number in list(self.queue):
            call = self.queue[number]
            if self.model_of(call).name != event["model"]:
                continue
            queries.extend(call.queries)
            columns.extend([call.column] * len(call.queries))
            if event["replan"]:
                del self.queue[number]
            elif call.tries and not call.blamed:  # the tries that failed were the model's fault
                self.queue[number] = replace(call, tries=0)
        own = np.array([model.name == event["model"] for model in self.routed.pool])[self._models]
        cost = float((self.failed.cost + self.failed.lost)[own].sum(dtype=float))
        cost -= sum(known.cost for known in self.outages if known.model == event["model"])
        outage = Outage(event["model"], event["why"], np.array(queries), np.array(columns), max(0.0, cost))
        self.outages.append(outage)
        self.unplanned += queries if event["replan"] else ()
        self._replanned_at = -1

    def _released(self, event: Event) -> None:
        for number in event["calls"]:
            call = self.queue.take(number)
            self.released |= dict.fromkeys(call.queries, call)
            self.unplanned += call.queries
        self._replanned_at = -1

    def _back(self, event: Event) -> None:
        self.out.clear()
        self._replanned_at = -1

    def _replanned(self, event: Event) -> None:
        calls = event["calls"]
        starts = np.cumsum([0, *(len(queries) for _, queries in calls)])
        order = np.fromiter((query for _, queries in calls for query in queries), np.int64, int(starts[-1]))
        failed = (place for place, (_, queries) in enumerate(calls) if not self.released.keys().isdisjoint(queries))
        self._plan(np.array([column for column, _ in calls], np.int64), starts, order, frozenset(failed))
        self.unplanned = list(event["unplanned"])
        self.replans += 1
        self._replanned_at = self._tries

    def _finished(self, event: Event) -> list[int]:
        """End: what was asked and could not be paid for again stays unread, queries never asked unanswered."""
        self.finished, self._left_at_end = True, self.meter.slack
        self._unpaid = [call for call in self.queue.values() if call.again]
        self._unreleased = [query for query in self.unplanned if query in self.released]
        asked = [(query, self.released[query]) for query in self._unreleased]
        for call in self.queue.values():
            if call.again:
                asked += [(query, call) for query in call.queries]
            else:
                self.unplanned += call.queries
        self.queue.clear()
        for query, call in asked:
            self.final[query] = (Asked.of(call), None, f"{call.why}, and no budget is left to ask again")
        self.unplanned = [query for query in self.unplanned if query not in self.final]
        return [query for query, _ in asked] + self.unplanned

    @property
    def extended(self) -> bool:
        """Whether queries wait for more money than at the end, or for a model that was given up, and can go on."""
        return (
            self.finished
            and bool(self.unplanned or self._unpaid or self._unreleased)
            and (self.meter.slack > self._left_at_end or bool(self.out))
        )

    def _limits(self, event: Event) -> None:
        self.meter.limit(event["budget"], event["overrun"], event["lost"])

    def _continued(self, event: Event) -> None:
        """Go on after the end: what was not paid for waits again."""
        self.finished, self._replanned_at = False, -1
        self.queue.update((call.number, call) for call in self._unpaid)
        self.unplanned += self._unreleased
        for query in (*self._unreleased, *(query for call in self._unpaid for query in call.queries)):
            del self.final[query]

    def _retry(self, event: Event) -> None:
        """Ask unread queries again, each alone in its state."""
        self.finished, self._replanned_at = False, -1
        for query in event["queries"]:
            call, _, why = self.final.pop(query)
            self._add(call.column, (query,), 1, why=why)

    @property
    def _tries(self) -> int:
        return len(self.done) + len(self.failed) + self.lost_calls

    @property
    def moved(self) -> bool:
        """Whether anything was answered or lost since the rest was planned again, if it ever was."""
        return self._tries != self._replanned_at

    def to_release(self) -> list[int]:
        """Return the waiting calls that failed and were not planned again for it."""
        failed = (call for call in self.queue.values() if call.tries)
        return [call.number for call in failed if self.released.keys().isdisjoint(call.queries)]
