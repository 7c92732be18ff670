"""A routed plan: one file with all that an execution needs, but for the queries' texts and the API keys."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from robatch.instances.arrays import IntArray
from robatch.instances.errors import InputError, why_unreadable
from robatch.instances.problem import Problem
from robatch.instances.problem_file import from_table, read_table, to_table, write_table
from robatch.proxies.execution.billing import CallBill
from robatch.proxies.execution.pool import PoolModel, named_fields, override, pool_model
from robatch.proxies.tasks.prompts import Template
from robatch.proxies.tasks.queries import Query
from robatch.proxies.tasks.query_file import QueryFile
from robatch.proxies.tasks.recorded import measure_of
from robatch.solvers.plan.packing import Calls
from robatch.solvers.plan.plan import Plan

VERSION = 1
_KIND = "routed plan"
_PLAN = "plan|"  # before the names of the plan's columns
_PLACE, _CALL = "sent|place", "sent|call"  # of each query: its place in the order of sending, and its call


@dataclass(frozen=True, eq=False)
class RoutedPlan:
    """What `robatch route` writes and `robatch execute` reads.

    Attributes
    ----------
    problem
        The predicted problem, with query ids: utilities and tokens, from which the rest can be planned again.
    plan
        The plan, held to realized cost.
    order, starts, columns
        The calls, as `robatch.solvers.plan.packing.Calls` has them: queries call by call (N,), where each call begins
        (calls + 1,), and each call's state (calls,).
    queries_path, queries_sha256
        The file with the texts, and the hash that it must still have. A plan's file names it by its path from there.
    pool
        The models, in the order of the problem's.
    template, grader, max_output_tokens
        The prompt, how answers are graded, and the output tokens allowed per query.
    predicted
        ``utility``, and ``low`` and ``high`` of its 90 % interval where the proxy gives one (else None).
    settings
        How the plan was made: policy, seed, robust level, solver.
    copies
        The ids of rows whose text is that of a query, by the query's id: they get its answer.
    named
        By model, the fields that a pool file of the user's names; never part of a plan's file, which may come from
        somebody else.
    """

    problem: Problem
    plan: Plan
    order: IntArray
    starts: IntArray
    columns: IntArray
    queries_path: str
    queries_sha256: str
    pool: tuple[PoolModel, ...]
    template: Template
    grader: str
    max_output_tokens: int
    predicted: Mapping[str, float | None]
    settings: Mapping[str, Any]
    copies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    named: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def calls(self) -> Calls:
        """The calls that are sent."""
        return Calls(self.problem.states, self.order, self.starts, self.columns)

    def tokens(self, column: int, queries: Sequence[int] | IntArray) -> tuple[float, float]:
        """Return the input and output tokens of queries in a state, as predicted, without the shared prompt."""
        return self.tokens_of(int(self.problem.state_model[column]), queries)

    def tokens_of(self, model: int, queries: Sequence[int] | IntArray) -> tuple[float, float]:
        """Return the same for a model, by its position."""
        rows = np.asarray(queries, dtype=np.int64)
        inputs, outputs = (
            float(array[rows, min(model, array.shape[1] - 1)].sum(dtype=float))
            for array in (self.problem.input_tokens, self.problem.output_tokens)
        )
        return inputs, outputs

    @property
    def measure(self) -> str:
        """What the predicted utility is a sum of: ``"accuracy"``, or ``"agreement with M"`` of a model M."""
        return measure_of(self.settings.get("reference"))

    @property
    def planned_cost(self) -> float:
        """Realized USD of the plan, as predicted."""
        assert self.plan.realized_cost is not None
        return self.plan.realized_cost

    @cached_property
    def bills(self) -> tuple[CallBill, ...]:
        """How calls of each model are billed."""
        return tuple(CallBill(entry, model) for entry, model in zip(self.pool, self.problem.models, strict=True))

    @property
    def sha256(self) -> str:
        """Hash of what an execution depends on; addresses of servers and folders of files are left out."""
        models = [
            [
                m.name,
                m.price_in,
                m.price_out,
                m.chat,
                m.structured,
                m.model,
                m.path and Path(m.path).name,
                m.sha256,
                dict(m.engine),
                *([terms] if (terms := bill.stated()) else []),
            ]
            for m, bill in zip(self.pool, self.bills, strict=True)
        ]
        arrays = (self.problem.utilities(), self.problem.input_tokens, self.problem.output_tokens)
        plain = [
            [hashlib.sha256(np.ascontiguousarray(array, dtype=np.float64).data).hexdigest() for array in arrays],
            self.grader,
            self.queries_sha256, models, self.template.to_dict(), self.max_output_tokens, self.plan.budget,
            [list(state) for state in self.problem.states], self.order.tolist(), self.starts.tolist(),
            self.columns.tolist(),
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()

    def queries(self, check: Callable[[Query], object] | None = None) -> QueryFile:
        """Read the queries, in the order of the problem.

        Parameters
        ----------
        check
            Called with each of them.

        Raises
        ------
        InputError
            If the file is gone or was changed since the plan was made.
        """
        if not Path(self.queries_path).exists():
            raise InputError(f"the queries {self.queries_path!r} of the plan are not there: name them with --queries")
        content = _content(self.queries_path)
        if hashlib.sha256(content).hexdigest() != self.queries_sha256:
            raise InputError(
                f"the queries {self.queries_path!r} were changed since the plan was made, or are others: restore them, "
                "name the right file with --queries, or route again"
            )
        queries, ids = QueryFile(content, self.queries_path), self.problem.query_ids
        same = ids is not None and len(queries) == len(ids)
        for query, known in zip(queries, ids if ids is not None and same else (), strict=False):
            same = same and query.id == known
            if check is not None:
                check(query)
        if not same:
            raise InputError(f"the queries {self.queries_path!r} are not those of the plan: route again")
        return queries

    def with_pool(self, path: str | os.PathLike[str]) -> RoutedPlan:
        """Return a copy whose models are changed by a pool file; prices stay those of the plan."""
        pool = override(self.pool, path, by_name=False)
        for old, new in zip(self.pool, pool, strict=True):
            if (old.price_in, old.price_out, old.bill) != (new.price_in, new.price_out, new.bill):
                raise InputError(f"the pool {str(path)!r} changes the prices of model {old.name!r}: route again")
        named = {name: fields | self.named.get(name, frozenset()) for name, fields in named_fields(path).items()}
        return replace(self, pool=pool, named={**self.named, **named})

    def with_queries(self, path: str | os.PathLike[str]) -> RoutedPlan:
        """Return a copy that takes the texts from another place; they must still be the same."""
        return replace(self, queries_path=str(Path(path).resolve()))

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the plan to one Parquet file: the problem's columns, then a row a query with its state and call.

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        import pyarrow as pa

        table, problem = to_table(self.problem)
        plan_table, plan = self.plan.to_table()
        for name in plan_table.column_names:
            table = table.append_column(_PLAN + name, plan_table[name])
        place = np.empty(len(self.order), dtype=np.int64)
        place[self.order] = np.arange(len(self.order))
        table = table.append_column(_PLACE, pa.array(place)).append_column(_CALL, pa.array(self.calls.number))
        meta = {
            "kind": _KIND,
            "version": VERSION,
            "problem": problem,
            "plan": plan,
            "columns": self.columns.tolist(),
            "queries_path": _from_folder(self.queries_path, Path(path).resolve().parent),
            "queries_sha256": self.queries_sha256,
            "pool": [model.to_dict() for model in self.pool],
            "template": self.template.to_dict(),
            "grader": self.grader,
            "max_output_tokens": self.max_output_tokens,
            "predicted": dict(self.predicted),
            "settings": dict(self.settings),
            "copies": {id: list(rows) for id, rows in self.copies.items()},
        }
        write_table(path, table, meta)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> RoutedPlan:
        """Read a plan that `write` wrote.

        Raises
        ------
        InputError
            If the file is missing, truncated, or no routed plan.
        """
        table, meta = read_table(path, _KIND)
        if meta.get("version") != VERSION:
            raise InputError(f"{str(path)!r} is a plan of format version {meta.get('version')!r}: {VERSION} is known")
        try:
            made = _from_table(table, meta)
            return made.with_queries(Path(path).resolve().parent / made.queries_path)
        except InputError as error:
            raise InputError(f"{str(path)!r}: {error}") from error
        except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
            raise InputError(f"{str(path)!r} is a routed plan with a broken table or metadata: {error}") from None


def _from_table(table: Any, meta: dict[str, Any]) -> RoutedPlan:
    names = table.column_names
    of_plan = [name for name in names if name.startswith(_PLAN) and name != _PLAN + "query_id"]  # the problem's
    of_problem = [name for name in names if name not in (_PLACE, _CALL) and not name.startswith(_PLAN)]
    problem = from_table(table.select(of_problem), meta["problem"], "its problem")
    bare = table.select(of_plan).rename_columns([name.removeprefix(_PLAN) for name in of_plan])
    plan = replace(Plan.from_table(bare, meta["plan"], "its plan"), query_ids=problem.query_ids)
    order = np.argsort(table[_PLACE].to_numpy(), kind="stable")
    numbers = table[_CALL].to_numpy()[order]
    columns = np.array(meta["columns"], dtype=np.int64)
    starts = np.searchsorted(numbers, np.arange(len(columns) + 1))
    pool = tuple(pool_model(model) for model in meta["pool"])
    if [model.name for model in pool] != [model.name for model in problem.models]:
        raise InputError("its pool is not that of its problem")
    if plan.assignment is None or not np.array_equal(plan.assignment[order], np.repeat(columns, np.diff(starts))):
        raise InputError("its calls are not those of its plan")
    return RoutedPlan(
        problem=problem, plan=plan, order=order, starts=starts, columns=columns, queries_path=meta["queries_path"],
        queries_sha256=meta["queries_sha256"], pool=pool, template=Template.from_dict(meta["template"]),
        grader=meta["grader"], max_output_tokens=int(meta["max_output_tokens"]), predicted=meta["predicted"],
        settings=meta["settings"], copies={id: tuple(rows) for id, rows in meta.get("copies", {}).items()},
    )  # fmt: skip


def _from_folder(path: str, folder: Path) -> str:
    """Return a path from a folder, so that both may be moved together; as it is where no path leads there."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive of Windows
        return path


def file_sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    return hashlib.sha256(_content(path)).hexdigest()


def _content(path: str | os.PathLike[str]) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the queries {str(path)!r}: {why_unreadable(error)}") from error


def check_models(pool: Sequence[PoolModel], problem: Problem) -> None:
    """Refuse a pool that is not, in its order, the problem's."""
    if [model.name for model in pool] != [model.name for model in problem.models]:
        names = [model.name for model in problem.models]
        raise InputError(f"the pool is {[model.name for model in pool]}: the proxy's models {names} are needed")
