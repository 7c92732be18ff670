"""Exact under realized cost, against all assignments of tiny problems and HiGHS on the whole program."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest

from robatch.instances import FAMILIES, Model, Problem, generate
from robatch.solvers import solve, verify
from robatch.solvers.exact import realized as realized_exact
from robatch.solvers.exact.leaf import Closer
from robatch.solvers.greedy import realized, realized_groups
from robatch.solvers.greedy.call_tree import CallTree
from robatch.solvers.mip import cut_loop
from robatch.solvers.registry import Answer

NAMES = sorted(FAMILIES)
CHUNKS, EACH = 8, 25  # 200 problems
HARD = ("adversarial", "strongly-correlated", "subset-sum")  # for HiGHS, at more than a few queries


def make(seed: int, least: int, most: int, conflicts: bool = True) -> tuple[Problem, float]:
    """Return a problem of up to three models of up to three batch sizes, and a budget."""
    rng = np.random.default_rng([28409, seed, most])
    family = NAMES[seed % len(NAMES)]
    n = max(int(rng.integers(least, most + 1)), 2 if family == "adversarial" else 1)
    problem = generate(
        family,
        queries=n,
        models=2 if family == "from-knapsack" else int(rng.integers(2, 4)),
        batch_sizes=((1, 2), (1, 3), (2, 4), (3, 32), (1, 2, 4))[seed % 5 if n < 6 else seed % 4],
        seed=seed,
        dtype="float32" if rng.random() < 0.3 else "float64",
        factored=bool(rng.random() < 0.5) if family == "realistic" else None,
    )
    if not any(model.shared_tokens for model in problem.models) and rng.random() < 0.6:
        models = [model.replace(shared_tokens=float(rng.integers(1, 2_000))) for model in problem.models]
        problem = problem.replace(models=models)
    if rng.random() < 0.4:
        problem = problem.replace(groups=rng.integers(0, int(rng.choice([2, 3, n])), n))
    if rng.random() < 0.3:
        longest = float((problem.input_tokens.max(axis=1) + problem.output_tokens.max(axis=1)).max())
        margin = float(rng.choice([0.0, 0.2]))
        models = []
        for k, model in enumerate(problem.models):
            tokens = model.batch_sizes[0] * longest * (1.0 if k == 0 else rng.uniform(0.6, 1.5)) + 1
            models.append(model.replace(context_window=math.ceil((model.shared_tokens + tokens) / (1 - margin))))
        problem = problem.replace(models=models, window_margin=margin)
    if rng.random() < 0.3:
        forbidden = rng.random((n, problem.n_states)) < 0.3
        forbidden[np.arange(n), [rng.choice(np.flatnonzero(row)) for row in problem.allowed()]] = False
        problem = problem.replace(forbidden=forbidden)
    if conflicts and rng.random() < 0.4 and n > 1:
        pairs = list(itertools.combinations(range(n), 2))
        chosen = rng.choice(len(pairs), int(rng.integers(1, min(len(pairs), 2 * n) + 1)), replace=False)
        problem = problem.replace(conflicts=[pairs[place] for place in chosen])
    states = np.array([rng.choice(np.flatnonzero(row)) for row in problem.allowed()])
    bill = problem.realized_cost(states)
    most_bill, kind = problem.realized_cost(problem.best_assignment), rng.random()
    if kind < 0.25:
        budget = bill
    elif kind < 0.35:
        budget = math.nextafter(bill, 0.0)
    else:
        low = problem.cheapest_budget
        budget = low + rng.random() * max(1.1 * most_bill - low, 0.0)
    return problem, max(budget, 1e-12)


def check_against_all(problem: Problem, budget: float, plan) -> None:
    best = solve(problem, budget, "brute-force", cost="realized")
    assert plan.status == best.status
    assert plan.limit is None
    verify(problem, plan)
    if best.utility is None:
        assert plan.assignment is None
        return
    assert plan.realized_cost <= budget
    assert plan.utility == pytest.approx(best.utility, rel=1e-9, abs=1e-11)
    assert plan.bound >= best.utility * (1 - 1e-12)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_equals_brute_force(chunk):
    for seed in range(chunk * EACH, (chunk + 1) * EACH):
        problem, budget = make(seed, 1, 6)
        check_against_all(problem, budget, solve(problem, budget, "exact", cost="realized", seed=seed % 3))


POOR = {
    (realized, "FIRST_BOXES"): 0,
    (realized, "BOXES"): 0,
    (realized_groups, "BOXES"): 0,
}


@pytest.fixture
def poor(monkeypatch):
    """Let the scheduler leave much to the search."""
    for (file, name), value in POOR.items():
        monkeypatch.setattr(file, name, value)


PATHS = {
    "as it is": {},
    "calls first": {"CALLS_FIRST_CANDIDATES": 0},
    "calls first, in very few pairs": {"CALLS_FIRST_CANDIDATES": 0, "CALLS_CUT": 1e9},
    "calls first, in all pairs": {"CALLS_FIRST_CANDIDATES": 0, "CALLS_CUT": 1e-9, "CALLS_GAP": 0.5},
    "no small core": {"FIRST_CUT": 1e-9},
    "a tiny core": {"FIRST_CUT": 1e9},
}


@pytest.mark.parametrize("path", sorted(PATHS))
def test_forced_paths_from_a_poor_plan(path, poor, monkeypatch):
    for name, value in PATHS[path].items():
        assert hasattr(realized_exact, name)
        monkeypatch.setattr(realized_exact, name, value)
    for seed in range(500, 530):
        problem, budget = make(seed, 2, 6)
        check_against_all(problem, budget, solve(problem, budget, "exact", cost="realized"))


def test_leaves_that_are_left_open_are_closed(monkeypatch):
    """Without a search of their assignments, every leaf whose bound promises more is a program of its own."""
    asked, close = [], Closer.__call__

    def counted(self, places):
        bound, chosen = close(self, places)
        asked.append(chosen is not None)
        return bound, chosen

    monkeypatch.setattr(CallTree, "deepen", lambda *_: None)
    monkeypatch.setattr(CallTree, "search", lambda *_: None)
    monkeypatch.setattr(realized, "joined", lambda request, table, relaxation, price, found: found)
    monkeypatch.setattr(Closer, "__call__", counted)
    for seed in range(700, 750):
        problem, budget = make(seed, 1, 5, conflicts=False)
        check_against_all(problem, budget, solve(problem, budget, "exact", cost="realized"))
    assert sum(asked) > 10


def test_a_closer_without_an_answer_leaves_the_proof_to_the_whole_program(monkeypatch):
    monkeypatch.setattr(CallTree, "deepen", lambda *_: None)
    monkeypatch.setattr(CallTree, "search", lambda *_: None)
    monkeypatch.setattr(Closer, "__call__", lambda *_: (math.inf, None))
    for seed in range(750, 765):
        problem, budget = make(seed, 1, 5, conflicts=False)
        check_against_all(problem, budget, solve(problem, budget, "exact", cost="realized"))


def test_a_problem_beyond_memory_keeps_plan_and_bound(poor, monkeypatch):
    monkeypatch.setattr(realized_exact, "MAX_CANDIDATES", 0)
    limits = set()
    for seed in range(600, 630):
        problem, budget = make(seed, 1, 6)
        best = solve(problem, budget, "brute-force", cost="realized")
        plan = solve(problem, budget, "exact", cost="realized")
        verify(problem, plan)
        limits.add(plan.limit)
        if best.utility is None:
            assert plan.assignment is None
            continue
        assert plan.bound >= best.utility * (1 - 1e-12)
        assert plan.utility is None or plan.utility <= best.utility * (1 + 1e-12)
        assert plan.limit == "memory" or plan.status == "optimal"
    assert limits == {None, "memory"}


def agree(problem: Problem, plan, other) -> bool:
    """Check two answers against each other; return whether both are proven."""
    verify(problem, plan)
    assert plan.limit is None
    if plan.status == "infeasible" or other.status == "infeasible":
        assert plan.status == other.status
        return True
    assert plan.bound >= other.utility * (1 - 1e-12)
    assert other.bound >= plan.utility * (1 - 1e-12)
    if not plan.status == other.status == "optimal":
        return False
    assert plan.utility == pytest.approx(other.utility, rel=2e-9, abs=1e-9)
    return True


@pytest.mark.parametrize("family", NAMES)
def test_equals_highs_on_the_whole_program(family, monkeypatch):
    """Beyond brute force, and so small that both always end."""
    proven = 0
    for number in range(4):
        seed = len(NAMES) * (90 + number) + NAMES.index(family)
        problem, budget = make(seed, *((7, 10) if family in HARD else (12, 30)), conflicts=False)
        plan = solve(problem, budget, "exact", cost="realized")
        with monkeypatch.context() as patch:
            patch.setattr(cut_loop, "fixed", lambda *_: None)
            other = solve(problem, budget, "highs", cost="realized")
        proven += agree(problem, plan, other)
    assert proven >= 3


@pytest.mark.parametrize("path", ["calls first", "a tiny core"])
def test_forced_paths_equal_the_usual_one(path, monkeypatch):
    proven = 0
    for seed in range(800, 820):
        problem, budget = make(seed, 7, 10 if NAMES[seed % len(NAMES)] in HARD else 20, conflicts=seed % 2 == 0)
        usual = solve(problem, budget, "exact", cost="realized")
        with monkeypatch.context() as patch:
            for name, value in PATHS[path].items():
                patch.setattr(realized_exact, name, value)
            for (file, name), value in POOR.items():
                patch.setattr(file, name, value)
            forced = solve(problem, budget, "exact", cost="realized")
        proven += agree(problem, forced, usual)
    assert proven >= 18


def test_gaps_and_limits_are_told():
    problem = generate("realistic", 80, 3, seed=2)
    budget = problem.budget_at(0.4)
    loose = solve(problem, budget, "exact", cost="realized", gap=0.2)
    assert loose.limit == "gap" or loose.status == "optimal"
    assert loose.gap <= 0.2
    short = solve(problem, budget, "exact", cost="realized", time_limit=1e-6)
    assert short.status == "optimal" or short.limit == "time"
    for plan in (loose, short):
        verify(problem, plan)
        assert plan.statistics.keys() >= {"cores", "pairs"}


def test_scheduler_and_program_share_the_time_limit(poor, monkeypatch):
    asked, schedule, search = [], realized_exact.schedule, realized_exact.Search

    def scheduled(request, close):
        asked.append(request.time_limit)
        return schedule(request, close)

    def searched(request, found):
        asked.append(request.time_limit)
        return search(request, found)

    monkeypatch.setattr(realized_exact, "schedule", scheduled)
    monkeypatch.setattr(realized_exact, "Search", searched)
    problem = generate("realistic", 20, 3, seed=2)
    solve(problem, problem.budget_at(0.4), "exact", cost="realized", time_limit=1000)
    assert asked[0] == 1000 * realized_exact.SCHEDULER_TIME
    assert 500 < asked[1] < 1000


@pytest.mark.parametrize("told", [None, 1e9])
def test_a_search_that_is_cut_short_keeps_the_bound_of_the_scheduler(monkeypatch, told):
    problem, schedule = generate("realistic", queries=40, models=3, batch_sizes=(1, 4), seed=0), realized_exact.schedule
    bounds = []

    def finds_nothing(request, close):
        answer = schedule(request, close)
        bounds.append(answer.bound)
        return dataclasses.replace(answer, assignment=None)

    monkeypatch.setattr(realized_exact, "schedule", finds_nothing)
    monkeypatch.setattr(cut_loop, "greedy", lambda request: Answer())
    monkeypatch.setattr(realized_exact, "run_once", lambda *_: cut_loop.Outcome(bound=told, limit="time"))
    plan = solve(problem, problem.budget_at(0.3), "exact", cost="realized")
    verify(problem, plan)
    assert plan.status == "no_solution"
    assert plan.limit == "time"
    assert plan.bound == bounds[0]


def test_an_initial_plan_that_is_better_is_kept(poor):
    for seed in range(900, 916):
        problem, budget = make(seed, 2, 6)
        best = solve(problem, budget, "brute-force", cost="realized")
        if best.assignment is None:
            continue
        plan = solve(problem, budget, "exact", cost="realized", time_limit=1e-6, gap=0.0, initial_plan=best.assignment)
        assert plan.utility == pytest.approx(best.utility, rel=1e-12, abs=1e-12)
        over = solve(problem, budget, "exact", cost="realized", initial_plan=problem.best_assignment)
        check_against_all(problem, budget, over)


def test_where_whole_calls_make_the_optimum():
    """Nine queries, calls of eight: one of eight and a cheap single, or all in the cheap model."""
    models = [Model("good", 1.0, 0.0, 1000, batch_sizes=(8,)), Model("cheap", 0.1, 0.0, 100, batch_sizes=(1,))]
    utility = np.tile([0.9, 0.1], (9, 1))
    utility[4] = 0.6, 0.5
    problem = Problem(models, np.full(9, 10.0), np.zeros(9), utility=utility)
    one_call = (1000 + 8 * 10) * 1e-6 + (100 + 10) * 0.1e-6
    plan = solve(problem, one_call * (1 + 1e-12), "exact", cost="realized")
    assert plan.status == "optimal"
    assert plan.assignment.tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0]
    below = solve(problem, one_call * (1 - 1e-9), "exact", cost="realized")
    assert below.status == "optimal"
    assert below.utility < plan.utility


def test_without_shared_prompts_it_is_the_amortized_problem(poor, monkeypatch):
    monkeypatch.setattr(realized_exact, "CALLS_FIRST_CANDIDATES", 0)
    for seed, family in enumerate(NAMES):
        problem = generate(family, 9 if family in HARD else 24, 2, (1, 4), seed=seed)
        problem = problem.replace(models=[model.replace(shared_tokens=0.0) for model in problem.models])
        budget = problem.budget_at(0.5)
        plan = solve(problem, budget, "exact", cost="realized")
        assert agree(problem, plan, solve(problem, budget, "exact", cost="amortized"))
