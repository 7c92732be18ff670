"""The ready-made configuration of six hub datasets, on rows with the datasets' columns."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest

from robatch.proxies import read_config

CONFIG = Path(__file__).parents[2] / "paper_repro" / "profile_hub.toml"
ROWS = {
    ("fancyzhx/ag_news", None): {"text": "Oil prices rose.", "label": 2},
    ("stanfordnlp/imdb", None): {"text": "A lovely film.", "label": 1},
    ("openai/gsm8k", "main"): {"question": "How many?", "answer": "500 + 734 = 1234 <<500+734=1234>>\n#### 1,234"},
    ("cais/mmlu", "all"): {"question": "Which?", "subject": "law", "choices": ["a", "b", "c", "d"], "answer": 3},
    ("nyu-mll/glue", "sst2"): {"sentence": "a bore", "label": 0, "idx": 7},
    ("nyu-mll/glue", "cola"): {"sentence": "They sleeps.", "label": 0, "idx": 7},
}
ANSWERS = {"ag_news": "Business", "imdb": "positive", "gsm8k": "1234", "sst2": "negative", "cola": "unacceptable"}


def test_every_dataset_becomes_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name, config=None, split=None, **_):
        assert split in ("test", "validation")
        return datasets.Dataset.from_list([ROWS[name, config]] * 400)

    monkeypatch.setattr(datasets, "load_dataset", load)
    config = read_config(CONFIG)
    assert [task.name for task in config.tasks] == ["ag_news", "imdb", "gsm8k", "mmlu", "sst2", "cola"]
    for task in config.tasks:
        query = task.queries[0]
        assert len(task.queries) == 400
        if task.name == "mmlu":
            assert query.answer == query.choices[3]
            assert query.text.startswith("Which?")
            assert "d" in query.text.splitlines()[-1]
        else:
            assert query.answer == ANSWERS[task.name]
