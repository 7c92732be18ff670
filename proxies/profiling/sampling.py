"""The sampling design: which queries share a call, and how many queries a state is measured on.

The same queries stand at every batch size, so that states are compared query by query; partners and positions are
drawn anew for every batch size and repeat, the same for all models. Where a task gives a batch size fewer queries
(`queries_by_batch_size`), they are the front of one order per task, drawn by the seed: those of the smaller are among
those of the larger.

With a precision, sampling is adaptive. A cell (a model, a task and a batch size) takes its queries from the front of
that order, in rounds; it stops when the half-width of the 95 % interval of its mean score is small enough. So one
cell's queries are always the beginning of any larger cell's. As a cell looks at its interval after every round, an
interval at which it stopped covers the truth a little less often than 95 %.

No proxy is fitted on the way. A proxy's level of a state is the mean score at the smallest batch size less the loss on
the queries that both sizes share: a cell's mean, where both hold the same queries. So the rule puts calls where levels
are uncertain, which is where scores are mixed. It makes no use of the pairs, by which a loss is more certain than
either mean, nor of the single queries that a proxy is unsure of.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from robatch.proxies.profiling.cell_sums import wilson
from robatch.proxies.profiling.config import ModelConfig, ProfileConfig
from robatch.proxies.profiling.record import CallKey
from robatch.proxies.tasks.task import Task

ROUND = 32
"""Queries that a cell takes in one round of adaptive sampling, or as many more as fill its calls."""

Answered = Mapping[CallKey, Mapping[str, Any]]
"""The record's lines by call."""


@dataclass(frozen=True)
class PlannedCall:
    """A call: its key and its queries' positions in the task."""

    key: CallKey
    members: tuple[int, ...]


@dataclass(frozen=True)
class Cell:
    """A model at a batch size on a task: what is measured together and may stop early."""

    model: str  # what is measured
    task: Task
    batch_size: int
    repeats: int  # as in the configuration
    seed: int
    precision: float | None

    @cached_property
    def rounds(self) -> tuple[tuple[PlannedCall, ...], ...]:
        """The calls, round by round; a single round without a precision."""
        return tuple(self._round(number, block) for number, block in enumerate(self._blocks))

    def needed(self, answered: Answered) -> list[PlannedCall]:
        """Give the calls that the answers so far ask for, answered or not.

        It depends on the answers alone: a run that goes on asks for what an uninterrupted one would have.
        """
        calls: list[PlannedCall] = []
        for planned in self.rounds:
            calls += planned
            if any(call.key not in answered for call in planned):
                break
            if self.precision is not None and self.half_width(calls, answered) <= self.precision:
                break
        return calls

    def half_width(self, calls: list[PlannedCall], answered: Answered) -> float:
        """Give half the width of the 95 % interval of the mean score; a query's repeats count as one trial."""
        total = sum(sum(answered[call.key]["scores"]) for call in calls) / self.repeats
        trials = sum(len(call.members) for call in calls) // self.repeats
        low, high = wilson(total, trials)
        return (high - low) / 2

    @property
    def queries(self) -> int:
        """How many queries the full design measures here."""
        return self.task.queries_by_batch_size.get(self.batch_size, len(self.task.queries))

    @cached_property
    def _blocks(self) -> list[list[int]]:
        queries, every = self.queries, len(self.task.queries)
        if self.precision is None and queries == every:
            return [list(range(queries))]
        order = query_order(self.task.name, every, self.seed)[:queries]
        if self.precision is None:
            return [order]
        length = -(-ROUND // self.batch_size) * self.batch_size
        return [order[start : start + length] for start in range(0, queries, length)]

    def _round(self, number: int, block: list[int]) -> tuple[PlannedCall, ...]:
        before = sum(-(-len(earlier) // self.batch_size) for earlier in self._blocks[:number])
        return tuple(
            PlannedCall(
                CallKey(self.model, self.task.name, self.batch_size, repeat, before + i),
                tuple(block[j] for j in members),
            )
            for repeat in range(self.repeats)
            for i, members in enumerate(pack(len(block), self.batch_size, self.seed, repeat, number))
        )


def cells_of(config: ProfileConfig, model: ModelConfig) -> tuple[Cell, ...]:
    """Give the cells of a model, by task, then batch size."""
    return tuple(
        Cell(model.name, task, size, config.repeats, config.seed, config.precision)
        for task in config.tasks
        for size in model.batch_sizes
    )


def pack(queries: int, batch_size: int, seed: int, repeat: int = 0, round: int = 0) -> list[list[int]]:
    """Pack query positions into calls, by a permutation that depends on all but the number of queries.

    The last call may be partly filled.
    """
    order = np.random.default_rng([seed, batch_size, repeat, round]).permutation(queries)
    return [[int(i) for i in order[start : start + batch_size]] for start in range(0, queries, batch_size)]


def query_order(task: str, queries: int, seed: int) -> list[int]:
    """Give the order in which adaptive sampling takes a task's queries: a permutation of their positions."""
    name = int.from_bytes(hashlib.sha256(task.encode()).digest()[:8])
    return [int(i) for i in np.random.default_rng([seed, name]).permutation(queries)]


def savings(config: ProfileConfig, answered: Answered) -> dict[str, Any]:
    """Compare the calls made with those of the full design, all the queries that the configuration has for a cell.

    Returns
    -------
    dict
        ``precision``, ``round``, ``made`` and ``full``, each of the two with ``calls``, ``queries`` (times repeats),
        ``input_tokens``, ``output_tokens`` and ``usd``. The tokens and USD of ``full`` are those of every cell's
        measured averages per query.
    """
    made, full = dict.fromkeys(_COUNTS, 0.0), dict.fromkeys(_COUNTS, 0.0)
    for model in config.models:
        for cell in cells_of(config, model):
            calls = cell.needed(answered)
            lines = [answered[call.key] for call in calls]
            inputs, outputs = (sum(line[f"{name}_tokens"] for line in lines) for name in ("input", "output"))
            usd = model.cost(inputs, outputs)
            queries = sum(len(call.members) for call in calls)
            everything = cell.queries * cell.repeats
            every_call = sum(len(planned) for planned in cell.rounds)
            ratio = everything / queries
            for name, value, whole in zip(
                _COUNTS,
                (len(calls), queries, inputs, outputs, usd),
                (every_call, everything, inputs * ratio, outputs * ratio, usd * ratio),
                strict=True,
            ):
                made[name] += value
                full[name] += whole
    return {"precision": config.precision, "round": ROUND, "made": _tidy(made), "full": _tidy(full)}


_COUNTS = ("calls", "queries", "input_tokens", "output_tokens", "usd")


def _tidy(counts: dict[str, float]) -> dict[str, float]:
    return {name: value if name == "usd" else round(value) for name, value in counts.items()}
