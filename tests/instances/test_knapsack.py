from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robatch.instances import InputError, Knapsack, Problem, from_knapsack, generate
from robatch.instances.knapsack import items

numbers = st.integers(0, 30)
knapsacks = st.builds(
    lambda pairs, capacity: Knapsack([p for p, _ in pairs], [w for _, w in pairs], capacity),
    st.lists(st.tuples(numbers, numbers), min_size=1, max_size=8).filter(lambda pairs: any(p for p, _ in pairs)),
    st.integers(0, 120),
)


def best_profit(knapsack: Knapsack) -> int:
    """The textbook dynamic program over whole capacities."""
    best = [0] * (int(knapsack.capacity) + 1)
    for profit, weight in zip(knapsack.profits, knapsack.weights, strict=True):
        for room in range(len(best) - 1, int(weight) - 1, -1):
            best[room] = max(best[room], best[room - int(weight)] + int(profit))
    return best[-1]


def best_plan(problem: Problem, budget: float) -> tuple[int, ...]:
    """The best of all assignments within the budget, tried one by one."""
    plans = product(range(problem.n_states), repeat=problem.n_queries)
    fitting = [plan for plan in plans if problem.realized_cost(np.array(plan)) <= budget]
    return max(fitting, key=lambda plan: problem.total_utility(np.array(plan)))


@settings(max_examples=40, deadline=None)
@given(knapsacks)
def test_the_best_plan_is_the_best_choice_of_items(knapsack):
    problem, budget = from_knapsack(knapsack)
    plan = np.array(best_plan(problem, budget))
    chosen = items(problem, plan)
    assert knapsack.profit(chosen) == best_profit(knapsack)
    assert knapsack.weight(chosen) <= knapsack.capacity
    assert problem.total_utility(plan) * max(knapsack.profits) == pytest.approx(best_profit(knapsack))


@settings(max_examples=40, deadline=None)
@given(knapsacks, st.data())
def test_what_fits_one_fits_the_other(knapsack, data):
    problem, budget = from_knapsack(knapsack)
    n = len(knapsack.weights)
    plan = np.array(data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)))
    chosen = items(problem, plan)
    assert chosen.tolist() == [j for j in range(n) if plan[j] == 1]
    # Costs are the weights to the last bit, under both cost models.
    assert problem.amortized_cost(plan) == problem.realized_cost(plan) == knapsack.weight(chosen)
    assert (problem.realized_cost(plan) <= budget) == (knapsack.weight(chosen) <= knapsack.capacity)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (([], [], 1), "profits is empty"),
        (([1], [1, 2], 1), "profits has 1 entries and weights has 2"),
        (([0, 0], [1, 2], 1), "profits are all 0"),
        (([1, -1], [1, 2], 1), "profits[1] is -1"),
        (([1, 1], [1, float("nan")], 1), "weights[1] is nan"),
        (([1, "1"], [1, 2], 1), "profits[1] is '1'"),
        ((5, [1, 2], 1), "profits is 5"),
        (([1], [1], -1), "capacity is -1"),
        (([1], [1], float("inf")), "capacity is inf"),
    ],
)
def test_bad_knapsacks_are_named(fields, message):
    with pytest.raises(InputError) as error:
        Knapsack(*fields)
    assert message in str(error.value)


def test_items_wants_a_reduced_knapsack():
    with pytest.raises(InputError, match="was not made by from_knapsack"):
        items(generate("ties", queries=2, models=2), [0, 0])
    problem, _ = from_knapsack(Knapsack([1, 2], [3, 4], 5))
    with pytest.raises(InputError, match="states go from 0 to 1"):
        items(problem, [0, 2])


def test_the_family_is_a_reduced_knapsack():
    problem = generate("from-knapsack", queries=50, seed=9, dtype="float32")
    assert problem.states == (("skip", 1), ("take", 1))
    assert problem.dtype == np.float32
    assert problem.utilities()[:, 1].max() == 1.0
    weights = problem.amortized_costs()[:, 1]
    assert (weights == np.round(weights)).all()
    assert 1 <= weights.min() < weights.max() <= 1000
    assert problem.cheapest_budget == 0.0
    assert items(problem, [1] * 50).tolist() == list(range(50))
