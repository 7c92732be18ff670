"""The configuration of the GPU pool, with a small model swapped in, through real vLLM on rows of the six datasets."""

from __future__ import annotations

import re
from pathlib import Path

import datasets
import pytest

from robatch.proxies import profile, read_config
from robatch.proxies.profiling.estimate import estimate, estimate_memory
from robatch.solvers import solve, verify

pytestmark = pytest.mark.vllm

HERE = Path(__file__).parents[2] / "paper_repro" / "configs"
QUERIES, SIZES = 4, (1, 4)
ROWS = {
    ("fancyzhx/ag_news", None): lambda i: {"text": f"Oil prices rose by {i} per cent.", "label": i % 4},
    ("stanfordnlp/imdb", None): lambda i: {"text": f"A lovely film, seen {i} times. " * 8, "label": i % 2},
    ("openai/gsm8k", "main"): lambda i: {"question": f"What is {i} and {i}?", "answer": f"Twice {i}.\n#### {2 * i}"},
    ("cais/mmlu", "all"): lambda i: {
        "question": f"Which comes after {i}?",
        "subject": "law",
        "choices": [str(i + j) for j in range(4)],
        "answer": 1,
    },
    ("nyu-mll/glue", "sst2"): lambda i: {"sentence": f"a bore of {i} hours", "label": i % 2, "idx": i},
    ("nyu-mll/glue", "cola"): lambda i: {"sentence": f"They sleeps {i} hours.", "label": i % 2, "idx": i},
}


@pytest.fixture
def files(model, tmp_path, monkeypatch):
    """The two files as they are, but for fewer queries, fewer batch sizes, no adaptive sampling and one model."""

    def load(name, config=None, split=None, **_):
        return datasets.Dataset.from_list([ROWS[name, config](i) for i in range(QUERIES)])

    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.setenv("ROBATCH_MODELS", str(tmp_path))
    (tmp_path / "smollm2-135m").symlink_to(model, target_is_directory=True)
    text = (HERE / "profile_hub.toml").read_text(encoding="utf-8")
    for pattern, new in (
        (r"^queries = .*$", f"queries = {QUERIES}"),
        (r"^batch_sizes = .*$", f"batch_sizes = {list(SIZES)}"),
        (r"^(precision|repeats) = .*$", ""),
    ):
        text, count = re.subn(pattern, new, text, flags=re.MULTILINE)
        assert count
    (tmp_path / "config.toml").write_text(text, encoding="utf-8")
    first = (HERE / "pool_small.toml").read_text(encoding="utf-8").split("[[models]]")[1]
    first = first.replace("engine = {", "engine = { chat_template_kwargs = { enable_thinking = false },")
    (tmp_path / "pool.toml").write_text("[[models]]" + first, encoding="utf-8")
    return tmp_path / "config.toml", tmp_path / "pool.toml"


def test_the_gpu_configuration_runs_with_a_small_model(files, tmp_path):
    config = read_config(*files)
    assert len(config.tasks) == 6
    (memory,) = estimate_memory(config, 1.0)
    assert 0.2 < memory.weights < 0.4, "135 million weights of two bytes"
    assert memory.fits
    measurements = profile(config, tmp_path / "measured.parquet")
    rows = measurements.table.to_pylist()
    assert len(rows) == 6 * QUERIES * len(SIZES)
    assert not [row["error"] for row in rows if row["error"]]
    assert measurements.tasks == tuple(task.name for task in config.tasks)
    asked = {(row["task"], row["batch_size"], row["call"]) for row in rows}
    assert len(asked) + 6 == sum(row.calls for row in estimate(config)), "the dry run counts the calls that were made"
    assert sum(row["parsed"] for row in rows) > 0.9 * len(rows), "structured answers can be read"
    problem = measurements.to_problem("ag_news")
    verify(problem, solve(problem, problem.budget_at(0.5), "highs", cost="realized"))
    (about,) = measurements.provenance["models"]
    assert about["engine_arguments"]["chat_template_kwargs"] == {"enable_thinking": False}
