"""Greedy under coupled constraints, against all assignments of tiny problems and against HiGHS."""

from __future__ import annotations

import itertools

import highspy
import numpy as np
import pytest

from robatch.instances import Constraints, Model, Problem, generate
from robatch.instances.kernels import flat
from robatch.solvers.greedy.constrained import run
from robatch.solvers.greedy.constrained_dual import Dual, minimize
from robatch.solvers.greedy.constrained_kernels import Multipliers
from robatch.solvers.greedy.constrained_kernels import dual as dual_kernel
from robatch.solvers.greedy.constrained_rows import rows_of, sides_of
from robatch.solvers.registry import Request

KINDS = ("max_queries", "max_calls", "max_cost", "min_group_utility", "group_budget")
COSTS = ("amortized", "realized")
EDGE = 1e-12  # relative: sums of other orders


class Uses:
    """What many assignments (M, N) are worth and use, written from the definitions alone."""

    def __init__(self, problem, states, cost):
        n, groups = problem.n_queries, problem.groups if problem.groups is not None else np.zeros(problem.n_queries)
        self.labels = sorted(set(groups.tolist()))
        columns = [(k, b) for k, model in enumerate(problem.models) for b in model.batch_sizes]
        own = np.zeros((n, len(columns)))
        prompt = np.zeros(len(columns))
        for s, (k, _) in enumerate(columns):
            model = problem.models[k]
            sent = problem.input_tokens[:, min(k, problem.input_tokens.shape[1] - 1)].astype(float)
            received = problem.output_tokens[:, min(k, problem.output_tokens.shape[1] - 1)].astype(float)
            own[:, s] = (sent * model.price_in + received * model.price_out) * 1e-6
            prompt[s] = model.price_in * model.shared_tokens * 1e-6
        worth = problem.utilities().astype(float)[np.arange(n), states]
        paid = own[np.arange(n), states]
        size = np.array([b for _, b in columns])
        if cost == "amortized":
            paid = paid + (prompt / size)[states]
        model = np.array([k for k, _ in columns])
        self.utility = worth.sum(axis=1)
        self.queries = np.stack([(model[states] == k).sum(axis=1) for k in range(problem.n_models)], axis=1)
        calls = np.zeros((len(states), len(self.labels), len(columns)), dtype=int)
        for j, label in enumerate(self.labels):
            inside = states[:, groups == label]
            for s in range(len(columns)):
                calls[:, j, s] = -(-(inside == s).sum(axis=1) // size[s])
        billed = calls * (prompt if cost == "realized" else 0.0)
        self.calls = np.stack([calls[:, :, model == k].sum(axis=(1, 2)) for k in range(problem.n_models)], axis=1)
        self.cost = paid.sum(axis=1) + billed.sum(axis=(1, 2))
        self.model_cost = np.stack(
            [
                (paid * (model[states] == k)).sum(axis=1) + billed[:, :, model == k].sum(axis=(1, 2))
                for k in range(problem.n_models)
            ],
            axis=1,
        )
        self.group_utility = np.stack([worth[:, groups == label].mean(axis=1) for label in self.labels], axis=1)
        self.group_cost = np.stack(
            [paid[:, groups == label].sum(axis=1) + billed[:, j].sum(axis=1) for j, label in enumerate(self.labels)],
            axis=1,
        )

    def of(self, kind):
        return {
            "max_queries": self.queries,
            "max_calls": self.calls,
            "max_cost": self.model_cost,
            "min_group_utility": self.group_utility,
            "group_budget": self.group_cost,
        }[kind]

    def keeps(self, problem, budget, slack):
        """Whether each assignment keeps everything, `slack` more or less."""
        good = self.cost <= budget * (1 + slack)
        names = [model.name for model in problem.models]
        for kind in KINDS:
            for label, limit in getattr(problem.constraints, kind).items():
                place = self.labels.index(label) if kind in KINDS[3:] else names.index(label)
                used = self.of(kind)[:, place]
                good &= used >= limit * (1 - slack) if kind == "min_group_utility" else used <= limit * (1 + slack)
        return good


def tiny(seed, kinds):
    """Return a tiny problem with constraints of some kinds, and a budget, near what random plans use."""
    rng = np.random.default_rng([seed, *map(KINDS.index, kinds)])
    n, k = int(rng.integers(2, 7)), int(rng.integers(2, 4))
    sizes = [sorted(rng.choice([1, 2, 3, 4], 2 if k == 2 or n < 6 else 1, replace=False).tolist()) for _ in range(k)]
    models = [
        Model(f"m{j}", float(rng.integers(1, 20)), float(rng.integers(1, 20)), float(rng.integers(0, 400)),
              context_window=None if rng.random() < 0.6 else 3000, batch_sizes=sizes[j])
        for j in range(k)
    ]  # fmt: skip
    problem = Problem(
        models,
        rng.integers(10, 500, (n, k if rng.random() < 0.5 else 1)),
        rng.integers(10, 500, n),
        utility=np.round(rng.random((n, sum(map(len, sizes)))), 2).astype(np.float32 if seed % 4 == 0 else float),
        groups=[("a", "b")[g] for g in rng.integers(0, 2, n)]
        if rng.random() < 0.7 or set(kinds) & set(KINDS[3:])
        else None,
    )
    if rng.random() < 0.3:
        mask = (rng.random(problem.allowed().shape) < 0.2) & problem.allowed()
        mask[np.arange(n), problem.best_assignment] = False
        problem = problem.replace(forbidden=mask)
    choices = [np.flatnonzero(row) for row in problem.allowed()]
    cost = COSTS[seed % 2]
    one = np.array([[rng.choice(states) for states in choices]])
    used = Uses(problem, one, cost)
    names = [model.name for model in models]
    limits, edge = {}, rng.random() < 0.4  # some limits are just what a plan uses
    for kind in kinds:
        of_groups = kind in KINDS[3:]
        limits[kind] = {}
        for place, label in enumerate(used.labels if of_groups else names):
            if rng.random() < 0.3 and limits[kind]:
                continue
            value = used.of(kind)[0, place]
            factor = 1.0 if edge and rng.random() < 0.5 else rng.uniform(0.8 if len(kinds) < 4 else 0.95, 1.3)
            if kind in KINDS[:2]:
                limits[kind][label] = int(value * factor)
            else:
                limits[kind][label] = float(min(value * factor, 1.0) if kind == "min_group_utility" else value * factor)
    budget = float(used.cost[0] * (1.0 if rng.random() < 0.2 else rng.uniform(0.9, 1.5)))
    return problem.replace(constraints=Constraints(**limits)), max(budget, 1e-9), cost


CASES = [(kind,) for kind in KINDS] + [KINDS[:3], KINDS]


@pytest.mark.parametrize("kinds", CASES, ids="+".join)
def test_tiny_problems_against_all_assignments(kinds):
    found = missed = 0
    best = []
    for seed in range(40):
        problem, budget, cost = tiny(seed, kinds)
        if problem.constraints is None:
            continue
        states = np.array(list(itertools.product(*(np.flatnonzero(row) for row in problem.allowed()))))
        uses = Uses(problem, states, cost)
        good = uses.keeps(problem, budget, EDGE)
        clear = uses.keeps(problem, budget, -EDGE)
        answer = run(Request(problem, budget, cost))
        if answer.infeasible:
            assert not good.any()
            continue
        assert answer.bound is not None
        if good.any():
            assert answer.bound >= uses.utility[good].max() * (1 - 1e-12)
        if answer.assignment is None:
            assert answer.message
            assert "no plan was found" in answer.message
            missed += bool(clear.any())
            continue
        mine = Uses(problem, answer.assignment[None], cost)
        assert problem.allowed()[np.arange(problem.n_queries), answer.assignment].all()
        assert mine.keeps(problem, budget, EDGE)[0]
        assert mine.utility[0] <= uses.utility[good].max() + 1e-12
        found += 1
        if clear.any():  # what keeps a limit but for the last digit may count as over it
            best.append(mine.utility[0] / max(uses.utility[clear].max(), 1e-12))
    assert found >= 5
    assert missed <= 0.05 * found  # a plan exists and is not found
    assert np.mean(best) > 0.99


def larger(n, groups, cost, seed=0):
    """Return a problem whose constraints bind and can be kept, and a budget."""
    rng = np.random.default_rng(seed)
    problem = generate("realistic", queries=n, models=4, batch_sizes=(1, 2, 4, 8), seed=seed)
    problem = problem.replace(groups=rng.integers(0, groups, n))
    budget = problem.budget_at(0.3)
    free = Uses(problem, problem.cheapest_assignment[None], cost)
    rows = rows_of(problem, budget, cost)
    plan = Dual(flat(problem), sides_of(rows), rows.most, rows.scale)
    states, _ = plan.best_states(minimize(plan, 0.0).x)
    used = Uses(problem, states[None], cost)
    names = [model.name for model in problem.models]
    busy = np.argsort(-used.queries[0])[:2]
    limits = Constraints(
        max_queries={names[busy[0]]: int(0.8 * used.queries[0, busy[0]])},
        max_calls={names[busy[1]]: int(0.8 * used.calls[0, busy[1]]) + 1},
        max_cost={names[busy[0]]: float(0.75 * used.model_cost[0, busy[0]])},
        min_group_utility={0: float(0.5 * (used.group_utility[0, 0] + free.group_utility[0, 0]))},
        group_budget={1: float(0.8 * used.group_cost[0, 1])},
    )
    return problem.replace(constraints=limits), budget


def program(problem, budget, cost):
    """Return HiGHS with the mixed-integer program: one column for each pair, one for each group's calls of a state."""
    n, width, codes = problem.n_queries, problem.n_states, problem.group_codes
    groups, k_of = problem.n_groups, problem.state_model
    highs, inf = highspy.Highs(), highspy.kHighsInf
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("mip_rel_gap", 1e-4)
    pairs, cells = n * width, groups * width
    own = problem.query_costs()[:, k_of] + (problem.call_price / problem.state_batch_size if cost == "amortized" else 0)
    utility = problem.utilities().astype(float)
    highs.addVars(pairs + cells, np.zeros(pairs + cells), np.append(np.ones(pairs), np.full(cells, float(n))))
    highs.changeColsCost(pairs, np.arange(pairs), -utility.ravel())
    usd = np.append(
        own.ravel(), np.tile(problem.call_price if cost == "realized" else 0.0 * problem.call_price, groups)
    )
    model = np.append(np.tile(k_of, n), np.tile(k_of, groups))
    group = np.append(np.repeat(codes, width), np.repeat(np.arange(groups), width))
    is_call = np.arange(pairs + cells) >= pairs

    def add(weights, most, scale, least=-inf):
        index = np.flatnonzero(weights)
        highs.addRow(least, most / scale, len(index), index.astype(np.int32), weights[index] / scale)

    for i in range(n):
        add((np.arange(pairs + cells) // width == i) * ~is_call * 1.0, 1.0, 1.0, 1.0)
    for cell in range(cells):
        g, s = divmod(cell, width)
        weights = (~is_call & (group == g) & (np.arange(pairs + cells) % width == s)) * 1.0
        weights[pairs + cell] = -float(problem.state_batch_size[s])
        add(weights, 0.0, 1.0)
    add(usd, budget, budget / n)
    names = [one.name for one in problem.models]
    limits = problem.constraints
    for name, most in limits.max_queries.items():
        add((~is_call & (model == names.index(name))) * 1.0, most, 1.0)
    for name, most in limits.max_calls.items():
        add((is_call & (model == names.index(name))) * 1.0, most, 1.0)
    for name, most in limits.max_cost.items():
        add(usd * (model == names.index(name)), most, budget / n)
    for label, least in limits.min_group_utility.items():
        g = problem.group_labels.index(label)
        add(np.append(-utility.ravel(), np.zeros(cells)) * (group == g), -least * (codes == g).sum(), 1.0)
    for label, most in limits.group_budget.items():
        add(usd * (group == problem.group_labels.index(label)), most, budget / n)
    return highs, pairs + cells


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize(("n", "groups"), [(200, 2), (300, 5)])
def test_bound_is_that_of_the_linear_program(cost, n, groups):
    problem, budget = larger(n, groups, cost)
    answer = run(Request(problem, budget, cost))
    highs, _ = program(problem, budget, cost)
    highs.run()
    relaxed = -highs.getInfo().objective_function_value
    assert answer.bound == pytest.approx(relaxed, rel=1e-6)
    assert answer.assignment is not None
    mine = Uses(problem, answer.assignment[None], cost)
    assert mine.keeps(problem, budget, EDGE)[0]
    assert mine.utility[0] >= (0.9995 if cost == "amortized" else 0.99) * answer.bound


@pytest.mark.parametrize("cost", COSTS)
def test_utility_is_near_the_mixed_integer_optimum(cost):
    for seed in range(3):
        problem, budget = larger(60, 2, cost, seed)
        answer = run(Request(problem, budget, cost))
        highs, columns = program(problem, budget, cost)
        highs.changeColsIntegrality(columns, np.arange(columns), np.full(columns, highspy.HighsVarType.kInteger))
        highs.setOptionValue("time_limit", 10.0)
        highs.run()
        info = highs.getInfo()
        assert answer.assignment is not None
        utility = problem.total_utility(answer.assignment)
        assert utility <= -info.mip_dual_bound * (1 + 1e-9)
        assert utility >= -info.objective_function_value * 0.99
        assert answer.bound >= -info.objective_function_value * (1 - 1e-9)


def test_second_derivatives_are_those_of_the_softened_dual():
    problem, budget = larger(40, 3, "realized")
    rows = rows_of(problem, budget, "realized")
    dual = Dual(flat(problem), sides_of(rows), rows.most, rows.scale)
    rng = np.random.default_rng(0)
    x = np.where(dual.active, rng.uniform(0.1, 3.0, len(rows.most)), 0.0)
    point, first, groups = dual.at(x, 0.05), rows.first_group, len(rows.groups)
    for row in np.flatnonzero(dual.active):
        step = np.zeros(len(x))
        step[row] = 1e-5
        up, down = dual.at(x + step, 0.05), dual.at(x - step, 0.05)
        assert point.slope[row] == pytest.approx((up.soft - down.soft) / 2e-5, rel=1e-4, abs=1e-6)
        change = (up.slope - down.slope) / 2e-5
        if row < first:
            expected = np.append(point.outer[row], point.cross[:, row].T.ravel())
        else:
            kind, group = divmod(row - first, groups)
            inner = np.zeros((2, groups))
            inner[:, group] = point.inner[group, kind]
            expected = np.append(point.cross[group, :, kind], inner.ravel())
        np.testing.assert_allclose(np.where(dual.active, expected, 0.0), change, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("cost", COSTS)
def test_threads_and_repetition_change_nothing(cost):
    problem, budget = larger(3000, 3, cost)
    one, two = (run(Request(problem, budget, cost, threads=threads)) for threads in (1, 2))
    np.testing.assert_array_equal(one.assignment, two.assignment)
    assert (one.bound, one.shadow_price) == (two.bound, two.shadow_price)


@pytest.mark.parametrize("cost", COSTS)
def test_large_problems_go_by_a_sample(cost):
    problem, budget = larger(40_000, 4, cost)
    answer = run(Request(problem, budget, cost))
    assert answer.assignment is not None
    mine = Uses(problem, answer.assignment[None], cost)
    assert mine.keeps(problem, budget, EDGE)[0]
    assert mine.utility[0] >= 0.9999 * answer.bound


def test_constraints_that_do_not_bind_change_no_bound():
    problem = generate("realistic", queries=3000, models=3, batch_sizes=(1, 4), seed=1)
    budget = problem.budget_at(0.4)
    from robatch.solvers.bounds.shared import Bounds

    relaxed = Bounds.of(Request(problem, budget, "amortized")).relaxer.at(budget)
    problem = problem.replace(constraints=Constraints(max_queries={problem.models[0].name: 3000}))
    answer = run(Request(problem, budget, "amortized"))
    assert answer.bound == pytest.approx(relaxed.bound, rel=1e-9)
    assert problem.total_utility(answer.assignment) >= 0.99999 * answer.bound


def test_infeasible_is_proven_where_the_relaxation_has_no_plan():
    problem, budget = larger(300, 2, "amortized")
    tight = problem.constraints
    for limits in (
        Constraints(max_queries={model.name: 50 for model in problem.models}),
        Constraints(max_calls={model.name: 0 for model in problem.models}),
        Constraints(group_budget={0: 1e-9}),
        Constraints(min_group_utility={1: 1.0}),
    ):
        assert tight is not None
        assert run(Request(problem.replace(constraints=limits), budget, "realized")).infeasible


def test_a_model_that_may_answer_nothing_is_left_out():
    problem, budget = larger(200, 2, "amortized")
    names = [model.name for model in problem.models]
    limits = Constraints(max_queries={names[3]: 0}, max_calls={names[2]: 0})
    for cost in COSTS:
        answer = run(Request(problem.replace(constraints=limits), budget, cost))
        assert answer.assignment is not None
        assert not np.isin(problem.state_model[answer.assignment], (2, 3)).any()


def test_queries_that_conflict_make_more_calls_and_still_all_is_kept():
    problem, budget = larger(120, 2, "realized")
    edges = np.random.default_rng(0).integers(0, 120, (200, 2))
    problem = problem.replace(conflicts=edges[edges[:, 0] != edges[:, 1]])
    answer = run(Request(problem, budget, "realized"))
    assert answer.assignment is not None
    found = problem.evaluate(answer.assignment)
    assert found.realized_cost <= budget
    for name, most in problem.constraints.max_calls.items():
        place = [model.name for model in problem.models].index(name)
        assert found.calls[:, problem.state_model == place].sum() <= most


def test_message_names_what_stays_violated():
    models = [Model("small", 1.0, 1.0, 0.0, batch_sizes=(4,)), Model("large", 2.0, 2.0, 0.0, batch_sizes=(4,))]
    problem = Problem(
        models, [[10.0]] * 6, [[10.0]] * 6, utility=np.full((6, 2), 0.5), groups=list("aabbcc"),
        constraints=Constraints(max_calls={"small": 1, "large": 1}),
    )  # fmt: skip
    answer = run(Request(problem, 1.0, "amortized"))  # three groups need three calls; a relaxed call is in two parts
    assert answer.assignment is None
    if not answer.infeasible:
        assert answer.message is not None
        assert "max_calls" in answer.message


def test_kernel_counts_every_query_once():
    problem, budget = larger(50, 2, "amortized")
    rows = rows_of(problem, budget, "amortized")
    multipliers = Multipliers(np.zeros(1), np.zeros((3, problem.n_models)), np.zeros((len(rows.groups), 2)))
    states, margin = np.empty(50, dtype=np.int64), np.empty(50)
    sums, use, *_ = dual_kernel(0, 50, 0.0, multipliers, states, margin, flat(problem), sides_of(rows))
    assert use[1 : 1 + problem.n_models].sum() == 50
    assert sums[0] + sums[1] == pytest.approx(problem.utilities().max(axis=1).sum())
    assert (margin >= 0.0).all()
