"""Calls: every query once, in its state, with its group, without conflicts, as many as counted."""

from __future__ import annotations

import dataclasses

import networkx as nx
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from paper_repro.common.exact_packing import fewest_calls
from robatch.instances import InputError, Model, Problem, State
from robatch.solvers import Call, Plan
from robatch.solvers.plan import similarity as similar
from robatch.solvers.plan.packing import pack
from robatch.solvers.plan.plan import ids_of

STATES = (State("a", 1), State("a", 3), State("b", 2))
POLICIES = ("order", "length", "vectors", "sparse", "graph", "random")


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=60))
def test_calls_are_legal_and_as_few_as_possible(queries):
    assignment = np.array([state for state, _ in queries])
    groups = np.array([group for _, group in queries])
    calls = pack(assignment, STATES, groups)
    assert sorted(query for call in calls for query in call.queries.tolist()) == list(range(len(queries)))
    for call in calls:
        assert 0 < len(call.queries) <= call.state.batch_size
        assert {STATES[assignment[query]] for query in call.queries} == {call.state}
        assert len({groups[query] for query in call.queries}) == 1
        assert list(call.queries) == sorted(call.queries)
    cells = dict.fromkeys(queries, 0)
    for cell in queries:
        cells[cell] += 1
    assert len(calls) == sum(-(-count // STATES[s].batch_size) for (s, _), count in cells.items())


def test_without_groups_all_share():
    calls = pack(np.array([1, 1, 1, 1]), STATES, None)
    assert [call.queries.tolist() for call in calls] == [[0, 1, 2], [3]]


def test_calls_are_a_sequence():
    calls = pack(np.array([2, 1, 1, 1, 2, 1]), STATES, None)
    assert len(calls) == 3
    assert [call.queries.tolist() for call in calls] == [[1, 2, 3], [5], [0, 4]]
    assert isinstance(calls[0], Call)
    assert calls[-1].state == STATES[2]
    assert calls[-1].queries.tolist() == [0, 4]
    assert [call.queries.tolist() for call in calls[1:]] == [[5], [0, 4]]
    with pytest.raises(IndexError):
        calls[3]
    assert calls.sizes.tolist() == [3, 1, 2]
    assert calls.number.tolist() == [2, 0, 0, 0, 2, 1]
    assert repr(calls) == "Calls(3 calls of 6 queries)"
    with pytest.raises(ValueError, match="read-only"):
        calls[0].queries[0] = 5


def make_case(seed):
    """Return a random problem with groups, windows, margins, conflicts or none of them, and an allowed assignment."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 70))
    models = [
        Model("a", 1, 2, 50, None, (1, 2, 7)),
        Model("b", 2, 3, 50, int(rng.integers(200, 900)), (1, 2, 4)),
    ]
    conflicts = None
    if seed % 3 > 0 and n > 1:
        ends = rng.integers(0, n, (int(rng.integers(1, 4)) * n, 2))
        conflicts = ends[ends[:, 0] != ends[:, 1]]
    problem = Problem(
        models,
        rng.integers(10, 100, (n, 2) if seed % 2 else n).astype(float),
        rng.integers(1, 50, n).astype(float),
        utility=rng.random((n, 6)),
        groups=rng.integers(0, 3, n) if seed % 4 > 1 else None,
        query_ids=[f"q{i}" for i in rng.permutation(n)] if seed % 5 == 0 else None,
        conflicts=conflicts,
        window_margin=0.2 if seed % 4 == 1 else 0.0,
    )
    few = rng.choice(6, 2, replace=False)  # full cells, unlike those of all states
    states = [rng.choice([s for s in np.flatnonzero(row) if s in few] or np.flatnonzero(row)) for row in
              problem.allowed()]  # fmt: skip
    return problem, np.array(states)


def made_plan(problem, assignment):
    found = problem.evaluate(assignment)
    return Plan(
        np.asarray(assignment), found.utility, found.amortized_cost, found.realized_cost, 1.0, "realized", None,
        "feasible", None, 0.0, "greedy", "0", **ids_of(problem, assignment),
    )  # fmt: skip


def asked(problem, policy, seed):
    """Return the arguments of `Plan.calls` that ask for a policy."""
    rng = np.random.default_rng(seed)
    n = problem.n_queries
    if policy == "length":
        return {"policy": policy, "lengths": problem.input_tokens}
    vectors = rng.standard_normal((n, 5)) * (rng.random((n, 1)) < 0.9)
    if policy == "vectors":
        return {"policy": "similarity", "similarity": vectors}
    if policy == "sparse":
        return {"policy": "similarity", "similarity": scipy.sparse.csr_matrix(np.maximum(vectors, 0))}
    if policy == "graph":
        graph = nx.gnm_random_graph(n, 2 * n, seed=seed)
        for one, other in graph.edges:
            graph.edges[one, other]["weight"] = float(rng.random())
        if problem.query_ids is not None:
            graph = nx.relabel_nodes(graph, dict(enumerate(problem.query_ids.tolist())))
        return {"policy": "similarity", "similarity": graph}
    return {"policy": policy, "seed": seed}


def tokens_of(problem, call):
    k = [model.name for model in problem.models].index(call.state.model)
    own = problem.input_tokens[call.queries] + problem.output_tokens[call.queries]
    return problem.models[k].shared_tokens + own[:, k if own.shape[1] > 1 else 0].sum(), problem.models[k]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("seed", range(24))
def test_every_policy_forms_the_legal_calls_that_are_counted(seed, policy):
    problem, assignment = make_case(seed)
    plan = made_plan(problem, assignment)
    calls = plan.calls(**asked(problem, policy, seed))
    assert np.array_equal(np.sort(calls.order), np.arange(problem.n_queries))
    barred = set() if problem.conflicts is None else {tuple(pair) for pair in problem.conflicts.tolist()}
    formed = np.zeros((problem.n_groups, problem.n_states), dtype=int)
    for number, call in enumerate(calls):
        assert 0 < len(call.queries) <= call.state.batch_size
        assert {problem.states[state] for state in assignment[call.queries]} == {call.state}
        groups = set(problem.group_codes[call.queries].tolist())
        assert len(groups) == 1
        members = sorted(call.queries.tolist())
        assert not barred & {(a, b) for a in members for b in members}
        tokens, model = tokens_of(problem, call)
        window = np.inf if model.context_window is None else model.context_window
        assert tokens <= (1 - problem.window_margin) * window + 1e-9
        assert (calls.number[call.queries] == number).all()
        formed[groups.pop(), problem.state_index(*call.state)] += 1
    assert np.array_equal(formed, problem.call_counts(assignment))
    again = plan.calls(**asked(problem, policy, seed))
    assert np.array_equal(calls.order, again.order)
    assert np.array_equal(calls.starts, again.starts)


def test_random_calls_follow_their_seed():
    plan = made_plan(*one_state(40, 4))
    orders = [plan.calls("random", seed=seed).order.tolist() for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]


def one_state(n, size, **changes):
    """Return a problem of one state and its only assignment."""
    model = Model("m", 1, 1, 100, batch_sizes=(size,))
    return Problem([model], [10] * n, [1] * n, utility=[[0.5]] * n, **changes), np.zeros(n, dtype=np.int64)


def test_queries_of_like_length_share_a_call():
    plan = made_plan(*one_state(6, 2))
    calls = plan.calls("length", lengths=[5, 1, 9, 2, 8, 6])
    assert [set(call.queries.tolist()) for call in calls] == [{1, 3}, {0, 5}, {2, 4}]


def test_lengths_may_differ_by_model():
    models = [Model(name, 1, 1, 100, batch_sizes=(2,)) for name in "ab"]
    problem = Problem(models, [10] * 4, [1] * 4, utility=np.full((4, 2), 0.5))
    plan = made_plan(problem, np.array([0, 0, 0, 1]))
    calls = plan.calls("length", lengths=[[3, 0], [1, 0], [2, 0], [0, 7]])
    assert [call.queries.tolist() for call in calls] == [[1, 2], [0], [3]]


@pytest.mark.parametrize("size", [2, 3])
def test_similar_queries_share_a_call(size):
    n = 6 * size
    kind = np.arange(n) % 6
    wanted = {frozenset(np.flatnonzero(kind == k).tolist()) for k in range(6)}
    plan = made_plan(*one_state(n, size))
    graph = nx.Graph([(i, j) for i in range(n) for j in range(i) if kind[i] == kind[j]])
    for similarity in (np.eye(6)[kind], scipy.sparse.csr_matrix(np.eye(6)[kind]), graph):
        calls = plan.calls("similarity", similarity=similarity)
        assert {frozenset(call.queries.tolist()) for call in calls} == wanted


def test_pairs_are_matched_for_greatest_weight_and_not_greedily():
    graph = nx.Graph()
    graph.add_weighted_edges_from([(0, 1, 0.5), (1, 2, 0.6), (2, 3, 0.5)])
    calls = made_plan(*one_state(4, 2)).calls("similarity", similarity=graph)
    assert {frozenset(call.queries.tolist()) for call in calls} == {frozenset({0, 1}), frozenset({2, 3})}


def test_large_cells_are_halved_before_they_are_grown(monkeypatch):
    monkeypatch.setattr(similar, "BLOCK", 8)
    rng = np.random.default_rng(0)
    kind = rng.permutation(np.repeat(np.arange(16), 4))
    plan = made_plan(*one_state(64, 4))
    vectors = rng.standard_normal((16, 8))[kind]
    calls = plan.calls("similarity", similarity=vectors)
    assert len(calls) == 16
    alike = sum(len(set(kind[call.queries].tolist())) == 1 for call in calls)
    assert alike >= 8  # a cut may part some
    assert len({len(set(kind[call.queries])) for call in plan.calls("random")} & {1}) == 0


def test_a_policy_that_needs_more_calls_than_counted_gives_way_in_that_cell():
    problem, assignment = one_state(4, 2, conflicts=[(2, 3)])
    calls = made_plan(problem, assignment).calls()
    # in query order 0 and 1 would share a call, and leave 2 and 3 for calls of their own
    assert [call.queries.tolist() for call in calls] == [[0, 2], [1, 3]]


@pytest.mark.parametrize("seed", range(15))
def test_calls_against_an_exact_packer(seed):
    rng = np.random.default_rng(seed)
    n, size = int(rng.integers(13, 24)), int(rng.integers(2, 6))
    one, other = np.triu_indices(n, 1)
    kept = rng.random(len(one)) < (0.1, 0.3, 0.6)[seed % 3]
    edges = np.stack([one[kept], other[kept]], axis=1)
    exact = fewest_calls(n, size, edges)
    assert (exact[edges[:, 0]] != exact[edges[:, 1]]).all()
    assert np.bincount(exact).max() <= size
    calls = pack(np.zeros(n, dtype=np.int64), [State("m", size)], None, edges)
    assert len(calls) == exact.max() + 1  # beyond 12 queries not promised, but so it is here


def test_exact_packing_by_tokens():
    packed = fewest_calls(5, 5, tokens=[6, 4, 5, 3, 2.5], room=10)
    assert packed.max() + 1 == 3
    assert max(np.bincount(packed, weights=[6, 4, 5, 3, 2.5])) <= 10
    assert fewest_calls(4, 4, [(0, 1)], tokens=[1] * 4, room=10).max() + 1 == 2
    for wrong in ({"tokens": [1] * 5}, {"tokens": [11, 1, 1, 1, 1], "room": 10}, {"conflicts": [(0, 5)]}):
        with pytest.raises(InputError):
            fewest_calls(5, 5, **wrong)


BAD = nx.Graph([(0, 9)])
NEGATIVE = nx.Graph()
NEGATIVE.add_edge(0, 1, weight=-1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"policy": "best"}, "policy is 'best': one of order, length, similarity, random is needed"),
        ({"policy": "length"}, "needs lengths"),
        ({"policy": "similarity"}, "needs similarity"),
        ({"lengths": [1] * 4}, "policy 'length' is needed"),
        ({"policy": "length", "lengths": [1] * 3}, "lengths has to be an array"),
        ({"policy": "length", "lengths": ["a"] * 4}, "lengths has to be an array"),
        ({"policy": "length", "lengths": [1, 2, 3, np.nan]}, "not finite"),
        ({"policy": "random", "seed": -1}, "seed is -1"),
        ({"policy": "similarity", "similarity": [[1.0]] * 3}, "3 vectors"),
        ({"policy": "similarity", "similarity": [1.0] * 4}, "neither a networkx graph nor"),
        ({"policy": "similarity", "similarity": [[np.inf]] * 4}, "not finite"),
        ({"policy": "similarity", "similarity": BAD}, "names the query 9"),
        ({"policy": "similarity", "similarity": NEGATIVE}, "weight -1"),
    ],
)
def test_bad_arguments_are_named(arguments, words):
    with pytest.raises(InputError, match=words):
        made_plan(*one_state(4, 2)).calls(**arguments)


def test_conflicts_go_to_the_file_and_back(tmp_path):
    problem, assignment = one_state(6, 3, conflicts=[("a", "b"), ("b", "c")], query_ids=list("abcdef"))
    plan = made_plan(problem, assignment)
    plan.write(tmp_path / "plan.parquet")
    back = Plan.read(tmp_path / "plan.parquet")
    assert np.array_equal(back.conflicts, problem.conflicts)
    assert np.array_equal(back.calls().order, plan.calls().order)
    dataclasses.replace(plan, conflicts=None).write(tmp_path / "plain.parquet")
    assert Plan.read(tmp_path / "plain.parquet").conflicts is None


def test_files_of_the_version_without_conflicts_are_read(tmp_path):
    import json

    import pyarrow.parquet as pq

    plan = made_plan(*one_state(6, 3))
    plan.write(tmp_path / "plan.parquet")
    table = pq.read_table(tmp_path / "plan.parquet")
    meta = json.loads(table.schema.metadata[b"robatch"])
    del meta["conflicts"]
    old = {b"robatch": json.dumps({**meta, "version": 2}).encode()}
    pq.write_table(table.replace_schema_metadata(old), tmp_path / "old.parquet")
    assert np.array_equal(Plan.read(tmp_path / "old.parquet").calls().order, plan.calls().order)
    for wrong in ([[0, 6]], [[0]], [["a", "b"]], "x", [[-1, 2]]):
        broken = {b"robatch": json.dumps({**meta, "conflicts": wrong}).encode()}
        pq.write_table(table.replace_schema_metadata(broken), tmp_path / "broken.parquet")
        with pytest.raises(InputError, match="broken table or metadata"):
            Plan.read(tmp_path / "broken.parquet")


@pytest.mark.parametrize("sequence", [None, np.array([4, 3, 2, 1, 0])])
def test_any_numbers_name_groups(sequence):
    assignment, groups = np.array([1, 2, 1, 1, 1]), np.array([10**15, -3, 7, 7, 10**15])
    few = np.unique(groups, return_inverse=True)[1]
    calls, same = (pack(assignment, STATES, codes, None, sequence) for codes in (groups, few))
    assert np.array_equal(calls.order, same.order)
    assert len(calls) == 3
    many = pack(np.zeros(3, dtype=int), [State("m", 2)] * 20, np.array([2, 0, 2]))  # more cells than are counted in
    assert [call.queries.tolist() for call in many] == [[1], [0, 2]]
    one = pack(np.array([19]), [State("m", 2)] * 20, None)
    assert [call.queries.tolist() for call in one] == [[0]]


def test_what_no_plan_can_hold_is_refused():
    for wrong in ([0, 3], [-1, 0]):
        with pytest.raises(InputError, match="outside 0 to 2"):
            pack(np.array(wrong), STATES, None)
    with pytest.raises(InputError, match="group_codes has shape"):
        pack(np.array([0, 0]), STATES, np.array([0]))
