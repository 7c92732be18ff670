"""The sums of the benchmark of realized cost: overspend, utility lost, times."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean, median
from typing import Any

from robatch.bench.common.rows import grouped
from robatch.bench.realized.rows import RealizedRow, cells, is_proven


def overspends(rows: Iterable[RealizedRow], *by: str) -> list[dict[str, Any]]:
    """Sum up how the amortized optimum breaks its budget when it is billed, for each value of some fields.

    Returns
    -------
    list of dict
        The fields of `by`, and ``cells`` (with a plan), ``proven`` (its plan proven the amortized optimum), ``over``
        (it bills more than the budget), ``infeasible`` (some solver proved that every plan does), ``share`` (of cells
        that are over), and of those ``mean`` and ``worst`` relative overspend, None where there is none.
    """
    rows = list(rows)
    mine = [row for row in rows if row.cost == "amortized" and row.overspend is not None]
    none = {
        (row.instance, row.budget_fraction) for row in rows if row.cost == "realized" and row.status == "infeasible"
    }
    records = []
    for values, members in _groups(mine, by):
        over = [row.overspend for row in members if row.overspend]
        records.append(
            {
                **values,
                "cells": len(members),
                "proven": sum(row.status == "optimal" for row in members),
                "over": len(over),
                "infeasible": sum((row.instance, row.budget_fraction) in none for row in members),
                "share": len(over) / len(members),
                "mean": _if_any(fmean, over),
                "worst": _if_any(max, over),
            }
        )
    return records


def losses(rows: Iterable[RealizedRow], solver: str, *by: str) -> list[dict[str, Any]]:
    """Sum up the utility that a solver loses under realized cost, for each value of some fields.

    Returns
    -------
    list of dict
        The fields of `by`, and ``cells``, ``infeasible`` (some solver proved that no plan keeps the budget; left out
        of what follows), ``proven`` (cells whose optimum some solver proved), ``share_proven``, ``no_plan`` (the
        solver has none), ``losses`` (cells with a loss, those that ``median``, ``mean`` and ``worst`` are over) and
        ``at_most`` (of these, how many losses are to a bound). None where there is nothing to tell.
    """
    mine = [cell for cell in cells(rows) if cell[0].cost == "realized" and any(row.solver == solver for row in cell)]
    picked = {cell[0].cell: next(row for row in cell if row.solver == solver) for cell in mine}
    proofs = {cell[0].cell: any(row.status == "infeasible" for row in cell) for cell in mine}
    records = []
    for values, members in _groups(picked.values(), by):
        possible = [row for row in members if not proofs[row.cell]]
        lost = [row.loss for row in possible if row.loss is not None]
        proven = sum(is_proven(row) for row in possible)
        records.append(
            {
                **values,
                "cells": len(members),
                "infeasible": len(members) - len(possible),
                "proven": proven,
                "share_proven": proven / len(possible) if possible else None,
                "no_plan": sum(row.utility is None for row in possible),
                "losses": len(lost),
                "at_most": sum(row.loss_to == "bound" for row in possible),
                "median": _if_any(median, lost),
                "mean": _if_any(fmean, lost),
                "worst": _if_any(max, lost),
            }
        )
    return records


def times(rows: Iterable[RealizedRow], *by: str) -> list[dict[str, Any]]:
    """Sum up how long each solver took under realized cost, for each value of some fields.

    Returns
    -------
    list of dict
        ``solver``, the fields of `by`, and ``cells``, ``proven`` (the solver itself proved its plan best, or that there
        is none), ``stopped`` (by its time limit), ``errors``, ``median_s``, ``worst_s`` and the median ratios of its
        time to those of ``greedy`` and ``exact`` in the same cell, ``to_greedy`` and ``to_exact``; None where there is
        none.
    """
    mine = [row for row in rows if row.cost == "realized"]
    exact = {row.cell: row.runtime_s for row in mine if row.solver == "exact" and row.runtime_s}
    records = []
    for values, members in _groups(mine, ("solver", *by)):
        taken = [row.runtime_s for row in members if row.runtime_s is not None]
        greedy = [row.time_to_greedy for row in members if row.time_to_greedy is not None]
        ratios = [row.runtime_s / exact[row.cell] for row in members if row.runtime_s is not None and row.cell in exact]
        records.append(
            {
                **values,
                "cells": len(members),
                "proven": sum(_settled(row) for row in members),
                "stopped": sum(row.limit == "time" for row in members),
                "errors": sum(row.status == "error" for row in members),
                "median_s": _if_any(median, taken),
                "worst_s": _if_any(max, taken),
                "to_greedy": _if_any(median, greedy),
                "to_exact": _if_any(median, ratios),
            }
        )
    return records


def against_backends(rows: Iterable[RealizedRow], backends: Sequence[str]) -> list[dict[str, Any]]:
    """Compare the times in which ``exact`` and the first of the mixed-integer solvers proved the realized optimum.

    Returns
    -------
    list of dict
        ``queries``, ``cells`` (that both sides tried), ``both``, ``only_exact``, ``only_backends`` and ``neither`` (who
        proved its cell), and of the cells that ``exact`` proved ``median``, ``least`` and ``most``: how many times as
        long the first mixed-integer solver took. Where all of them were stopped by their time limit, the first to be
        stopped stands in: at least so many.
    """
    verdicts_by_size: dict[int, list[tuple[str, float | None]]] = {}
    for cell in cells(rows):
        mine = next((row for row in cell if row.cost == "realized" and row.solver == "exact"), None)
        theirs = [row for row in cell if row.solver in backends]
        if mine is not None and theirs:
            verdicts_by_size.setdefault(mine.queries, []).append(_against(mine, theirs))
    records = []
    for queries, verdicts in sorted(verdicts_by_size.items()):
        ratios = [ratio for _, ratio in verdicts if ratio is not None]
        records.append(
            {
                "queries": queries,
                "cells": len(verdicts),
                **{name: sum(who == name for who, _ in verdicts) for name in WHO},
                "median": _if_any(median, ratios),
                "least": _if_any(min, ratios),
                "most": _if_any(max, ratios),
            }
        )
    return records


WHO = ("both", "only_exact", "only_backends", "neither")


def _against(mine: RealizedRow, theirs: Sequence[RealizedRow]) -> tuple[str, float | None]:
    """Return who proved a cell, and the ratio of the times if there is one."""
    proofs = [row.runtime_s for row in theirs if _settled(row) and row.runtime_s is not None]
    if not _settled(mine):
        return "only_backends" if proofs else "neither", None
    stopped = [row.runtime_s for row in theirs if row.limit == "time" and row.runtime_s is not None]
    least = min(proofs) if proofs else min(stopped) if len(stopped) == len(theirs) else None
    ratio = least / mine.runtime_s if least is not None and mine.runtime_s else None
    return "both" if proofs else "only_exact", ratio


def _settled(row: RealizedRow) -> bool:
    """Whether the solver itself proved its plan best, or that there is none."""
    return row.status in ("optimal", "infeasible")


def _groups(rows: Iterable[RealizedRow], by: Sequence[str]) -> list[tuple[Mapping[str, Any], list[RealizedRow]]]:
    """Return the rows of each combination of values of some fields, in the order in which they come."""
    found = grouped(rows, lambda row: tuple(getattr(row, name) for name in by))
    return [(dict(zip(by, values, strict=True)), members) for values, members in found.items()]


def _if_any(function: Callable[[list[float]], float], values: list[float]) -> float | None:
    return function(values) if values else None
