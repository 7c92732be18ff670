"""Rows of the mixed-integer program for coupled constraints and for conflicting queries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from robatch.instances.arrays import FloatArray, IntArray
from robatch.solvers.limits import OF_GROUPS, OF_MONEY, Entry, entries
from robatch.solvers.mip.variables import Columns, conflicts_within_groups

TOO_DEAR = 100.0  # times the limit: coefficients are cut there, which allows no plan more


@dataclass(frozen=True, eq=False)
class Row:
    """``values x[columns] <= right``; a soft one sums rounded numbers, so that tolerances matter."""

    name: str
    columns: IntArray
    values: FloatArray
    right: float
    soft: bool = False


def uses(columns: Columns, entry: Entry) -> tuple[IntArray, FloatArray]:
    """Return the columns that use a limit, and what: queries, calls, USD, or the utility that they add to a group."""
    used, n_candidates = np.flatnonzero(columns.concerned(entry)), len(columns.query)
    candidates = used[used < n_candidates]
    if entry.kind == "max_queries":
        return candidates, np.ones(len(candidates))
    if entry.kind == "max_calls":
        calls = np.concatenate([candidates[columns.alone[candidates]], used[used >= n_candidates]])
        return calls, np.ones(len(calls))
    if entry.kind == "min_group_utility":
        utility = columns.problem.utilities()[columns.query[candidates], columns.state[candidates]]
        return candidates, utility.astype(np.float64)
    return used, columns.usd[used]


def constraint_rows(columns: Columns, scaled: bool = True) -> Iterator[Row]:
    """Yield the row of every limit of the problem's constraints.

    Soft ones have the number of queries concerned as their right-hand side, or stay in USD and utility.
    """
    problem = columns.problem
    for entry in entries(problem):
        name, (used, amount) = f"{entry.kind}_{entry.place}", uses(columns, entry)
        number = problem.n_queries
        if entry.kind in OF_GROUPS:
            number = int(np.count_nonzero(problem.group_codes == entry.place))
        if entry.kind in OF_MONEY:
            yield money_row(name, used, amount, entry.limit, number if scaled else None)
        elif entry.kind == "min_group_utility":
            yield utility_row(name, used, amount, entry.limit * number, number if scaled else None)
        else:
            yield Row(name, used, amount, entry.limit)


def money_row(name: str, columns: IntArray, usd: FloatArray, limit: float, number: int | None) -> Row:
    """Return the row of a limit in USD, scaled to a right-hand side of some number of queries, None for USD."""
    if limit == 0.0:
        paid = columns[usd > 0]
        return Row(name, paid, np.ones(len(paid)), 0.0)
    if number is None:
        return Row(name, columns, usd, limit, soft=True)
    with np.errstate(over="ignore"):
        return Row(name, columns, np.minimum(usd / limit, TOO_DEAR) * number, float(number), soft=True)


def utility_row(name: str, columns: IntArray, utility: FloatArray, least: float, number: int | None) -> Row:
    """Return the row of a least total utility, scaled to a right-hand side of some number of queries, None for none."""
    if least == 0.0:
        return Row(name, columns[:0], np.zeros(0), 0.0)
    if number is None:
        return Row(name, columns, -utility, -least, soft=True)
    with np.errstate(over="ignore"):  # one query that reaches all of it counts as just that
        return Row(name, columns, -np.minimum(utility / least, 1.0) * number, -float(number), soft=True)


def conflict_rows(columns: Columns) -> Iterator[Row]:
    """Yield rows that give queries that all conflict with each other as many calls as there are of them.

    Where more calls are needed than these rows and full batches say, `MipModel.counting` cuts that off.
    """
    problem, n_candidates = columns.problem, len(columns.query)
    key = columns.query * problem.n_states + columns.state  # sorted, as candidates are listed by query
    for number, clique in enumerate(cliques(conflicts_within_groups(problem))):
        group = problem.group_codes[clique[0]]
        for call in np.flatnonzero(columns.call_group == group):
            wanted = clique * problem.n_states + columns.call_state[call]
            place = np.minimum(np.searchsorted(key, wanted), n_candidates - 1)
            candidates = place[key[place] == wanted]
            if len(candidates) > 1:
                name = f"apart_{group}_{columns.call_state[call]}_{number}"
                values = np.append(np.ones(len(candidates)), -1.0)
                yield Row(name, np.append(candidates, n_candidates + call), values, 0.0)


def cliques(edges: IntArray) -> Iterator[IntArray]:
    """Yield sets of queries, all in conflict with each other, that together cover every conflict."""
    near: dict[int, set[int]] = {}
    for one, other in edges.tolist():
        near.setdefault(one, set()).add(other)
        near.setdefault(other, set()).add(one)
    covered: set[tuple[int, int]] = set()
    for one, other in edges.tolist():
        if (one, other) in covered:
            continue
        clique = [one, other]
        common = near[one] & near[other]
        while common:
            clique.append(min(common))
            common &= near[clique[-1]]
        clique.sort()
        covered.update((a, b) for place, a in enumerate(clique) for b in clique[place + 1 :])
        yield np.array(clique, dtype=np.int64)
