from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robatch.instances import FAMILIES, InputError, Problem, generate
from robatch.instances.realistic import POOL, pick, retention

PISINGER = ["uncorrelated", "weakly-correlated", "strongly-correlated", "subset-sum"]
LARGEST = 1960e-6  # USD of the dearest state in Pisinger's classes


# ---- what all families have in common


@pytest.mark.parametrize("family", FAMILIES)
def test_the_seed_determines_everything(family):
    first, again, other = (generate(family, 40, 3, (1, 4, 16), seed=seed) for seed in (5, 5, 6))
    assert first == again
    assert first != other
    assert not np.array_equal(first.output_tokens, other.output_tokens) or family == "from-knapsack"


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(list(FAMILIES)),
    st.integers(2, 30),
    st.integers(2, 9),
    st.lists(st.integers(1, 64), min_size=1, max_size=5, unique=True),
    st.sampled_from(["float32", "float64"]),
)
def test_sizes_are_those_asked_for(family, queries, models, batch_sizes, dtype):
    problem = generate(family, queries, models, batch_sizes, seed=1, dtype=dtype)
    assert problem.n_queries == queries
    assert problem.dtype == dtype
    assert problem.all_allowed
    if family != "from-knapsack":
        assert problem.n_models == models
        assert all(model.batch_sizes == tuple(sorted(batch_sizes)) for model in problem.models)
    assert 0 <= problem.cheapest_budget <= problem.dearest_budget
    assert problem.utilities().max() <= 1


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"adversarial"}))
def test_one_query_and_one_model_will_do(family):
    problem = generate(family, 1, 1, (64,))
    assert problem.n_queries == 1
    assert np.isfinite(problem.dearest_budget)


@pytest.mark.parametrize("family", FAMILIES)
def test_float32_is_the_float64_problem_rounded(family):
    single, double = (generate(family, 30, 3, (1, 8), seed=2, dtype=dtype) for dtype in ("float32", "float64"))
    np.testing.assert_allclose(single.utilities(), double.utilities(), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(single.amortized_costs(), double.amortized_costs(), rtol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_large_problems_are_made(family):
    assert generate(family, 50_000, 4, (1, 8), dtype="float32").n_queries == 50_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"family": "easy"}, "family is 'easy': one of realistic, uncorrelated"),
        ({"queries": 0}, "queries is 0: a whole number of at least 1"),
        ({"queries": 2.5}, "queries is 2.5"),
        ({"queries": True}, "queries is True"),
        ({"models": -1}, "models is -1"),
        (
            {"family": "adversarial", "queries": 1},
            "queries is 1: a whole number of at least 2 for the family",
        ),
        ({"family": "adversarial", "models": 1}, "models is 1: a whole number of at least 2 for the family"),
        ({"batch_sizes": ()}, "batch_sizes is empty"),
        ({"batch_sizes": (0, 1)}, "a size in batch_sizes is 0"),
        ({"batch_sizes": 4}, "batch_sizes is 4"),
        ({"batch_sizes": (1, 2, 1)}, "each batch size may stand only once"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": None}, "seed is None"),
        ({"dtype": "int64"}, "dtype is 'int64': float32 or float64 is needed"),
        ({"dtype": "gold"}, "dtype is 'gold'"),
        ({"dtype": None}, "dtype is None"),
        ({"family": "ties", "factored": True}, "factored is True for family 'ties'"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(InputError) as error:
        generate(**arguments)
    assert message in str(error.value)


# ---- realistic


def test_realistic_pool_keeps_published_accuracies_and_lengths():
    problem = generate("realistic", 40_000, len(POOL), seed=3)
    assert [model.name for model in problem.models] == [model.name for model in POOL]
    accuracy = np.asarray(problem.base_utility).mean(axis=0)
    np.testing.assert_allclose(accuracy, [model.accuracy for model in POOL], atol=0.02)
    lengths = problem.output_tokens.mean(axis=0)
    np.testing.assert_allclose(lengths, [model.output_tokens for model in POOL], rtol=0.02)
    quartiles = np.quantile(problem.input_tokens, [0.25, 0.5, 0.75])
    np.testing.assert_allclose(quartiles, [75, 121, 198], rtol=0.03)


def test_realistic_shared_prompt_has_the_published_part_of_the_cost():
    problem = generate("realistic", 20_000, len(POOL), (1, 8))
    own = problem.query_costs().mean(axis=0)
    alone, batched = problem.call_price[::2], problem.call_price[1::2] / 8
    assert np.mean(alone / (alone + own)) == pytest.approx(0.901, abs=0.01)
    assert np.mean(batched / (batched + own)) == pytest.approx(0.532, abs=0.02)


@pytest.mark.parametrize(
    ("sizes", "published", "accuracy"),
    [((2, 5, 10), (0.497, 0.471, 0.436), 0.288), ((16, 32, 64), (0.902, 0.890, 0.787), 0.628)],
)
def test_realistic_retention_is_near_the_published_figures(sizes, published, accuracy):
    first = {0.288: 0.538, 0.628: 0.915}[accuracy]
    np.testing.assert_allclose(retention(sizes, accuracy), np.array(published) / first, atol=0.06)


def test_realistic_retention_falls_with_batch_size_and_weak_models_first():
    sizes = (1, 2, 4, 8, 16, 32, 64)
    weak, middle, strong = (retention(sizes, accuracy) for accuracy in (0.288, 0.44, 0.628))
    assert weak[0] == middle[0] == strong[0] == 1.0
    assert (np.diff(weak) < 0).all()
    assert (np.diff(strong) < 0).all()
    assert (weak[1:] < middle[1:]).all()
    assert (middle[1:] < strong[1:]).all()


def test_realistic_factored_and_dense_hold_the_same():
    factored, dense = (generate("realistic", 200, 3, seed=8, factored=form) for form in (True, False))
    assert factored.base_utility is not None
    assert generate("realistic", 200, 3, seed=8) == factored
    assert dense.base_utility is None
    np.testing.assert_array_equal(factored.utilities(), dense.utilities())
    np.testing.assert_array_equal(factored.amortized_costs(), dense.amortized_costs())


def test_realistic_models_differ_in_what_they_are_good_at():
    base = np.asarray(generate("realistic", 5000, 6).base_utility)
    winners = np.bincount(base.argmax(axis=1), minlength=6) / 5000
    assert winners.argmax() == 5
    assert (winners > 0.005).all()  # no model is useless
    assert np.corrcoef(base.T).min() > 0.5  # and yet hard queries are hard for all


@pytest.mark.parametrize("models", [1, 2, 4, 6, 7, 25])
def test_pools_of_any_size(models):
    pool = pick(models)
    assert len({model.name for model in pool}) == len(pool) == models
    assert all(0.288 <= model.accuracy <= 0.628 and 0.1 <= model.price <= 0.9 for model in pool)
    if models > 1:
        assert pool[0][1:] == POOL[0][1:]
        assert pool[-1][1:] == POOL[-1][1:]


# ---- Pisinger's classes


@pytest.mark.parametrize("family", PISINGER)
def test_costs_are_whole_and_cover_the_range(family):
    problem = generate(family, 4000, 3, (1, 2, 32))
    costs = problem.amortized_costs() * 1e6
    np.testing.assert_allclose(costs, np.round(costs), atol=1e-8)
    tokens = problem.output_tokens
    assert (tokens.min(), tokens.max()) == (1, 1000)
    assert tokens.mean() == pytest.approx(500.5, abs=10)
    assert costs.max() <= LARGEST * 1e6


def test_uncorrelated():
    problem = generate("uncorrelated", 5000)
    utilities = problem.utilities()
    assert abs(np.corrcoef(utilities.ravel(), problem.amortized_costs().ravel())[0, 1]) < 0.02
    np.testing.assert_allclose(np.quantile(utilities, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.01)


def test_weakly_correlated():
    problem = generate("weakly-correlated", 5000)
    difference = problem.utilities() - problem.amortized_costs() / LARGEST
    assert np.abs(difference).max() <= 0.1 + 1e-12
    assert difference.std() == pytest.approx(0.1 / np.sqrt(3), rel=0.1)  # uniform, but for the clipping


def test_strongly_correlated():
    problem = generate("strongly-correlated", 300, 3, (1, 3, 8))
    step = 0.2 * LARGEST / 9
    for costs, utilities in zip(problem.amortized_costs(), problem.utilities(), strict=True):
        order = np.lexsort((utilities, costs.round(12)))
        rises = np.diff(utilities[order]) * 1.2 * LARGEST
        np.testing.assert_allclose(rises, np.diff(costs[order]) + step, atol=1e-12)


def test_subset_sum():
    problem = generate("subset-sum", 300)
    np.testing.assert_allclose(problem.utilities(), problem.amortized_costs() / LARGEST, rtol=1e-12)


# ---- ties


def test_ties():
    problem = generate("ties", 3000, 4, (1, 2, 8))
    utilities = problem.utilities().reshape(3000, 4, 3)
    assert set(np.unique(utilities)) == {0.0, 1.0}
    assert (np.diff(utilities, axis=2) <= 0).all()  # never right in a larger batch and wrong in a smaller
    assert utilities[:, :, 0].mean(axis=0) == pytest.approx([0.4, 0.5, 0.65, 0.8], abs=0.03)
    assert utilities[:, :, 2].sum() < utilities[:, :, 0].sum()
    assert len(np.unique(problem.amortized_costs().round(12))) <= 3 * 3 * 6
    assert problem.models[0].price_in == problem.models[1].price_in


# ---- adversarial


def naive_greedy(problem: Problem, budget: float, hull: bool = True) -> float:
    """Utility that a greedy scheduler reaches: by concave hulls, or by the next step of raw frontiers."""
    costs, utilities = problem.amortized_costs(), problem.utilities()
    frontiers = []
    for i in range(problem.n_queries):
        points: list[tuple[float, float]] = []
        for c, u in sorted(zip(costs[i], utilities[i], strict=True), key=lambda point: (point[0], -point[1])):
            if points and u <= points[-1][1]:
                continue
            while hull and len(points) > 1:
                (c0, u0), (c1, u1) = points[-2:]
                if (u1 - u0) * (c - c0) > (u - u0) * (c1 - c0):
                    break
                points.pop()
            points.append((c, u))
        frontiers.append(points)
    place = [0] * problem.n_queries
    left = budget - sum(points[0][0] for points in frontiers) + 1e-12
    total = sum(points[0][1] for points in frontiers)
    while True:
        best: tuple[float, int, float, float] | None = None
        for i, points in enumerate(frontiers):
            if place[i] + 1 < len(points):
                (c0, u0), (c1, u1) = points[place[i] : place[i] + 2]
                if c1 - c0 <= left and (best is None or (u1 - u0) / (c1 - c0) > best[0]):
                    best = ((u1 - u0) / (c1 - c0), i, c1 - c0, u1 - u0)
        if best is None:
            return total
        place[best[1]] += 1
        left -= best[2]
        total += best[3]


def better_plan(problem: Problem, fraction: float) -> float:
    """Utility of a plan within the budget that upgrades the giant first, then what else fits."""
    budget = problem.budget_at(fraction)
    plan, best = problem.cheapest_assignment.copy(), problem.best_assignment
    gains = problem.utilities()[np.arange(problem.n_queries), best]
    giant = int(gains.argmax())
    rest = [i for i in np.argsort(-gains / problem.output_tokens[:, 1]) if i != giant]
    for query in [giant, *rest]:
        upgraded = plan.copy()
        upgraded[query] = best[query]
        if problem.realized_cost(upgraded) <= budget:
            plan = upgraded
    assert problem.amortized_cost(plan) <= budget
    return problem.total_utility(plan)


@pytest.mark.parametrize("queries", [5, 50, 500])
@pytest.mark.parametrize("models", [2, 4])
@pytest.mark.parametrize("seed", [0, 1])
def test_greedy_loses_much_on_adversarial(queries, models, seed):
    problem = generate("adversarial", queries, models, (1, 8), seed)
    for fraction in (0.7, 0.8, 0.9):
        greedy = naive_greedy(problem, problem.budget_at(fraction))
        assert 1 - greedy / better_plan(problem, fraction) > 0.2, fraction
    assert naive_greedy(problem, problem.budget_at(1)) == pytest.approx(problem.utilities().max(axis=1).sum())


def test_greedy_loses_much_on_five_queries_by_brute_force():
    problem = generate("adversarial", 5, 3, (4,), seed=2)
    budget = problem.budget_at(0.7)
    plans = (np.array(plan) for plan in product(range(problem.n_states), repeat=5))
    optimum = max(problem.total_utility(plan) for plan in plans if problem.realized_cost(plan) <= budget)
    assert optimum >= 1.0
    assert naive_greedy(problem, budget) < 0.8 * optimum


@pytest.mark.parametrize(("queries", "models"), [(2, 2), (3, 3), (2, 5)])
def test_greedy_loses_on_the_smallest_adversarial(queries, models):
    problem = generate("adversarial", queries, models)
    assert naive_greedy(problem, problem.budget_at(0.7)) < 0.8 * better_plan(problem, 0.7)


def test_a_scheduler_on_raw_frontiers_falls_into_the_trap():
    problem = generate("adversarial", 200, 3)
    budget = problem.budget_at(0.15)
    assert naive_greedy(problem, budget, hull=False) < 0.82 * naive_greedy(problem, budget)


def test_naive_greedy_is_no_straw_man():
    for family in ("realistic", "uncorrelated"):
        problem = generate(family, 60, 3, seed=4)
        greedy = naive_greedy(problem, problem.budget_at(0.5))
        assert greedy > 0.8 * problem.utilities().max(axis=1).sum()
