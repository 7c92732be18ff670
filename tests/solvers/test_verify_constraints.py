"""`verify` finds every broken constraint, forbidden pairs, and conflicting queries that share a call."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from robatch.instances import Constraints, Model, Problem, generate
from robatch.solvers import Call, Plan, VerificationError, solve, verify

PROBLEM = Problem(
    [
        Model("small", 0.1, 0.4, 200, batch_sizes=(1, 4), context_window=500),
        Model("large", 2.0, 8.0, 200, batch_sizes=(1, 4)),
    ],
    input_tokens=[30, 40, 50, 60],
    output_tokens=[5, 5, 9, 9],
    utility=[[0.5, 0.3, 0.9, 0.8], [0.2, 0.1, 0.8, 0.8], [0.9, 0.7, 0.9, 0.9], [0.4, 0.4, 0.5, 0.5]],
    groups=["a", "a", "b", "b"],
)
STATES = np.array([2, 3, 0, 1])
FACTORED = PROBLEM.replace(
    utility=None, base_utility=[[0.5, 0.9], [0.2, 0.8], [0.9, 0.9], [0.4, 0.5]], retention=[1.0, 0.7, 1.0, 0.9]
)
COSTS = ["amortized", "realized"]


def plan_of(problem, states, cost="amortized", **changes):
    """Return a plan that says the truth about an assignment, whatever the problem asks."""
    made = solve(
        problem.replace(constraints=None, forbidden=None, window_margin=0.0), 1.0, "cheapest", cost="amortized"
    )
    found = problem.replace(constraints=None, forbidden=None, window_margin=0.0).evaluate(states)
    fields = {
        "assignment": states, "utility": found.utility, "amortized_cost": found.amortized_cost,
        "realized_cost": found.realized_cost, "cost": cost, "status": "feasible", "bound": None,
        "conflicts": problem.conflicts,
    }  # fmt: skip
    return dataclasses.replace(made, **{**fields, **changes})


def used(kind, label, cost):
    """Return what the assignment uses of a limit, by hand."""
    own = [2e-6 * 30 + 8e-6 * 5, 2e-6 * 40 + 8e-6 * 5, 1e-7 * 50 + 4e-7 * 9, 1e-7 * 60 + 4e-7 * 9]
    prompt = [2e-6 * 200, 2e-6 * 200 / (4 if cost == "amortized" else 1), 1e-7 * 200]
    prompt.append(1e-7 * 200 / (4 if cost == "amortized" else 1))
    queries = {"small": [2, 3], "large": [0, 1], "a": [0, 1], "b": [2, 3]}[label]
    if kind == "min_group_utility":
        return {"a": 0.85, "b": 0.65}[label]
    return 2 if kind in ("max_queries", "max_calls") else sum(own[i] + prompt[i] for i in queries)


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("problem", [PROBLEM, FACTORED], ids=["dense", "factored"])
@pytest.mark.parametrize(
    ("kind", "label", "complaint"),
    [
        ("max_queries", "small", "model 'small' answers 2 queries, over its 1"),
        ("max_calls", "large", "model 'large' is sent 2 calls, over its 1"),
        ("max_cost", "small", "model 'small' costs"),
        ("max_cost", "large", "model 'large' costs"),
        ("group_budget", "a", "group 'a' costs"),
        ("group_budget", "b", "group 'b' costs"),
        ("min_group_utility", "a", "group 'a' has a mean utility of"),
        ("min_group_utility", "b", "group 'b' has a mean utility of"),
    ],
)
def test_every_broken_constraint_is_found(problem, kind, label, complaint, cost):
    states = STATES
    amount = used(kind, label, cost)
    if problem is FACTORED and kind == "min_group_utility":
        amount = {"a": (0.9 + 0.8 * 0.9) / 2, "b": (0.9 + 0.4 * 0.7) / 2}[label]
    plan = plan_of(problem, states, cost)
    whole = isinstance(amount, int)
    towards = 1 - 1e-8 if kind == "min_group_utility" else 1 + 1e-11
    kept = amount if whole else amount * towards
    verify(problem.replace(constraints=Constraints(**{kind: {label: kept}})), plan)
    broken = amount - 1 if whole else amount * (2 - towards)
    limited = problem.replace(constraints=Constraints(**{kind: {label: broken}}))
    for calls in (True, False):
        with pytest.raises(VerificationError, match=complaint):
            verify(limited, plan, calls=calls)


@pytest.mark.parametrize("problem", [PROBLEM, FACTORED], ids=["dense", "factored"])
def test_a_forbidden_pair_is_found(problem):
    limited = problem.restrict(forbidden=[(2, ("small", 1))])
    with pytest.raises(VerificationError, match="query 2 is in a state of small x 1, which is forbidden for it"):
        verify(limited, plan_of(limited, STATES))
    verify(limited, plan_of(limited, np.array([2, 3, 1, 1])))


def test_a_window_margin_is_kept():
    tight = PROBLEM.replace(window_margin=0.05)  # 475 tokens: four of the longest query need 476
    with pytest.raises(VerificationError, match="query 3 is in a state of small x 4, whose calls do not fit"):
        verify(tight, plan_of(tight, STATES))
    verify(tight.replace(window_margin=0.04), plan_of(tight, STATES))


@pytest.mark.parametrize("calls", [True, False])
def test_conflicting_queries_in_one_call_are_found(calls, monkeypatch):
    apart = PROBLEM.replace(conflicts=[(2, 3)])
    states = np.array([2, 3, 1, 1])
    plan = plan_of(apart, states)
    verify(apart, plan, calls=calls)
    together = [Call(call.state, call.queries) for call in plan.calls() if call.state.model == "large"]
    together.append(Call(apart.states[1], np.array([2, 3])))
    monkeypatch.setattr(Plan, "calls", lambda _: together)
    with pytest.raises(VerificationError, match="the conflicting queries 2 and 3 share a call"):
        verify(apart, plan, calls=calls)


@pytest.mark.parametrize("cost", COSTS)
def test_with_conflicts_the_bill_is_that_of_the_calls(cost):
    states = np.array([3, 3, 1, 1])
    apart = PROBLEM.replace(conflicts=[(2, 3)], constraints=Constraints(max_calls={"small": 2}))
    plan = plan_of(apart, states, cost)
    assert plan.realized_cost == pytest.approx(PROBLEM.realized_cost(states) + 1e-7 * 200, rel=1e-12)
    verify(apart, plan)
    with pytest.raises(VerificationError, match="realized cost is said to be"):
        verify(apart, dataclasses.replace(plan, realized_cost=PROBLEM.realized_cost(states)))
    with pytest.raises(VerificationError, match="model 'small' is sent 2 calls, over its 1"):
        verify(apart.replace(constraints=Constraints(max_calls={"small": 1})), plan)
    spent = plan.realized_cost if cost == "realized" else plan.amortized_cost
    with pytest.raises(VerificationError, match="over its budget"):
        verify(apart, dataclasses.replace(plan, budget=spent * (1 - 1e-9)))


@pytest.mark.parametrize("cost", COSTS)
def test_a_better_state_that_a_constraint_forbids_is_no_complaint(cost):
    limited = PROBLEM.replace(constraints=Constraints(max_queries={"large": 1}))
    plan = solve(limited, 1.0, "highs", cost=cost)
    assert plan.status == "optimal"
    verify(limited, plan)
    with pytest.raises(VerificationError, match="alone gains"):
        verify(PROBLEM, plan)


@pytest.mark.parametrize("cost", COSTS)
def test_infeasible_is_believed_where_the_cheapest_plan_breaks_a_constraint(cost):
    plan = solve(PROBLEM, PROBLEM.cheapest_budget / 2, cost=cost)
    lie = dataclasses.replace(plan, budget=1.0)
    for constraints, apart in (
        (Constraints(max_queries={"small": 0}), None),
        (Constraints(max_calls={"small": 1}), None),
    ):
        verify(PROBLEM.replace(constraints=constraints, conflicts=apart), lie)
    for constraints in (None, Constraints(max_queries={"small": 4}, max_calls={"small": 4})):
        for apart in (None, [(0, 1)]):
            with pytest.raises(VerificationError, match="called infeasible, but a plan costs"):
                verify(PROBLEM.replace(constraints=constraints, conflicts=apart), lie)


def test_the_cheapest_state_of_a_query_is_not_a_forbidden_one():
    plan = solve(PROBLEM, PROBLEM.cheapest_budget / 2, cost="amortized")
    limited = PROBLEM.restrict(forbidden=[(i, ("small", b)) for i in range(4) for b in (1, 4)])
    verify(limited, dataclasses.replace(plan, budget=limited.cheapest_budget * 0.99))
    with pytest.raises(VerificationError, match="called infeasible, but a plan costs"):
        verify(limited, dataclasses.replace(plan, budget=limited.cheapest_budget * 1.01))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_bounds_of_a_shadow_price_count_allowed_pairs_only(dtype):
    problem = generate("realistic", queries=60, models=3, batch_sizes=(1, 4), seed=3, dtype=dtype)
    rng = np.random.default_rng(0)
    mask = rng.random((60, problem.n_states)) < 0.4
    mask[:, 0] = False
    for held in (problem, problem.replace(utility=problem.utilities(), base_utility=None, retention=None)):
        limited = held.replace(forbidden=mask)
        for solver in ("exact", "greedy", "highs"):
            plan = solve(limited, limited.budget_at(0.4), solver, cost="amortized")
            found = verify(limited, plan)
            if plan.shadow_price is not None:
                assert plan.utility <= found.dual_bound * (1 + 1e-9)
                assert found.dual_bound < verify(held, solve(held, plan.budget, "greedy", cost="amortized")).dual_bound
