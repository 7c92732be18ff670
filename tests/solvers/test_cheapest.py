"""The least cost of a utility: against enumeration, against `solve`, and at the ends."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest

from robatch import solvers
from robatch.instances import FAMILIES, InputError, Model, Problem, generate
from robatch.instances.constraints import Constraints
from robatch.instances.kernels import flat
from robatch.solvers import Cheapest, VerificationError, register, solve, verify, verify_cheapest
from robatch.solvers.bounds.granularity import raise_to_grade
from robatch.solvers.bounds.relaxation import Relaxer, find_steps
from robatch.solvers.bounds.target_relaxation import reach, reaching
from robatch.solvers.cheapest import realized
from robatch.solvers.cheapest.exact import Search
from robatch.solvers.cheapest.mip import worth_keeping
from robatch.solvers.cheapest.targets import best_model
from robatch.solvers.mip import Backend, Outcome, highs
from robatch.solvers.mip.formulation import build
from robatch.solvers.registry import Answer, Solver, get
from tests.problems import each_family

COSTS = ("amortized", "realized")
cheapest = partial(solvers.cheapest, cost="amortized")  # unless a test says otherwise
PROGRAMS = ("highs", "cpsat", "scip", "cbc", "pulp-highs")


def small_problem(family: str, seed: int, most: int = 5) -> Problem:
    """At most 5 queries; some have groups, windows, float32, factors or forbidden pairs."""
    rng = np.random.default_rng([seed, sorted(FAMILIES).index(family)])
    n = int(rng.integers(2 if family == "adversarial" else 1, most + 1))
    single = family == "from-knapsack"
    problem = generate(
        family, n, 2, (1,) if single else ((1, 2), (1, 3), (2, 4))[seed % 3], seed,
        "float32" if seed % 5 == 0 else "float64", factored=None if family == "realistic" and seed % 2 else False,
    )  # fmt: skip
    if seed % 4 == 0:
        problem = problem.replace(groups=rng.integers(0, 2, n))
    if seed % 4 == 1:  # windows that forbid the larger batches of the longer queries
        tokens = (problem.input_tokens + problem.output_tokens).max()
        models = [
            m.replace(context_window=math.ceil(m.shared_tokens + m.batch_sizes[0] * tokens)) for m in problem.models
        ]
        problem = problem.replace(models=models)
    if seed % 4 == 2:
        forbidden = rng.random((n, problem.n_states)) < 0.2
        forbidden[np.arange(n), rng.integers(0, problem.n_states, n)] = False
        problem = problem.replace(forbidden=forbidden)
    return problem


def some_target(problem: Problem, seed: int) -> float:
    """Between the ends, at an end, or exactly the utility of some plan."""
    rng = np.random.default_rng(seed)
    low, high = (problem.total_utility(s) for s in (problem.cheapest_assignment, problem.best_assignment))
    states = np.array([rng.choice(np.flatnonzero(row)) for row in problem.allowed()])
    return (low + rng.random() * (high - low), problem.total_utility(states), rng.random() * high, high)[seed % 4]


@cache
def small_case(family: str, seed: int) -> tuple[Problem, float, dict[str, float]]:
    """Return a small problem, a target, and its least cost of either kind by looking at every assignment."""
    problem = small_problem(family, seed)
    target = some_target(problem, seed)
    least = dict.fromkeys(COSTS, math.inf)
    for states in itertools.product(*(np.flatnonzero(row).tolist() for row in problem.allowed())):
        found = problem.evaluate(np.array(states))
        if found.utility >= target:
            least["amortized"] = min(least["amortized"], found.amortized_cost)
            least["realized"] = min(least["realized"], found.realized_cost)
    return problem, target, least


def checked(problem: Problem, **asked: object) -> Cheapest:
    """Return what is found, with everything checked that holds of any plan."""
    found = cheapest(problem, **asked)  # type: ignore[arg-type]
    verify_cheapest(problem, found)
    assert found.plan is not None
    assert found.plan.assignment is not None
    verify(problem, found.plan)
    assert problem.total_utility(found.plan.assignment) >= found.target
    assert found.cost == problem.cost(found.plan.assignment, found.plan.cost)
    assert found.plan.budget == pytest.approx(found.cost, abs=1e-300)
    assert found.bound is not None
    assert 0 <= found.bound <= found.cost
    return found


# ---- against enumeration


@pytest.mark.parametrize("solver", ["greedy", "exact", *PROGRAMS])
@each_family
def test_tiny_problems_agree_with_enumeration(family, solver):
    for seed in range(24 if solver in ("greedy", "exact") else 12):
        problem, target, known = small_case(family, seed)
        for cost, least in known.items():
            found = checked(problem, utility=target, solver=solver, cost=cost)
            assert found.bound <= least * (1 + 1e-12), (seed, cost, found)
            assert found.cost >= least * (1 - 1e-12), (seed, cost, found)
            if solver != "greedy":
                assert found.status == "optimal", (seed, cost, found)
                assert found.cost <= least * (1 + 1e-9), (seed, cost, found)
                assert found.limit is None
        least = known["realized"]
        found = checked(problem, utility=target, cost="realized")
        assert found.status == "optimal", (seed, found)
        assert found.cost == pytest.approx(least, rel=1e-9), (seed, found)


# ---- greedy, optimum, and `solve`


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_greedy_brackets_the_optimum_and_solve_agrees(family, dtype):
    single = family == "from-knapsack"
    problem = generate(family, 40, 2 if single else 3, (1,) if single else (1, 4), 7, dtype)
    low, high = (problem.total_utility(s) for s in (problem.cheapest_assignment, problem.best_assignment))
    for share in (0.0, 0.25, 0.6, 0.95, 1.0):
        target = high if share == 1.0 else low + share * (high - low)
        greedy = checked(problem, utility=target, solver="greedy")
        best = checked(problem, utility=target)
        assert best.solver == "exact"
        assert best.status == "optimal"
        assert greedy.bound <= best.cost * (1 + 1e-12)
        assert best.bound <= greedy.cost * (1 + 1e-12)
        assert best.cost <= greedy.cost * (1 + 1e-12)
        if best.cost == 0.0:
            continue
        again = solve(problem, best.cost, cost="amortized")
        assert again.utility >= target * (1 - 1e-12)
        below = best.cost * (1 - 2e-9)
        less = solve(problem, below, gap=0.0, cost="amortized")
        assert less.status == "infeasible" or less.bound < target or best.cost <= problem.cheapest_budget


@pytest.mark.parametrize("family", ["realistic", "ties", "uncorrelated"])
def test_realized_cost(family):
    problem = generate(family, 8, 2, (1, 4), 3).replace(groups=np.arange(8) % 2)
    target = 0.9 * problem.total_utility(problem.best_assignment)
    greedy = checked(problem, utility=target, cost="realized")
    assert greedy.solver == "greedy"
    best = checked(problem, utility=target, solver="exact", cost="realized")
    assert best.status == "optimal"
    assert greedy.bound <= best.cost <= greedy.cost
    assert solve(problem, best.cost, "highs", cost="realized").utility >= target * (1 - 1e-9)
    amortized = checked(problem, utility=target)
    assert amortized.cost <= best.cost


@pytest.mark.parametrize("solves", [0, 1, 3, 6])
def test_a_tighter_bound_from_the_start_leaves_no_candidate_of_a_cheaper_plan_out(solves, monkeypatch):
    monkeypatch.setattr(realized, "MAX_SOLVES", solves)
    problem = generate("uncorrelated", 8, 2, (1, 4), 3).replace(groups=np.arange(8) % 2)
    target = 0.9 * problem.total_utility(problem.best_assignment)
    assert checked(problem, utility=target, solver="highs", cost="realized").cost == pytest.approx(0.006418, rel=1e-9)


@pytest.mark.parametrize("family", ["realistic", "uncorrelated", "ties", "strongly-correlated"])
def test_as_billed_the_search_agrees_with_a_program(family):
    for queries, groups in ((20, 1), (14, 3)):
        problem = generate(family, queries, 3, (1, 4), 2).replace(groups=np.arange(queries) % groups)
        low, high = (problem.total_utility(s) for s in (problem.cheapest_assignment, problem.best_assignment))
        for share in (0.3, 0.8):
            target = low + share * (high - low)
            found = solvers.cheapest(problem, utility=target)
            verify_cheapest(problem, found)
            program = checked(problem, utility=target, solver="highs", cost="realized", time_limit=20)
            assert found.bound <= program.cost * (1 + 1e-9)
            assert program.bound <= found.cost * (1 + 1e-9)
            assert found.gap < 0.05


def test_as_billed_the_least_cost_keeps_the_bill_and_is_the_default():
    problem = generate("realistic", 300, 3, (1, 8), 6)
    found = solvers.cheapest(problem, of_best=0.9)
    verify_cheapest(problem, found)
    assert (found.solver, found.plan.cost, found.plan.realized_cost) == ("greedy", "realized", found.cost)
    assert found.gap < 0.002
    less = solve(problem, found.bound * (1 - 1e-9), "greedy", cost="realized")
    assert less.utility < found.target
    with_groups = problem.replace(groups=np.arange(300) % 40)
    apart = solvers.cheapest(with_groups, of_best=0.9)
    verify_cheapest(with_groups, apart)
    assert found.bound <= apart.cost


@pytest.mark.parametrize("family", ["realistic", "uncorrelated", "ties"])
def test_many_queries_whose_prices_a_sample_brackets(family):
    problem = generate(family, 30_000, 3, (1, 8), 5)
    gaps = {}
    for share in (0.3, 0.99):
        for solver in ("greedy", "exact"):
            found = checked(problem, of_best=share, solver=solver)
            gaps[solver] = found.gap
            assert found.gap < 1e-4
        assert gaps["exact"] <= 1e-9
        greedy = [cheapest(problem, of_best=share, solver="greedy", threads=n) for n in (1, 2)]
        assert greedy[0].cost == greedy[1].cost
        assert greedy[0].bound == greedy[1].bound


def test_factored_problems_cost_the_same_as_dense_ones():
    factored = generate("realistic", 200, 3, (1, 8), 2)
    dense = factored.replace(utility=factored.utilities(), base_utility=None, retention=None)
    assert checked(factored, mean=0.6).cost == pytest.approx(checked(dense, mean=0.6).cost, rel=1e-9)


# ---- targets


def test_the_three_targets_mean_the_same():
    problem = generate("realistic", 50, 3, (1, 4), 1)
    _, best = best_model(problem)
    by_model = problem.utilities().reshape(50, 3, 2).max(axis=2).sum(axis=0)
    assert best == pytest.approx(by_model.max())
    assert problem.models[int(by_model.argmax())].name == best_model(problem)[0]
    share = checked(problem, of_best=0.9)
    assert share.target == 0.9 * best
    assert checked(problem, utility=0.9 * best).cost == share.cost
    mean = checked(problem, mean=0.9 * best / 50)
    assert mean.target == pytest.approx(share.target)
    assert checked(problem, of_best=1.0).plan.utility >= best


def test_the_best_model_answers_all_queries_in_batch_sizes_that_are_allowed():
    problem = generate("realistic", 12, 2, (1, 4), 1)
    forbidden = np.zeros((12, 4), dtype=bool)
    forbidden[0, :2] = True  # the first model cannot answer query 0
    forbidden[1, 2] = True  # nor the second query 1 in its best batch size
    limited = problem.replace(forbidden=forbidden)
    utility = limited.utilities()
    expected = utility[:, 2:].max(axis=1)
    expected[1] = utility[1, 3]
    assert best_model(limited) == (problem.models[1].name, pytest.approx(expected.sum()))
    forbidden[2, 2:] = True
    with pytest.raises(InputError, match="no model alone is allowed for all queries"):
        cheapest(problem.replace(forbidden=forbidden), of_best=0.5)


def test_targets_out_of_reach():
    problem = generate("realistic", 20, 3, (1, 4), 1)
    most = problem.total_utility(problem.best_assignment)
    for solver in ("greedy", "exact", "highs"):
        found = cheapest(problem, utility=most * 1.01, solver=solver)
        assert (found.status, found.plan, found.cost, found.bound, found.gap) == ("infeasible", None, None, None, None)
        assert f"the greatest that any plan reaches is {most:.12g}" in found.message
        verify_cheapest(problem, found)
        assert found.summary()["plan"] is None
    with pytest.raises(VerificationError, match="called infeasible"):
        verify_cheapest(problem, replace(found, target=most * 0.9))


def test_the_greatest_utility_is_reached_but_for_rounding():
    problem = Problem([Model("a", 1, 1, batch_sizes=(1,))], [10] * 10, [1] * 10, utility=[[0.8]] * 10)
    found = checked(problem, mean=0.8)  # ten times 0.8 add up to a little less than 8
    assert found.target == found.plan.utility < 8.0
    assert found.status == "optimal"
    assert cheapest(problem, mean=0.8001).status == "infeasible"


@pytest.mark.parametrize("solver", ["greedy", "exact", *PROGRAMS])
def test_targets_that_the_cheapest_plan_reaches(solver):
    problem = generate("uncorrelated", 15, 3, (1, 4), 4)
    for target in (0.0, 0.5 * problem.total_utility(problem.cheapest_assignment)):
        found = checked(problem, utility=target, solver=solver)
        assert found.status == "optimal"
        assert found.cost == found.bound == problem.cheapest_budget
        assert found.shadow_price is None


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("solver", ["greedy", "exact", *PROGRAMS])
def test_one_query_free_models_and_no_utility(solver, cost):
    free, paid = Model("free", 0, 0, batch_sizes=(1,)), Model("paid", 2, 2, shared_tokens=10, batch_sizes=(1, 2))
    problem = Problem([free, paid], [10], [1], utility=[[0.5, 0.9, 0.8]])
    least = {0.0: 0.0, 0.5: 0.0, 0.8: 32e-6 if cost == "amortized" else 42e-6, 0.85: 42e-6, 0.9: 42e-6}
    for target, expected in least.items():
        found = checked(problem, utility=target, solver=solver, cost=cost)
        if solver == "greedy":
            assert found.cost >= expected * (1 - 1e-12)
            continue
        assert found.cost == pytest.approx(expected, rel=1e-12, abs=0)
        assert found.status == "optimal"
    nothing = Problem([paid], [10, 20], [1, 1], utility=[[0.0, 0.0]] * 2)
    assert checked(nothing, of_best=1.0, solver=solver, cost=cost).plan.utility == 0.0
    assert cheapest(nothing, utility=0.1, solver=solver, cost=cost).status == "infeasible"


def test_a_target_that_a_cheaper_plan_misses_by_rounding_only():
    problem = generate("strongly-correlated", 40, 3, (1, 4), 7)
    low, high = (problem.total_utility(s) for s in (problem.cheapest_assignment, problem.best_assignment))
    target = low + 0.6 * (high - low)
    found = checked(problem, utility=target)
    just_below = checked(problem, utility=target * (1 - 1e-15))
    assert found.status == just_below.status == "optimal"
    assert just_below.cost <= found.cost <= just_below.cost * 1.001


def test_plateaus_and_equal_plans():
    """Many plans of one utility and several costs: copies of a query, and states that differ in cost only."""
    models = [Model(name, price, price, batch_sizes=(1,)) for name, price in (("a", 1), ("b", 2), ("c", 3))]
    problem = Problem(models, [100] * 30, [0] * 30, utility=[[0.0, 0.5, 0.5]] * 30)
    for target, upgraded in ((0.0, 0), (0.1, 1), (0.5, 1), (0.51, 2), (7.0, 14), (7.3, 15), (15.0, 30)):
        found = checked(problem, utility=target)
        assert found.status == "optimal"
        assert found.cost == pytest.approx((30 + upgraded) * 1e-4, rel=1e-12)
        assert found.cost <= checked(problem, utility=target, solver="greedy").cost


# ---- gaps, limits, and what cannot be done


@pytest.mark.parametrize("solver", ["exact", *PROGRAMS])
def test_gaps(solver):
    problem = generate("uncorrelated", 30, 3, (1, 4), 2)
    finest = checked(problem, of_best=0.99, solver=solver, gap=0.0 if solver == "exact" else 1e-9)
    assert finest.gap <= 1e-9
    loose = checked(problem, of_best=0.99, solver=solver, gap=0.01)
    assert loose.gap <= 0.01
    assert loose.status == ("optimal" if loose.gap <= 1e-9 else "feasible")
    assert loose.limit == (None if loose.status == "optimal" else "gap")
    assert loose.bound <= finest.cost <= loose.cost


@pytest.mark.parametrize(("solver", "cost"), [("exact", "amortized"), *((s, c) for s in PROGRAMS for c in COSTS)])
def test_a_time_limit_leaves_a_plan_and_a_bound(solver, cost):
    problem = generate("strongly-correlated", 100, 3, (1, 4), 1)
    found = checked(problem, of_best=0.9, solver=solver, cost=cost, time_limit=1e-6)
    assert found.status == "feasible"
    assert found.limit == "time"
    assert 0 < found.gap < 0.5


def test_open_budgets_leave_honest_ends(monkeypatch):
    """A solver that neither reaches the target nor excludes it moves none of the ends."""
    problem = generate("uncorrelated", 30, 3, (1, 4), 2)
    target = 0.9 * problem.total_utility(problem.best_assignment)
    relaxer = Relaxer(flat(problem))
    relaxed = reach(relaxer, target)
    states = reaching(problem, relaxer, target)
    high = problem.amortized_cost(states)
    search = Search(problem, relaxer, target, target, relaxed.price, states, high, relaxed.bound)
    least = cheapest(problem, utility=target).cost
    true = Search._solve

    def blurred(self, budget, gap, seed, deadline):
        utility, bound, limit = true(self, budget, gap, seed, deadline)
        return (0.0, bound, limit) if utility < self.target and budget > least * 0.999 else (utility, bound, limit)

    def open_(self, budget, gap, seed, deadline):
        utility, bound, limit = blurred(self, budget, gap, seed, deadline)
        return (utility, max(bound, self.target), limit) if budget > least * 0.999 else (utility, bound, limit)

    monkeypatch.setattr(Search, "_solve", open_)
    search.close(1e-9, 0, math.inf)
    assert search.limit == "other"
    assert search.high == pytest.approx(least, rel=1e-9)
    assert search.low == pytest.approx(min(least * 0.999, search.high), rel=1e-6)


def test_constraints_are_kept_by_programs_and_refused_by_others():
    problem = generate("realistic", 12, 3, (1, 4), 1)
    free, target = checked(problem, of_best=0.8), 0.8 * best_model(problem)[1]
    used = np.bincount(problem.state_model[free.plan.assignment])
    place = int(used.argmax())
    limited = problem.replace(constraints=Constraints(max_queries={problem.models[place].name: 3}))
    assert used[place] > 3
    for cost in COSTS:
        costs = [cheapest(limited, utility=target, solver=s, cost=cost) for s in ("highs", "scip", "auto")]
        for found in costs:
            assert found.status == "optimal"
            model = problem.state_model[found.plan.assignment]
            assert np.count_nonzero(model == place) <= 3
            assert found.cost == pytest.approx(costs[0].cost, rel=1e-9)
        assert costs[0].cost > free.cost
        for solver in ("greedy", "exact") if cost == "amortized" else ("greedy",):
            with pytest.raises(InputError, match=r"cannot keep the problem's constraints: highs, .* can"):
                cheapest(limited, utility=target, solver=solver, cost=cost)
    beyond = cheapest(problem.replace(constraints=Constraints(max_queries={best_model(problem)[0]: 0})), of_best=1.0)
    assert beyond.status == "infeasible"
    assert "is out of reach: the greatest that keeps the problem's constraints " in beyond.message
    never = Constraints(max_queries={m.name: 1 for m in problem.models})
    assert "no plan keeps" in cheapest(problem.replace(constraints=never), mean=0.1).message


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "exactly one of utility, mean and of_best"),
        ({"mean": 0.5, "utility": 1}, "exactly one of"),
        ({"utility": -1}, "utility is -1"),
        ({"utility": math.nan}, "utility is nan"),
        ({"utility": math.inf}, "utility is inf"),
        ({"mean": 1.1}, "mean is 1.1"),
        ({"of_best": -0.1}, "of_best is -0.1"),
        ({"of_best": True}, "of_best is True"),
        ({"mean": 0.5, "solver": "pareto"}, "solver is 'pareto'"),
        ({"mean": 0.5, "solver": "nix"}, "solver is 'nix'"),
        ({"mean": 0.5, "cost": "free"}, "cost is 'free'"),
        ({"mean": 0.5, "gap": 2}, "gap is 2"),
        ({"mean": 0.5, "time_limit": 0}, "time_limit is 0"),
        ({"mean": 0.5, "threads": 0}, "threads is 0"),
        ({"mean": 0.5, "seed": -1}, "seed is -1"),
    ],
)
def test_bad_input(asked, words):
    with pytest.raises(InputError, match=words):
        cheapest(generate("ties", 5, 2, (1, 2), 0), **asked)


# ---- parts


@pytest.mark.parametrize("wrong_round", [1, 2, 3])
def test_a_program_that_is_called_infeasible_proves_nothing_where_a_plan_is_known(wrong_round, monkeypatch):
    rounds = 0

    def run_once(model, request, start):
        """Return a plan just below the target, which needs a repair; in one round claim that there is no plan."""
        nonlocal rounds
        rounds += 1
        if rounds >= wrong_round:
            return Outcome(infeasible=True)
        found = highs.run_once(model, request, start)
        states, utilities = model.to_assignment(found.values), model.problem.utilities()
        for query, row in enumerate(utilities):
            candidates = model.state[model.query == query]
            worse = candidates[row[candidates] < row[states[query]]]
            if len(worse):
                states[query] = worse[row[worse].argmax()]
            if model.problem.total_utility(states) < model.floor:
                break
        return Outcome(model.to_values(states))

    problem = generate("uncorrelated", 8, 3, (1, 2), seed=3)
    target = some_target(problem, 4)
    best = cheapest(problem, utility=target, solver="highs")
    assert best.status == "optimal"
    monkeypatch.setattr(highs, "run", Backend(run_once))
    told = cheapest(problem, utility=target, solver="highs")
    assert rounds >= wrong_round
    assert (told.status, told.limit) == ("feasible", "other")
    assert "infeasible that has a plan" in told.message
    assert told.bound <= best.cost <= told.cost


def test_solvers_registered_by_the_name_of_a_backend_do_not_take_its_place():
    problem = generate("uncorrelated", 6, 2, (1, 2), seed=3)
    problem = problem.replace(constraints=Constraints(max_queries={problem.models[1].name: 3}))
    target, before = 0.5 * problem.total_utility(problem.best_assignment), get("highs")
    best = cheapest(problem, utility=target)
    register(Solver("highs", "finds nothing", lambda request: Answer()), replace=True)
    try:
        assert cheapest(problem, utility=target).cost == best.cost
    finally:
        register(before, replace=True)


def test_the_check_finds_what_is_wrong():
    problem = generate("uncorrelated", 40, 3, (1, 4), 1)
    found = checked(problem, of_best=0.99, solver="greedy")
    dual = verify_cheapest(problem, found)
    assert dual == pytest.approx(found.bound, rel=1e-9)
    assert verify_cheapest(problem, replace(found, shadow_price=None)) is None
    for wrong, words in (
        ({"target": found.plan.utility * 1.001}, "below the target"),
        ({"cost": found.cost * 1.001}, "cost is said to be"),
        ({"bound": found.cost * 1.001}, "above the cost"),
        ({"bound": (found.bound + found.cost) / 2}, "above the .* USD that the shadow price proves"),
        ({"bound": -1.0}, "bound is -1.0"),
        ({"bound": math.nan}, "bound is nan"),
        ({"status": "optimal"}, "called optimal"),
        ({"status": "fine"}, "status is 'fine'"),
        ({"status": "infeasible"}, "there is a plan"),
        ({"plan": None}, "with the plan None"),
        ({"target": math.nan}, "target is nan"),
        ({"plan": replace(found.plan, status="feasible", budget=found.cost * 1.001)}, "cost is said to be"),
    ):
        with pytest.raises(VerificationError, match=words):
            verify_cheapest(problem, replace(found, **wrong))
    with pytest.raises(VerificationError, match="called optimal"):
        verify_cheapest(problem, replace(checked(problem, of_best=0.99), limit="time"))


def test_the_program_excludes_no_plan_of_the_target():
    problem = generate("uncorrelated", 4, 2, (1, 2), 1)
    target = 0.8 * problem.total_utility(problem.best_assignment)
    model = build(problem, None, "amortized", floor=target)
    missed = problem.cheapest_assignment
    row = model.excluding(missed, "worse")
    entries = row.index[row.starts[-2] : row.starts[-1]]
    for states in itertools.product(range(problem.n_states), repeat=4):
        assignment = np.array(states)
        allowed = row.to_values(assignment)[entries].sum() <= row.row_upper[-1]
        assert allowed or problem.total_utility(assignment) < target
    assert row.to_values(missed)[entries].sum() > row.row_upper[-1]


@each_family
def test_pairs_left_out_are_in_no_plan_of_the_target(family):
    for seed in range(8):
        problem, target, known = small_case(family, seed)
        relaxed = reach(Relaxer(flat(problem)), target)
        for cost, least in known.items():
            kept = worth_keeping(problem, relaxed.price, least - relaxed.bound)
            if kept is None:
                continue
            for states in itertools.product(*(np.flatnonzero(row).tolist() for row in problem.allowed())):
                assignment = np.array(states)
                if problem.cost(assignment, cost) <= least and problem.total_utility(assignment) >= target:
                    assert kept[np.arange(len(assignment)), assignment].all()


def test_brackets_that_miss_are_moved():
    problem = generate("realistic", 6_000, 3, (1, 8), 3)
    whole = Relaxer(flat(problem))
    whole.steps = find_steps(whole.flat, math.inf, 0.0)
    most = problem.total_utility(problem.best_assignment)
    for share in (0.5, 0.9, 0.999, 1.0):
        relaxer = Relaxer(flat(problem))
        first = reach(relaxer, 0.7 * most)
        moved, expected = reach(relaxer, share * most), reach(whole, share * most)
        assert moved.bound == pytest.approx(expected.bound, rel=1e-9)
        assert moved.price == pytest.approx(expected.price, rel=1e-6)
        assert first.bound == pytest.approx(reach(whole, 0.7 * most).bound, rel=1e-9)


def test_targets_are_raised_to_grades():
    tenths = np.array([[0.1, 0.7], [0.3, 0.9]])
    problem = Problem(
        [Model("a", 1, 1, batch_sizes=(1,)), Model("b", 2, 2, batch_sizes=(1,))], [1, 1], [1, 1], utility=tenths
    )
    assert raise_to_grade(flat(problem), 0.61) == pytest.approx(0.7)
    assert raise_to_grade(flat(problem), 0.7) == pytest.approx(0.7)
    assert raise_to_grade(flat(problem), 0.7) >= 0.7
    rough = problem.replace(utility=tenths + np.pi / 1e4)
    assert raise_to_grade(flat(rough), 0.61) == 0.61


@pytest.mark.parametrize("dear", [1e6, 1e9, 1e10])
def test_a_far_dearer_model_does_not_blur_the_proof(dear):
    rng = np.random.default_rng(11)
    models = [
        Model("dear", price_in=dear, price_out=0, batch_sizes=(1,)),
        Model("a", price_in=1, price_out=0, shared_tokens=10, batch_sizes=(1, 4)),
        Model("b", price_in=1.5, price_out=0, shared_tokens=50, batch_sizes=(1, 2)),
    ]
    limits = Constraints(max_queries={"dear": 0})
    problem = Problem(models, rng.integers(1, 300, 4), np.zeros(4), rng.random((4, 5)), constraints=limits)
    target = problem.total_utility(rng.integers(1, 5, 4))
    found = cheapest(problem, utility=target, solver="highs")
    plans = (np.array(states) for states in np.ndindex(*[5] * 4) if min(states) > 0)
    least = min(problem.amortized_cost(states) for states in plans if problem.total_utility(states) >= target)
    assert found.status == "optimal"
    assert found.cost == pytest.approx(least, rel=1e-9)
    assert found.bound <= least * (1 + 1e-9)
