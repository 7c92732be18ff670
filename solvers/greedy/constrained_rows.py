"""Coupled constraints as rows, ``use <= most``, in one order that dual, search and check share.

With K models and those G groups that have constraints, the rows are: the budget; queries, calls and USD of each
model; and of each such group first its utility, negative on both sides, then its USD. A row that nothing limits
has an infinite `most`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robatch.instances.arrays import BoolArray, FloatArray, IntArray
from robatch.instances.problem import Problem
from robatch.solvers.greedy.constrained_kernels import Sides
from robatch.solvers.limits import MEAN_ROUNDING, OF_GROUPS, OF_MONEY, entries
from robatch.solvers.plan.plan import Cost

OF_MODELS = ("max_queries", "max_calls", "max_cost")
SMALL = 1e-3  # of the budget, or one query or call: rows of a smaller right-hand side are scaled by this


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a problem at a budget.

    Attributes
    ----------
    problem, cost
        The problem and the cost model that counts USD.
    most
        Right-hand sides: (1 + 3 K + 2 G,).
    scale
        Typical size of each row's use, above 0: (1 + 3 K + 2 G,).
    groups
        Numbers of the groups that have constraints, ascending: (G,).
    """

    problem: Problem
    cost: Cost
    most: FloatArray
    scale: FloatArray
    groups: IntArray

    @property
    def first_group(self) -> int:
        """Place of the first row of a group."""
        return 1 + 3 * self.problem.n_models

    @property
    def loose(self) -> FloatArray:
        """Right-hand sides with what `limits` lets pass of rounding, which bounds must hold for: (rows,)."""
        first, groups = self.first_group, len(self.groups)
        loose = self.most.copy()
        loose[first : first + groups] *= 1.0 - 2.0 * MEAN_ROUNDING
        return loose

    @property
    def whole_calls(self) -> bool:
        """Whether the number of whole calls matters."""
        models = self.problem.n_models
        return self.cost == "realized" or bool(np.isfinite(self.most[1 + models : 1 + 2 * models]).any())

    @property
    def closed(self) -> BoolArray:
        """Whether a state's model may answer no query, or be sent no call, at all: (S,)."""
        models = self.problem.n_models
        none = np.minimum(self.most[1 : 1 + models], self.most[1 + models : 1 + 2 * models]) < 1.0
        closed: BoolArray = none[self.problem.state_model]
        return closed

    def use(self, assignment: IntArray) -> FloatArray:
        """Return what an assignment (N,) uses of each row, counted afresh: (rows,)."""
        problem = self.problem
        models, first = problem.n_models, self.first_group
        found = problem.evaluate(assignment)
        costs, utilities = np.empty(problem.n_queries), np.empty(problem.n_queries)
        for rows in problem.blocks():
            lines, states = np.arange(rows.stop - rows.start), assignment[rows]
            paid = problem.query_costs(rows) if self.cost == "realized" else problem.amortized_costs(rows)
            costs[rows] = paid[lines, problem.state_model[states] if self.cost == "realized" else states]
            utilities[rows] = problem.utilities(rows)[lines, states]
        calls = found.calls * (problem.call_price if self.cost == "realized" else np.zeros(problem.n_states))
        model = problem.state_model[assignment]
        use = np.empty(len(self.most))
        use[0] = found.realized_cost if self.cost == "realized" else found.amortized_cost
        use[1 : 1 + models] = np.bincount(model, minlength=models)
        use[1 + models : 1 + 2 * models] = np.bincount(problem.state_model, found.calls.sum(axis=0), models)
        use[1 + 2 * models : first] = np.bincount(model, costs, models)
        use[1 + 2 * models : first] += np.bincount(problem.state_model, calls.sum(axis=0), models)
        codes, count = problem.group_codes, problem.n_groups
        use[first : first + len(self.groups)] = -np.bincount(codes, utilities, count)[self.groups]
        use[first + len(self.groups) :] = (np.bincount(codes, costs, count) + calls.sum(axis=1))[self.groups]
        return use

    def describe(self, row: int, excess: float) -> str:
        """Say which constraint a row is and by how much it is exceeded."""
        problem, first, models = self.problem, self.first_group, self.problem.n_models
        if row == 0:
            return f"the budget, exceeded by {excess:.3g} USD"
        if row < first:
            kind, model = divmod(row - 1, models)
            unit = ("queries", "calls", "USD")[kind]
            return f"{OF_MODELS[kind]} of {problem.models[model].name!r}, exceeded by {excess:.3g} {unit}"
        kind, place = divmod(row - first, len(self.groups))
        label = problem.group_labels[self.groups[place]]
        if kind == 1:
            return f"group_budget of {label!r}, exceeded by {excess:.3g} USD"
        mean = excess / int((problem.group_codes == self.groups[place]).sum())
        return f"min_group_utility of {label!r}, missed by {mean:.3g} a query"


def rows_of(problem: Problem, budget: float, cost: Cost) -> Rows:
    """Return the rows of a problem's constraints and of a budget in USD."""
    found = entries(problem)
    groups = sorted({entry.place for entry in found if entry.kind in OF_GROUPS})
    place = {group: j for j, group in enumerate(groups)}
    models, first = problem.n_models, 1 + 3 * problem.n_models
    sizes = np.bincount(problem.group_codes, minlength=problem.n_groups)
    most = np.full(first + 2 * len(groups), np.inf)
    scale = np.ones(len(most))
    most[0] = scale[0] = budget
    for entry in found:
        limit, size = entry.limit, 0.0
        if entry.kind in OF_MONEY and limit >= budget:  # the budget is tighter
            continue
        if entry.kind in OF_GROUPS:
            row, size = first + place[entry.place], float(sizes[entry.place])
        else:
            row = 1 + OF_MODELS.index(entry.kind) * models + entry.place
        if entry.kind == "min_group_utility":
            most[row], scale[row] = -limit * size, size
        elif entry.kind == "group_budget":
            row += len(groups)
            most[row], scale[row] = limit, max(limit, SMALL * budget * size / problem.n_queries)
        else:
            most[row], scale[row] = limit, max(limit, SMALL * budget if entry.kind == "max_cost" else 1.0)
    return Rows(problem, cost, most, scale, np.array(groups, dtype=np.int64))


def sides_of(rows: Rows) -> Sides:
    """Return what the kernels need to know beside a problem's flat arrays."""
    problem = rows.problem
    sizes = np.bincount(problem.group_codes, minlength=problem.n_groups)
    kept, size_class = np.unique(np.minimum(sizes, problem.state_batch_size.max()), return_inverse=True)
    capacity = np.minimum(kept[:, None], problem.state_batch_size).astype(np.float64)
    realized = rows.cost == "realized"
    slot = np.full(problem.n_groups, -1, dtype=np.int64)
    slot[rows.groups] = np.arange(len(rows.groups))
    share = problem.call_price / capacity if realized else np.broadcast_to(problem.share, capacity.shape)
    return Sides(
        codes=np.empty(0, dtype=np.int64) if problem.groups is None else problem.group_codes,
        slot=slot,
        size_class=size_class.astype(np.int64),
        per=1.0 / capacity,
        shares=np.ascontiguousarray(share),
        batch=problem.state_batch_size,
        call_price=problem.call_price,
        realized=realized,
    )
