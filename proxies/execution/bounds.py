"""What calls cannot exceed: a bound on their input tokens, by the model's own tokenizer or by bytes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from robatch.proxies.engines.address import find_model
from robatch.proxies.engines.token_count import Counter, byte_bounds, token_counter
from robatch.proxies.execution.plan import RoutedPlan
from robatch.proxies.tasks.queries import Query

CHAT_TEMPLATE_TOKENS = 128  # tokens that a chat template is allowed to add where it was not measured
MOST_REMEMBERED = 10_000  # calls whose tokens are not counted again
TOGETHER = 1_000  # prompts that are made to be counted together
SEAM_TOKENS = 8  # tokens by which texts joined may differ from their parts
SLOT_SLACK_TOKENS = 4  # tokens by which a query's slot in a large call may exceed its slot in a call of its own


class InputBounds:
    """Bounds on the input tokens of a plan's calls; no call is counted twice.

    Where a model's folder holds its tokenizer, prompts are counted by it; otherwise a token is counted for every byte.
    Each call is allowed what a chat template adds: what was measured of it, or `CHAT_TEMPLATE_TOKENS`.
    """

    def __init__(self, routed: RoutedPlan, queries: Sequence[Query]) -> None:
        self._routed, self._queries = routed, queries
        empty = routed.template.whole([])
        self._counters: list[Counter] = []
        self._shared: list[int] = []  # tokens of a call without queries
        self._empty: list[int] = []  # the same by the counter, without what a template adds
        for entry, model in zip(routed.pool, routed.problem.models, strict=True):
            own = token_counter(find_model(entry.path, Path()) if entry.path else None, entry.chat)
            count = byte_bounds if own is None else own
            bare, measured = count([empty])[0], math.ceil(model.shared_tokens)
            known = own is not None and measured >= bare
            self._counters.append(count)
            self._empty.append(bare)
            self._shared.append(measured + SEAM_TOKENS if known else max(bare, measured) + CHAT_TEMPLATE_TOKENS)
        self._calls: dict[tuple[Counter, tuple[int, ...]], int] = {}
        self._slots: dict[Counter, npt.NDArray[np.float64]] = {}

    def of_call(self, model: int, queries: tuple[int, ...]) -> int:
        """Return input tokens that a call of a model, with these queries, cannot exceed."""
        key = self._counters[model], queries
        if key not in self._calls:
            if len(self._calls) >= MOST_REMEMBERED:
                self._calls.clear()
            prompt = self._routed.template.whole([self._queries[i] for i in queries])
            self._calls[key] = self._counters[model]([prompt])[0] - self._empty[model]
        return self._shared[model] + self._calls[key]

    def least_of_call(self, model: int, queries: tuple[int, ...]) -> int:
        """Return input tokens that a call cannot have fewer of, by the model's own tokenizer; 0 without one."""
        count = self._counters[model]
        known = self.of_call(model, queries) - self._shared[model] + self._empty[model] - SEAM_TOKENS
        return 0 if count is byte_bounds else max(0, known)

    def of_parts(self, model: int) -> tuple[int, npt.NDArray[np.float64]]:
        """Return input tokens that the shared part of a call cannot exceed, and those of each query's slot: (N,)."""
        count = self._counters[model]
        if count not in self._slots:
            queries = iter(self._queries)
            counted = np.empty(len(self._queries))
            for start in range(0, len(counted), TOGETHER):
                part = islice(queries, TOGETHER)
                counted[start : start + TOGETHER] = count([self._routed.template.whole([query]) for query in part])
            self._slots[count] = counted - self._empty[model] + SLOT_SLACK_TOKENS
        return self._shared[model], self._slots[count]
