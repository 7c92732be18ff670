"""Online decisions: the argmax, the budget, waiting, groups, pacing, and saving."""

from __future__ import annotations

import json
import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robatch.instances import InputError, Model, Problem, generate
from robatch.proxies.online.pacing import sample_price
from robatch.proxies.online.router import OnlineRouter
from robatch.solvers import solve

FAMILIES = ("realistic", "uncorrelated", "weakly-correlated", "ties", "adversarial")


def stream(router, problem, order, gap=0.0, groups=None):
    """Send a problem's queries; return states by query (-1 refused) and all calls."""
    utilities = problem.utilities().astype(np.float64)
    states, calls = np.full(problem.n_queries, -1), []
    for position, i in enumerate(order):
        now = position * gap
        state = router.add(
            int(i), now, utilities=utilities[i], input_tokens=problem.input_tokens[i],
            output_tokens=problem.output_tokens[i], group=None if groups is None else groups[i],
        )  # fmt: skip
        states[i] = -1 if state is None else state
        calls += router.due(now)
    return states, calls + router.flush()


def bill(problem, calls):
    """Recount the bill of calls exactly, from prices and tokens alone."""
    models, total = {model.name: (k, model) for k, model in enumerate(problem.models)}, Fraction(0)
    for call in calls:
        k, model = models[call.state.model]
        inputs = Fraction(model.shared_tokens)
        outputs = Fraction(0)
        for i in call.queries:
            inputs += Fraction(float(problem.input_tokens[i, k if problem.input_tokens.shape[1] > 1 else 0]))
            outputs += Fraction(float(problem.output_tokens[i, k if problem.output_tokens.shape[1] > 1 else 0]))
        total += (Fraction(model.price_in) * inputs + Fraction(model.price_out) * outputs) / 10**6
    return total


def worth(problem, states):
    taken = states >= 0
    return float(problem.utilities()[taken, states[taken]].sum())


@pytest.mark.parametrize("family", FAMILIES)
def test_decisions_are_the_argmax_among_allowed_states(family):
    problem = generate(family, 60, seed=1)
    models = [model.replace(context_window=int(model.shared_tokens) + 6000) for model in problem.models]
    problem = problem.replace(models=models)
    price = solve(problem, problem.budget_at(0.4), "exact", cost="amortized").shadow_price
    router = OnlineRouter(models, price)
    score = problem.utilities() - price * problem.amortized_costs()
    score[~problem.allowed()] = -np.inf
    chosen = [
        router.decide(problem.utilities()[i], problem.input_tokens[i], problem.output_tokens[i]) for i in range(60)
    ]
    assert score[np.arange(60), chosen] == pytest.approx(score.max(axis=1), abs=1e-12)
    block = router.decide_many(problem.utilities(), problem.input_tokens, problem.output_tokens)
    assert block.tolist() == chosen
    assert router.spent == 0.0
    assert router.count == 0


def test_the_offline_price_gives_the_offline_optimum_up_to_one_query():
    for seed in range(5):
        problem = generate("uncorrelated", 300, seed=seed)
        best = solve(problem, problem.budget_at(0.4), "exact", cost="amortized")
        router = OnlineRouter(problem.models, best.shadow_price)
        states, _ = stream(router, problem, np.random.default_rng(seed).permutation(300))
        spent = problem.amortized_cost(states)
        same = solve(problem, spent * (1 + 1e-9), "exact", cost="amortized")
        assert worth(problem, states) >= same.utility - 1e-6
        assert abs(spent - best.budget) <= 2 * np.ptp(problem.amortized_costs(), axis=1).max()


@settings(max_examples=60, deadline=None)
@given(
    family=st.sampled_from(FAMILIES),
    seed=st.integers(0, 10**6),
    fraction=st.floats(0.0, 1.0),
    part=st.sampled_from([0.3, 1.0]),
    order=st.sampled_from(["random", "cheap first", "dear first"]),
    wait=st.sampled_from([0.0, 2.0, math.inf]),
    pacing=st.sampled_from(["none", "queries", "seconds"]),
    learn=st.booleans(),
)
def test_no_budget_is_exceeded_and_calls_hold_what_was_taken(family, seed, fraction, part, order, wait, pacing, learn):
    problem = generate(family, 80, models=3, batch_sizes=(1, 2, 5), seed=seed)
    if seed % 2:
        longest = int((problem.input_tokens + problem.output_tokens).max())
        pool = [m.replace(context_window=int(m.shared_tokens) + 2 * longest + 1) for m in problem.models]
        problem = problem.replace(models=pool)
    rng = np.random.default_rng(seed)
    budget = part * problem.budget_at(fraction)
    cheap = problem.amortized_costs().min(axis=1)
    rows = {"random": rng.permutation(80), "cheap first": np.argsort(cheap), "dear first": np.argsort(-cheap)}[order]
    groups = rng.integers(0, 3, 80)
    router = OnlineRouter(
        problem.models, 1.0 if pacing == "none" else None, budget=budget, max_wait=wait, learn_fill=learn,
        horizon=None if pacing == "none" else 80, unit="seconds" if pacing == "seconds" else "queries",
    )  # fmt: skip
    states, calls = stream(router, problem, rows, gap=1.0, groups=groups)
    total = bill(problem, calls)
    assert total <= Fraction(budget)
    assert router.spent == pytest.approx(float(total), rel=1e-12)
    assert sorted(i for call in calls for i in call.queries) == np.flatnonzero(states >= 0).tolist()
    assert router.refused == int((states < 0).sum())
    tokens = problem.input_tokens + problem.output_tokens
    for call in calls:
        model = next(m for m in problem.models if m.name == call.state.model)
        k = problem.models.index(model) if tokens.shape[1] > 1 else 0
        assert len(call.queries) <= call.state.batch_size
        assert len({groups[i] for i in call.queries}) == 1
        assert (states[call.queries] == call.column).all()
        if model.context_window is not None:
            assert model.shared_tokens + tokens[call.queries, k].sum() <= model.context_window


ONE = [Model("one", 1.0, 1.0, 1000.0, batch_sizes=(4,))]


def take(router, query, now, group=None):
    return router.add(query, now, utilities=[0.5], input_tokens=10.0, output_tokens=1.0, group=group)


def test_a_call_is_due_when_full_or_when_its_first_query_has_waited():
    router = OnlineRouter(ONE, 0.0, max_wait=5.0)
    assert router.next_due() is None
    take(router, "a", 0.0)
    take(router, "b", 3.0)
    assert router.due(4.99) == []
    assert router.next_due() == 5.0
    take(router, "c", 5.0)  # too late for the call of a and b, though nobody asked in between
    (call,) = router.due(5.0)
    assert (call.queries, call.opened, router.open_calls) == (["a", "b"], 0.0, 1)
    for query in "def":
        take(router, query, 6.0)
    (call,) = router.due(6.0)
    assert call.queries == ["c", "d", "e", "f"]
    assert router.flush() == []
    assert router.spent == pytest.approx(2 * 1000e-6 + 6 * 11e-6, rel=1e-12)


def test_groups_never_share_a_call_and_flush_hands_out_the_rest():
    router = OnlineRouter(ONE, 0.0)
    for number in range(10):
        take(router, number, 0.0, group="even" if number % 2 == 0 else "odd")
    calls = router.due(0.0) + router.flush()
    assert sorted(call.queries for call in calls) == [[0, 2, 4, 6], [1, 3, 5, 7], [8], [9]]
    assert router.open_calls == 0


def test_an_open_call_is_cheaper_and_a_refused_query_bills_nothing():
    budget = 1.05e-3  # one shared prompt and some queries
    router = OnlineRouter(ONE, 0.0, budget=budget)
    taken = [take(router, number, 0.0) for number in range(6)]
    assert taken == [0, 0, 0, 0, None, None]
    assert router.refused == 2
    assert router.spent == pytest.approx(1000e-6 + 4 * 11e-6, rel=1e-12)
    assert router.decide([0.5], 10.0, 1.0) is None
    assert router.decide_many([[0.5]] * 2, [10.0] * 2, [1.0] * 2).tolist() == [-1, -1]


def test_a_decision_at_a_time_does_not_join_a_call_that_is_due_by_then():
    router = OnlineRouter(ONE, 0.0, budget=1.05e-3, max_wait=5.0)
    take(router, "a", 0.0)
    assert router.decide([0.5], 10.0, 1.0) == 0
    assert router.decide([0.5], 10.0, 1.0, now=4.9) == 0
    assert router.decide([0.5], 10.0, 1.0, now=5.0) is None
    assert router.open_calls == 1  # nothing was changed
    with pytest.raises(InputError, match="not before"):
        router.decide([0.5], 10.0, 1.0, now=-1.0)
    assert take(router, "b", 5.0) is None


@pytest.mark.parametrize("settings", [{"horizon": 10}, {"shadow_price": 3.0}, {"shadow_price": 3.0, "horizon": 10}])
def test_a_budget_of_zero_takes_what_is_free(settings):
    free, dear = (Model(name, price, price, 100, batch_sizes=(1,)) for name, price in (("free", 0), ("dear", 1)))
    router = OnlineRouter([free, dear], budget=0.0, **settings)
    for number in range(3):
        taken = {"utilities": [0.2, 0.9], "input_tokens": [9, 9], "output_tokens": [1, 1]}
        assert router.add(number, float(number), **taken) == 0
    assert router.spent == 0.0
    alone = OnlineRouter([dear], budget=0.0, **settings)
    assert alone.add("a", 0.0, utilities=[0.9], input_tokens=[9], output_tokens=[1]) is None


def test_settled_bills_are_what_counts():
    router = OnlineRouter(ONE, 0.0, budget=3e-3)
    for number in range(4):
        take(router, number, 0.0)
    (call,) = router.due(0.0)
    router.settle(call, 2.9e-3)
    assert router.spent == pytest.approx(2.9e-3, rel=1e-12)
    assert take(router, 5, 0.0) is None
    with pytest.raises(InputError, match="settled before"):
        router.settle(call, 1e-3)


def test_outputs_are_billed_at_their_limit_until_settled():
    rng = np.random.default_rng(0)
    router = OnlineRouter(ONE, 0.0, budget=10e-3)
    taken = 0
    for number in range(2000):
        state = router.add(number, 0.0, utilities=[0.5], input_tokens=10.0, output_tokens=20.0, output_limit=200.0)
        taken += state is not None
        for call in router.due(0.0):
            tokens = np.minimum(rng.lognormal(2.5, 1.0, len(call.queries)), 200.0).sum()
            router.settle(call, 1e-6 * (1000 + 10 * len(call.queries) + tokens))
    assert router.spent <= 10e-3
    assert taken > 24  # calls are of 4; at the limit there would be 20
    alone = OnlineRouter(ONE, 0.0, budget=1.15e-3)
    assert alone.add(0, 0.0, utilities=[0.5], input_tokens=10.0, output_tokens=20.0, output_limit=200.0) is None


def test_only_calls_of_the_router_are_settled():
    one, other = OnlineRouter(ONE, 0.0), OnlineRouter(ONE, 0.0)
    take(one, 0, 0.0)
    (call,) = one.flush()
    with pytest.raises(InputError, match="not one that this router"):
        other.settle(call, 0.0)
    assert other.spent == 0.0


@pytest.mark.parametrize("groups", [300, 1500])
def test_many_groups_are_not_reckoned_with_full_calls(groups):
    n = 3000
    problem = generate("realistic", n, seed=5)
    budget = problem.budget_at(0.3)
    best = solve(problem, budget, "greedy", cost="amortized").utility
    rng = np.random.default_rng(0)
    router = OnlineRouter(problem.models, budget=budget, horizon=n)
    states, _ = stream(router, problem, rng.permutation(n), groups=rng.integers(0, groups, n))
    assert worth(problem, states) >= 0.78 * best
    assert router.refused <= 0.02 * n


def test_a_query_without_a_choice_tells_no_price():
    problem = generate("realistic", 200, seed=5)
    router = OnlineRouter(problem.models, budget=problem.budget_at(0.3), horizon=201, max_wait=np.float32(5))
    tokens = {"input_tokens": problem.input_tokens[0], "output_tokens": problem.output_tokens[0]}
    router.add("flat", 0.0, utilities=np.full(len(router.states), 0.5), **tokens)
    assert router.price is None
    stream(router, problem, range(200))
    assert router.price > 0.01


def test_regret_a_query_falls_as_the_horizon_grows():
    regret = []
    for n in (100, 1000, 8000):
        lost = []
        for seed in range(4):
            problem = generate("realistic", n, seed=seed)
            budget = problem.budget_at(0.3)
            best = solve(problem, budget, "greedy", cost="amortized").bound
            router = OnlineRouter(problem.models, budget=budget, horizon=n)
            states, _ = stream(router, problem, np.random.default_rng(seed).permutation(n))
            lost.append((best - worth(problem, states)) / n)
        regret.append(np.mean(lost))
    assert regret[1] < 0.5 * regret[0]
    assert regret[2] < 0.5 * regret[1]


def test_pacing_mends_a_price_that_is_far_off_and_spends_the_budget():
    n = 3000
    problem = generate("realistic", n, seed=2)
    budget = problem.budget_at(0.3)
    best = solve(problem, budget, "greedy", cost="amortized")
    rows = np.random.default_rng(0).permutation(n)
    for factor in (0.05, 20.0):
        router = OnlineRouter(problem.models, factor * best.shadow_price, budget=budget, horizon=n)
        states, _ = stream(router, problem, rows)
        assert worth(problem, states) >= 0.97 * best.utility
        assert 0.97 * budget <= router.spent <= budget


def test_empty_seats_raise_the_price():
    for seed in range(3):
        problem = generate("realistic", 400, seed=seed)
        budget, rows = 2 * problem.budget_at(0.5), np.arange(400)
        kept = OnlineRouter(problem.models, budget=budget, horizon=400)
        rushed = OnlineRouter(problem.models, budget=budget, horizon=400, max_wait=0.5)
        for router in (kept, rushed):
            stream(router, problem, rows, gap=1.0)
        assert rushed.price > 1.2 * kept.price


def test_learning_how_full_calls_become_helps_where_they_do_not_wait():
    n = 3000
    problem = generate("realistic", n, seed=5)
    made = []
    for learn in (False, True):
        router = OnlineRouter(problem.models, budget=problem.budget_at(0.3), horizon=n, max_wait=1.0, learn_fill=learn)
        states, _ = stream(router, problem, np.random.default_rng(0).permutation(n), gap=0.1)
        made.append(worth(problem, states))
    assert made[1] > 1.01 * made[0]


def test_a_horizon_in_seconds_paces_like_one_in_queries():
    n = 2000
    problem = generate("realistic", n, seed=4)
    budget = problem.budget_at(0.3)
    best = solve(problem, budget, "greedy", cost="amortized").utility
    router = OnlineRouter(problem.models, budget=budget, horizon=n * 0.5, unit="seconds")
    states, _ = stream(router, problem, np.random.default_rng(0).permutation(n), gap=0.5)
    assert worth(problem, states) >= 0.98 * best
    assert router.spent >= 0.98 * budget


@pytest.mark.parametrize("burst", [0, 2, 100])
def test_queries_that_come_close_together_do_not_starve_the_rest(burst):
    n = 3000
    problem = generate("realistic", n, seed=4)
    budget = problem.budget_at(0.3)
    best = solve(problem, budget, "greedy", cost="amortized").utility
    rng = np.random.default_rng(1)
    times = np.concatenate([np.arange(burst) * 1e-6, 1e-3 + np.cumsum(rng.exponential(1.0, n - burst))])
    router = OnlineRouter(problem.models, budget=budget, horizon=float(times[-1]), unit="seconds")
    utilities, total = problem.utilities(), 0.0
    for i, now in zip(rng.permutation(n), times, strict=True):
        state = router.add(
            int(i), float(now), utilities=utilities[i], input_tokens=problem.input_tokens[i],
            output_tokens=problem.output_tokens[i],
        )  # fmt: skip
        total += 0.0 if state is None else utilities[i, state]
    assert total >= 0.96 * best
    assert router.spent >= 0.95 * budget


def test_the_price_of_a_sample_is_near_that_of_the_stream():
    problem = generate("realistic", 4000, seed=6)
    budget = problem.budget_at(0.3)
    rows = np.random.default_rng(0).choice(4000, 1000, replace=False)
    price = solve(problem, budget, "greedy", cost="amortized").shadow_price
    assert sample_price(problem.take(rows), budget / 4000) == pytest.approx(price, rel=0.3)
    assert sample_price(problem, 1e-12) > price
    assert sample_price(problem, 2 * problem.dearest_budget / 4000) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("unit", ["queries", "seconds"])
def test_a_restored_router_goes_on_as_if_never_stopped(unit):
    problem = generate("realistic", 200, seed=7)
    budget = problem.budget_at(0.3)

    def new():
        return OnlineRouter(problem.models, budget=budget, horizon=200, unit=unit, max_wait=0.0, learn_fill=True)

    def part(router, rows):
        utilities = problem.utilities()
        chosen = [
            router.add(i, float(i), utilities=utilities[i], input_tokens=problem.input_tokens[i],
                       output_tokens=problem.output_tokens[i])
            for i in rows
        ]  # fmt: skip
        router.flush()
        return chosen

    whole, first, second = new(), new(), new()
    part(whole, range(100))
    part(first, range(100))
    second.restore(json.loads(json.dumps(first.state())))
    assert part(second, range(100, 200)) == part(whole, range(100, 200))
    assert second.price == pytest.approx(whole.price, rel=1e-9)
    assert second.spent == pytest.approx(whole.spent, rel=1e-12)
    with pytest.raises(InputError, match="only a new one"):
        second.restore(first.state())
    for wrong in (
        {"kind": "other"},
        {"spent": -1.0},
        {"states": []},
        {"count": 1.5},
        {"fill": [0]},
        {"pacing": 3},
        {"opened": None},
        {"unsettled": None},
        {"unsettled": [[0, 1.0]]},
        {"unsettled": [[10**6, 1.0, 1.0]]},
        {"unsettled": [[0, 1.0, 2.0]]},
        {"unsettled": [[0, 1.0, 1.0]] * 2},
        {"format": 1},
    ):
        with pytest.raises(InputError):
            new().restore({**first.state(), **wrong})


def test_calls_in_flight_are_settled_by_their_ids_after_a_restart():
    pool = [Model("a", 1.0, 2.0, 100, 4096, (1, 4)), Model("b", 5.0, 10.0, 100, 4096, (1, 4))]
    tokens = {"utilities": [0.5, 0.4, 0.9, 0.8], "input_tokens": 10, "output_tokens": 5}

    def new():
        return OnlineRouter(pool, budget=0.01, horizon=100)

    def go(router, since):
        return [router.add(i, float(i), **tokens, output_limit=5) for i in range(since, 30)], router.price

    whole = new()
    for i in range(8):
        whole.add(i, float(i), **tokens, output_limit=500)
    calls = whole.flush()
    saved = json.loads(json.dumps(whole.state()))
    again, forgotten = new(), new()
    again.restore(saved)
    forgotten.restore(saved)
    assert again.state() == whole.state()
    assert again.spent > 10 * sum(call.expected for call in calls)
    with pytest.raises(InputError, match="after restore give its id"):
        again.settle(calls[0], 0.0)
    for call in calls:
        again.settle(call.id, call.expected)
        whole.settle(call, call.expected)
        with pytest.raises(InputError, match=f"call {call.id} was settled before"):
            again.settle(call.id, call.expected)
    assert again.spent == pytest.approx(whole.spent, rel=1e-9)
    went = go(again, 8)
    assert went[0] == go(whole, 8)[0]
    assert went[1] == pytest.approx(whole.price, rel=1e-9)
    assert again.refused == saved["refused"]
    go(forgotten, 8)
    assert forgotten.refused > saved["refused"] + 10  # the limit of a call that is never settled stays held


def test_only_known_closed_calls_are_settled_by_id():
    router = OnlineRouter(ONE, 0.0)
    take(router, "a", 0.0)
    for wrong, message in ((7, "call is 7: there is no such call"), (0, "call 0 is open"), (-1, "call is -1"),
                           ("0", "call is '0'"), (True, "call is True")):  # fmt: skip
        with pytest.raises(InputError, match=message):
            router.settle(wrong, 0.0)
    (call,) = router.flush()
    router.settle(call.id, 2e-3)
    assert router.spent == pytest.approx(2e-3, rel=1e-12)
    with pytest.raises(InputError, match="settled before"):
        router.settle(call, 2e-3)
    again = OnlineRouter(ONE, 0.0)
    again.restore(router.state())
    with pytest.raises(InputError, match="call 0 was settled before"):
        again.settle(0, 1.0)
    take(again, "b", 1.0)
    assert [call.id for call in again.flush()] == [1]


def test_a_call_that_was_open_when_saved_is_settled_once_it_was_answered():
    router, again = OnlineRouter(ONE, 0.0), OnlineRouter(ONE, 0.0)
    take(router, "a", 0.0)
    again.restore(router.state())
    take(router, "b", 0.0)
    (call,) = router.flush()
    again.settle(call.id, 1022e-6)
    assert again.spent == pytest.approx(1022e-6, rel=1e-12)


class StandIn:
    """A proxy that knows two models and reads the utility of the dear one from the text."""

    def pool(self):
        return [Model("cheap", 1.0, 1.0, batch_sizes=(1,)), Model("dear", 10.0, 10.0, batch_sizes=(1,))]

    def to_problem(self, queries):
        utility = [[0.5, 0.9 if "hard" in query.text else 0.5] for query in queries]
        n = len(queries)
        return Problem(self.pool(), [100.0] * n, [10.0] * n, utility, query_ids=[query.id for query in queries])


def test_the_proxy_predicts_what_is_not_given():
    from robatch.proxies.tasks.queries import Query

    router = OnlineRouter(StandIn(), 100.0)
    easy, hard = (Query(text, text, "1", "number") for text in ("easy one", "hard one"))
    assert router.states[router.route(hard)].model == "dear"
    assert [router.add(query, 0.0) for query in (easy, hard)] == [0, 1]
    assert [call.queries for call in router.due(0.0)] == [[easy], [hard]]
    with pytest.raises(InputError, match="belong together"):
        router.add(easy, 0.0, utilities=[0.5, 0.5])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "give a shadow price, or a budget"),
        ({"horizon": 10}, "a horizon needs a budget"),
        ({"shadow_price": -1.0}, "shadow_price is -1.0"),
        ({"budget": -1.0, "horizon": 10}, "budget is -1.0"),
        ({"budget": 1.0, "horizon": 0}, "horizon is 0"),
        ({"budget": 1.0, "horizon": 1.5}, "horizon is 1.5"),
        ({"budget": 1.0, "horizon": 5, "unit": "hours"}, "unit is 'hours'"),
        ({"shadow_price": 1.0, "max_wait": math.nan}, "max_wait is nan"),
        ({"shadow_price": 1.0, "window_margin": 1.0}, "window_margin is 1.0"),
    ],
)
def test_wrong_settings_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        OnlineRouter(ONE, **arguments)


def test_wrong_vectors_are_refused_and_nothing_is_billed():
    router = OnlineRouter(ONE, 1.0)
    for vectors in (([0.5, 0.5], 1.0, 1.0), ([1.5], 1.0, 1.0), ([0.5], -1.0, 1.0), ([0.5], 1.0, [1.0, 2.0]),
                    ([0.5], math.nan, 1.0)):  # fmt: skip
        with pytest.raises(InputError):
            router.decide(*vectors)
    assert router.decide([math.nan], 1.0, 1.0) is None
    with pytest.raises(InputError, match="no proxy"):
        router.add("text", 0.0)
    take(router, "a", 1.0)
    with pytest.raises(InputError, match="not before"):
        take(router, "b", 0.5)
    assert (router.count, Counter(len(call.queries) for call in router.flush())) == (1, Counter({1: 1}))


def test_a_text_is_no_query_of_a_proxy() -> None:
    router = OnlineRouter(StandIn(), 1.0)
    with pytest.raises(InputError, match="is the text 'how many'"):
        router.add("how many", 0.0)


def test_a_proxy_without_a_pool_is_refused() -> None:
    class NoPool:
        to_problem = StandIn.to_problem

    with pytest.raises(InputError, match="pool is a NoPool without the method pool"):
        OnlineRouter(NoPool(), 1.0)
