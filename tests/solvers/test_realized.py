"""Greedy under realized cost: bills recomputed as fractions, legal calls, valid bounds, forced paths and edges."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from robatch.instances import FAMILIES, InputError, Model, Problem, generate
from robatch.solvers import solve, verify
from robatch.solvers.bounds import threads, whole_call_dual
from robatch.solvers.bounds.least_bill import cheapest_realized_assignment
from robatch.solvers.bounds.relaxation import Relaxer
from robatch.solvers.greedy import call_tree, first_plans, realized, realized_groups, realized_table
from robatch.solvers.greedy.first_plans import first_plan
from robatch.solvers.greedy.realized_counts import Counts
from robatch.solvers.greedy.realized_table import Table
from robatch.solvers.registry import Request

NAMES = sorted(FAMILIES)
CHUNKS, EACH = 24, 25  # 600 problems
SIZES = ((1, 2), (1, 3), (2, 4), (1, 2, 4, 8), (1, 4, 16, 64), (1, 2, 4, 8, 16, 32))


# ---- random problems


def make(seed: int, most: int, sizes=SIZES) -> tuple[Problem, float]:
    """Return a problem of up to `most` queries, some with every kind of limit, and a budget."""
    rng = np.random.default_rng([2605, seed, most])
    family = NAMES[seed % len(NAMES)]
    n = max(int(rng.integers(1, most + 1)), 2 if family == "adversarial" else 1)
    problem = generate(
        family,
        queries=n,
        models=2 if family == "from-knapsack" else int(rng.integers(2, 4)),
        batch_sizes=sizes[int(rng.integers(len(sizes)))],
        seed=seed,
        dtype="float32" if rng.random() < 0.3 else "float64",
        factored=bool(rng.random() < 0.5) if family == "realistic" else None,
    )
    if not any(model.shared_tokens for model in problem.models) and rng.random() < 0.7:
        problem = problem.replace(
            models=[model.replace(shared_tokens=float(rng.integers(1, 1500))) for model in problem.models]
        )
    if rng.random() < 0.2:  # no prompt, halves of tokens, a free model, a price with many digits
        prompts, prices = rng.choice([0.0, 300.5, 5000.0], problem.n_models), rng.choice([0.0, 0.137, 2.5], 3)
        problem = problem.replace(
            models=[
                model.replace(shared_tokens=float(prompts[k]), price_in=float(prices[k]))
                for k, model in enumerate(problem.models)
            ]
        )
    if rng.random() < 0.4:
        problem = problem.replace(groups=rng.integers(0, int(rng.choice([2, 3, n])), n))
    if rng.random() < 0.3:
        problem = windowed(problem, float(rng.choice([0.0, 0.1, 0.25])), rng)
    if rng.random() < 0.3:
        forbidden = rng.random((n, problem.n_states)) < rng.choice([0.1, 0.5])
        allowed = problem.allowed()
        forbidden[np.arange(n), [rng.choice(np.flatnonzero(row)) for row in allowed]] = False
        problem = problem.replace(forbidden=forbidden)
    if rng.random() < 0.25 and n > 1:
        pairs = rng.integers(0, n, (int(rng.integers(1, n + 1)), 2))
        problem = problem.replace(conflicts=[tuple(pair) for pair in pairs.tolist() if pair[0] != pair[1]] or None)
    return problem, budget_of(problem, rng)


def windowed(problem: Problem, margin: float, rng) -> Problem:
    """Give every model a context window: the first model's takes every query in its smallest batch."""
    tokens = problem.input_tokens.astype(float) + problem.output_tokens
    tokens = np.broadcast_to(tokens, (problem.n_queries, problem.n_models))
    models = []
    for k, model in enumerate(problem.models):
        size = model.batch_sizes[0] if k == 0 else int(rng.choice(model.batch_sizes))
        longest = tokens[:, k].max() if k == 0 else np.quantile(tokens[:, k], rng.random())
        window = math.ceil((model.shared_tokens + size * longest + 1) / (1 - margin))
        models.append(model.replace(context_window=window))
    return problem.replace(models=models, window_margin=margin)


def budget_of(problem: Problem, rng) -> float:
    """Return a budget: a plan's exact bill, an edge of one, or between the cheapest bill and the best plan's."""
    kind = rng.random()
    least = problem.realized_cost(cheapest_realized_assignment(problem))
    most = problem.realized_cost(problem.best_assignment)
    if kind < 0.15:
        states = np.array([rng.choice(np.flatnonzero(row)) for row in problem.allowed()])
        budget = max(problem.realized_cost(states), least)
    elif kind < 0.25:
        budget = least * float(rng.choice([1.0, 1.0 + 1e-12]))
    elif kind < 0.35:
        budget = max(most, least) * float(rng.choice([1.0, 1.0 - 1e-13, 2.0]))
    elif kind < 0.4:
        budget = problem.cheapest_budget + 0.5 * max(least - problem.cheapest_budget, 0.0)
    else:
        budget = least + rng.random() ** 2 * max(most - least, 0.0)
    return max(budget, 1e-12)


# ---- oracles


def tokens_of(problem: Problem, query: int, k: int) -> tuple[float, float]:
    return tuple(
        float(array[query, k if array.shape[1] > 1 else 0]) for array in (problem.input_tokens, problem.output_tokens)
    )


def bill_of(problem: Problem, calls) -> Fraction:
    """Return what calls bill, without any rounding."""
    total = Fraction(0)
    models = {model.name: (k, model) for k, model in enumerate(problem.models)}
    for call in calls:
        k, model = models[call.state.model]
        price_in, price_out = (Fraction(repr(price)) / 10**6 for price in (model.price_in, model.price_out))
        total += price_in * Fraction(model.shared_tokens)
        for query in call.queries.tolist():
            sent, received = tokens_of(problem, query, k)
            total += price_in * Fraction(sent) + price_out * Fraction(received)
    return total


def check_calls(problem: Problem, plan, calls) -> None:
    assert sorted(np.concatenate([call.queries for call in calls]).tolist()) == list(range(problem.n_queries))
    conflicts = set() if problem.conflicts is None else set(map(tuple, problem.conflicts.tolist()))
    models = {model.name: (k, model) for k, model in enumerate(problem.models)}
    for call in calls:
        queries, state = call.queries.tolist(), problem.state_index(*call.state)
        k, model = models[call.state.model]
        assert 1 <= len(queries) <= call.state.batch_size
        assert set(plan.assignment[queries].tolist()) == {state}
        if model.context_window is not None:
            used = model.shared_tokens + sum(sum(tokens_of(problem, query, k)) for query in queries)
            assert used <= (1 - problem.window_margin) * model.context_window * (1 + 1e-12)
        assert problem.groups is None or len(set(problem.groups[queries].tolist())) == 1
        assert problem.forbidden is None or not problem.forbidden[queries, state].any()
        for pair in itertools.combinations(queries, 2):
            assert pair not in conflicts
            assert pair[::-1] not in conflicts


def check(problem: Problem, budget: float, plan) -> None:
    """Check a plan by code that shares nothing with the solvers."""
    if plan.assignment is None:
        assert plan.status in ("infeasible", "no_solution")
        return
    calls = plan.calls()
    check_calls(problem, plan, calls)
    bill = bill_of(problem, calls)
    # a bill is rounded once to the nearest float: what is not above the budget after that is not above it by an ulp
    assert float(bill) <= budget
    assert bill <= Fraction(budget) * (1 + Fraction(1, 10**12))
    assert plan.realized_cost == float(bill)
    worth = problem.utilities().astype(np.float64)[np.arange(problem.n_queries), plan.assignment]
    assert plan.utility == pytest.approx(math.fsum(worth), rel=1e-12, abs=1e-12)
    assert plan.bound is None or plan.bound >= plan.utility
    if plan.status == "optimal":
        assert plan.bound - plan.utility <= 1e-9 * plan.bound


def check_with_optimum(problem: Problem, budget: float, plan) -> None:
    """Compare a plan of a tiny problem, and its bound, with the best plan of all."""
    best = solve(problem, budget, "brute-force", cost="realized")
    if best.utility is None:
        assert plan.utility is None
        assert best.status == "infeasible"
        return
    assert plan.status != "infeasible"
    if plan.bound is not None:
        assert plan.bound >= best.utility * (1 - 1e-12)
    if plan.utility is not None:
        assert plan.utility <= best.utility * (1 + 1e-12)
    if plan.status == "optimal":
        assert plan.utility == pytest.approx(best.utility, rel=1e-9, abs=1e-11)


# ---- 1,200 problems


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_random_problems(chunk):
    for number in range(EACH):
        seed = chunk * EACH + number
        most = 300 if number % 10 == 0 else 40 if number % 10 < 4 else 6
        problem, budget = make(seed, most, SIZES[:3] if most == 6 else SIZES)
        plan = solve(problem, budget, "greedy", cost="realized", seed=seed)
        check(problem, budget, plan)
        if most == 6:
            check_with_optimum(problem, budget, plan)


@st.composite
def drawn(draw):
    """Draw a problem of up to four queries, with prices, tokens and utilities that tie often, and a budget."""
    n, k = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    price = st.sampled_from([0.0, 0.1, 0.3, 1.0, 1e-7, 12345.678])
    prompt = st.sampled_from([0.0, 1.0, 0.5, 100.0, 1e6])
    sizes = st.sampled_from([(1,), (2,), (1, 2), (2, 3), (1, 64)])
    models = [Model(f"m{j}", draw(price), draw(price), draw(prompt), batch_sizes=draw(sizes)) for j in range(k)]
    width = sum(len(model.batch_sizes) for model in models)
    token = st.sampled_from([0.0, 1.0, 7.0, 99.5, 1e6])
    worth = st.sampled_from([0.0, 1e-9, 0.25, 0.5, 0.7, 1.0])
    groups = draw(st.none() | st.lists(st.integers(0, 2), min_size=n, max_size=n))
    problem = Problem(
        models,
        draw(st.lists(token, min_size=n, max_size=n)),
        draw(st.lists(token, min_size=n, max_size=n)),
        utility=np.array(draw(st.lists(worth, min_size=n * width, max_size=n * width))).reshape(n, width),
        groups=groups,
    )
    states = np.array(draw(st.lists(st.integers(0, width - 1), min_size=n, max_size=n)))
    factor = draw(st.sampled_from([1.0, 1.0 - 2**-53, 1.0 + 2**-52, 0.9, 1.1, 3.0]))
    return problem, max(problem.realized_cost(states) * factor, 1e-15)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(drawn())
def test_drawn_problems(case):
    problem, budget = case
    for solver in ("greedy", "exact"):
        plan = solve(problem, budget, solver, cost="realized")
        check(problem, budget, plan)
        check_with_optimum(problem, budget, plan)


# ---- paths of large problems, on small ones


PATHS = {
    "no boxes": {"FIRST_BOXES": 0, "BOXES": 0},
    "few boxes": {"FIRST_BOXES": 8, "BOXES": 8},
    "no leaves": {"FIRST_LEAVES": 0, "LEAVES": 0},
    "one leaf": {"FIRST_LEAVES": 1, "LEAVES": 1, "MORE_LEAVES": 1},
    "no work": {"FIRST_WORK": 0.0, "WORK": 0.0, "WORK_PER_QUERY": 0.0, "MORE_WORK": 0.0},
    "no leaf searched": {"STEPS": 0, "DEEP": 0},
    "leaves searched at the end": {"STEPS": 1},
    "two moves": {"POOL": 2},
    "one price a leaf": {"PRICES": 1},
    "little memory": {"MOST_MEMORY": 0},
    "one budget": {"FIRST_BUDGETS": 1},
    "few pairs": {"MOST_PAIRS": 3, "MOVERS": 1},
    "never all pairs": {"FEW": 0},
    "fewer pairs first": {"MEDIUM": 0},
    "small core": {"MAX_CANDIDATES": 0, "CORE_QUERIES": 3},
    "core of one": {"MAX_CANDIDATES": 0, "CORE_QUERIES": 1, "DIRECT": 0, "SAMPLE": 1},
    "near": {"MAX_CANDIDATES": 0, "CORE_QUERIES": 4, "DIRECT": 2, "SAMPLE": 2},
    "near, sample of all": {"MAX_CANDIDATES": 0, "CORE_QUERIES": 4, "DIRECT": 4, "SAMPLE": 1},
    "high price": {"LOW_PRICE": 10.0},
    "groups by themselves": {"MAX_TREE_GROUPS": 0},
    "groups at one price": {"PRICES": 1, "MORE_PRICES": 0},
    "groups with few pairs": {"MAX_ALL_PAIRS": 0, "PAIRS_PER_QUERY": 1},
}


def force(patch, name, value):
    """Set a constant of the scheduler in each of its files."""
    files = [
        file for file in (realized, first_plans, realized_groups, realized_table, call_tree) if hasattr(file, name)
    ]
    assert files
    for file in files:
        patch.setattr(file, name, value)


@pytest.mark.parametrize("path", sorted(PATHS))
def test_forced_paths(path, monkeypatch):
    for name, value in PATHS[path].items():
        force(monkeypatch, name, value)
    for seed in range(56):
        most = (6, 6, 25, 60)[seed // 8 % 4]
        problem, budget = make(seed, most, SIZES[:3] if most == 6 else SIZES)
        plan = solve(problem, budget, "greedy", cost="realized", seed=seed)
        check(problem, budget, plan)
        if most == 6:
            check_with_optimum(problem, budget, plan)
        elif plan.assignment is None:  # a plan of low bill is always at hand
            assert budget < problem.realized_cost(cheapest_realized_assignment(problem))


def test_a_core_that_is_a_part(monkeypatch):
    force(monkeypatch, "MAX_CANDIDATES", 0)
    force(monkeypatch, "CORE_QUERIES", 20)
    seen = []
    closest = realized_table.closest
    monkeypatch.setattr(realized_table, "closest", lambda *args: seen.append(closest(*args)) or seen[-1])
    for direct in (2_048, 16):  # all margins, or those of a sample
        force(monkeypatch, "DIRECT", direct)
        for seed in range(8):
            problem = generate("realistic", 200, 3, seed=seed).replace(groups=np.arange(200) % (1 + seed % 2))
            budget = problem.budget_at(0.4)
            plan = solve(problem, budget, "greedy", cost="realized", seed=seed)
            check(problem, budget, plan)
            assert plan.gap < 0.05
    assert all(0 < len(rows) < 200 and (np.diff(rows) > 0).all() for rows in seen)


def test_what_is_fixed_and_what_moves_make_the_whole():
    for seed in range(40):
        problem, _ = make(seed, 30)
        rng = np.random.default_rng(seed)
        states = np.array([rng.choice(np.flatnonzero(row)) for row in problem.allowed()])
        relaxer = Relaxer(whole_call_dual.strengthened(problem))
        size = int(rng.integers(1, problem.n_queries + 1))
        if seed % 2:
            table = Table.part(problem, relaxer, states, np.sort(rng.permutation(problem.n_queries)[:size]))
        else:
            relaxation = relaxer.at(problem.budget_at(rng.uniform(0.0, 1.0)))
            states = relaxation.break_solution()
            table = Table.around(problem, relaxer, relaxation, 1.0, size)
        moving = states[table.rows]
        held = table.fixed.copy()
        np.add.at(held, (table.group, moving), 1)
        whole = np.zeros_like(held)
        np.add.at(whole, (problem.group_codes, states), 1)
        assert np.array_equal(held, whole)
        here, (value, _, bill, calls) = np.arange(len(moving)), problem.evaluate(states)
        assert table.fixed_utility + table.utility[here, moving].sum() == pytest.approx(value, rel=1e-12, abs=1e-12)
        spent = table.fixed_own + table.own[here, moving].sum() + (calls.sum(axis=0) * table.price).sum()
        assert spent == pytest.approx(bill, rel=1e-12, abs=1e-15)
        assert np.array_equal(table.utility >= 0.0, problem.allowed()[table.rows])


@pytest.mark.parametrize("change", ["whole", "groups", "factored", "conflicts"])
def test_plans_between_prices_are_counted_and_billed_as_they_are(change):
    for seed in range(6):
        problem = generate("realistic", 3_000, 3, seed=seed, factored=change == "factored")
        if change == "groups":
            problem = problem.replace(groups=np.arange(3_000) % 5)
        elif change == "conflicts":
            problem = problem.replace(conflicts=np.arange(20).reshape(10, 2))
        relaxer, counts = Relaxer(whole_call_dual.strengthened(problem)), Counts(problem)
        for part in (0.2, 0.2001, 0.5, 0.0, 1.0):
            relaxation = relaxer.at(problem.budget_at(part))
            plans = relaxation.plan()[0], relaxation.break_solution()
            for states in plans:
                whole = np.zeros((problem.n_groups, problem.n_states), dtype=np.int64)
                np.add.at(whole, (problem.group_codes, states), 1)
                assert np.array_equal(counts.of(relaxation.steps, states), whole)
        budget = problem.budget_at(0.3)
        request = Request(problem, budget, "realized")
        found = first_plan(request, relaxer, relaxer.at(budget))
        if found.assignment is None:  # six budgets were too many
            continue
        evaluation = problem.evaluate(found.assignment)
        assert found.cost == pytest.approx(evaluation.realized_cost, rel=1e-11)
        assert evaluation.realized_cost <= budget
        assert found.utility == pytest.approx(evaluation.utility, rel=1e-11)


@pytest.mark.parametrize("factored", [False, True])
@pytest.mark.parametrize("groups", [1, 3])
def test_threads_change_no_plan(monkeypatch, factored, groups):
    force(monkeypatch, "MAX_CANDIDATES", 0)
    force(monkeypatch, "CORE_QUERIES", 100)
    monkeypatch.setattr(threads, "CHUNK", 512)
    problem = generate("realistic", 4_000, 3, seed=groups, factored=factored)
    problem = problem.replace(groups=np.arange(4_000) % groups) if groups > 1 else problem
    for part in (0.1, 0.4):
        budget = problem.budget_at(part)
        plans = [solve(problem, budget, "greedy", cost="realized", threads=count) for count in (1, 2, 3, 4)]
        assert all(np.array_equal(plan.assignment, plans[0].assignment) for plan in plans)
        assert len({(plan.utility, plan.realized_cost, plan.bound, plan.shadow_price) for plan in plans}) == 1


# ---- edges


def small(n=5, prompt=100.0, utility=None, sizes=(1, 2, 4), prices=(0.5, 2.0), **changes) -> Problem:
    rng = np.random.default_rng(n)
    models = [Model(f"m{k}", price, price, prompt, batch_sizes=sizes) for k, price in enumerate(prices)]
    width = len(prices) * len(sizes)
    utility = rng.random((n, width)) if utility is None else np.full((n, width), utility)
    return Problem(models, rng.integers(1, 50, n), rng.integers(1, 50, n), utility=utility, **changes)


def least_bill(problem: Problem) -> float:
    states = itertools.product(*(np.flatnonzero(row) for row in problem.allowed()))
    return min(problem.realized_cost(np.array(row)) for row in states)


@pytest.mark.parametrize("scale", [1e-12, 1e-9, 1e-6, 1e-3, 1.0, 1e4])
@pytest.mark.parametrize("worth", [1.0, 1e-6])
def test_groups_at_any_scale_of_bills(scale, worth):
    """Bounds of groups at a price must not be differences of numbers that are far larger than the bill."""
    for seed in range(5):
        rng = np.random.default_rng([seed, 11])
        n = int(rng.integers(3, 7))
        models = [Model(f"m{k}", *(rng.random(2) * scale), int(rng.integers(50)), batch_sizes=(2, 4)) for k in range(2)]
        tokens, groups = rng.integers(1, 60, (2, n)), rng.integers(0, 3, n)
        problem = Problem(models, *tokens, utility=worth * rng.random((n, 4)), groups=groups)
        bills = [problem.realized_cost(rng.integers(0, 4, n)), least_bill(problem)]
        for budget in bills:
            plan = solve(problem, budget, "greedy", cost="realized")
            check(problem, budget, plan)
            check_with_optimum(problem, budget, plan)
            assert plan.assignment is not None


@pytest.mark.parametrize("solver", ["greedy", "exact"])
@pytest.mark.parametrize("n", [1, 2, 4])
def test_the_least_bill_and_an_ulp_below_it(n, solver):
    problem = small(n)
    least = least_bill(problem)
    at, below = (solve(problem, budget, solver, cost="realized") for budget in (least, math.nextafter(least, 0.0)))
    check(problem, least, at)
    check_with_optimum(problem, least, at)
    assert below.assignment is None
    if solver == "exact":
        assert at.utility is not None
        assert below.status == "infeasible"


@pytest.mark.parametrize("solver", ["greedy", "exact"])
def test_a_huge_budget_buys_all(solver):
    for problem in (small(1), small(5), small(40), small(5, groups=[0, 1, 2, 3, 4]), small(6, conflicts=[(0, 1)])):
        plan = solve(problem, 1e9, solver, cost="realized")
        assert plan.status == "optimal"
        assert plan.utility == pytest.approx(problem.utilities().max(axis=1).sum(), rel=1e-12)


@pytest.mark.parametrize("solver", ["greedy", "exact"])
@pytest.mark.parametrize(
    "problem",
    [
        small(5, prices=(0.0, 0.0)),
        small(5, prices=(0.0, 1.0)),
        small(5, prompt=0.0),
        small(5, utility=0.0),
        small(5, utility=1.0),
        small(5, utility=0.3),
        small(1, sizes=(4,), prices=(1.0,)),
        small(6, sizes=(4,), prices=(1.0,)),
        small(3, sizes=(16, 64)),
        small(5, sizes=(1, 3), groups=list("abcde")),
        small(5, sizes=(1, 3), conflicts=list(itertools.combinations(range(5), 2))),
        small(6, prompt=1e6, sizes=(1, 2)),
        small(6, prompt=0.25, sizes=(1, 64)),
    ],
)
def test_odd_problems(problem, solver):
    least, most = least_bill(problem), problem.realized_cost(problem.best_assignment)
    for part in (0.0, 0.3, 0.7, 1.0, 2.0):
        budget = max(least + part * (most - least), 1e-12)
        plan = solve(problem, budget, solver, cost="realized")
        check(problem, budget, plan)
        check_with_optimum(problem, budget, plan)
        if solver == "exact":
            assert plan.status == "optimal"


def test_a_tiny_time_limit_still_gives_a_legal_plan():
    problem = generate("realistic", 60, 3, seed=4)
    budget = problem.budget_at(0.5)
    for solver in ("greedy", "exact"):
        plan = solve(problem, budget, solver, cost="realized", time_limit=1e-6)
        check(problem, budget, plan)
        assert plan.utility is not None
    assert plan.status == "optimal" or plan.limit == "time"


def test_an_initial_plan_is_used_or_does_no_harm():
    for seed in range(16):
        problem, budget = make(seed, 30)
        first = solve(problem, budget, "greedy", cost="realized", seed=1)
        again = solve(problem, budget, "greedy", cost="realized", seed=1, initial_plan=first)
        check(problem, budget, again)
        over = solve(problem, budget, "greedy", cost="realized", seed=1, initial_plan=problem.best_assignment)
        check(problem, budget, over)
        if first.utility is not None:
            assert again.utility >= first.utility * (1 - 1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_threads_do_not_change_the_plan_and_seeds_repeat(dtype):
    problem = generate("realistic", 3_000, 4, seed=11, dtype=dtype).replace(groups=np.arange(3_000) % 3)
    budget = problem.budget_at(0.3)
    plans = [solve(problem, budget, "greedy", cost="realized", threads=threads, seed=5) for threads in (1, 2, 1)]
    for plan in plans:
        check(problem, budget, plan)
        assert np.array_equal(plan.assignment, plans[0].assignment)
        assert plan.bound == plans[0].bound
    other = [solve(problem, budget, "greedy", cost="realized", seed=6) for _ in range(2)]
    assert np.array_equal(other[0].assignment, other[1].assignment)


def test_small_problems_repeat():
    for seed in range(24):
        problem, budget = make(seed, 20)
        one, two = (solve(problem, budget, "greedy", cost="realized", seed=seed) for _ in range(2))
        assert one.status == two.status
        assert one.bound == two.bound
        assert (one.assignment is None) == (two.assignment is None)
        if one.assignment is not None:
            assert np.array_equal(one.assignment, two.assignment)


def test_the_scheduler_alone_says_nothing_wrong_about_infeasible_budgets():
    for seed in range(60):
        problem, _ = make(seed, 4, SIZES[:3])
        if problem.conflicts is not None:
            continue
        least = least_bill(problem)
        for budget in (least, least * (1 + 1e-15), least * (1 + 1e-9)):
            if budget > 0.0:
                assert not realized.run(Request(problem, budget, "realized")).infeasible


def test_verify_agrees():
    for seed in range(40):
        problem, budget = make(seed, 40)
        verify(problem, solve(problem, budget, "greedy", cost="realized"))


def test_wrong_budgets_are_refused():
    for budget in (-1.0, math.inf, math.nan):
        with pytest.raises(InputError):
            solve(small(2), budget, "greedy", cost="realized")


@pytest.mark.parametrize("queries", [[0, 1, 2], [2, 1, 0], [1, 0, 2], [0, 2, 1]])
@pytest.mark.parametrize("models", [[0, 1, 2], [2, 1, 0], [1, 2, 0]])
def test_queries_that_were_kept_apart_in_vain_do_not_hide_a_plan(queries, models):
    tokens = np.array([[456, 417, 678], [482, 241, 438], [728, 868, 334]])[queries][:, models]
    utility = np.array([[0.402, 0.513, 0.619], [0.547, 0.29, 0.514], [0.536, 0.746, 0.486]])[queries][:, models]
    problem = Problem(
        [Model(f"m{k}", 1.0, 1.0, 960.0, batch_sizes=(2,)) for k in range(3)],
        np.zeros(3), tokens, utility=utility,
        forbidden=np.array([[0, 0, 1], [0, 0, 1], [0, 1, 0]], dtype=bool)[queries][:, models],
        conflicts=[(queries.index(0), queries.index(1)), (queries.index(1), queries.index(2))],
    )  # fmt: skip
    best = solve(problem, 0.003345, "brute-force", cost="realized")
    assert best.assignment is not None
    assert solve(problem, 0.003345, "greedy", cost="realized").assignment is not None


@pytest.mark.parametrize("solver", ["greedy", "exact", "highs"])
def test_conflicts_in_the_only_state(solver):
    model = Model("only", price_in=1, price_out=1, shared_tokens=100, batch_sizes=(3,))
    problem = Problem([model], [5] * 3, [5] * 3, np.full((3, 1), 0.5), conflicts=[(0, 1)])
    assert solve(problem, 2e-4, solver, cost="realized").assignment is None
    assert solve(problem, 3e-4, solver, cost="realized").utility == 1.5
