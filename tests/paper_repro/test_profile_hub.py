"""The ready-made configuration of six hub datasets and its two pools, on rows with the datasets' columns."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest

from robatch.proxies import ProfileConfig, read_config
from robatch.proxies.profiling.estimate import estimate, estimate_memory

HERE = Path(__file__).parents[2] / "paper_repro" / "configs"
CONFIG, POOL_GPU, POOL_SMALL = HERE / "profile_hub.toml", HERE / "pool_gpu.toml", HERE / "pool_small.toml"
ROWS = {
    ("fancyzhx/ag_news", None): {"text": "Oil prices rose.", "label": 2},
    ("stanfordnlp/imdb", None): {"text": "A lovely film.", "label": 1},
    ("openai/gsm8k", "main"): {"question": "How many?", "answer": "500 + 734 = 1234 <<500+734=1234>>\n#### 1,234"},
    ("cais/mmlu", "all"): {"question": "Which?", "subject": "law", "choices": ["a", "b", "c", "d"], "answer": 3},
    ("nyu-mll/glue", "sst2"): {"sentence": "a bore", "label": 0, "idx": 7},
    ("nyu-mll/glue", "cola"): {"sentence": "They sleeps.", "label": 0, "idx": 7},
}
ANSWERS = {"ag_news": "Business", "imdb": "positive", "gsm8k": "1234", "sst2": "negative", "cola": "unacceptable"}
TASKS = ["ag_news", "imdb", "gsm8k", "mmlu", "sst2", "cola"]
# layers, hidden size, heads, KV heads, head size, feed-forward size, vocabulary, tied embeddings: of each config.json
SHAPES = {
    "qwen3-4b": (36, 2560, 32, 8, 128, 9728, 151936, True),
    "qwen3-14b": (40, 5120, 40, 8, 128, 17408, 151936, False),
    "qwen3-32b": (64, 5120, 64, 8, 128, 25600, 151936, False),
    "gemma3-4b": (34, 2560, 8, 4, 256, 10240, 262144, True),
    "gemma3-12b": (48, 3840, 16, 8, 256, 15360, 262144, True),
    "gemma3-27b": (62, 5376, 32, 16, 128, 21504, 262144, True),
}


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name, config=None, split=None, **_):
        assert split in ("test", "validation")
        return datasets.Dataset.from_list([ROWS[name, config]] * 400)

    monkeypatch.setattr(datasets, "load_dataset", load)


@pytest.fixture
def config() -> ProfileConfig:
    return read_config(CONFIG, POOL_GPU)


def test_every_dataset_becomes_a_task(config: ProfileConfig) -> None:
    assert [task.name for task in config.tasks] == TASKS
    for task in config.tasks:
        query = task.queries[0]
        assert len(task.queries) == 400
        if task.name == "mmlu":
            assert query.answer == query.choices[3]
            assert query.text.startswith("Which?")
            assert "d" in query.text.splitlines()[-1]
        else:
            assert query.answer == ANSWERS[task.name]


def test_the_gpu_pool_is_whole(config: ProfileConfig) -> None:
    assert [model.name for model in config.models] == list(SHAPES)
    for model in config.models:
        assert not model.local
        assert model.batch_sizes == (1, 2, 4, 8, 16, 32, 64)
        thinking = {"enable_thinking": False} if "Qwen3" in model.path else None
        assert model.engine.get("chat_template_kwargs") == thinking
    for family in (config.models[:3], config.models[3:]):
        prices = [(model.price_in, model.price_out) for model in family]
        assert prices == sorted(prices), "a larger model of a family is dearer"


@pytest.mark.parametrize("name", SHAPES)
def test_sizes_follow_from_the_published_shapes(config: ProfileConfig, name: str) -> None:
    layers, hidden, heads, kv_heads, head, forward, words, tied = SHAPES[name]
    size = config.sizes[name]
    assert (size.layers, size.kv_heads, size.head_dim) == (layers, kv_heads, head)
    norms = (4 if name.startswith("gemma") else 2) * hidden + 2 * head
    layer = 2 * hidden * heads * head + 2 * hidden * kv_heads * head + 3 * hidden * forward + norms
    assert size.parameters == words * hidden * (1 if tied else 2) + layers * layer + hidden


def test_the_dry_run_covers_the_whole_plan(config: ProfileConfig) -> None:
    rows = estimate(config)
    assert [(row.model, row.task) for row in rows] == [(name, task) for name in SHAPES for task in TASKS]
    assert all(row.usd > 0 for row in rows)
    memory = {row.model: row for row in estimate_memory(config, 80)}
    assert all(row.fits for row in memory.values()), "each on one GPU of 80 GiB"
    assert [name for name, row in memory.items() if row.weights > 48] == ["qwen3-32b", "gemma3-27b"]


def test_the_small_pool_may_be_swapped_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names = ["smollm2-135m", "gemma3-270m", "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b"]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
    monkeypatch.setenv("ROBATCH_MODELS", str(tmp_path))
    config = read_config(CONFIG, POOL_SMALL)
    assert [model.name for model in config.models] == names
    assert all(model.local for model in config.models)
    assert [task.name for task in config.tasks] == TASKS
