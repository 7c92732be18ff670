"""The states as arrays for the kernels that choose among them, and the vectors of arriving queries."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import FloatArray, IntArray
from robatch.instances.errors import InputError
from robatch.instances.model import Model
from robatch.instances.problem import Problem

_PRIOR_QUERIES = 10.0  # queries that weigh as much as all groups together do
FILL_LEARNING_RATE = 0.05  # weight of the last call in the mean fill of a state's calls


class Vectors(NamedTuple):
    """What is predicted of one query: utility in each state (S,), and tokens, one number each or one a model."""

    utilities: FloatArray
    input_tokens: FloatArray
    output_tokens: FloatArray


class GroupCounts:
    """How many queries of a group are to be expected, from those seen: one count a group is kept."""

    def __init__(self) -> None:
        self.seen: dict[Hashable, int] = {}
        self.count = self.pairs = 0  # queries, and pairs of queries of one group

    def add(self, group: Hashable) -> None:
        """Count a query."""
        before = self.seen.get(group, 0)
        self.pairs += before
        self.count += 1
        self.seen[group] = before + 1

    def share(self, group: Hashable) -> float:
        """Return the part of all queries that is of a group, drawn to that of two queries being of one group."""
        alike = 2.0 * self.pairs / (self.count * (self.count - 1.0)) if self.count > 1 else 1.0
        return (self.seen.get(group, 0) + _PRIOR_QUERIES * alike) / (self.count + _PRIOR_QUERIES)


class StateTable:
    """Prices, limits and fill of the states, with the `window_margin` of a `Problem`.

    Attributes
    ----------
    table
        USD per input token, per output token and of a call's shared prompt, and most tokens of a query: (4, S).
    model
        Position of each state's model: (S,).
    fill
        Queries that a call of each state is expected to hold: (S,).
    share
        USD of the shared prompt that counts for a query of each state: (S,).
    """

    def __init__(self, models: Sequence[Model], window_margin: float) -> None:
        for model in models:
            term = "tiers" if model.tiers else "cache_write" if model.write_charge > 0.0 else None
            if term is not None:
                raise InputError(
                    f"the router cannot count {term} of model {model.name!r}: leave it out to route online"
                )
        states = sum(len(model.batch_sizes) for model in models)
        # A problem of no tokens knows prices and limits in the form that all solvers see.
        empty = Problem(models, [0.0], [0.0], utility=np.zeros((1, states)), window_margin=window_margin)
        self.n_models = len(models)
        self.model = empty.state_model
        prices = empty.token_prices[:, self.model]
        self.table = np.ascontiguousarray(np.vstack([prices, empty.call_price, empty.token_limit]))
        self.fill = empty.state_batch_size.astype(np.float64)
        self.share = empty.call_price / self.fill

    @property
    def arrays(self) -> tuple[FloatArray, IntArray, FloatArray]:
        """The arrays in the order in which the kernels take them."""
        return self.table, self.model, self.share

    def set_fill(self, fill: Sequence[float]) -> None:
        """Expect calls of so many queries: (S,)."""
        self.fill = np.array(fill)
        self.share = self.table[2] / self.fill

    def learn(self, column: int, queries: int) -> None:
        """Learn from a closed call how full those of its state become."""
        self.fill[column] += FILL_LEARNING_RATE * (queries - self.fill[column])
        self.share[column] = self.table[2, column] / self.fill[column]

    def share_at(self, queries: float) -> FloatArray:
        """Return the shares of the shared prompt where calls hold at most so many queries: (S,)."""
        return np.asarray(self.table[2] / np.minimum(self.fill, max(1.0, queries)), dtype=np.float64)

    def may_exceed(self, limit: FloatArray, expected: FloatArray) -> FloatArray:
        """Return the USD between the limit of the output tokens and what is expected, in each state: (S,)."""
        more = np.maximum(limit - expected, 0.0)
        return np.asarray((more[self.model] if len(more) > 1 else more) * self.table[1], dtype=np.float64)

    def vectors(self, utilities: npt.ArrayLike, inputs: npt.ArrayLike, outputs: npt.ArrayLike) -> Vectors:
        """Return what is known of one query as checked arrays."""
        vector = np.ascontiguousarray(utilities, dtype=np.float64)
        if vector.shape != (len(self.share),):
            raise InputError(f"utilities has shape {vector.shape}: ({len(self.share)},) is needed, one a state")
        return Vectors(vector, self.shaped("input_tokens", inputs), self.shaped("output_tokens", outputs))

    def shaped(self, name: str, given: npt.ArrayLike, rows: int | None = None) -> FloatArray:
        """Return tokens as a vector, or as a matrix of so many rows, of one number or one a model."""
        array = np.ascontiguousarray(given, dtype=np.float64)  # of at least one dimension
        width = array.shape[-1]
        if array.shape != ((width,) if rows is None else (rows, width)) or width not in (1, self.n_models):
            needed = "one number, or one a model," if rows is None else f"({rows},) or ({rows}, {self.n_models})"
            raise InputError(f"{name} has shape {array.shape}: {needed} is needed")
        return array

    def refuse(self, code: int, vectors: Vectors) -> None:
        """Raise the error that a code of the kernels stands for."""
        from robatch.proxies.online import kernels

        if code == kernels.WRONG_TOKENS:
            held = [*vectors.input_tokens.tolist(), *vectors.output_tokens.tolist()]
            wrong = next(value for value in held if not 0.0 <= value < math.inf)
            raise InputError(f"tokens of a query are {wrong}: a finite number of at least 0 is needed")
        wrong = next(u for u in vectors.utilities.tolist() if u != -math.inf and not 0.0 <= u <= 1.0 and u == u)
        raise InputError(f"a utility is {wrong}: a number from 0 to 1 is needed, or NaN where a state is not allowed")

    def guess(self, vectors: Vectors) -> float:
        """Return the utility per USD between the cheapest and the best state of a query."""
        sent, received = (
            tokens[self.model] if len(tokens) > 1 else tokens
            for tokens in (vectors.input_tokens, vectors.output_tokens)
        )
        cost = sent * self.table[0] + received * self.table[1] + self.share
        known = np.isfinite(vectors.utilities) & (sent + received <= self.table[3])
        if not known.any():
            return 0.0
        cost, utility = cost[known], vectors.utilities[known]
        low, high = int(np.argmin(cost)), int(np.argmax(utility))
        gained, paid = float(utility[high] - utility[low]), float(cost[high] - cost[low])
        return gained / paid if paid > 0.0 and gained > 0.0 else 0.0
