"""The problem: which model and batch size should answer each query."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import mul
from typing import Any, Literal, NamedTuple, Self, cast

import numpy as np
import numpy.typing as npt

from robatch.instances import checks, pairs
from robatch.instances.arrays import BoolArray, IntArray, RealArray
from robatch.instances.constraints import Constraints
from robatch.instances.errors import InputError
from robatch.instances.model import MOST, Model, State
from robatch.instances.money import Money, Whole, times
from robatch.instances.scalars import number

BLOCK_ROWS = 65_536  # rows of (N, S) arrays made at a time, so that passes need little memory


class Evaluation(NamedTuple):
    """What an assignment is worth, its USD under both cost models, and its calls: (groups, S)."""

    utility: float
    amortized_cost: float
    realized_cost: float
    calls: IntArray


@dataclass(frozen=True, eq=False, repr=False)
class Problem:
    """Queries, models and utilities: an instance of Route with Batching, without its budget.

    Utilities are held either dense, as `utility`, or as factors: `base_utility` times `retention`.
    All arrays share one floating-point type, float32 if the utilities are float32 and float64
    otherwise, and become read-only views; costs are always computed in float64.

    Parameters
    ----------
    models
        The K models, of different names. The S states are the models' batch sizes, model by model.
    input_tokens
        Tokens of each query's own input: (N,), or (N, K) where tokenizers differ. Kept as (N, 1) or (N, K).
    output_tokens
        Expected output tokens of each query: (N,), or (N, K). Kept as (N, 1) or (N, K).
    utility
        Expected quality of each query's answer in each state, in [0, 1]: (N, S).
    base_utility
        Instead of `utility`: quality in each model at its best, in [0, 1]: (N, K).
    retention
        With `base_utility`: what a state keeps of it: (S,) or (N, S), kept as (1, S) or (N, S).
        Not negative; products must lie in [0, 1].
    query_ids
        N different strings or integers, or None: queries are then known by their position.
    groups
        N strings or integers, or None. Queries of different groups never share a call.
    forbidden
        Pairs that are not allowed, as booleans (N, S), or None. `restrict` makes them from names.
    conflicts
        Queries that never share a call: a networkx graph whose nodes are queries, or pairs of queries, by id (by
        position where queries have none). Kept as a sorted array of positions (E, 2), which is read as such; or None.
    constraints
        Limits of models and of groups, or None.
    window_margin
        Part of every context window that calls leave free, from 0 to below 1: room for outputs longer than expected.

    Raises
    ------
    InputError
        If a value is missing, out of range or of the wrong shape, or if some query is allowed in no state.

    Notes
    -----
    A query is allowed in state (k, b) when b queries like it fit the context window of k,
    ``shared_tokens + b * (input + output tokens) <= (1 - window_margin) * context_window``, and the pair is
    not forbidden. Any b queries that are allowed in a state therefore fit one call together.
    """

    models: tuple[Model, ...]
    input_tokens: RealArray
    output_tokens: RealArray
    utility: RealArray | None = None
    base_utility: RealArray | None = None
    retention: RealArray | None = None
    query_ids: npt.NDArray[Any] | None = None
    groups: npt.NDArray[Any] | None = None
    forbidden: BoolArray | None = None
    conflicts: IntArray | None = None
    constraints: Constraints | None = None
    window_margin: float = 0.0

    def __init__(
        self,
        models: Sequence[Model],
        input_tokens: npt.ArrayLike,
        output_tokens: npt.ArrayLike,
        utility: npt.ArrayLike | None = None,
        base_utility: npt.ArrayLike | None = None,
        retention: npt.ArrayLike | None = None,
        query_ids: npt.ArrayLike | Sequence[Any] | None = None,
        groups: npt.ArrayLike | Sequence[Any] | None = None,
        forbidden: npt.ArrayLike | None = None,
        conflicts: Any = None,
        constraints: Constraints | None = None,
        window_margin: float = 0.0,
    ) -> None:
        pool = checks.models(models)
        n_models, n_states = len(pool), sum(len(model.batch_sizes) for model in pool)
        if (utility is None) == (base_utility is None):
            raise InputError("a problem needs either utility, or base_utility with retention, and not both")
        if (base_utility is None) != (retention is None):
            raise InputError("base_utility and retention belong together: give both or neither")
        dtype = checks.dtype(utility if base_utility is None else base_utility)

        def set_(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)  # the one place where the frozen fields are written

        set_("models", pool)
        if base_utility is None:
            dense = checks.matrix("utility", utility, dtype, None, (n_states,))
            checks.in_range("utility", dense, 0.0, 1.0)
            rows = len(dense)
            set_("utility", dense)
            set_("base_utility", None)
            set_("retention", None)
        else:
            base = checks.matrix("base_utility", base_utility, dtype, None, (n_models,))
            checks.in_range("base_utility", base, 0.0, 1.0)
            rows = len(base)
            kept = checks.matrix("retention", retention, dtype, rows, (n_states,), one_row=True)
            checks.in_range("retention", kept, 0.0, np.inf)
            set_("utility", None)
            set_("base_utility", base)
            set_("retention", kept)
        for name, tokens in (("input_tokens", input_tokens), ("output_tokens", output_tokens)):
            array = checks.matrix(name, tokens, dtype, rows, (1, n_models), column=True)
            checks.in_range(name, array, 0.0, MOST)
            set_(name, array)
        set_("query_ids", checks.labels("query_ids", query_ids, rows, unique=True))
        set_("groups", checks.labels("groups", groups, rows, unique=False))
        margin = number("window_margin", window_margin, needed="a number from 0 to below 1", most=1.0 - 1e-9)
        set_("window_margin", margin)
        set_("forbidden", pairs.forbidden(forbidden, rows, n_states))
        set_("conflicts", pairs.conflicts(conflicts, self.query_ids, rows))
        if constraints is not None and not isinstance(constraints, Constraints):
            raise InputError(f"constraints is {constraints!r}: robatch.Constraints is needed")
        set_("constraints", constraints or None)
        if self.constraints is not None:
            self.constraints.check([model.name for model in pool], self.group_labels)
        if self.base_utility is not None:
            self._check_products()
        self._check_allowed()

    def _check_products(self) -> None:
        """Check that base utility times retention stays within [0, 1], block by block."""
        for rows in self.blocks():
            checks.in_range("base_utility times retention", self._raw_utilities(rows), 0.0, 1.0 + 1e-6)

    def _check_allowed(self) -> None:
        if self.all_allowed:
            return
        for rows in self.blocks():
            none = ~self.allowed(rows).any(axis=1)
            if none.any():
                query = rows.start + int(np.argmax(none))
                if self.forbidden is not None and self.forbidden[query].any():
                    raise InputError(
                        f"query {self.query_name(query)} has no state that is neither forbidden nor too long"
                    )
                raise InputError(
                    f"query {self.query_name(query)} fits the context window of no model, "
                    "not even in the smallest batch: shorten it or add a model with a larger context window"
                )

    # ---- sizes and names

    @property
    def n_queries(self) -> int:
        """Number of queries, N."""
        return len(self.input_tokens)

    @property
    def n_models(self) -> int:
        """Number of models, K."""
        return len(self.models)

    @property
    def n_states(self) -> int:
        """Number of states, S."""
        return len(self.states)

    @cached_property
    def states(self) -> tuple[State, ...]:
        """The (model, batch size) of each of the S columns."""
        return tuple(State(model.name, size) for model in self.models for size in model.batch_sizes)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Floating-point type of the arrays: float32 or float64."""
        return self.input_tokens.dtype

    def state_index(self, model: str, batch_size: int) -> int:
        """Return the column of a state.

        Raises
        ------
        InputError
            If the problem has no such state.
        """
        try:
            return self.states.index(State(model, batch_size))
        except ValueError:
            known = pairs.known_states(self.models, model)
            raise InputError(f"state is {State(model, batch_size)}: {known}") from None

    def query_name(self, query: int) -> str:
        """Return how messages name a query: its id if it has one, else its position."""
        return f"number {query}" if self.query_ids is None else repr(self.query_ids[query].item())

    @cached_property
    def group_codes(self) -> IntArray:
        """Group of each query as a number from 0, in the order of the sorted labels: (N,)."""
        if self.groups is None:
            return np.zeros(self.n_queries, dtype=np.int64)
        return np.unique(self.groups, return_inverse=True)[1].astype(np.int64)

    @cached_property
    def n_groups(self) -> int:
        """Number of groups; 1 where queries have none."""
        return 1 if self.groups is None else int(self.group_codes.max()) + 1

    @cached_property
    def group_labels(self) -> list[Any]:
        """Label of each group, by its number; empty where queries have none."""
        return [] if self.groups is None else list(np.unique(self.groups).tolist())

    # ---- flat tables by state and by model, for kernels

    @cached_property
    def state_model(self) -> IntArray:
        """Position of each state's model: (S,)."""
        return np.repeat(np.arange(self.n_models), [len(model.batch_sizes) for model in self.models])

    @cached_property
    def state_batch_size(self) -> IntArray:
        """Batch size of each state: (S,)."""
        return np.array([state.batch_size for state in self.states], dtype=np.int64)

    @cached_property
    def call_price(self) -> npt.NDArray[np.float64]:
        """USD that one call of each state pays for the shared prompt: (S,)."""
        return np.array([model.call_price for model in self.models])[self.state_model]

    @cached_property
    def token_prices(self) -> npt.NDArray[np.float64]:
        """USD per single input token and per single output token of each model: (2, K)."""
        return np.array([[model.price_in, model.price_out] for model in self.models]).T * 1e-6

    @cached_property
    def money(self) -> Money:
        """The models' prices as whole numbers of a unit, for sums without rounding."""
        return Money(self.models)

    @cached_property
    def token_limit(self) -> npt.NDArray[np.float64]:
        """Most input and output tokens of one query that each state allows: (S,), inf if unlimited."""
        limits = [
            np.inf
            if model.context_window is None
            else ((1.0 - self.window_margin) * model.context_window - model.shared_tokens) / size
            for model in self.models
            for size in model.batch_sizes
        ]
        return np.array(limits, dtype=np.float64)

    # ---- dense arrays

    def blocks(self) -> Iterator[slice]:
        """Yield slices of queries that together cover the problem."""
        for start in range(0, self.n_queries, BLOCK_ROWS):
            yield slice(start, min(start + BLOCK_ROWS, self.n_queries))

    def _raw_utilities(self, rows: slice) -> RealArray:
        if self.utility is not None:
            return self.utility[rows]
        base, kept = cast(RealArray, self.base_utility), cast(RealArray, self.retention)
        return base[rows][:, self.state_model] * (kept if len(kept) == 1 else kept[rows])

    def utilities(self, rows: slice = slice(None)) -> RealArray:
        """Return the utility of each query in each state: (N, S), in the problem's floating-point type."""
        utilities = self._raw_utilities(rows)
        return utilities if self.utility is not None else np.minimum(utilities, 1.0, dtype=self.dtype)

    def allowed(self, rows: slice = slice(None)) -> BoolArray:
        """Return whether each query may be answered in each state: (N, S)."""
        tokens = self.input_tokens[rows].astype(np.float64) + self.output_tokens[rows]
        columns = self.state_model if tokens.shape[1] > 1 else np.zeros(self.n_states, dtype=np.int64)
        fits: BoolArray = tokens[:, columns] <= self.token_limit
        return fits if self.forbidden is None else fits & ~self.forbidden[rows]

    @cached_property
    def all_allowed(self) -> bool:
        """Whether every query is allowed in every state."""
        if self.forbidden is not None:
            return False
        if np.isinf(self.token_limit).all():
            return True
        return all(bool(self.allowed(rows).all()) for rows in self.blocks())

    def query_costs(self, rows: slice = slice(None)) -> npt.NDArray[np.float64]:
        """Return the USD of each query's own tokens in each model, without the shared prompt: (N, K)."""
        price_in, price_out = self.token_prices
        own = self.input_tokens[rows] * price_in + self.output_tokens[rows] * price_out
        return np.asarray(own, dtype=np.float64)

    def amortized_costs(self, rows: slice = slice(None)) -> npt.NDArray[np.float64]:
        """Return the amortized USD of each query in each state: (N, S).

        ``price_in * (shared_tokens / b + input) + price_out * output``, prices per token.
        """
        share = self.call_price / self.state_batch_size
        return self.query_costs(rows)[:, self.state_model] + share

    @cached_property
    def masked_utility(self) -> RealArray | None:
        """Utilities with -inf where a pair is forbidden: (N, S); None where none is. A copy, for kernels."""
        if self.forbidden is None:
            return None
        masked = np.empty((self.n_queries, self.n_states), dtype=self.dtype)
        for rows in self.blocks():
            masked[rows] = np.where(self.forbidden[rows], -np.inf, self.utilities(rows))
        masked.flags.writeable = False
        return masked

    # ---- what a plan is worth and costs

    def check_assignment(self, assignment: npt.ArrayLike) -> IntArray:
        """Return `assignment` as an (N,) array of allowed states, or say what is wrong with it.

        Raises
        ------
        InputError
            If its shape is wrong, or a state is unknown or not allowed for its query.
        """
        states = self._whole_numbers(assignment)
        self._tally(states)
        return states

    def _whole_numbers(self, assignment: npt.ArrayLike) -> IntArray:
        states = np.asarray(assignment)
        if states.shape != (self.n_queries,) or states.dtype.kind not in "iu":
            raise InputError(
                f"assignment has shape {states.shape} and type {states.dtype}: "
                f"{self.n_queries} whole numbers are needed, one state a query"
            )
        return np.ascontiguousarray(states, dtype=np.int64)

    def _tally(self, states: IntArray) -> tuple[float, Whole, IntArray]:
        """Return utility, the cost of the queries' own tokens, and the queries of each group and state."""
        from robatch.instances import kernels

        queries = np.zeros((self.n_groups, self.n_states), dtype=np.int64)
        codes = np.empty(0, dtype=np.int64) if self.groups is None else self.group_codes
        wrong, utility, sent, received = kernels.tally(states, codes, queries, *kernels.flat(self))
        if wrong >= 0:
            raise self._wrong_state(wrong, int(states[wrong]))
        own = times(self.money.price_in, sent.tolist()) + times(self.money.price_out, received.tolist())
        return utility, own, queries

    def _wrong_state(self, query: int, state: int) -> InputError:
        where = f"assignment of query {self.query_name(query)} is"
        if not 0 <= state < self.n_states:
            return InputError(f"{where} state {state}: states go from 0 to {self.n_states - 1}")
        return InputError(
            f"{where} the state {self.states[state]}, "
            "which is not allowed: it is forbidden, or a batch of such queries does not fit the context window"
        )

    def evaluate(self, assignment: npt.ArrayLike) -> Evaluation:
        """Return what an assignment (N,) of states is worth and costs, in one pass over it.

        Raises
        ------
        InputError
            If its shape is wrong, or a state is unknown or not allowed for its query.
        """
        states = self._whole_numbers(assignment)
        utility, own, queries = self._tally(states)
        calls = -(-queries // self.state_batch_size)
        if self.conflicts is not None:
            from robatch.instances.conflicts import seated

            codes = None if self.groups is None else self.group_codes
            found = seated(self.conflicts, states, codes, self.state_batch_size, queries)
            if found is not None:
                calls[found.groups, found.states] = found.calls
        shares = sum(map(mul, self.money.share, queries.sum(axis=0).tolist()))
        prompts = sum(map(mul, self.money.call, calls.sum(axis=0).tolist()))
        return Evaluation(utility, self.money.usd(own + shares), self.money.usd(own + prompts), calls)

    def total_utility(self, assignment: npt.ArrayLike) -> float:
        """Return the total utility of an assignment (N,) of states, summed in float64."""
        return self.evaluate(assignment).utility

    def amortized_cost(self, assignment: npt.ArrayLike) -> float:
        """Return the amortized USD of an assignment (N,): every call counted as full."""
        return self.evaluate(assignment).amortized_cost

    def call_counts(self, assignment: npt.ArrayLike) -> IntArray:
        """Return the calls of each group in each state: (groups, S).

        Without conflicts ``ceil(queries / b)``; with conflicts as many as `robatch.Plan.calls` forms, see
        `robatch.instances.conflicts` for when that is proven to be the fewest.
        """
        return self.evaluate(assignment).calls

    def realized_cost(self, assignment: npt.ArrayLike) -> float:
        """Return what an assignment (N,) really bills in USD: every call pays the whole shared prompt."""
        return self.evaluate(assignment).realized_cost

    def cost(self, assignment: npt.ArrayLike, cost: Literal["amortized", "realized"]) -> float:
        """Return the USD of an assignment (N,) under one of the two cost models."""
        return self.amortized_cost(assignment) if cost == "amortized" else self.realized_cost(assignment)

    # ---- budgets that make sense

    @property
    def cheapest_assignment(self) -> IntArray:
        """Every query in its state of least amortized cost, of greatest utility among equals: (N,)."""
        return self._extreme(dearest=False)

    @property
    def best_assignment(self) -> IntArray:
        """Every query in its state of greatest utility, of least amortized cost among equals: (N,)."""
        return self._extreme(dearest=True)

    def _extreme(self, dearest: bool) -> IntArray:
        from robatch.instances import kernels

        states: IntArray = kernels.extreme(dearest, *kernels.flat(self))
        return states

    @cached_property
    def cheapest_budget(self) -> float:
        """Least amortized USD that pays for an answer to every query."""
        return self.amortized_cost(self.cheapest_assignment)

    @cached_property
    def dearest_budget(self) -> float:
        """Amortized USD of the greatest utility: more buys nothing."""
        return self.amortized_cost(self.best_assignment)

    def budget_at(self, fraction: float) -> float:
        """Return the budget in USD at a fraction between the cheapest (0) and the dearest (1).

        Raises
        ------
        InputError
            If the fraction is not within [0, 1].
        """
        fraction = number("budget fraction", fraction, most=1.0)
        low, high = self.cheapest_budget, self.dearest_budget
        return high if fraction == 1.0 else low + fraction * (high - low)

    # ---- copies, equality, files

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def restrict(
        self,
        forbidden: Iterable[tuple[Any, Any]] = (),
        forced: Iterable[tuple[Any, Any]] = (),
        min_utility: npt.ArrayLike | None = None,
    ) -> Self:
        """Return a copy that allows fewer (query, state) pairs.

        Parameters
        ----------
        forbidden
            Pairs that are not allowed any more. A query is given by its id, or its position where queries have
            none; a state by its column, or as (model, batch size).
        forced
            Pairs that must be chosen: all other states of these queries are not allowed any more.
        min_utility
            Least utility of any query, from 0 to 1: a number, or one for each query (N,).

        Raises
        ------
        InputError
            If a name is unknown, a forced pair is not allowed, or a query is left without a state.
        """
        return self.replace(forbidden=pairs.restricted(self, forbidden, forced, min_utility))

    def take(self, queries: npt.ArrayLike) -> Self:
        """Return the problem of some of the queries, by position; no constraint may name a group that is left out."""
        rows = np.asarray(queries, dtype=np.int64)
        kept = self.retention if self.retention is None or len(self.retention) == 1 else self.retention[rows]
        return self.replace(
            input_tokens=self.input_tokens[rows],
            output_tokens=self.output_tokens[rows],
            utility=None if self.utility is None else self.utility[rows],
            base_utility=None if self.base_utility is None else self.base_utility[rows],
            retention=kept,
            query_ids=None if self.query_ids is None else self.query_ids[rows],
            groups=None if self.groups is None else self.groups[rows],
            forbidden=None if self.forbidden is None else self.forbidden[rows],
            conflicts=pairs.taken(self.conflicts, rows),
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Problem):
            return NotImplemented
        if self.models != other.models or self.dtype != other.dtype:
            return False
        if self.constraints != other.constraints or self.window_margin != other.window_margin:
            return False
        for field in dataclasses.fields(self)[1:-2]:
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            if (mine is None) != (theirs is None) or (mine is not None and not np.array_equal(mine, theirs)):
                return False
        return True

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        form = "dense" if self.utility is not None else "factored"
        return (
            f"Problem({self.n_queries} queries, {self.n_models} models, {self.n_states} states, "
            f"{form} {self.dtype} utilities)"
        )

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the problem to one Parquet file, the model table in its metadata."""
        from robatch.instances.problem_file import write

        write(self, path)
