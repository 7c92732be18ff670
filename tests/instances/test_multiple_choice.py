"""Multiple-choice knapsacks: from arrays, from text, and Pisinger's classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robatch import KNAPSACK_FAMILIES, InputError, Plan, Problem, generate, plan_from, read, solve
from robatch.cli import main
from robatch.instances.multiple_choice import random_classes, read_mckp

PROFITS, WEIGHTS = [[10, 20], [3], [1.5, 7, 0]], [[5, 9], [3], [0, 2, 1]]
TEXT = """3  # classes
2 10 5 20 9
1 3 3
3 1.5 0 7 2
0 1 # the last item
12
"""


def test_ragged_classes_are_a_problem_and_plans_tell_profit_and_utility(tmp_path: Path) -> None:
    problem = Problem.from_mckp(PROFITS, WEIGHTS, 12)
    plan = solve(problem)
    assert (plan.profit, plan.budget, plan.status) == (24.5, 12.0, "optimal")
    assert plan.utility == 24.5 / 32
    assert solve(problem, 14).profit == 30.0
    plan.write(tmp_path / "plan.parquet")
    assert Plan.read(tmp_path / "plan.parquet").profit == plan.summary()["profit"] == 24.5
    assert plan_from(problem, plan).profit == 24.5
    problem.write(tmp_path / "p.parquet")
    assert read(tmp_path / "p.parquet") == problem
    with pytest.raises(InputError, match="the problem has no capacity"):
        solve(Problem.from_mckp(PROFITS, WEIGHTS))


@pytest.mark.parametrize("top", [1, 3, 1000, 2.0**-5, 0.0])
def test_profits_are_divided_by_a_power_of_two(top: float) -> None:
    problem = Problem.from_mckp(np.array([[0.0, top], [top / 2, 0.0]]), np.ones((2, 2)))
    assert problem.profit_scale is not None
    assert np.frexp(problem.profit_scale)[0] == 0.5
    assert problem.profit(problem.total_utility([1, 0])) == 1.5 * top
    assert 0.5 < problem.utilities().max() <= 1.0 or top == 0.0


@pytest.mark.parametrize(
    ("profits", "weights", "message"),
    [
        ([], [], "profits is empty"),
        ([[1], []], [[1], []], r"profits\[1\] is empty"),
        ([[1, 2]], [[1]], r"profits\[0\] has 2 items and weights\[0\] has 1"),
        ([[1]], [[1], [2]], "profits has 1 classes and weights has 2"),
        ([[1, -2]], [[1, 1]], r"profits\[0\]\[1\] is -2"),
        ([[1], [2]], [[1], [float("nan")]], r"weights\[1\]\[0\] is nan"),
        ([["a"]], [[1]], r"profits\[0\] is \['a'\]"),
        (5, [[1]], "profits is 5"),
    ],
)
def test_what_is_wrong_with_classes_is_named(profits: Any, weights: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Problem.from_mckp(profits, weights)


def test_text_is_imported(tmp_path: Path) -> None:
    source, made = tmp_path / "k.txt", tmp_path / "p.parquet"
    source.write_text(TEXT)
    main(["import", "--format", "mckp", str(source), "-o", str(made)], standalone_mode=False)
    assert read(made) == Problem.from_mckp(PROFITS, WEIGHTS, 12)
    source.write_text(TEXT.rsplit("12", 1)[0])
    main(["import", "--format", "mckp", str(source), "-o", str(made)], standalone_mode=False)
    assert read(made).capacity is None


def opened(path: Path) -> Problem:
    """Return the problem of a text file."""
    classes, capacity = read_mckp(path)
    return Problem(**classes.fields(capacity))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "number of classes .* is missing"),
        ("0", "number of classes .* is 0"),
        ("2 1 1 1 1.5 1 1", "number of items of class 2 .* is 1.5"),
        ("1 2 1 1 1", "ends within class 1"),
        ("1 1 1 1 5 5", "holds 2 numbers after its classes"),
        ("1 1 one 1 5", "holds 'one': only numbers"),
        ("1 1 1 1 -5", "capacity is -5"),
    ],
)
def test_what_is_wrong_with_text_is_named(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "k.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        opened(tmp_path / "k.txt")


@pytest.mark.parametrize("family", KNAPSACK_FAMILIES)
def test_random_classes_are_pisingers(family: str) -> None:
    profits, weights, capacity = random_classes(family, 200, 10, np.random.default_rng(0), 1000)
    kind = family.removeprefix("mckp-")
    assert weights.min() >= 1
    assert profits.min() >= 1
    if kind == "subset-sum":
        assert (profits == weights).all()
    elif kind == "weakly-correlated":
        assert np.abs(profits - weights).max() == 10
    elif kind == "strongly-correlated":
        assert (profits - weights == 10 * np.arange(1, 11)).all()
        assert (np.diff(weights, 2, axis=1) >= 0).all()
        assert np.diff(weights, axis=1).max() <= 200
    elif kind == "zig-zag":
        assert (np.diff(profits, axis=1) >= 0).all()
        assert (np.diff(weights, axis=1) >= 0).all()
    best = [max(zip(p, -w, strict=True)) for p, w in zip(profits.tolist(), weights, strict=True)]
    assert capacity == (weights.min(axis=1).sum() - sum(w for _, w in best)) // 2
    problem = generate(family, 200, 10, seed=0)
    assert problem == Problem.from_mckp(profits, weights, capacity)
    assert problem.cheapest_budget < capacity < problem.dearest_budget


def test_knapsack_families_know_what_they_cannot_be() -> None:
    for wrong, message in (({"dtype": "float32"}, "dtype is 'float32'"), ({"factored": True}, "factored is True")):
        with pytest.raises(InputError, match=message):
            generate("mckp-zig-zag", **wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="largest is 0"):
        generate("mckp-zig-zag", largest=0)


def test_a_capacity_may_be_greater_than_any_weight() -> None:
    problem = Problem.from_mckp([[1.0, 2.0]] * 3, [[1e12, 0.0]] * 3, 3e12)
    assert problem.capacity == 3e12
