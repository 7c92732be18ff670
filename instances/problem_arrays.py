"""The fields of a problem, and the sizes, tables and arrays that follow from them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from robatch.instances import own_costs, pairs
from robatch.instances.arrays import BoolArray, FloatArray, IntArray, RealArray, read_only
from robatch.instances.constraints import Constraints
from robatch.instances.errors import InputError
from robatch.instances.model import Model, State
from robatch.instances.money import Money
from robatch.instances.tiers import Tiers

BLOCK_ROWS = 65_536  # rows of (N, S) arrays made at a time, so that passes need little memory


@dataclass(frozen=True, eq=False, repr=False)
class ProblemArrays:
    """The fields of a `robatch.Problem`, which describes and checks them, and what follows from them."""

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
    costs: FloatArray | None = None
    capacity: float | None = None
    profit_scale: float | None = None

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
    def group_labels(self) -> list[Any]:
        """Label of each group, by its number; empty where queries have none."""
        return [] if self.groups is None else list(np.unique(self.groups).tolist())

    @cached_property
    def n_groups(self) -> int:
        """Number of groups; 1 where queries have none."""
        return int(self.group_codes.max()) + 1

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
    def call_price(self) -> FloatArray:
        """USD that one call of each state pays for the shared prompt and as a fee, as `robatch.Model` says: (S,)."""
        return np.array([model.call_price for model in self.models])[self.state_model]

    @cached_property
    def write_charge(self) -> FloatArray:
        """USD that a group's first call of each model pays more, to write the prompt to a cache: (K,)."""
        return np.array([model.write_charge for model in self.models])

    @cached_property
    def share(self) -> FloatArray:
        """USD of a full call, beside its queries' own tokens, that each of them pays under amortized cost: (S,)."""
        price = self.call_price
        if self.write_charge.any():
            expected = [(1.0 - model.cache_share) * model.write_charge for model in self.models]
            price = price + np.array(expected)[self.state_model]
        share: FloatArray = price / self.state_batch_size
        return share

    @cached_property
    def tiers(self) -> Tiers | None:
        """How it is read as a problem without tiers; None where no call of any plan is billed above a threshold."""
        if not any(model.tiers for model in self.models):
            return None
        found = Tiers.of(self)
        return found if found.tier.any() else None

    @cached_property
    def token_prices(self) -> FloatArray:
        """USD per single input token and per single output token of each model: (2, K)."""
        return np.array([model.tariff[:2] for model in self.models]).T * 1e-6

    @cached_property
    def charges(self) -> own_costs.Charges:
        """What queries are charged for: tokens at the models' prices, or costs of one's own."""
        if self.costs is not None:
            return own_costs.charges(self.costs)
        prices = np.ascontiguousarray(self.token_prices)
        return own_costs.Charges(self.input_tokens, self.output_tokens, prices, self.state_model)

    @cached_property
    def money(self) -> Money:
        """The models' prices as whole numbers of a unit, for sums without rounding."""
        return Money(self.models, self.charges.unit)

    @cached_property
    def token_limit(self) -> FloatArray:
        """Most input and output tokens of one query that each state allows: (S,), inf if unlimited."""
        windows = [np.inf if model.context_window is None else model.context_window for model in self.models]
        shared = [model.shared_tokens for model in self.models]
        left = (1.0 - self.window_margin) * np.array(windows) - shared
        limit: FloatArray = left[self.state_model] / self.state_batch_size
        return limit

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

    def query_costs(self, rows: slice = slice(None)) -> FloatArray:
        """Return the token cost of each query in each model in USD, without the shared prompt: (N, K).

        Raises
        ------
        InputError
            If the problem has costs of its own, which `own_costs` returns by state.
        """
        if self.costs is not None:
            raise InputError("the problem has costs of its own: they are known by state (own_costs), not by model")
        if self.tiers is not None:
            raise InputError("the problem has tiers: costs are known by state (amortized_costs), not by model")
        price_in, price_out = self.token_prices
        token_costs = self.input_tokens[rows] * price_in + self.output_tokens[rows] * price_out
        return np.asarray(token_costs, dtype=np.float64)

    def own_costs(self, rows: slice = slice(None)) -> FloatArray:
        """Return what each query itself costs in each state in USD, without the shared prompt: (N, S)."""
        return self.query_costs(rows)[:, self.state_model] if self.costs is None else self.costs[rows]

    def amortized_costs(self, rows: slice = slice(None)) -> FloatArray:
        """Return the amortized USD of each query in each state: (N, S).

        ``price_in * (shared_tokens / b + input) + price_out * output``, prices per token; with costs of one's own
        ``price_in * shared_tokens / b + cost``. A fee per call is shared, too, and the shared tokens cost what they do
        on average, where they are cached. Each query is billed in the tier of a full call of queries like it; of pairs
        that are not allowed, the cost is inf where there are tiers.
        """
        if self.tiers is not None:
            inner = self.tiers.problem
            paid = np.where(inner.allowed(rows), inner.amortized_costs(rows), np.inf)
            costs = np.full((len(paid), self.n_states), np.inf)
            np.minimum.at(costs.T, self.tiers.state, paid.T)
            return costs
        return self.own_costs(rows) + self.share

    @cached_property
    def masked_utility(self) -> RealArray | None:
        """Utilities with -inf where a pair is forbidden: (N, S); None where none is. A copy, for kernels.

        With costs of one's own, kernels know no tokens: pairs that do not fit their context window are left out here.
        """
        if self.forbidden is None and (self.costs is None or (self.all_allowed and self.utility is not None)):
            return None
        masked = np.empty((self.n_queries, self.n_states), dtype=self.dtype)
        for rows in self.blocks():
            out = self.forbidden[rows] if self.forbidden is not None and self.costs is None else ~self.allowed(rows)
            masked[rows] = np.where(out, -np.inf, self.utilities(rows))
        return read_only(masked)
