import math
from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robatch.instances import InputError, Model, Problem, State

seeds = st.integers(0, 2**32 - 1)


def oracle_cost(problem: Problem, assignment: list[int], realized: bool) -> float:
    """Cost of a plan, query by query and call by call, sharing no code with `Problem`."""
    models = {model.name: model for model in problem.models}
    names = [model.name for model in problem.models]
    total, waiting = 0.0, Counter()
    for query, index in enumerate(assignment):
        name, size = problem.states[index]
        model, column = models[name], names.index(name)
        inputs = problem.input_tokens[query][column if problem.input_tokens.shape[1] > 1 else 0]
        outputs = problem.output_tokens[query][column if problem.output_tokens.shape[1] > 1 else 0]
        total += (inputs * model.price_in + outputs * model.price_out) / 1e6
        if not realized:
            total += model.price_in * model.shared_tokens / 1e6 / size
        group = None if problem.groups is None else problem.groups[query]
        waiting[name, size, group] += 1
    if realized:
        for (name, size, _), queries in waiting.items():
            total += math.ceil(queries / size) * models[name].price_in * models[name].shared_tokens / 1e6
    return total


def random_assignment(problem: Problem, rng: np.random.Generator) -> np.ndarray:
    return np.array([rng.choice(np.flatnonzero(row)) for row in problem.allowed()])


# ---- numbers that can be followed by hand


def test_states_and_sizes(problem):
    assert problem.states == (State("weak", 1), State("weak", 4), State("strong", 2))
    assert (problem.n_queries, problem.n_models, problem.n_states, problem.n_groups) == (4, 2, 3, 1)
    assert problem.state_model.tolist() == [0, 0, 1]
    assert problem.state_batch_size.tolist() == [1, 4, 2]
    assert problem.state_index("strong", 2) == 2
    with pytest.raises(InputError, match=r"state is strong x 4: the batch sizes of 'strong' are 2$"):
        problem.state_index("strong", 4)


def test_costs_by_hand(problem):
    # Micro-dollars: price_in * (shared / b + input) + price_out * output.
    expected = [[112, 37, 1160], [126, 51, 1320], [140, 65, 1480], [154, 79, 1640]]
    np.testing.assert_allclose(problem.amortized_costs() * 1e6, expected, rtol=1e-14)
    np.testing.assert_allclose(problem.query_costs()[1] * 1e6, [26, 320], rtol=1e-14)
    assert problem.amortized_cost([0, 1, 2, 2]) * 1e6 == pytest.approx(112 + 51 + 1480 + 1640)
    # One call of weak x 1 (100), one of weak x 4 with one query (100), one of strong x 2 (2000).
    assert problem.realized_cost([0, 1, 2, 2]) * 1e6 == pytest.approx((12 + 100) + (26 + 100) + 480 + 640 + 2000)
    assert problem.cost([0, 1, 2, 2], "realized") == problem.realized_cost([0, 1, 2, 2])
    assert problem.cost([0, 1, 2, 2], "amortized") == problem.amortized_cost([0, 1, 2, 2])
    assert problem.total_utility([0, 1, 2, 2]) == pytest.approx(0.5 + 0.5 + 1.0 + 0.2)


def test_queries_of_different_groups_never_share_a_call(problem):
    together, apart = (
        problem.realized_cost([2] * 4),
        problem.replace(groups=[1, 2, 3, 1]).realized_cost([2] * 4),
    )
    assert problem.call_counts([2] * 4).tolist() == [[0, 0, 2]]
    assert problem.replace(groups=[1, 2, 3, 1]).call_counts([2] * 4).tolist() == [[0, 0, 1]] * 3
    assert (apart - together) * 1e6 == pytest.approx(2000)


def test_budget_range(problem):
    assert problem.cheapest_assignment.tolist() == [1, 1, 1, 1]
    assert problem.best_assignment.tolist() == [2, 2, 2, 1]  # of two equally good states the cheaper
    assert problem.cheapest_budget * 1e6 == pytest.approx(37 + 51 + 65 + 79)
    assert problem.dearest_budget * 1e6 == pytest.approx(1160 + 1320 + 1480 + 79)
    assert problem.budget_at(0) == problem.cheapest_budget
    assert problem.budget_at(1) == problem.dearest_budget
    assert problem.budget_at(0.25) * 1e6 == pytest.approx(232 + 0.25 * (4039 - 232))
    for fraction in (-0.1, 1.1, math.nan):
        with pytest.raises(InputError, match=f"budget fraction is {fraction}"):
            problem.budget_at(fraction)


def test_of_equally_cheap_states_the_better_is_the_cheapest():
    models = [Model("a", 1, 1, batch_sizes=(1, 2)), Model("b", 1, 1, batch_sizes=(1,))]
    problem = Problem(models, [5], [5], utility=[[0.2, 0.7, 0.4]])
    assert problem.cheapest_assignment.tolist() == [1]


# ---- against the oracle


@settings(max_examples=60, deadline=None)
@given(seeds, st.booleans())
def test_costs_are_those_of_the_oracle(random_problem, seed, factored):
    rng = np.random.default_rng(seed)
    problem = random_problem(rng, factored)
    for _ in range(3):
        plan = random_assignment(problem, rng)
        amortized, realized = (oracle_cost(problem, plan.tolist(), real) for real in (False, True))
        assert problem.amortized_cost(plan) == pytest.approx(amortized, rel=1e-12, abs=1e-15)
        assert problem.realized_cost(plan) == pytest.approx(realized, rel=1e-12, abs=1e-15)
        assert realized >= amortized - 1e-12
        rows = np.arange(problem.n_queries)
        assert problem.total_utility(plan) == pytest.approx(math.fsum(problem.utilities()[rows, plan]))
        assert amortized == pytest.approx(math.fsum(problem.amortized_costs()[rows, plan]), abs=1e-15)


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_budget_range_is_that_of_all_plans(random_problem, seed):
    rng = np.random.default_rng(seed)
    problem = random_problem(rng).take([0])
    states = np.flatnonzero(problem.allowed()[0])
    costs, utilities = problem.amortized_costs()[0][states], problem.utilities()[0][states]
    assert problem.cheapest_budget == pytest.approx(costs.min())
    assert problem.dearest_budget == pytest.approx(costs[utilities == utilities.max()].min())


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_factors_and_their_products_are_one_problem(random_problem, seed):
    factored = random_problem(np.random.default_rng(seed), factored=True)
    dense = factored.replace(base_utility=None, retention=None, utility=factored.utilities())
    assert factored.utility is None
    base, kept = np.asarray(factored.base_utility), np.asarray(factored.retention)
    for i, s in product(range(factored.n_queries), range(factored.n_states)):
        expected = base[i, factored.state_model[s]] * kept[i if len(kept) > 1 else 0, s]
        assert dense.utilities()[i, s] == expected
    plan = random_assignment(factored, np.random.default_rng(seed))
    assert factored.total_utility(plan) == dense.total_utility(plan)
    assert factored.dearest_budget == dense.dearest_budget
    assert factored != dense


# ---- context windows


def test_a_batch_of_such_queries_must_fit_the_context_window():
    model = Model("m", 1, 1, shared_tokens=100, context_window=300, batch_sizes=(1, 2, 4))
    # Tokens: 40 + 10 = 50 fits four times into the 200 left, 100 twice, 101 once.
    problem = Problem([model], [40, 90, 91], [10, 10, 10], utility=[[0.1, 0.5, 0.9]] * 3)
    assert problem.allowed().tolist() == [[True] * 3, [True, True, False], [True, False, False]]
    assert not problem.all_allowed
    assert problem.cheapest_assignment.tolist() == [2, 1, 0]
    assert problem.best_assignment.tolist() == [2, 1, 0]
    with pytest.raises(InputError, match="assignment of query number 1 is the state m x 4, which is not allowed"):
        problem.amortized_cost([2, 2, 0])


def test_a_query_that_fits_nowhere_is_an_error():
    model = Model("m", 1, 1, context_window=100)
    with pytest.raises(InputError, match="query 'long' fits the context window of no model"):
        Problem([model], [50, 90], [10, 20], utility=np.zeros((2, 6)), query_ids=["short", "long"])


# ---- validation


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": []}, "models is empty"),
        ({"models": ["m"]}, "models holds 'm'"),
        ({"models": [Model("m", 1, 1), Model("m", 2, 2)]}, "models holds 'm' twice"),
        ({"utility": None}, "needs either utility, or base_utility with retention"),
        ({"base_utility": np.ones((4, 2)), "retention": np.ones(3)}, "and not both"),
        ({"utility": None, "base_utility": np.ones((4, 2))}, "belong together"),
        ({"retention": np.ones(3)}, "belong together"),
        ({"utility": np.ones((4, 2))}, "utility has shape (4, 2): (number of queries, 3) is needed"),
        ({"utility": np.ones(3)}, "utility has shape (3,)"),
        ({"utility": np.ones((0, 3))}, "utility has no rows: a problem needs at least one query"),
        ({"utility": [[0.5, 0.5, math.nan]] * 4}, "utility[0, 2] is nan"),
        (
            {"utility": [[0.5, 0.5, 0.5]] * 3 + [[0, 1.5, 0]]},
            "utility[3, 1] is 1.5: a finite number from 0 to 1",
        ),
        ({"utility": [[0.5, -0.5, 0.5]] * 4}, "utility[0, 1] is -0.5"),
        ({"utility": [["a"] * 3] * 4}, "utility is not an array of numbers"),
        ({"input_tokens": [1, 2, 3]}, "input_tokens has shape (3,): (4,) or (4, 2) is needed"),
        ({"input_tokens": [1, 2, -3, 4]}, "input_tokens[2, 0] is -3"),
        ({"output_tokens": np.ones((4, 3))}, "output_tokens has shape (4, 3)"),
        ({"output_tokens": [1, math.inf, 1, 1]}, "output_tokens[1, 0] is inf"),
        ({"output_tokens": [[1, 2], [3]]}, "output_tokens is not an array of numbers"),
        ({"query_ids": ["a", "b", "a", "c"]}, "query_ids holds 'a' more than once"),
        ({"query_ids": ["a", "b", "c\ud800d", "é"]}, "query_ids holds a label that is not valid Unicode"),
        ({"query_ids": np.array(["a", "b", "c", "\udfff"], dtype=">U1")}, "query_ids holds a label that is not valid"),
        ({"groups": np.array(["", "\udc00", "", "x"], dtype=object)}, "groups holds a label that is not valid Unicode"),
        ({"query_ids": np.array([""] * 4, dtype="U0")}, "query_ids holds '' more than once"),
        ({"query_ids": [1, 2, 3]}, "query_ids has 3 entries: 4 are needed"),
        ({"query_ids": [1.5, 2, 3, 4]}, "query_ids is [1.5, 2, 3, 4]: a sequence of strings or of whole"),
        ({"groups": [[1], [2], [3], [4]]}, "groups is"),
    ],
)
def test_bad_fields_are_named(small, changes, message):
    with pytest.raises(InputError) as error:
        small(**changes)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("base", "kept", "message"),
    [
        ([[0.5, 1.1]] * 4, [1, 1, 1], "base_utility[0, 1] is 1.1"),
        ([[0.5, 0.5]] * 4, [1, -1, 1], "retention[0, 1] is -1.0"),
        ([[0.5, 0.5]] * 4, [1, math.inf, 1], "retention[0, 1] is inf"),
        ([[0.5, 0.5]] * 4, [1, 1], "retention has shape (2,)"),
        ([[0.5, 0.5]] * 4, [[1, 1, 1]] * 3, "retention has shape (3, 3)"),
        ([[0.5, 0.5]] * 4, [1, 1, 2.5], "base_utility times retention[0, 2] is 1.25"),
    ],
)
def test_bad_factors_are_named(small, base, kept, message):
    with pytest.raises(InputError) as error:
        small(utility=None, base_utility=base, retention=kept)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ([0, 0, 0], "assignment has shape (3,)"),
        ([[0, 0, 0, 0]], "assignment has shape (1, 4)"),
        ([0.0, 0.0, 0.0, 0.0], "type float64"),
        ([0, 0, 3, 0], "assignment of query number 2 is state 3: states go from 0 to 2"),
        ([0, -1, 0, 0], "assignment of query number 1 is state -1"),
    ],
)
def test_bad_assignments_are_named(problem, assignment, message):
    for method in (problem.amortized_cost, problem.realized_cost, problem.total_utility, problem.call_counts):
        with pytest.raises(InputError) as error:
            method(assignment)
        assert message in str(error.value)


# ---- copies, equality, types


def test_equality(small, problem):
    assert problem == small()
    assert problem != small(input_tokens=[10, 20, 30, 41])
    assert problem != small(utility=np.asarray(problem.utility, dtype=np.float32))
    assert problem != small(groups=[1, 1, 1, 1])
    assert problem != small(models=[problem.models[0], problem.models[1].replace(price_in=9)])
    assert problem != "problem"


def test_replace_checks_again_and_leaves_the_original(problem):
    other = problem.replace(input_tokens=[1, 2, 3, 4])
    assert other.input_tokens[:, 0].tolist() == [1, 2, 3, 4]
    assert problem.input_tokens[:, 0].tolist() == [10, 20, 30, 40]
    assert other.cheapest_budget < problem.cheapest_budget  # nothing cached is carried over
    with pytest.raises(InputError, match="utility has shape"):
        problem.replace(utility=np.ones((5, 2)))


def test_take_keeps_rows_together(small):
    whole = small(query_ids=["a", "b", "c", "d"], groups=[5, 6, 7, 8])
    some = whole.take([3, 1])
    assert some.query_ids.tolist() == ["d", "b"]
    assert some.groups.tolist() == [8, 6]
    np.testing.assert_array_equal(some.amortized_costs(), whole.amortized_costs()[[3, 1]])
    np.testing.assert_array_equal(some.utilities(), whole.utilities()[[3, 1]])


def test_take_of_factors(small):
    kept = [[1, 0.5, 1], [1, 0.25, 1], [1, 0.75, 1], [1, 0.125, 1]]
    whole = small(utility=None, base_utility=[[0.5, 0.5]] * 4, retention=kept)
    assert whole.take([2, 3]).utilities()[:, 1].tolist() == [0.375, 0.0625]
    shared = small(utility=None, base_utility=[[0.1, 1], [0.2, 1], [0.3, 1], [0.4, 1]], retention=[1, 0.5, 1])
    assert shared.take([2]).utilities().tolist() == [[0.3, 0.15, 1.0]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_float_types_are_kept_and_costs_are_double(small, dtype):
    problem = small(utility=np.full((4, 3), 0.5, dtype=dtype))
    assert problem.dtype == dtype
    assert problem.utilities().dtype == problem.input_tokens.dtype == dtype
    assert problem.amortized_costs().dtype == np.float64
    np.testing.assert_allclose(problem.amortized_costs()[0] * 1e6, [112, 37, 1160], rtol=1e-13)


def test_arrays_are_read_only_and_the_callers_are_not(small, problem):
    mine = np.array([10.0, 20, 30, 40])
    made = small(input_tokens=mine)
    with pytest.raises(ValueError, match="read-only"):
        made.input_tokens[0] = 5
    mine[0] = 5  # still writeable
    with pytest.raises(AttributeError):
        problem.models = ()


def test_queries_are_known_by_id_or_position(problem):
    assert problem.query_name(2) == "number 2"
    assert problem.replace(query_ids=["a", "b", "c", "d"]).query_name(2) == "'c'"
    assert repr(problem) == "Problem(4 queries, 2 models, 3 states, dense float64 utilities)"
