"""A plan: the state of every query, what it costs, and what is proven about it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import IntArray
from robatch.instances.errors import InputError
from robatch.instances.model import State
from robatch.instances.problem import Problem
from robatch.instances.problem_file import read_table, write_table
from robatch.instances.tiers import chosen_tiers
from robatch.solvers.plan import grouping
from robatch.solvers.plan.packing import Calls, pack
from robatch.solvers.plan.views import Views

Cost = Literal["amortized", "realized"]
Status = Literal["optimal", "feasible", "infeasible", "no_solution"]
Limit = Literal["time", "gap", "memory", "interrupt", "other"]

VERSION = 3
KNOWN = (2, VERSION)  # the second had no conflicts
OPTIMAL_GAP = 1e-9  # a plan is called optimal when it is proven best to this relative gap
FIELDS = (
    "utility", "amortized_cost", "realized_cost", "budget", "cost", "bound", "status", "limit", "runtime",
    "solver", "solver_version", "seed", "shadow_price", "message", "statistics",
)  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class Plan(Views):
    """What a solver returns.

    Attributes
    ----------
    assignment
        State of each query, as a column of the problem: (N,). None if there is no plan.
    utility
        Total utility of the assignment, None without one.
    amortized_cost, realized_cost
        USD of the assignment under both cost models, None without one.
    budget
        USD that the plan was asked to stay within.
    cost
        The cost model that the budget was held against: ``"amortized"`` or ``"realized"``.
    bound
        Proven upper bound on the utility of any plan within the budget; None if none is known.
    status
        ``"optimal"``: proven best, to a relative 1e-9. ``"feasible"``: within the budget, not proven best.
        ``"infeasible"``: proven that no plan keeps the budget. ``"no_solution"``: none found, none excluded.
    limit
        What stopped the solver before it was done: ``"time"``, ``"gap"`` (the requested gap was reached),
        ``"memory"``, ``"interrupt"``, ``"other"``; None if it ended by itself.
    runtime
        Seconds that the solver took, building its model included.
    solver, solver_version
        Name in the registry and version of the package that did the work.
    seed
        The seed that it was given.
    shadow_price
        Utility per extra USD at the linear relaxation's optimum, None if unknown.
    message
        One sentence on what went wrong, None if nothing did.
    statistics
        What the solver counted, by name, such as the queries in the core and the nodes of its search.
    states
        The (model, batch size) of each state.
    group_codes
        Group of each query as a number: (N,). None if all share one.
    query_ids
        Ids of the queries (N,), None if they have none.
    conflicts
        Positions of queries that never share a call: (E, 2). None if there are none.
    tier_codes
        Tier of a model's prices in which each query is billed, from 0: (N,). None where models have none.
    profit
        Total profit, where the problem's utilities are scaled profits, see `robatch.Problem.from_mckp`; else None.
    """

    assignment: IntArray | None
    utility: float | None
    amortized_cost: float | None
    realized_cost: float | None
    budget: float
    cost: Cost
    bound: float | None
    status: Status
    limit: Limit | None
    runtime: float
    solver: str
    solver_version: str
    states: tuple[State, ...]
    seed: int = 0
    shadow_price: float | None = None
    message: str | None = None
    statistics: Mapping[str, int] = field(default_factory=dict)
    group_codes: IntArray | None = None
    query_ids: npt.NDArray[Any] | None = None
    conflicts: IntArray | None = None
    profit: float | None = None
    tier_codes: IntArray | None = None

    @property
    def gap(self) -> float | None:
        """Proven relative distance to the best utility, ``(bound - utility) / bound``; None if unknown."""
        if self.bound is None or self.utility is None:
            return None
        return max(0.0, (self.bound - self.utility) / self.bound) if self.bound > 0 else 0.0

    def calls(
        self,
        policy: grouping.Policy = "order",
        *,
        seed: int = 0,
        lengths: npt.ArrayLike | None = None,
        similarity: Any = None,
    ) -> Calls:
        """Return the physical calls: at most b queries of one state and one group each, and no two that conflict.

        Queries that are billed in different tiers of their model share no call. Every policy forms the same number of
        calls of each group and state, the one that the plan's realized cost counts. In a group and state with conflicts
        it is a wish: see `robatch.solvers.plan.packing.pack`.

        Parameters
        ----------
        policy
            Which queries share a call. ``"order"``: those that follow each other. ``"length"``: those of like
            length. ``"similarity"``: those that are alike. ``"random"``: any.
        seed
            Seed of the random policy.
        lengths
            For ``"length"``: the length of each query (N,), or in each model (N, K), such as the problem's
            `input_tokens`.
        similarity
            For ``"similarity"``: vectors of the queries (N, d), such as TF-IDF or embeddings, dense or scipy sparse;
            or a networkx graph of queries, by id (by position without ids), with similarities as edge weights. What is
            done with them, and its limits: `robatch.solvers.plan.similarity`.

        Returns
        -------
        Calls
            A sequence of `Call`, by state, group and policy.

        Raises
        ------
        InputError
            If there is no plan, or an argument is not allowed.
        """
        if self.assignment is None:
            raise InputError(f"the plan has status {self.status!r}: only a plan with an assignment has calls")
        grouping.check(policy, lengths, similarity)
        sequence = grouping.sequence(policy, seed, self.assignment, self.states, lengths)
        arrange = None
        if similarity is not None:
            from robatch.solvers.plan.similarity import Similarity

            arrange = Similarity(similarity, len(self.assignment), self.query_ids, self.conflicts)
        groups = self.group_codes
        if self.tier_codes is not None:
            together = (np.zeros_like(self.tier_codes) if groups is None else groups, self.tier_codes)
            groups = np.unique(np.stack(together), axis=1, return_inverse=True)[1].reshape(-1).astype(np.int64)
        return pack(self.assignment, self.states, groups, self.conflicts, sequence, arrange)

    def summary(self) -> dict[str, Any]:
        """Return the plan's figures, without its arrays, as plain values for JSON."""
        return {**self._figures(), "gap": self.gap}

    def _figures(self) -> dict[str, Any]:
        profit = {} if self.profit is None else {"profit": self.profit}
        return {**{name: getattr(self, name) for name in FIELDS}, **profit, "statistics": dict(self.statistics)}

    def __repr__(self) -> str:
        parts = [
            f"{self.status}",
            f"solver={self.solver!r}",
            f"cost={self.cost!r}",
            f"budget={self.budget:.6g}",
        ]
        for name in ("utility", "bound", "gap", "amortized_cost", "realized_cost"):
            value = getattr(self, name)
            parts.append(f"{name}={value if value is None else format(value, '.6g')}")
        return f"Plan({', '.join(parts)})"

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the plan to one Parquet file: a row a query with its model, batch size and call.

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        write_table(path, *self.to_table(), repeated=["group", "state", "model", "batch_size"])

    def to_table(self) -> tuple[Any, dict[str, Any]]:
        """Return what the plan's file holds: a pyarrow table with a row a query, and its metadata."""
        meta = {
            "kind": "plan",
            "version": VERSION,
            "states": self.states,
            "conflicts": None if self.conflicts is None or self.assignment is None else self.conflicts.tolist(),
            **self._figures(),
        }
        return self._columns(), meta

    def _columns(self) -> Any:
        """Return the rows of the plan's file as a pyarrow table."""
        import pyarrow as pa

        assignment = np.empty(0, dtype=np.int64) if self.assignment is None else self.assignment
        call = assignment if self.assignment is None else self.calls().number
        columns: dict[str, Any] = {}
        if self.query_ids is not None and self.assignment is not None:
            columns["query_id"] = pa.array(self.query_ids)
        if self.group_codes is not None and self.assignment is not None:
            columns["group"] = pa.array(self.group_codes)
        if self.tier_codes is not None and self.assignment is not None:
            columns["tier"] = pa.array(self.tier_codes)
        columns["state"] = pa.array(assignment)
        models = list(dict.fromkeys(state.model for state in self.states))
        model = np.array([models.index(state.model) for state in self.states], dtype=np.int32)[assignment]
        columns["model"] = pa.DictionaryArray.from_arrays(model, models).cast(pa.string())
        columns["batch_size"] = pa.array(np.array([s.batch_size for s in self.states], dtype=np.int64)[assignment])
        columns["call"] = pa.array(call)
        return pa.table(columns)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Plan:
        """Read a plan that `write` wrote.

        Raises
        ------
        InputError
            If the file is missing, truncated, no Parquet file, or no plan.
        """
        return cls.from_table(*read_table(path, "plan"), repr(str(path)))

    @classmethod
    def from_table(cls, table: Any, meta: Mapping[str, Any], name: str) -> Plan:
        """Make the plan of what `to_table` returned; errors are those of `read`, which call the table by `name`."""
        if meta.get("version") not in KNOWN:
            raise InputError(f"{name} is a plan of format version {meta.get('version')!r}: only {KNOWN} are known")
        try:
            figures = {field: meta[field] for field in FIELDS} | {"profit": meta.get("profit")}
            states = tuple(State(model, int(size)) for model, size in meta["states"])
            found = figures["utility"] is not None
            _check_figures(figures)
            plan = cls(
                assignment=table["state"].to_numpy() if found else None,
                states=states,
                group_codes=table["group"].to_numpy() if "group" in table.column_names else None,
                tier_codes=table["tier"].to_numpy() if "tier" in table.column_names else None,
                query_ids=table["query_id"].to_numpy() if "query_id" in table.column_names else None,
                conflicts=_conflicts(meta.get("conflicts"), table.num_rows),
                **figures,
            )
            column = table["state"].to_numpy()
            wrong = (column < 0) | (column >= len(states))
            if wrong.any():
                raise ValueError(f"state {column[wrong.argmax()]} is not one of its {len(states)} states")
            if found and not plan._columns().equals(table.replace_schema_metadata(None)):
                raise ValueError("its models, batch sizes or calls are not those of its states")
            return plan
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise InputError(f"{name} is a plan with a broken table or metadata: {error}") from None


def _check_figures(figures: dict[str, Any]) -> None:
    """Check the types of a plan's figures as they come from a file."""
    texts = ("cost", "status", "limit", "solver", "solver_version", "message")
    statistics = figures["statistics"]
    if not isinstance(statistics, dict) or any(type(count) is not int for count in statistics.values()):
        raise ValueError(f"statistics is {statistics!r}")
    for name, value in figures.items():
        if name == "statistics":
            continue
        optional = name not in ("budget", "cost", "status", "runtime", "solver", "solver_version", "seed")
        kind = str if name in texts else int if name == "seed" else (int, float)
        if isinstance(value, bool) or not (isinstance(value, kind) or (value is None and optional)):
            raise ValueError(f"{name} is {value!r}")


def _conflicts(plain: Any, rows: int) -> IntArray | None:
    """Return the conflicts of a plan's file as an array (E, 2) of positions."""
    if plain is None:
        return None
    pairs = np.array(plain)
    if pairs.dtype != np.int64 or pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.min() < 0 or pairs.max() >= rows:
        raise ValueError(f"conflicts are not pairs of its {rows} queries")
    return pairs


def ids_of(problem: Problem, assignment: IntArray | None) -> dict[str, Any]:
    """Return the parts of a problem that a plan carries with it, which gives queries some states, or none."""
    return {
        "tier_codes": None if problem.tiers is None or assignment is None else chosen_tiers(problem, assignment),
        "states": problem.states,
        "group_codes": None if problem.groups is None else problem.group_codes,
        "query_ids": problem.query_ids,
        "conflicts": problem.conflicts,
    }
