"""The path of the public routing tables, on small tables of their form: the real ones are not part of the project."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from paper_repro.common import datasets
from paper_repro.experiments import comparison, worth

QUERIES = 60
DEAR, CHEAP, OTHER = "Llama-3.1-405B-Inst@sambanova", "Athene-70B", "DeepSeek-Coder-V2-0724"
POOLS = {"gsm8k_zeroeval": (CHEAP, OTHER, DEAR), "mmlu_pro": ("Llama-2-7b-hf", "Llama-2-70b-hf")}


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Write tables in which hard queries, told by a word and a category, are answered by the last model alone."""
    folder = tmp_path_factory.mktemp("data")
    for part in ("tables", "tasks"):
        (folder / part).mkdir()
    rng = np.random.default_rng(0)
    hard = rng.random(QUERIES) < 0.5
    texts = [f"{'prove' if hard[i] else 'add'} {rng.integers(100)} and {rng.integers(100)}" for i in range(QUERIES)]
    for name, pool in POOLS.items():
        rows = [
            {"query_id": f"q{i}", "category": "law" if hard[i] else "math", "model": model,
             "correct": int(place + 1 == len(pool) or not hard[i]), "input_tokens": 40 + i, "output_tokens": 60 + place}
            for i in range(QUERIES) for place, model in enumerate(pool)
        ]  # fmt: skip
        pq.write_table(pa.Table.from_pylist(rows), folder / "tables" / f"{name}.parquet")
    lines = [json.dumps({"id": f"q{i}", "question": text}) for i, text in enumerate(texts)]
    (folder / "tasks" / "gsm8k.jsonl").write_text("\n".join(lines), encoding="utf-8")
    scores = [{"query_id": f"q{i}", "split": "train", "model": model, "score": float(model == "b" or not hard[i])}
              for i in range(QUERIES) for model in "ab"]  # fmt: skip
    asked = [{"query_id": f"q{i}", "split": "train", "query": text} for i, text in enumerate(texts)]
    pq.write_table(pa.Table.from_pylist(scores), folder / "tables" / "llmrouter_scores.parquet")
    pq.write_table(pa.Table.from_pylist(asked), folder / "tables" / "llmrouter_queries.parquet")
    prices = {"a": {"price_in": 0.1, "price_out": 0.1}, "b": {"price_in": 1.0, "price_out": 2.0}}
    (folder / "tables" / "llmrouter_prices.json").write_text(json.dumps(prices), encoding="utf-8")
    return folder, hard


@pytest.fixture(autouse=True)
def only_small_tables(tables, monkeypatch):
    monkeypatch.setattr(datasets, "DATA", tables[0])
    for module in (comparison, worth):
        monkeypatch.setattr(module, "dataset", datasets.dataset.__wrapped__)  # the real tables may be in the cache


@pytest.mark.parametrize("name", sorted(datasets.FILES))
def test_a_table_becomes_a_problem(tables, name):
    assert datasets.missing([name]) is None
    found = datasets.dataset.__wrapped__(name)
    problem = found.problem
    assert found.kind == "semi-synthetic"
    assert problem.n_queries == QUERIES
    assert {state.batch_size for state in problem.states} == set(datasets.TABLE_SIZES)
    assert {model.shared_tokens for model in problem.models} == {datasets.SHARED_TOKENS[name]}
    utility = problem.utilities()[:, found.smallest]
    order = [int(id[1:]) for id in problem.query_ids]
    dearest = int(np.argmax([model.price_out for model in problem.models]))
    assert (utility[:, dearest] == 1.0).all()
    assert np.array_equal(utility.min(axis=1) == 0.0, tables[1][order])
    keeps = np.atleast_2d(problem.retention)[0]
    assert (keeps[found.smallest] == 1.0).all()
    assert (keeps <= 1.0).all()
    assert (keeps < 1.0).any()


def test_a_proxy_learns_of_the_queries_trained_on_which_are_hard(tables):
    found = datasets.dataset.__wrapped__("gsm8k")
    train, test = np.arange(0, QUERIES, 2), np.arange(1, QUERIES, 2)
    guess = found.predict(found.features(train, size=8), train, test, random_state=0)
    hard = tables[1][[int(id[1:]) for id in found.problem.query_ids]][test]
    cheap = guess.utilities[:, found.smallest[[model.name for model in found.problem.models].index(CHEAP)]]
    assert cheap[hard].max() < cheap[~hard].min()
    lower = guess.lower(0.8)
    assert (lower <= guess.utilities + 1e-9).all()


def test_the_comparison_and_the_worth_run_on_tables(tables):
    settings = {"datasets": ["gsm8k"], "splits": 1, "budgets": 6, "without": ["router-only, MLP"]}
    (cell,) = comparison.cells(settings)
    made = comparison.tables(settings, comparison.compute(settings, cell))
    areas = {row["strategy"]: row["area"] for row in made["areas"]}
    assert areas["oracle"] >= areas["exact"] - 1e-9
    assert areas["exact"] > areas["state means"], "hard queries can be told"
    assert {row["plan"] for row in made["wins"]} == {"exact", "greedy", "pareto"}
    assert {row["kind"] for row in made["wins"]} == {"semi-synthetic"}
    settings = {"datasets": ["gsm8k"], "splits": 1, "budgets": 3}
    steps = worth.tables(settings, worth.compute(settings, {"dataset": "gsm8k"}))["overall"]
    found = {row["step"]: row["worth"] for row in steps}
    assert found["state means to proxy"] > 0
    assert found["proxy to hindsight"] >= -1e-9
    assert "proxy to another measurement" not in found, "a table holds one measurement"
