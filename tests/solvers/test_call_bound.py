"""The bound of whole calls, at any multipliers, against all assignments of tiny problems."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from robatch.instances import FAMILIES, Problem, generate
from robatch.instances.kernels import flat
from robatch.solvers import solve
from robatch.solvers.bounds.relaxation import Relaxer
from robatch.solvers.bounds.shared import Bounds
from robatch.solvers.bounds.whole_call_dual import Candidates, Dual, dense, send, strengthened
from robatch.solvers.plan.incumbent import Incumbent
from robatch.solvers.registry import Request

NAMES = sorted(FAMILIES)
EDGE = 1e-12  # relative: sums in another order


def make(seed: int) -> Problem:
    """Return a problem of up to five queries, some with groups, windows or forbidden pairs."""
    rng = np.random.default_rng([11, seed])
    family = NAMES[seed % len(NAMES)]
    n = int(rng.integers(2, 6))
    problem = generate(
        family,
        queries=n,
        models=2 if family == "from-knapsack" else int(rng.integers(2, 4)),
        batch_sizes=((1, 2), (2, 3), (1, 64))[seed % 3],
        seed=seed,
        dtype="float32" if seed % 5 == 0 else "float64",
        factored=seed % 2 == 0 if family == "realistic" else None,
    )
    prompts = rng.integers(0, 3_000, problem.n_models)
    if rng.random() < 0.5:
        models = [model.replace(shared_tokens=float(t)) for model, t in zip(problem.models, prompts, strict=True)]
        problem = problem.replace(models=models)
    if rng.random() < 0.5:
        problem = problem.replace(groups=rng.integers(0, 3, n))
    if rng.random() < 0.3:
        longest = float((problem.input_tokens.max(axis=1) + problem.output_tokens.max(axis=1)).max())
        models = [
            model.replace(
                context_window=math.ceil(
                    model.shared_tokens + model.batch_sizes[0] * (longest if k == 0 else 0.7 * longest) + 1
                )
            )
            for k, model in enumerate(problem.models)
        ]
        problem = problem.replace(models=models)
    if rng.random() < 0.4:
        forbidden = rng.random((n, problem.n_states)) < 0.3
        forbidden[np.arange(n), [rng.choice(np.flatnonzero(row)) for row in problem.allowed()]] = False
        problem = problem.replace(forbidden=forbidden)
    return problem


class Plans:
    """All assignments of a problem with what they are worth and bill, from the definitions alone."""

    def __init__(self, problem: Problem) -> None:
        n, width = problem.n_queries, problem.n_states
        columns = [(k, b) for k, model in enumerate(problem.models) for b in model.batch_sizes]
        worth = problem.utilities().astype(np.float64)
        groups = np.zeros(n, dtype=int) if problem.groups is None else np.asarray(problem.groups)
        self.states = np.array(list(itertools.product(range(width), repeat=n)))
        own = np.zeros((n, width))
        allowed = np.ones((n, width), dtype=bool) if problem.forbidden is None else ~problem.forbidden
        for s, (k, b) in enumerate(columns):
            model = problem.models[k]
            sent = problem.input_tokens[:, k if problem.input_tokens.shape[1] > 1 else 0].astype(np.float64)
            received = problem.output_tokens[:, k if problem.output_tokens.shape[1] > 1 else 0].astype(np.float64)
            own[:, s] = (sent * model.price_in + received * model.price_out) * 1e-6
            if model.context_window is not None:
                allowed[:, s] &= model.shared_tokens + b * (sent + received) <= model.context_window
        queries = np.arange(n)
        self.states = self.states[allowed[queries, self.states].all(axis=1)]
        self.utility = worth[queries, self.states].sum(axis=1)
        self.cost = own[queries, self.states].sum(axis=1)
        for group in set(groups.tolist()):
            for s, (k, b) in enumerate(columns):
                held = (self.states[:, groups == group] == s).sum(axis=1)
                self.cost += -(-held // b) * (problem.models[k].price_in * problem.models[k].shared_tokens * 1e-6)

    def best(self, budget: float) -> float:
        within = self.cost <= budget * (1 - EDGE)
        return float(self.utility[within].max()) if within.any() else -math.inf

    def best_with(self, budget: float, query: int, state: int) -> float:
        within = (self.cost <= budget * (1 - EDGE)) & (self.states[:, query] == state)
        return float(self.utility[within].max()) if within.any() else -math.inf


def value_of(pairs: Candidates, budget: float, price: float, worth) -> float:
    answered = np.empty(len(worth), dtype=np.int64)
    gain, _ = send(pairs.start, pairs.utility, pairs.cost, pairs.prompt, pairs.size, price, worth, answered)
    return math.fsum(worth) + price * budget + gain


def multipliers(pairs: Candidates, plans: Plans, budget: float, rng):
    """Return random multipliers, some of them wild and some sensible."""
    scale = float(plans.utility.max()) / max(budget, 1e-9)
    price = float(rng.choice([0.0, 1.0, 1e3, scale * rng.random(), scale * rng.random() * 3]))
    allowed = np.where(pairs.utility < 0.0, -np.inf, pairs.utility - price * (pairs.cost + pairs.share))
    near = allowed.max(axis=1) + rng.normal(0.0, float(rng.choice([0.0, 0.05, 0.3])), len(allowed))
    return price, near if rng.random() < 0.8 else rng.normal(0.0, 1.0, len(allowed))


@pytest.mark.parametrize("chunk", range(6))
def test_any_multipliers_bound_every_plan(chunk):
    for seed in range(chunk * 100, chunk * 100 + 100):
        problem, rng = make(seed), np.random.default_rng(seed)
        plans, pairs = Plans(problem), Candidates.of(problem, strengthened(problem))
        for _ in range(20):
            budget = float(rng.choice(plans.cost)) * float(rng.choice([1.0, 1.01, 1.5])) + 1e-12
            best = plans.best(budget)
            price, worth = multipliers(pairs, plans, budget, rng)
            assert value_of(pairs, budget, price, worth) >= best - 1e-9 * max(1.0, price * budget)


def test_calls_are_chosen_as_they_pay_best():
    rng = np.random.default_rng(5)
    for _ in range(200):
        n, width = int(rng.integers(1, 7)), int(rng.integers(1, 4))
        cut = np.sort(rng.integers(0, n + 1, 2))
        start = np.array([0, *cut, n])
        utility, own = rng.random((n, width)), rng.random((n, width))
        utility[rng.random((n, width)) < 0.2] = -1.0
        prompt, size = rng.random(width), rng.integers(1, 5, width)
        price, worth = float(rng.random()), rng.normal(0.0, 0.5, n)
        answered = np.empty(n, dtype=np.int64)
        gain, spent = send(start, utility, own, prompt, size, price, worth, answered)
        total = 0.0
        for begin, end in itertools.pairwise(start):
            for s in range(width):
                able = [i for i in range(begin, end) if utility[i, s] >= 0.0]
                subsets = itertools.chain.from_iterable(itertools.combinations(able, r) for r in range(len(able) + 1))
                total += max(
                    sum(utility[i, s] - price * own[i, s] - worth[i] for i in some)
                    - price * prompt[s] * -(-len(some) // size[s])
                    for some in subsets
                )
        assert gain == pytest.approx(total, abs=1e-12)
        # a subgradient: the bound falls by no more than it says, in any direction
        for _ in range(5):
            price_, worth_ = max(price + rng.normal(0, 0.1), 0.0), worth + rng.normal(0, 0.1, n)
            other, _ = send(start, utility, own, prompt, size, price_, worth_, np.empty(n, dtype=np.int64))
            assert other >= gain - spent * (price_ - price) - float(answered @ (worth_ - worth)) - 1e-12


@pytest.mark.parametrize("chunk", range(6))
def test_losses_of_pairs_hold(chunk):
    for seed in range(1_000 + chunk * 80, 1_080 + chunk * 80):
        problem, rng = make(seed), np.random.default_rng(seed)
        plans, pairs = Plans(problem), Candidates.of(problem, flat(problem))
        allowed = problem.allowed()[pairs.order]
        for _ in range(6):
            budget = float(rng.choice(plans.cost)) * 1.01 + 1e-12
            price, worth = multipliers(pairs, plans, budget, rng)
            dual = Dual(value_of(pairs, budget, price, worth), price, worth)
            loss, linear = pairs.reduced_cost(dual), pairs.linear_reduced_cost(price)
            first = pairs.minimize(budget, price, -1.0, steps=1)
            assert np.isinf(loss[~allowed]).all()
            assert np.isinf(linear[~allowed]).all()
            assert (loss >= -1e-9 * max(1.0, price * budget)).all()
            slack = 1e-9 * max(1.0, price * budget)
            for place, query in enumerate(pairs.order):
                for state in np.flatnonzero(allowed[place]):
                    best = plans.best_with(budget, query, state)
                    assert best <= dual.bound - loss[place, state] + slack
                    assert best <= first.bound - linear[place, state] + slack


@pytest.mark.parametrize("chunk", range(4))
def test_the_least_bound_holds_and_fixing_drops_no_pair_of_a_better_plan(chunk):
    for seed in range(2_000 + chunk * 80, 2_080 + chunk * 80):
        problem, rng = make(seed), np.random.default_rng(seed)
        plans, arrays = Plans(problem), strengthened(problem)
        budget = float(rng.choice(plans.cost)) * (1 + 1e-9) + 1e-12
        best = plans.best(budget)
        within = np.flatnonzero(plans.cost <= budget * (1 - EDGE))
        relaxation = Relaxer(arrays).at(budget)
        for price in (relaxation.price, 0.0, 3.0 * relaxation.price):
            if not math.isfinite(price):
                continue
            pairs = Candidates.of(problem, arrays)
            dual = pairs.minimize(budget, price, best)
            assert dual.bound >= best * (1 - EDGE)
            assert dual.price >= 0.0
            summed = np.abs(dual.charge).sum() + dual.price * budget
            assert dual.bound == pytest.approx(value_of(pairs, budget, dual.price, dual.charge), abs=1e-11 * summed)
            assert dual.bound <= pairs.minimize(budget, price, best, steps=1).bound
            low = int(rng.choice(within))  # a plan, not the best: all better ones stay
            reached = float(plans.utility[low])
            fixing = Bounds.of(Request(problem, budget, "realized")).fixing(budget, price, reached)
            kept = fixing.kept(Incumbent(plans.states[low], reached))
            better = within[plans.utility[within] > reached + 1e-7]
            queries = np.arange(problem.n_queries)
            assert kept[queries, plans.states[better]].all()
            assert kept[queries, plans.states[low]].all()
            assert not (kept & ~problem.allowed()).any()
            most = float(rng.random()) * (fixing.bound - reached)
            some = fixing.kept(Incumbent(plans.states[low], reached), most)
            best_left = within[plans.utility[within] > max(reached, fixing.bound - most) + 1e-7]
            assert some[queries, plans.states[best_left]].all()


def test_a_price_of_zero_is_left_where_the_budget_binds_as_billed():
    for seed in range(8):
        problem = generate("realistic", 24, 3, (4, 32), seed=seed)
        states = problem.best_assignment
        budget = max(0.8 * problem.realized_cost(states), problem.dearest_budget)
        if budget >= problem.realized_cost(states):
            continue
        plan = solve(problem, budget, "greedy", cost="realized")
        pairs = Candidates.of(problem, strengthened(problem))
        first = pairs.minimize(budget, 0.0, plan.utility, steps=1)
        assert first.bound == pytest.approx(problem.total_utility(states), rel=1e-9)
        dual = pairs.minimize(budget, 0.0, plan.utility)
        assert dual.price > 0.0
        assert plan.utility <= dual.bound < first.bound


def test_pairs_are_those_of_the_problem():
    for seed in range(60):
        problem = make(seed)
        utility, own = dense(flat(problem))
        allowed = problem.allowed()
        assert np.array_equal(utility >= 0.0, allowed)
        assert np.array_equal(utility[allowed], problem.utilities()[allowed].astype(np.float64))
        assert own == pytest.approx(problem.query_costs()[:, problem.state_model], rel=1e-6)
        pairs = Candidates.of(problem, strengthened(problem))
        assert np.array_equal(np.sort(pairs.order), np.arange(problem.n_queries))
        codes = problem.group_codes[pairs.order]
        for group, (begin, end) in enumerate(itertools.pairwise(pairs.start)):
            assert (codes[begin:end] == group).all()
            assert end > begin
        full = problem.call_price / problem.state_batch_size
        assert (pairs.share >= full * (1 - EDGE)).all()
        assert (pairs.share <= problem.call_price * (1 + EDGE)).all()


@pytest.mark.parametrize("count", [15, 20, 43, 203])
def test_of_equal_queries_the_first_are_sent(count):
    utility = np.full((count, 1), 0.5)
    answered, none = np.zeros(count, dtype=np.int64), np.zeros(count)
    some = 8 * (count // 8)  # the rest do not pay for a call
    send(np.array([0, count]), utility, 0 * utility, np.array([3.9]), np.array([8]), 1.0, none, answered)
    assert answered[:some].all()
    assert not answered[some:].any()
