"""How a plan is looked at: as a table of its queries, and as a page of a notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import FloatArray, IntArray
from robatch.instances.display import html, wording
from robatch.instances.display.frames import Library, frame, labels
from robatch.instances.errors import InputError
from robatch.instances.model import State
from robatch.instances.problem import Problem
from robatch.solvers.plan.packing import Calls


class Views:
    """The part of a `robatch.Plan` that shows its queries and its figures."""

    assignment: IntArray | None
    states: tuple[State, ...]
    query_ids: npt.NDArray[Any] | None
    group_codes: IntArray | None

    def calls(self) -> Calls:
        """Return the physical calls."""
        raise NotImplementedError

    def to_frame(self, problem: Problem | None = None, library: Library = "pandas") -> Any:
        """Return one row a query: where it is answered, in which call, and what that is worth and costs.

        Parameters
        ----------
        problem
            The problem that the plan was made for, for the columns ``utility``, ``amortized_cost`` and
            ``realized_cost`` (USD; the shared prompt of a call is divided evenly between its queries), and for the
            labels of groups; None to leave them out.
        library
            ``"pandas"``, ``"polars"`` or ``"pyarrow"``. Anything that takes Arrow takes a plan as it is, too, such as
            ``polars.DataFrame(plan)``.

        Raises
        ------
        InputError
            If there is no plan, or it is not one of the problem.
        """
        calls = self.calls()
        assert self.assignment is not None  # or there would be no calls
        columns = query_columns(self.assignment, self.states, calls, self.query_ids, self.group_codes)
        if problem is not None:
            columns |= worth_columns(problem, self.assignment, self.states, calls)
        return frame(columns, library)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Hand the rows of `to_frame` to any library that takes Arrow."""
        return self.to_frame(library="pyarrow").__arrow_c_stream__(requested_schema)

    def states_used(self) -> list[dict[str, Any]]:
        """Return model, batch size, number of queries and number of calls of each state that the plan uses."""
        if self.assignment is None:
            return []
        calls = np.bincount(self.calls().columns, minlength=len(self.states)).tolist()
        queries = np.bincount(self.assignment, minlength=len(self.states)).tolist()
        return [
            {"model": state.model, "batch_size": state.batch_size, "queries": queries[column], "calls": calls[column]}
            for column, state in enumerate(self.states)
            if calls[column]
        ]

    def summary(self) -> dict[str, Any]:
        """Return the figures."""
        raise NotImplementedError

    def _repr_html_(self) -> str:
        return page(self.summary(), self.states_used())


def page(figures: Mapping[str, Any], used: Sequence[Mapping[str, Any]]) -> str:
    """Return a plan's figures, and the states that it uses, as HTML."""
    known = {
        "status": figures["status"] + (f" (limit: {figures['limit']})" if figures["limit"] else ""),
        "utility": wording.utility(figures["utility"]),
        "bound": f"{wording.utility(figures['bound'])}, gap {wording.gap(figures['gap'])}",
        "budget": f"{wording.usd(figures['budget'])} USD, {figures['cost']} cost",
        "realized cost": f"{wording.usd(figures['realized_cost'])} USD",
        "amortized cost": f"{wording.usd(figures['amortized_cost'])} USD",
        "note": figures["message"],
    }
    title = f"Plan by {figures['solver']} {figures['solver_version']}"
    rows = [tuple(state.values()) for state in used]
    return html.facts(title, known) + html.table(("model", "batch size", "queries", "calls"), rows)


def query_columns(
    assignment: IntArray,
    states: Sequence[State],
    calls: Calls,
    query_ids: npt.NDArray[Any] | None,
    group_codes: IntArray | None,
) -> dict[str, Any]:
    """Return id or position, group, model, batch size and call of each query, by name: (N,) each."""
    models = list(dict.fromkeys(state.model for state in states))
    model_of = np.array([models.index(state.model) for state in states])
    columns: dict[str, Any] = {"query_id": np.arange(len(assignment)) if query_ids is None else query_ids}
    if group_codes is not None:
        columns["group"] = group_codes
    columns["model"] = labels(models, model_of[assignment])
    columns["batch_size"] = np.array([state.batch_size for state in states], dtype=np.int64)[assignment]
    columns["call"] = calls.number
    return columns


def worth_columns(problem: Problem, assignment: IntArray, states: Sequence[State], calls: Calls) -> dict[str, Any]:
    """Return the group's label, the utility and the USD of each query under an assignment (N,), by name.

    What a call pays for the shared prompt is divided evenly between its queries, and what a group pays to write a
    model's prompt to a cache between those that the model answers, so that the realized costs add up to the bill.

    Raises
    ------
    InputError
        If the assignment is of another problem.
    """
    if tuple(states) != problem.states or len(assignment) != problem.n_queries:
        raise InputError("problem is not the one that the plan was made for: queries or states differ")
    if problem.tiers is not None:
        assignment, problem = problem.tiers.inward(assignment), problem.tiers.problem
    utility = np.empty(problem.n_queries)
    own, amortized = np.empty((2, problem.n_queries))
    for rows in problem.blocks():
        chosen, here = assignment[rows], np.arange(len(assignment[rows]))
        utility[rows] = problem.utilities(rows)[here, chosen]
        amortized[rows] = problem.amortized_costs(rows)[here, chosen]
        own[rows] = problem.own_costs(rows)[here, chosen]
    columns = assignment[calls.order[calls.starts[:-1]]]
    shares: FloatArray = (problem.call_price[columns] / calls.sizes)[calls.number]
    model = problem.state_model[assignment]
    cell = problem.group_codes * problem.n_models + model
    shares += problem.write_charge[model] / np.bincount(cell)[cell]
    group = {} if problem.groups is None else {"group": problem.groups}
    return {**group, "utility": utility, "amortized_cost": amortized, "realized_cost": own + shares}
