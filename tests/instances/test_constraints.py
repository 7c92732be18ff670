"""Constraints as data: what is allowed in them, and where they go with a problem."""

from __future__ import annotations

import numpy as np
import pytest

from robatch.instances import Constraints, InputError, read

KINDS = ["max_queries", "max_calls", "max_cost", "min_group_utility", "group_budget"]
EVERY = Constraints(
    max_queries={"weak": 3}, max_calls={"strong": 2}, max_cost={"weak": 0.5}, min_group_utility={"x": 0.25},
    group_budget={"y": 1.5, "x": 0.0},
)  # fmt: skip


def test_values_become_plain_numbers():
    made = Constraints(
        max_queries={"a": np.int64(3)}, min_group_utility={np.int64(4): np.float32(0.5)}, group_budget={np.str_("g"): 1}
    )
    assert made == Constraints(max_queries={"a": 3}, min_group_utility={4: 0.5}, group_budget={"g": 1.0})
    assert [type(key) for key in (*made.min_group_utility, *made.group_budget)] == [int, str]
    assert type(made.max_queries["a"]) is int
    assert type(made.group_budget["g"]) is float


def test_none_is_false():
    assert not Constraints()
    assert not Constraints(max_queries={})
    for kind in KINDS:
        assert Constraints(**{kind: {"a": 0}})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "1", None, True])
def test_a_value_that_is_not_allowed_is_named(kind, value):
    with pytest.raises(InputError, match=f"{kind} of 'a' is"):
        Constraints(**{kind: {"a": value}})


def test_counts_are_whole_and_utilities_at_most_one():
    for kind in ("max_queries", "max_calls"):
        with pytest.raises(InputError, match=f"{kind} of 'a' is 1.5: a whole number"):
            Constraints(**{kind: {"a": 1.5}})
    with pytest.raises(InputError, match=r"min_group_utility of 'a' is 1\.1"):
        Constraints(min_group_utility={"a": 1.1})
    with pytest.raises(InputError, match=r"max_cost is .*: a mapping"):
        Constraints(max_cost=[("a", 1)])


def test_names_must_be_the_problems(small):
    for kind in KINDS[:3]:
        with pytest.raises(InputError, match=f"{kind} names the model 'nobody': the problem's are 'weak', 'strong'"):
            small(constraints=Constraints(**{kind: {"nobody": 1}}))
    for kind in KINDS[3:]:
        with pytest.raises(InputError, match=f"{kind} names the group 'z': the problem's are 'x', 'y'"):
            small(groups=list("xyxy"), constraints=Constraints(**{kind: {"z": 1}}))
        with pytest.raises(InputError, match=f"{kind} names the group 'x': the problem has no groups$"):
            small(constraints=Constraints(**{kind: {"x": 1}}))
    with pytest.raises(InputError, match=r"robatch\.Constraints is needed"):
        small(constraints={"max_queries": {"weak": 1}})


def test_they_go_through_plain_values_and_files(small, tmp_path):
    assert Constraints.from_json(EVERY.to_json()) == EVERY
    problem = small(groups=list("xyxy"), constraints=EVERY, window_margin=0.125, conflicts=[(0, 1)])
    problem = problem.restrict(forbidden=[(3, ("weak", 1))])
    problem.write(tmp_path / "p.parquet")
    back = read(tmp_path / "p.parquet")
    assert back == problem
    assert back.constraints == EVERY
    assert back != problem.replace(constraints=None)
    assert back != problem.replace(window_margin=0.0)
    assert back != problem.replace(forbidden=None)
    assert back != problem.replace(conflicts=None)


def test_a_problem_without_any_has_none(small):
    assert small(constraints=Constraints()).constraints is None
