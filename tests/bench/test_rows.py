"""What follows from the rows of a cell, and how figures are written."""

from __future__ import annotations

import pytest

from robatch.bench.common.rows import Row, compare, contradictions
from robatch.bench.gap.rows import summary
from robatch.instances.display import wording


def row(solver: str, utility: float | None, bound: float | None, runtime: float | None = 1.0, **more: object) -> Row:
    facts = {
        "instance": "a", "source": "given", "queries": 1, "models": 1, "states": 1, "budget_fraction": 0.1,
        "budget": 1.0, "cost": "amortized", "solver_version": "1", "status": "feasible",
    }  # fmt: skip
    return Row(**{**facts, **more}, solver=solver, utility=utility, bound=bound, runtime_s=runtime)  # type: ignore[arg-type]


def test_gap_is_to_the_least_bound_of_the_cell() -> None:
    greedy, highs, pareto = compare(
        [row("greedy", 9.0, 11.0, 0.5), row("highs", 10.0, 10.0, 5.0), row("pareto", 8, None)]
    )
    assert (greedy.gap, highs.gap, pareto.gap) == (0.1, 0.0, 0.2)
    assert {r.best_bound for r in (greedy, highs, pareto)} == {10.0}
    assert {r.best_known for r in (greedy, highs, pareto)} == {10.0}
    assert (greedy.time_to_greedy, highs.time_to_greedy) == (1.0, 10.0)


def test_cells_do_not_mix() -> None:
    rows = [
        row("greedy", 9.0, None),
        row("highs", 10.0, 10.0, budget_fraction=0.3),
        row("highs", 4.0, 4.0, cost="realized"),
        row("highs", 3.0, 3.0, instance="b"),
    ]
    assert compare(rows)[0].gap is None
    assert compare(rows)[0].best_bound is None


def test_no_greedy_no_ratio_and_no_plan_no_gap() -> None:
    (lp,) = compare([row("lp", None, 10.0)])
    assert lp.gap is None
    assert lp.time_to_greedy is None


def test_a_bound_of_zero_leaves_no_gap() -> None:
    assert compare([row("greedy", 0.0, 0.0)])[0].gap == 0.0


def test_a_bound_below_a_utility_is_reported() -> None:
    rows = compare([row("highs", 9.0, 9.0), row("greedy", 10.0, None)])
    assert len(contradictions(rows)) == 1
    assert "greedy" in contradictions(rows)[0]
    assert contradictions(compare([row("highs", 9.0, 9.0), row("greedy", 9.0 + 1e-12, None)])) == []


def test_summary_counts() -> None:
    rows = compare(
        [
            row("greedy", 9.0, None), row("highs", 10.0, 10.0, 4.0),
            row("greedy", 10.0, None, budget_fraction=0.3),
            row("highs", 10.0, 10.0, 2.0, budget_fraction=0.3),
            row("greedy", None, None, None, budget_fraction=0.6, status="error"),
        ]
    )  # fmt: skip
    greedy, highs = summary(rows)
    assert (greedy["cells"], greedy["plans"], greedy["proven"], greedy["errors"]) == (3, 2, 1, 1)
    assert greedy["worst_gap"] == pytest.approx(0.1)
    assert greedy["mean_gap"] == pytest.approx(0.05)
    assert highs["median_time_to_greedy"] == 3.0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, wording.NONE), (0.0, "0"), (1e-9, "0"), (2e-9, "<0.0001 %"), (1.234e-5, "0.0012 %"),
        (0.00999, "1.0 %"), (0.1234, "12 %"), (1.0, "100 %"),
    ],
)  # fmt: skip
def test_gap_wording(value: float | None, text: str) -> None:
    assert wording.gap(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, wording.NONE), (12.345, "12.3 s"), (0.5, "500 ms"), (3.21e-5, "32.1 µs"), (125.0, "125 s")],
)
def test_seconds_wording(value: float | None, text: str) -> None:
    assert wording.seconds(value) == text
