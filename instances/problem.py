"""The problem: which model and batch size should answer each query."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from robatch.instances import checks, own_costs, pairs
from robatch.instances.constraints import Constraints
from robatch.instances.display import html
from robatch.instances.display.frames import Library, frame
from robatch.instances.errors import InputError
from robatch.instances.model import Model
from robatch.instances.problem_costs import ProblemCosts
from robatch.instances.scalars import number

PER_QUERY = (
    "input_tokens", "output_tokens", "utility", "base_utility", "retention", "query_ids", "groups", "forbidden",
    "costs",
)  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class Problem(ProblemCosts):
    """Queries, models and utilities: an instance of Route with Batching, without its budget.

    Utilities are held either dense, as `utility`, or as factors: `base_utility` times `retention`.
    All arrays share one floating-point type, float32 if the utilities are float32 and float64
    otherwise, and become read-only views; costs are always computed in float64.

    Parameters
    ----------
    models
        The K models, of different names. The S states are the models' batch sizes, model by model.
    input_tokens
        Tokens of each query's own input: (N,), or (N, K) where tokenizers differ. Kept as (N, 1) or (N, K). With
        `costs` they only tell what fits a context window: None counts as 0.
    output_tokens
        Expected output tokens of each query: (N,), or (N, K). Kept as (N, 1) or (N, K). None as for the input.
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
    costs
        Costs of one's own, USD that each query itself costs in each state, not negative: (N, S). They stand in for
        tokens times prices; what a call pays for the shared prompt still comes from the models. All arrays are then
        float64.
    capacity
        The budget in USD that `solve` takes where it is given none; None for none.
    profit_scale
        What a utility of 1 stands for, where utilities are scaled profits, see `from_mckp`; None where they are not.

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

    def __init__(  # wide: one parameter for each field
        self,
        models: Sequence[Model],
        input_tokens: npt.ArrayLike | None = None,
        output_tokens: npt.ArrayLike | None = None,
        utility: npt.ArrayLike | None = None,
        base_utility: npt.ArrayLike | None = None,
        retention: npt.ArrayLike | None = None,
        query_ids: npt.ArrayLike | Sequence[Any] | None = None,
        groups: npt.ArrayLike | Sequence[Any] | None = None,
        forbidden: npt.ArrayLike | None = None,
        conflicts: Any = None,
        constraints: Constraints | None = None,
        window_margin: float = 0.0,
        costs: npt.ArrayLike | None = None,
        capacity: float | None = None,
        profit_scale: float | None = None,
    ) -> None:
        pool = checks.models(models)
        if not isinstance(constraints, Constraints | None):
            raise InputError(f"constraints is {constraints!r}: robatch.Constraints is needed")
        n_states = sum(len(model.batch_sizes) for model in pool)
        factors = checks.utilities(utility, base_utility, retention, len(pool), n_states, costs is not None)
        held = factors["utility"] if base_utility is None else factors["base_utility"]
        assert held is not None
        rows, ids = len(held), checks.labels("query_ids", query_ids, len(held), unique=True)
        vars(self).update(  # the one place where the frozen fields are written
            models=pool,
            input_tokens=checks.tokens("input_tokens", input_tokens, held.dtype, rows, len(pool), costs is not None),
            output_tokens=checks.tokens("output_tokens", output_tokens, held.dtype, rows, len(pool), costs is not None),
            capacity=None if capacity is None else number("capacity", capacity),
            profit_scale=None if profit_scale is None else number("profit_scale", profit_scale, above=True),
            costs=None if costs is None else own_costs.checked(costs, rows, n_states),
            **factors,
            query_ids=ids,
            groups=checks.labels("groups", groups, rows, unique=False),
            constraints=constraints or None,
            window_margin=number("window_margin", window_margin, needed="a number from 0 to below 1", most=1.0 - 1e-9),
            forbidden=pairs.forbidden(forbidden, rows, n_states),
            conflicts=pairs.conflicts(conflicts, ids, rows),
        )
        if constraints:
            constraints.check([model.name for model in pool], self.group_labels)
        self._check_products()
        self._check_allowed()

    def _check_products(self) -> None:
        """Check that base utility times retention stays within [0, 1], block by block."""
        if self.utility is None:
            for rows in self.blocks():
                checks.in_range("base_utility times retention", self._raw_utilities(rows), 0.0, 1.0 + 1e-6)

    def _check_allowed(self) -> None:
        """Check that every query is allowed in some state."""
        if self.all_allowed:
            return
        for rows in self.blocks():
            none = ~self.allowed(rows).any(axis=1)
            if none.any():
                query = rows.start + int(np.argmax(none))
                if self.forbidden is not None and self.forbidden[query].any():
                    why = "has no state that is neither forbidden nor too long"
                else:
                    why = (
                        "fits the context window of no model, not even in the smallest batch: "
                        "shorten it or add a model with a larger context window"
                    )
                raise InputError(f"query {self.query_name(query)} {why}")

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
            Least utility of any query, from 0 to 1: a number, or one for each query (N,). It is compared in the
            problem's floating-point type.

        Raises
        ------
        InputError
            If a name is unknown, a forced pair is not allowed, or a query is left without a state.
        """
        return self.replace(forbidden=pairs.restricted(self, forbidden, forced, min_utility))

    @classmethod
    def from_mckp(cls, profits: Any, weights: Any, capacity: float | None = None) -> Self:
        """Return a multiple-choice knapsack as a problem: one item of every class, most profit within the capacity.

        Parameters
        ----------
        profits, weights
            A sequence of numbers for each class, one an item, finite and not negative; classes may have different
            numbers of items. Or two arrays (classes, items).
        capacity
            The budget that `solve` takes where it is given none; None for none.

        Returns
        -------
        Problem
            A query for each class, with an option for each item, whose cost is the weight. Utilities are the profits
            divided by a power of two, `profit_scale`; plans report both. Both cost models are the same.

        Raises
        ------
        InputError
            If a value is not allowed.
        """
        from robatch.instances.multiple_choice import Classes

        return cls(**Classes.of(profits, weights).fields(capacity))

    def profit(self, utility: float | None) -> float | None:
        """Return the profit that a total utility stands for; None where utilities are no scaled profits."""
        return None if utility is None or self.profit_scale is None else utility * self.profit_scale

    def take(self, queries: npt.ArrayLike) -> Self:
        """Return the problem of some of the queries, by position; no constraint may name a group that is left out."""
        rows = np.asarray(queries, dtype=np.int64)
        changes: dict[str, Any] = {"conflicts": pairs.taken(self.conflicts, rows)}
        for name in PER_QUERY:
            array = getattr(self, name)
            if array is not None and not (name == "retention" and len(array) == 1):
                changes[name] = array[rows]
        return self.replace(**changes)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Problem):
            return NotImplemented
        fields = (field.name for field in dataclasses.fields(self))
        return self.dtype == other.dtype and all(np.array_equal(getattr(self, f), getattr(other, f)) for f in fields)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        form = "dense" if self.utility is not None else "factored"
        own = "" if self.costs is None else ", costs of its own"
        return (
            f"Problem({self.n_queries} queries, {self.n_models} models, {self.n_states} states, "
            f"{form} {self.dtype} utilities{own})"
        )

    def to_frame(self, library: Library = "pandas") -> Any:
        """Return one row for each query and state: N x S of them, query by query.

        The columns are ``query_id`` (the position without ids), ``group`` if there are groups, ``model``,
        ``batch_size``, ``utility``, ``amortized_cost`` (USD) and ``allowed``.

        Parameters
        ----------
        library
            ``"pandas"``, ``"polars"`` or ``"pyarrow"``. Anything that takes Arrow takes a problem as it is, too, such
            as ``polars.DataFrame(problem)``.
        """
        from robatch.instances.problem_frame import pair_columns

        return frame(pair_columns(self), library)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Hand the rows of `to_frame` to any library that takes Arrow."""
        return self.to_frame("pyarrow").__arrow_c_stream__(requested_schema)

    def _repr_html_(self) -> str:
        head = ("model", "USD per million in", "out", "shared tokens", "context window", "batch sizes")
        rows = [
            (one.name, f"{one.price_in:g}", f"{one.price_out:g}", f"{one.shared_tokens:g}", one.context_window or "",
             ", ".join(map(str, one.batch_sizes)))
            for one in self.models
        ]  # fmt: skip
        return html.facts(repr(self), {}) + html.table(head, rows)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the problem to one Parquet file, the model table in its metadata."""
        from robatch.instances.problem_file import write

        write(self, path)
