"""What is billed beside tokens at one price: fees, batch APIs, cached prompts, in plans of all solvers."""

from __future__ import annotations

import itertools
import json
from fractions import Fraction

import numpy as np
import pytest

from robatch import (
    Constraints,
    InputError,
    Model,
    Plan,
    Problem,
    cheapest,
    export,
    frontier,
    sensitivity,
    solve,
    verify,
)
from robatch.instances import read
from robatch.instances.prices.entry import PriceTier, Rates
from robatch.proxies import OnlineRouter
from tests.priced_problems import Provider, checked, drawn, invoice

CACHED = {"cache_read": 0.1, "cache_write": 1.25, "cache_min_tokens": 1024}


def a_model(**terms):
    return Model("m", 1.0, 2.0, 2000.0, batch_sizes=(1, 4), **terms)


def a_problem(models, queries=8, groups=None, seed=0):
    rng = np.random.default_rng(seed)
    states = sum(len(model.batch_sizes) for model in models)
    utility = rng.random((queries, states))
    return Problem(models, rng.integers(20, 200, queries), np.full(queries, 10.0), utility=utility, groups=groups)


@pytest.mark.parametrize(
    ("terms", "call", "write"),
    [
        ({}, 2000e-6, 0.0),
        ({"call_fee": 0.01}, 0.012, 0.0),
        (CACHED, 200e-6, 2300e-6),
        ({"cache_read": 0.1}, 200e-6, 1800e-6),
        ({"cache_read": 0.1, "cache_min_tokens": 4096}, 2000e-6, 0.0),
        ({"cache_read": 0.1, "cache_write": 0.1}, 200e-6, 0.0),
        ({"batch": 0.5}, 2000e-6, 0.0),
        ({"batch": 0.5, "batch_api": True}, 1000e-6, 0.0),
        ({"batch": 0.5, "batch_api": True, **CACHED}, 100e-6, 1150e-6),
        ({"batch": Rates(price_in=0.4), "batch_api": True, **CACHED}, 800e-6, 0.0),
        ({"batch": {"cache_read": 0.2, "cache_write": 0.5}, "batch_api": True}, 400e-6, 600e-6),
    ],
)
def test_a_call_pays_the_prompt_as_it_is_billed(terms, call, write):
    model = a_model(**terms)
    assert model.call_price == pytest.approx(call, rel=1e-12)
    assert model.write_charge == pytest.approx(write, rel=1e-12, abs=1e-18)
    assert Model(**json.loads(json.dumps(model.to_dict()))) == model


def test_fields_that_say_nothing_are_not_written():
    assert list(a_model().to_dict()) == [
        "name", "price_in", "price_out", "shared_tokens", "context_window", "batch_sizes",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"call_fee": -1}, "call_fee of model 'm' is -1"),
        ({"cache_read": "x"}, "cache_read of model 'm' is 'x'"),
        ({"cache_write": 1.0}, "cache_write of model 'm' is 1: cache_read"),
        ({"cache_read": 0.5, "cache_write": 0.1}, "cache_read of model 'm' is 0.5, above the 0.1"),
        ({"cache_min_tokens": 1.5}, "cache_min_tokens of model 'm' is 1.5"),
        ({"cache_share": 1.5}, "cache_share of model 'm' is 1.5"),
        ({"batch": 2.0}, "batch of model 'm' is 2.0: a factor from 0 to 1"),
        ({"batch": "half"}, "batch of model 'm' is 'half': a factor from 0 to 1"),
        ({"batch": {"half": 1}}, "batch of model 'm' has a field 'half'"),
        ({"batch": Rates(price_in=-1.0)}, "price_in in batch of model 'm' is -1"),
        ({"batch_api": True}, "batch_api of model 'm' is True: batch"),
        ({"batch_api": 1, "batch": 0.5}, "batch_api of model 'm' is 1"),
        ({"tiers": 5}, "tiers of model 'm' is 5"),
        ({"tiers": [5]}, "tiers of model 'm' holds 5"),
        ({"tiers": [{"rates": {}}]}, "tiers of model 'm' holds {'rates': {}}"),
        ({"tiers": [{"above": 0}]}, "above in tiers of model 'm' is 0"),
        ({"tiers": [{"above": 9}, {"above": 9}]}, "above in tiers of model 'm' is 9 after 9"),
        ({"tiers": [{"above": 9, "rates": {"price_in": -1}}]}, "price_in in rates in tiers of model 'm' is -1"),
        (
            {"tiers": [{"above": 9, "rates": {"cache_read": 9}}], "cache_read": 0.1},
            "cache_read of model 'm' is 9, above",
        ),
    ],
)
def test_terms_that_are_not_allowed_are_named(terms, message):
    with pytest.raises(InputError) as error:
        a_model(**terms)
    assert message in str(error.value)


def test_an_amortized_query_pays_its_part_of_the_writes_that_are_expected():
    problem = a_problem([a_model(**CACHED, cache_share=0.75)], queries=1)
    own = (problem.input_tokens[0, 0] * 1.0 + 10 * 2.0) * 1e-6
    assert problem.amortized_costs()[0] == pytest.approx([own + 775e-6, own + 775e-6 / 4], rel=1e-12)
    assert problem.amortized_cost([1]) == pytest.approx(own + 775e-6 / 4, rel=1e-12)


def test_each_group_writes_a_model_once_in_all_its_batch_sizes():
    problem = a_problem([a_model(**CACHED), a_model(**CACHED).replace(name="n")], groups=list("aaaabbbb"))
    bill = problem.evaluate([0, 1, 1, 1, 0, 0, 2, 3])
    calls = 7 * 200e-6  # one of each batch size in each group, and two alone
    assert problem.writes(bill.calls).tolist() == [[1, 0], [1, 1]]
    own = float((problem.input_tokens * 1.0 + 20).sum()) * 1e-6
    assert bill.realized_cost == pytest.approx(own + calls - 200e-6 + 3 * 2300e-6, rel=1e-12)


def test_the_bill_is_the_invoice_of_a_provider_that_sees_every_call():
    for seed in range(40):
        problem = without_tiers(drawn(np.random.default_rng([99, seed])))
        states = np.random.default_rng(seed).integers(0, problem.n_states, problem.n_queries)
        plan = solve(problem, 1e6, "cheapest", cost="amortized")
        mine = type(plan)(**{**vars_of(plan), "assignment": states})
        bill = problem.realized_cost(states)
        assert abs(float(invoice(problem, mine)) - bill) <= 1e-12 * bill


def without_tiers(problem):
    return problem.replace(models=[model.replace(tiers=()) for model in problem.models])


def vars_of(plan):
    return {name: getattr(plan, name) for name in plan.__dataclass_fields__}


def test_the_provider_of_these_tests_bills_an_example_by_hand():
    provider = Provider()
    for inputs in ([100.0] * 4, [50.0]):
        provider.call(a_model(**CACHED, call_fee=0.001), "g", inputs, [10.0] * len(inputs))
    by_hand = 2000 * 1.25 + 2000 * 0.1 + 450 * 1.0 + 50 * 2.0
    assert provider.invoice == Fraction(by_hand) / 10**6 + 2 * Fraction(1, 1000)


@pytest.mark.parametrize("chunk", range(4))
def test_solvers_agree_with_every_assignment(chunk):
    names = [("greedy", "exact"), ("exact", "highs"), ("cpsat", "exact"), ("scip", "cbc")][chunk]
    assert [fault for seed in range(10 * chunk, 10 * chunk + 10) for fault in checked(seed, names)] == []


@pytest.mark.parametrize("solver", ["greedy", "exact", "highs", "pareto", "router-only", "tradeoff", "destroy-rebuild"])
def test_a_plan_of_any_solver_pays_for_its_writes(solver):
    models = [a_model(**CACHED), a_model(**CACHED, batch=0.5, batch_api=True).replace(name="n")]
    problem = a_problem(models, queries=60, groups=np.arange(60) % 3)
    budget = problem.budget_at(0.5) + 6 * 2300e-6
    plan = solve(problem, budget, solver)
    verify(problem, plan)
    assert plan.realized_cost is not None
    assert plan.realized_cost <= budget
    assert float(invoice(problem, plan)) == pytest.approx(plan.realized_cost, rel=1e-12)


@pytest.mark.parametrize("constraint", ["max_cost", "group_budget", "max_queries"])
def test_limits_of_usd_count_writes(constraint):
    for seed in range(8):
        problem = a_problem([a_model(**CACHED), Model("n", 0.5, 1.0, 0.0, batch_sizes=(1, 2))], 4, list("aabb"), seed)
        limits = {"max_cost": {"m": 0.0029}, "group_budget": {"a": 0.003, "b": 0.0028}, "max_queries": {"m": 1}}
        problem = problem.replace(constraints=Constraints(**{constraint: limits[constraint]}))
        plans = [solve(problem, 0.02, solver) for solver in ("brute-force", "highs", "greedy")]
        for plan in plans:
            verify(problem, plan)
        assert plans[1].utility == pytest.approx(plans[0].utility, rel=1e-9)
        assert plans[2].utility is None or plans[2].utility <= plans[0].utility * (1 + 1e-9)


@pytest.mark.parametrize("solver", ["greedy", "exact", "highs", "auto"])
def test_the_least_cost_counts_writes(solver):
    for seed in range(6):
        problem = drawn(np.random.default_rng([7, seed]))
        problem = problem.replace(conflicts=None).take(np.arange(min(problem.n_queries, 3)))
        every = [np.array(states) for states in itertools.product(range(problem.n_states), repeat=problem.n_queries)]
        target = 0.6 * problem.total_utility(problem.best_assignment)
        least = min(problem.realized_cost(one) for one in every if problem.total_utility(one) >= target)
        found = cheapest(problem, utility=target, solver=solver)
        assert found.cost is not None
        assert found.bound is not None
        assert found.bound <= least * (1 + 1e-9) <= found.cost * (1 + 2e-9)
        if solver != "greedy":
            assert found.cost == pytest.approx(least, rel=1e-9)


def test_the_frontier_as_billed_counts_writes():
    for seed in range(3):
        problem = without_tiers(drawn(np.random.default_rng([8, seed])).replace(conflicts=None))
        curve = frontier(problem)
        for budget in curve.budgets[[0, len(curve.budgets) // 2, -1]]:
            best = solve(problem, float(budget), "brute-force")
            if best.utility is None:
                continue
            assert curve.bound(budget) >= best.utility * (1 - 1e-9)
            assert not curve.utility(budget) > best.utility * (1 + 1e-9)
            plan = curve.plan(float(budget))
            assert plan.utility == pytest.approx(best.utility, rel=1e-6)


LONG = PriceTier(2300, Rates(price_in=2.0, price_out=3.0))


def a_tiered_problem():
    """Return a problem of one model whose calls of 2 cross a threshold with queries of more than 150 tokens."""
    model = Model("m", 1.0, 2.0, 2000.0, batch_sizes=(1, 2), tiers=(LONG,))
    return Problem([model], [100, 150, 151, 400], [10] * 4, utility=[[0.5, 0.5]] * 4)


def test_all_tokens_of_a_call_above_a_threshold_cost_more():
    problem = a_tiered_problem()
    one = [2000 + t + 20 for t in (100, 150, 151)] + [4000 + 800 + 30]  # alone, the last one is too long by itself
    two = [1000 + t + 20 for t in (100, 150)] + [2000 + 2 * t + 30 for t in (151, 400)]
    assert problem.amortized_costs() == pytest.approx(np.array([one, two]).T * 1e-6, rel=1e-12)
    full = 2000 + 250 + 40 + 2 * (2000 + 551) + 60
    assert problem.realized_cost([1, 1, 1, 1]) == pytest.approx(full * 1e-6, rel=1e-12)
    assert problem.call_counts([1, 1, 1, 1]).tolist() == [[0, 2]]
    assert problem.call_counts([1, 1, 1, 0]).tolist() == [[1, 2]]


def test_queries_of_different_tiers_share_no_call(tmp_path):
    problem = a_tiered_problem().replace(utility=[[0.5, 0.6]] * 4)
    plan = solve(problem, 0.02)
    verify(problem, plan)
    assert [sorted(call.queries.tolist()) for call in plan.calls()] == [[0, 1], [2, 3]]
    assert float(invoice(problem, plan)) == pytest.approx(plan.realized_cost, rel=1e-12)
    plan.write(tmp_path / "plan.parquet")
    assert [call.queries.tolist() for call in Plan.read(tmp_path / "plan.parquet").calls()] == [[0, 1], [2, 3]]


def test_thresholds_that_no_call_reaches_change_nothing():
    plain = a_problem([a_model(**CACHED), a_model().replace(name="n")], queries=12)
    tiered = plain.replace(models=[model.replace(tiers=[PriceTier(10**6, Rates(9.0, 9.0))]) for model in plain.models])
    for cost in ("amortized", "realized"):
        one, other = (solve(problem, plain.budget_at(0.6) + 0.005, cost=cost) for problem in (plain, tiered))
        assert one.assignment is not None
        assert other.assignment is not None
        assert one.assignment.tolist() == other.assignment.tolist()
        assert one.realized_cost == other.realized_cost
        verify(tiered, other)
    assert tiered.tiers is None
    assert frontier(tiered).gap < 0.1


@pytest.mark.parametrize("cost", ["amortized", "realized"])
def test_the_least_cost_counts_tiers(cost):
    for seed in (3, 4):
        problem = drawn(np.random.default_rng([9, seed])).replace(conflicts=None).take([0])
        states = range(problem.n_states)
        target = 0.9 * problem.total_utility(problem.best_assignment)
        least = min(problem.cost([s], cost) for s in states if problem.total_utility([s]) >= target)
        assert cheapest(problem, utility=target, cost=cost, solver="exact").cost == pytest.approx(least, rel=1e-9)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"max_calls": {"m": 3}}, "max_calls of 'm' cannot be kept"),
        ({"max_queries": {"m": 3}}, "max_queries of 'm' cannot be kept"),
        ({"max_cost": {"m": 3}}, "max_cost cannot be kept where calls are billed in tiers"),
        ({"group_budget": {"a": 3}}, "group_budget cannot be kept where calls are billed in tiers"),
    ],
)
def test_limits_that_tiers_break_are_refused(limits, message):
    problem = a_tiered_problem().replace(groups=list("aabb"), constraints=Constraints(**limits))
    with pytest.raises(InputError, match=message):
        solve(problem, 0.02)


def test_what_cannot_count_tiers_says_so(tmp_path):
    problem = a_tiered_problem()
    plan = solve(problem, 0.02, cost="amortized")
    for ask in (
        lambda: frontier(problem),
        lambda: frontier(problem, cost="amortized"),
        lambda: sensitivity(problem, plan),
        lambda: export(problem, 0.02, tmp_path / "m.mps"),
        lambda: problem.query_costs(),
    ):
        with pytest.raises(InputError, match="tiers"):
            ask()


def test_a_problem_file_keeps_the_terms(tmp_path):
    own = a_model(**CACHED, call_fee=0.01, cache_share=0.5, batch=Rates(0.5, 1.0, 0.05), batch_api=True, tiers=[LONG])
    problem = a_problem([own, a_model(batch=0.5).replace(name="n")])
    problem.write(tmp_path / "p.parquet")
    assert read(tmp_path / "p.parquet") == problem
    assert read(tmp_path / "p.parquet").models == problem.models


def test_what_queries_cost_adds_up_to_the_bill():
    problem = a_tiered_problem()
    problem = problem.replace(models=[problem.models[0].replace(cache_read=0.1)], groups=list("aabb"))
    plan = solve(problem, 0.02)
    frame = plan.to_frame(problem=problem)
    assert frame["realized_cost"].sum() == pytest.approx(plan.realized_cost, rel=1e-12)
    assert frame["amortized_cost"].sum() == pytest.approx(plan.amortized_cost, rel=1e-12)


def test_a_router_refuses_what_it_cannot_count():
    for terms, name in ((CACHED, "cache_write"), ({"tiers": [LONG]}, "tiers")):
        with pytest.raises(InputError, match=f"the router cannot count {name} of model 'm'"):
            OnlineRouter([a_model(**terms)], shadow_price=1.0)
    OnlineRouter([a_model(call_fee=0.1, batch=0.5, batch_api=True)], shadow_price=1.0)


def test_many_writes_are_bounded_by_what_groups_would_choose():
    models = [a_model(**CACHED).replace(name=name, price_in=price) for name, price in (("a", 0.2), ("b", 1.0))]
    problem = a_problem(models, queries=200, groups=np.arange(200) % 10)
    plan = solve(problem, problem.budget_at(0.4) + 0.02)
    verify(problem, plan)
    assert plan.gap is not None
    assert plan.gap < 0.01
    best = solve(problem, plan.budget, "highs")
    assert best.status == "optimal"
    assert 0.995 * best.utility <= plan.utility <= best.utility * (1 + 1e-9) <= plan.bound * (1 + 2e-9)


@pytest.mark.parametrize(
    ("terms", "tokens"),
    [
        ({"shared_tokens": 900.0, **CACHED}, 124),
        ({"shared_tokens": 102.0, **CACHED}, 0),
        ({"shared_tokens": 1024.0, **CACHED}, 0),
        ({"shared_tokens": 0.0, **CACHED}, 0),
        ({"shared_tokens": 900.0}, 0),
    ],
)
def test_a_prompt_that_is_cheaper_when_longer_is_told(terms, tokens):
    model = Model("m", 1.0, 2.0, **terms)
    assert model.padding == tokens
    longer = model.replace(shared_tokens=model.shared_tokens + tokens)
    assert longer.call_price < model.call_price or tokens == 0
