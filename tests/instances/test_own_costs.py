"""Costs of one's own: what a problem keeps, refuses and writes, and tables that bring them."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robatch import InputError, Model, Problem, from_table, read
from robatch.cli import main

MODELS = [Model("a", 1.0, 1.0, 100, batch_sizes=(1, 2)), Model("b", 2.0, 2.0, context_window=40, batch_sizes=(1,))]
COSTS = np.array([[1e-5, 2e-5, 0.3], [7.79e-05, 0.0, 0.1], [0.25, 0.5, 1.0]])
UTILITY = np.array([[0.1, 0.2, 0.9], [0.0, 0.5, 1.0], [0.25, 0.5, 0.75]])


def test_costs_stand_in_for_tokens_and_calls_keep_their_prices() -> None:
    problem = Problem(MODELS, utility=UTILITY.astype(np.float32), costs=COSTS)
    states = np.array([0, 1, 2])
    assert problem.dtype == np.float64
    assert problem.amortized_cost(states) == float(Fraction("1e-5") + 1 + Fraction("1e-4") + Fraction("1e-4") / 2)
    assert problem.realized_cost(states) == float(Fraction("1e-5") + 1 + Fraction("2e-4"))
    np.testing.assert_allclose(problem.amortized_costs(), COSTS + [1e-4, 5e-5, 0.0])
    assert problem.take([2, 0]).costs.tolist() == COSTS[[2, 0]].tolist()  # type: ignore[union-attr]
    with pytest.raises(InputError, match="known by state"):
        problem.query_costs()


def test_tokens_still_tell_what_fits_a_window() -> None:
    problem = Problem(MODELS, [10, 50, 10], [5, 0, 0], UTILITY, costs=COSTS)
    assert problem.allowed()[:, 2].tolist() == [True, False, True]
    assert problem.best_assignment.tolist() == [2, 1, 2]
    with pytest.raises(InputError, match="not allowed"):
        problem.evaluate([0, 2, 0])


@pytest.mark.parametrize(
    ("costs", "message"),
    [
        (COSTS[:2], r"costs has shape \(2, 3\): \(3, 3\) is needed"),
        (-COSTS, r"costs\[0, 0\] is -1e-05"),
        (COSTS * np.nan, r"costs\[0, 0\] is nan"),
        (COSTS * 1e13, r"costs\[0, 2\] is 3"),
        ([["x"] * 3] * 3, "costs is not an array of numbers"),
        (None, "input_tokens is missing"),
    ],
)
def test_what_is_wrong_is_named(costs: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Problem(MODELS, utility=UTILITY, costs=costs)


@pytest.mark.parametrize("scale", [1.0, 1e-7, 1 / 3, 1e4])
@pytest.mark.parametrize("factored", [False, True])
def test_files_keep_costs(scale: float, factored: bool, tmp_path: Path) -> None:
    some = {"base_utility": UTILITY[:, :2], "retention": [1.0, 0.5, 1.0]} if factored else {"utility": UTILITY}
    problem = Problem(MODELS, costs=COSTS * scale, query_ids=["x", "y", "z"], **some)  # type: ignore[arg-type]
    problem.write(tmp_path / "p.parquet")
    again = read(tmp_path / "p.parquet")
    assert again == problem
    assert again.costs is not None
    assert problem.replace(costs=again.costs + 1.0) != problem


WIDE = """sample_id,eval_name,my-7b,my-70b,my-7b|total_cost,my-70b|total_cost
a.1,mmlu,0.0,1.0,0.0000153,0.000178
a.2,mmlu,1.0,1.0,0.0000253,0.000278
a.3,gsm,0.5,0.75,7.79e-05,0.0003
"""


@pytest.mark.parametrize("options", [(), ("--prices", "none"), ("--prices", "none", "--batch-sizes", "1")])
def test_a_wide_table_needs_no_prices(options: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(WIDE)
    made = tmp_path / "p.parquet"
    main(["import", str(tmp_path / "t.csv"), "--group", "eval_name", *options, "-o", str(made)], standalone_mode=False)
    problem = read(made)
    assert problem.costs is not None
    assert problem.costs[0].tolist() == [0.0000153, 0.000178]
    assert problem.state_batch_size.tolist() == [1, 1]
    assert problem.realized_cost([0, 0, 1]) == problem.amortized_cost([0, 0, 1]) == 0.0003406
    assert problem.group_labels == ["gsm", "mmlu"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"batch_sizes": (1, 2)}, "batch size 1"),
        ({"shared_tokens": 5.0}, "shared_tokens is given: it needs prices"),
        ({"degradation": {"*": {1: 1.0}}}, "degradation is given: it needs prices"),
        ({"dtype": "float32"}, "dtype is 'float32'"),
    ],
)
def test_what_needs_prices_is_refused_without(more: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(WIDE)
    with pytest.raises(InputError, match=message):
        from_table(tmp_path / "t.csv", None, **more)
    long = [{"query": "x", "model": "m", "correct": 1, "input_tokens": 1, "output_tokens": 1}]
    with pytest.raises(InputError, match="has no columns of costs"):
        from_table(json.loads(json.dumps(long)), None)
