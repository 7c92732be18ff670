"""What the experiments plan for: queries with the truth about every state, and what a proxy may learn from.

Two kinds. The tasks of the recorded profile were **measured** in every state. The routing tables were measured at batch
size 1 by others; the loss with batch size is taken from publications (`paper_repro/tables`): **semi-synthetic**.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.decomposition import TruncatedSVD
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from paper_repro.common.paths import FEATURES, HERE, PROFILE, TABLES
from paper_repro.common.profile_data import TaskData, pivot, read_tasks
from robatch.instances.arrays import FloatArray, IntArray
from robatch.instances.errors import InputError
from robatch.instances.problem import Problem
from robatch.instances.tables import from_table
from robatch.proxies.profiling.measurements import Measurements
from robatch.proxies.utility.features import HashedTfidf
from robatch.proxies.utility.utility_proxy import UtilityProxy

DATA = Path(os.environ.get("ROBATCH_DATA", HERE.parents[1] / "shared" / "data"))
"""The folder of the routing tables, which are not part of the project."""

TASKS = ("reviews", "arithmetic", "boolean_expressions", "sports_understanding", "object_counting")
FILES = {
    "mmlu_pro": ("tables/mmlu_pro.parquet",),
    "gsm8k": ("tables/gsm8k_zeroeval.parquet", "tasks/gsm8k.jsonl"),
    "llmrouter": (
        "tables/llmrouter_scores.parquet", "tables/llmrouter_queries.parquet", "tables/llmrouter_prices.json",
    ),
}  # fmt: skip
"""The files of each routing table, in the folder `DATA`."""

TABLE_SIZES = (1, 2, 4, 8)
"""Batch sizes of the routing tables: most published curves end at 10, beyond which larger batches would be free."""

SHARED_TOKENS = {"mmlu_pro": 900.0, "gsm8k": 900.0, "llmrouter": 500.0}
"""Assumed tokens of the shared prompt: about five worked examples, and instructions with two."""

LLMROUTER_OUTPUT = 150.0
"""Assumed output tokens of every answer of `llmrouter`, whose table has none."""

CHARACTERS_A_TOKEN = 4.0

MAX_COMMON_ANSWERS = 6
"""Most frequent answers that a scorer of answers tells apart."""


@dataclass(frozen=True)
class Dataset:
    """Queries with the truth about every state.

    Attributes
    ----------
    name, kind
        What it is called; ``"measured"`` or ``"semi-synthetic"``.
    problem
        All N queries with their true utilities and tokens.
    numbers, texts
        What a proxy learns from: numbers (N, F), or texts; one of the two is there.
    answers
        Numbers of each answer at the smallest batch size, which a cascade may look at: (N, K, A).
    task
        The task of the recorded profile, or None.
    """

    name: str
    kind: str
    problem: Problem
    numbers: FloatArray | None
    texts: tuple[str, ...] | None
    answers: FloatArray
    task: TaskData | None = None

    @property
    def smallest(self) -> IntArray:
        """The state of each model at its smallest batch size: (K,)."""
        return np.flatnonzero(np.diff(self.problem.state_model, prepend=-1) > 0)

    def features(self, train: IntArray, size: int = 64, seed: int = 0) -> FloatArray:
        """Return the numbers of all queries: (N, F); of texts, weights and reduction learned from `train` alone."""
        if self.numbers is not None:
            return self.numbers
        assert self.texts is not None
        with threadpool_limits(limits=1):  # sums in another order are other sums
            tfidf = HashedTfidf().fit([self.texts[i] for i in train])
            weights = tfidf.transform(list(self.texts))
            reduced = TruncatedSVD(size, random_state=seed).fit(weights[train]).transform(weights)
        lengths = np.log1p([[len(text), len(text.split())] for text in self.texts])
        return np.hstack([lengths, reduced])

    def predict(self, features: FloatArray, train: IntArray, test: IntArray, **params: Any) -> Predictions:
        """Fit a proxy to some queries and predict others.

        On the recorded profile it learns from all states. On a routing table it learns each model's utility at batch
        size 1; what each state keeps of it is the published curve, which every strategy knows.
        """
        with threadpool_limits(limits=1):
            if self.task is not None:
                task = replace(self.task, features=features)
                proxy = task.fit(UtilityProxy(states=task.states, features="given", **params), train)
                return Predictions(proxy, features[test], proxy.predict(features[test]))
            base = np.asarray(self.problem.base_utility, dtype=np.float64)
            proxy = UtilityProxy(features="given", **params).fit(features[train], base[train])
            keeps, model = np.asarray(self.problem.retention, dtype=np.float64), self.problem.state_model
            return Predictions(proxy, features[test], proxy.predict(features[test])[:, model] * keeps, model, keeps)


@dataclass(frozen=True)
class Predictions:
    """What a proxy predicts of the queries held out: `utilities` (n, S), and lower bounds of them.

    On a routing table, `model` (S,) and `keeps` say what each state keeps of its model's utility.
    """

    proxy: UtilityProxy
    features: FloatArray
    utilities: FloatArray
    model: IntArray | None = None
    keeps: FloatArray | None = None

    def lower(self, level: float) -> FloatArray:
        """Return lower bounds of the utilities: (n, S)."""
        low = self.proxy.predict_lower(self.features, level)
        return low if self.keeps is None else low[:, self.model] * self.keeps


def dataset_cells(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the cells of an experiment that takes each dataset by itself."""
    return [{"dataset": name} for name in settings["datasets"]]


def missing(names: list[str]) -> str | None:
    """Say which file of the routing tables is not here, or None."""
    for name in names:
        for file in FILES.get(name, ()):
            if not (DATA / file).is_file():
                return f"{name} needs {str(DATA / file)!r}, which is not there (environment variable ROBATCH_DATA)"
    return None


@cache
def dataset(name: str, queries: int | None = None) -> Dataset:
    """Return a dataset by name; the first `queries` of an order drawn with seed 0, or all.

    Raises
    ------
    InputError
        If there is none of that name, or a part is asked of a task that is taken whole.
    """
    tables = {"mmlu_pro": _mmlu_pro, "gsm8k": _gsm8k, "llmrouter": _llmrouter}
    if name not in tables and name not in TASKS:
        raise InputError(f"dataset is {name!r}: one of {', '.join((*TASKS, *tables))} is needed")
    found = tables[name]() if name in tables else _task(name)
    if queries is None or queries >= found.problem.n_queries:
        return found
    rows = np.sort(np.random.default_rng(0).permutation(found.problem.n_queries)[:queries])
    if found.task is not None:
        raise InputError(f"queries is {queries}: a task of the recorded profile is taken whole")
    return replace(
        found,
        problem=found.problem.take(rows),
        numbers=None if found.numbers is None else found.numbers[rows],
        texts=None if found.texts is None else tuple(found.texts[i] for i in rows),
        answers=found.answers[rows],
    )


@cache
def _measurements() -> Measurements:
    return Measurements.read(PROFILE)


@cache
def _tasks() -> dict[str, TaskData]:
    return {task.name: task for task in read_tasks(_measurements(), FEATURES)}


def _task(name: str) -> Dataset:
    task = _tasks()[name]
    return Dataset(name, "measured", task.problem, task.features, None, _answer_features(name, task), task)


def _answer_features(name: str, task: TaskData) -> FloatArray:
    """Return what a scorer sees of each answer at the smallest batch size, first repeat: (N, K, A).

    Its tokens, whether it could be read, and which of the `MAX_COMMON_ANSWERS` most frequent answers it is.
    """
    answers = pivot(_measurements(), name, "answer")[0][:, task.problem.state_batch_size == 1]
    given = np.vectorize(lambda answer: answer or "", otypes=[object])(answers)
    texts, counts = np.unique(given[given != ""].astype(str), return_counts=True)
    common = texts[np.argsort(-counts, kind="stable")][:MAX_COMMON_ANSWERS]
    tokens = np.log1p(np.broadcast_to(task.problem.output_tokens, given.shape))
    columns = [tokens, given != "", *(given == text for text in common)]
    return np.stack(columns, axis=2).astype(np.float64)


def _mmlu_pro() -> Dataset:
    table = pq.read_table(DATA / "tables" / "mmlu_pro.parquet")
    found = _semi_synthetic("mmlu_pro", table, str(TABLES / "mmlu_pro_prices.csv"))
    category = dict(zip(table["query_id"].to_pylist(), table["category"].to_pylist(), strict=True))
    categories = np.array([category[id] for id in _ids(found.problem)])
    lengths = np.log1p(found.problem.input_tokens)[:, :1]
    numbers = np.hstack([categories[:, None] == np.unique(categories)[None, :], lengths]).astype(np.float64)
    return replace(found, numbers=numbers)


def _gsm8k() -> Dataset:
    lines = (DATA / "tasks" / "gsm8k.jsonl").read_text(encoding="utf-8").splitlines()
    questions = {row["id"]: row["question"] for row in map(json.loads, lines)}
    table = pq.read_table(DATA / "tables" / "gsm8k_zeroeval.parquet")
    return _semi_synthetic("gsm8k", table, str(TABLES / "gsm8k_prices.csv"), questions)


def _llmrouter() -> Dataset:
    scores = pq.read_table(DATA / "tables" / "llmrouter_scores.parquet")
    queries = pq.read_table(DATA / "tables" / "llmrouter_queries.parquet")
    texts = dict(zip(queries["query_id"].to_pylist(), queries["query"].to_pylist(), strict=True))
    prices = json.loads((DATA / "tables" / "llmrouter_prices.json").read_text(encoding="utf-8"))
    tokens = [len(texts[id]) / CHARACTERS_A_TOKEN for id in scores["query_id"].to_pylist()]
    table = scores.append_column("input_tokens", pa.array(np.round(tokens))).append_column(
        "output_tokens", pa.array(np.full(len(scores), LLMROUTER_OUTPUT))
    )
    return _semi_synthetic("llmrouter", table, prices, texts)


def _semi_synthetic(name: str, table: Any, prices: Any, texts: Mapping[str, str] | None = None) -> Dataset:
    """Return the dataset of a routing table, with the texts of its queries where they are known."""
    problem = from_table(table, prices, str(TABLES / "degradation.csv"), TABLE_SIZES, SHARED_TOKENS[name])
    tokens = np.broadcast_to(problem.output_tokens, (problem.n_queries, problem.n_models))
    known = None if texts is None else tuple(texts[id] for id in _ids(problem))
    return Dataset(name, "semi-synthetic", problem, None, known, np.log1p(tokens)[:, :, None])


def _ids(problem: Problem) -> list[str]:
    assert problem.query_ids is not None
    return list(problem.query_ids)
