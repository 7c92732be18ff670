"""The arithmetic of the benchmark of realized cost, on rows made by hand."""

from __future__ import annotations

from typing import Any

import pytest

from robatch.bench import RealizedRow
from robatch.bench.realized.rows import compare, contradictions
from robatch.bench.realized.sheets import sheets
from robatch.bench.realized.sums import against_backends, losses, overspends, times


def row(solver: str = "greedy", **changes: Any) -> RealizedRow:
    facts: dict[str, Any] = {
        "instance": "a", "source": "given", "queries": 20, "models": 4, "states": 24, "budget_fraction": 0.3,
        "budget": 2.0, "cost": "realized", "solver": solver, "solver_version": "1", "status": "feasible",
        "family": "ties",
    }  # fmt: skip
    return RealizedRow(**{**facts, **changes})


def billed(realized_cost: float | None, **changes: Any) -> RealizedRow:
    facts = {"cost": "amortized", "status": "optimal", "utility": 5.0, "bound": 5.0, "realized_cost": realized_cost}
    return row("exact", **{**facts, **changes})


@pytest.mark.parametrize(
    ("realized_cost", "overspend"), [(3.0, 0.5), (2.0, 0.0), (1.0, 0.0), (2.0 + 1e-10, 0.0), (None, None)]
)
def test_overspend(realized_cost: float | None, overspend: float | None) -> None:
    assert compare([billed(realized_cost)])[0].overspend == overspend


def test_overspends_are_summed_up() -> None:
    rows = compare(
        [
            billed(3.0, instance="a"),
            billed(2.2, instance="b"),
            billed(1.9, instance="c", status="feasible", bound=6.0),
            billed(None, instance="d", status="error", utility=None, bound=None),
            billed(1.0, instance="e", queries=50),
            row(realized_cost=9.0),  # under realized cost: not counted
            row("highs", instance="b", status="infeasible"),
        ]
    )
    small, large = overspends(rows, "queries")
    assert {name: small[name] for name in ("queries", "cells", "proven", "over", "infeasible")} == {
        "queries": 20, "cells": 3, "proven": 2, "over": 2, "infeasible": 1,
    }  # fmt: skip
    assert small["share"] == pytest.approx(2 / 3)
    assert small["mean"] == pytest.approx(0.3)
    assert small["worst"] == pytest.approx(0.5)
    assert (large["over"], large["share"], large["mean"], large["worst"]) == (0, 0.0, None, None)
    assert overspends(rows)[0]["cells"] == 4


def test_loss_to_the_proven_optimum() -> None:
    greedy, highs = compare([row(utility=6.0, bound=9.0), row("highs", utility=8.0, bound=8.0, status="optimal")])
    assert (greedy.loss, greedy.loss_to) == (0.25, "optimum")
    assert (highs.loss, highs.loss_to) == (0.0, "optimum")


def test_a_proof_may_be_of_two_solvers() -> None:
    rows = compare([row(utility=6.0), row("highs", utility=8.0, bound=9.0), row("cpsat", utility=7.0, bound=8.0)])
    assert [(each.loss, each.loss_to) for each in rows] == [(0.25, "optimum"), (0.0, "optimum"), (0.125, "optimum")]


def test_loss_to_a_bound_and_to_nothing() -> None:
    greedy, highs = compare([row(utility=6.0, bound=12.0), row("highs", utility=8.0, bound=10.0)])
    assert (greedy.loss, greedy.loss_to) == (0.4, "bound")
    assert (highs.loss, highs.loss_to) == (0.2, "bound")
    unknown, none = compare([row(utility=6.0), row("highs", status="no_solution")])
    assert (unknown.loss, unknown.loss_to) == (None, None)  # no bound: no claim
    assert (none.loss, none.loss_to) == (None, None)
    assert compare([billed(1.0)])[0].loss is None  # not of amortized plans


def test_the_amortized_optimum_bounds_the_realized_one() -> None:
    _, greedy = compare([billed(3.0), row(utility=4.0, bound=6.0)])
    assert (greedy.best_bound, greedy.best_known, greedy.loss, greedy.loss_to) == (5.0, 4.0, 0.2, "bound")
    _, greedy = compare([billed(2.0), row(utility=4.0, bound=6.0)])  # its bill keeps the budget: it is the optimum
    assert (greedy.best_bound, greedy.best_known, greedy.loss, greedy.loss_to) == (5.0, 5.0, 0.2, "optimum")
    _, greedy, other = compare([billed(3.0), row(utility=4.0), row(instance="b", utility=4.0)])
    assert (greedy.loss, other.loss) == (0.2, None)
    assert "greedy reached 6.0" in contradictions(compare([billed(3.0), row(utility=6.0)]))[0]


def test_losses_are_summed_up() -> None:
    rows = compare(
        [
            row(instance="a", utility=6.0),
            row("highs", instance="a", utility=8.0, bound=8.0, status="optimal"),
            row(instance="b", utility=5.0),
            row("highs", instance="b", utility=8.0, bound=10.0),
            row(instance="c", status="no_solution", bound=3.0),
            row("highs", instance="c", utility=2.0, bound=2.0, status="optimal"),
            row(instance="d", status="no_solution", bound=3.0),
            row("highs", instance="d", status="infeasible"),
        ]
    )
    (greedy,) = losses(rows, "greedy")
    assert greedy == {
        "cells": 4, "infeasible": 1, "proven": 2, "share_proven": pytest.approx(2 / 3), "no_plan": 1, "losses": 2,
        "at_most": 1, "median": 0.375, "mean": 0.375, "worst": 0.5,
    }  # fmt: skip
    (highs,) = losses(rows, "highs", "family")
    assert (highs["family"], highs["no_plan"], highs["worst"], highs["at_most"]) == ("ties", 0, 0.2, 1)
    assert losses(rows, "scip") == []


def test_nothing_is_claimed_where_no_plan_is_possible() -> None:
    (none,) = losses(compare([row(status="no_solution"), row("highs", status="infeasible")]), "greedy")
    assert none["infeasible"] == 1
    assert [none[name] for name in ("share_proven", "median", "mean", "worst")] == [None] * 4


def test_times_and_their_ratios() -> None:
    rows = compare(
        [
            row(instance="a", runtime_s=0.1),
            row("exact", instance="a", runtime_s=0.2, status="optimal"),
            row("highs", instance="a", runtime_s=2.0, status="infeasible"),
            row("exact", instance="b", runtime_s=0.5, status="optimal"),
            row("highs", instance="b", runtime_s=10.0, limit="time"),
            row("exact", instance="c", status="error", message="boom"),
            billed(1.0, instance="a", runtime_s=77.0),
        ]
    )
    greedy, exact, highs = times(rows, "queries")
    assert (greedy["solver"], greedy["to_greedy"], greedy["to_exact"]) == ("greedy", 1.0, 0.5)
    assert (exact["cells"], exact["errors"], exact["median_s"], exact["worst_s"]) == (3, 1, 0.35, 0.5)
    assert (highs["proven"], highs["stopped"], highs["to_greedy"], highs["to_exact"]) == (1, 1, 20.0, 15.0)


def test_exact_beside_the_first_mixed_integer_solver() -> None:
    proof: dict[str, Any] = {"status": "optimal", "runtime_s": 0.5}
    stopped: dict[str, Any] = {"limit": "time", "runtime_s": 60.0}
    cells: dict[str, list[dict[str, Any]]] = {  # exact, highs, cpsat
        "both": [proof, {**proof, "runtime_s": 2.0}, {**proof, "runtime_s": 3.0}],
        "only_exact": [proof, stopped, {**stopped, "runtime_s": 61.0}],
        "given up": [proof, stopped, {"runtime_s": 0.01}],  # not stopped: tells nothing about a proof
        "only_backends": [stopped, proof, stopped],
        "neither": [stopped, stopped, stopped],
    }
    rows = [
        row(solver, instance=name, **facts)
        for name, three in cells.items()
        for solver, facts in zip(("exact", "highs", "cpsat"), three, strict=True)
    ]
    (found,) = against_backends(compare(rows), ("highs", "cpsat"))
    assert found == {
        "queries": 20, "cells": 5, "both": 1, "only_exact": 2, "only_backends": 1, "neither": 1,
        "median": 62.0, "least": 4.0, "most": 120.0,
    }  # fmt: skip
    assert against_backends(rows, ()) == []


def test_contradictions() -> None:
    assert contradictions(compare([row(utility=6.0), row("highs", utility=8.0, bound=9.0)])) == []
    (bound,) = contradictions(compare([row(utility=6.0), row("highs", utility=5.0, bound=5.0)]))
    assert "greedy reached 6.0" in bound
    (proof,) = contradictions(compare([row(utility=6.0), row("highs", status="infeasible")]))
    assert "greedy has a plan, and highs proved that there is none" in proof


def test_sheets_say_what_is_a_bound() -> None:
    rows = compare(
        [
            billed(3.0, runtime_s=0.1, utility=10.0, bound=10.0),
            row(utility=6.0, runtime_s=0.1),
            row("exact", utility=8.0, bound=10.0, runtime_s=0.2, limit="time"),
            row("highs", utility=7.0, runtime_s=0.2, limit="time"),
            row(instance="b", budget_fraction=0.6, utility=6.0, runtime_s=0.1),
            row("exact", instance="b", budget_fraction=0.6, utility=8.0, bound=8.0, status="optimal", runtime_s=0.1),
            row("highs", instance="b", budget_fraction=0.6, utility=8.0, limit="time", runtime_s=0.5),
        ]
    )
    found = {sheet.title: sheet for sheet in sheets(rows, ("highs",))}
    assert found["The amortized optimum, billed: by family"].lines == (
        ("ties", "1", "1", "1", "0", "100 %", "50 %", "50 %"),
        ("all", "1", "1", "1", "0", "100 %", "50 %", "50 %"),
    )
    assert [line[:2] + line[-3:] for line in found["Utility lost by greedy: by size and budget"].lines] == [
        ("20", "30 %", "≤ 40 %", "≤ 40 %", "≤ 40 %"),
        ("20", "60 %", "25 %", "25 %", "25 %"),
        ("20", "all", "≤ 32 %", "≤ 32 %", "≤ 40 %"),
        ("all", "all", "≤ 32 %", "≤ 32 %", "≤ 40 %"),
    ]
    assert found["exact beside the first mixed-integer solver"].lines == (
        ("20", "2", "0", "1", "0", "1", "≥ 5.0", "≥ 5.0", "≥ 5.0"),
    )
    assert (
        "| ties | 1 | 1 | 1 | 0 | 100 % | 50 % | 50 % |" in found["The amortized optimum, billed: by family"].markdown()
    )


def test_measured_fields_are_all_but_the_derived() -> None:
    derived = {"best_bound", "best_known", "gap", "time_to_greedy", "overspend", "loss", "loss_to"}
    assert set(RealizedRow.COLUMNS) - set(RealizedRow.MEASURED) == derived
