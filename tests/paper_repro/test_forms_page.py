"""The page on structured output and free text says what two recorded profiles say."""

from __future__ import annotations

import tomllib

import pytest

from paper_repro.common.paths import CONFIGS, REPORTS
from paper_repro.reports import forms_page
from robatch.proxies import Measurements, read_config

NAMES = ("small", "small-free")
SIZES = (1, 4)
QUERIES = 40


def rows(form):
    """Answer all queries of one task: structured all readable, free text in calls of four half of them."""
    for name in NAMES:
        for size in SIZES:
            for i in range(QUERIES):
                free = name.endswith("-free")
                parsed = not free or size == 1 or i % 2 == 0
                yield {
                    "task": "sums", "query_id": f"q{i:02d}", "model": name, "batch_size": size, "repeat": 0,
                    "call": i // size, "call_size": size, "position": i % size, "score": float(parsed and i % 4 < 3),
                    "parsed": parsed, "answer": "1" if parsed else None, "input_tokens": 5.0, "output_tokens": 3.0,
                    "call_input_tokens": 50 + 5 * size,
                    "call_output_tokens": size * (2 if form == "lines" else 5) * (2 if free else 1),
                    "shared_tokens": 50, "seconds": 0.1, "finish_reason": "stop", "error": None,
                }  # fmt: skip


def measured(form):
    model = {
        "price_in": 0.1, "price_out": 0.2, "context_window": 512, "batch_sizes": list(SIZES),
        "shared_tokens": {"sums": 50}, "vllm": "0", "device": "cpu: a CPU", "dtype": "bfloat16",
    }  # fmt: skip
    about = {
        "kind": "measurements", "format": 2, "robatch": "0", "python": "3.11", "date": "2026-01-01", "seed": 0,
        "repeats": 1, "sampling": None, "config_hash": form,
        "tasks": [{"name": "sums", "described": "sums", "queries": QUERIES, "max_output_tokens": 24}],
        "models": [{"name": name, **model} for name in NAMES],
    }  # fmt: skip
    return Measurements.from_rows(rows(form), about)


@pytest.fixture(scope="module")
def page():
    return forms_page.page({form: measured(form) for form in ("lines", "json")})


def test_shares_accuracies_and_tokens_stand_in_the_tables(page):
    assert "| sums | `small` | lines | structured | 1.000 (0.91-1.00) | 1.000 (0.91-1.00) |" in page
    assert "| sums | `small` | json | free | 1.000 (0.91-1.00) | 0.500 (0.35-0.65) |" in page
    assert "| sums | `small` | lines | free | 0.750 (0.60-0.86) | 0.500 (0.35-0.65) |" in page
    assert "| sums | `small` | json | free | 10.0 | 10.0 |" in page
    assert "| sums | `small` | lines | structured | 2.0 | 2.0 |" in page


def test_sentences_say_what_the_tables_say(page):
    flat = page.replace("\n", " ")
    assert "every answer could be read in 4 of 4 cells." in flat
    assert "in the form json: 100.0% at batch size 1, 50.0% at batch size 4." in flat
    assert "In 0 of 4 cells the structured answers are more often right" in flat
    assert "In the form lines, free text takes 2.00 times the output tokens" in flat
    assert "structured JSON takes 2.50 times those of structured lines" in flat
    assert "differs by +0.125, free less structured, as the mean of 4 cells" in flat  # 3/4 and 1/2 / 1/2, less 3/4


def test_clear_differences_are_counted():
    cell = {"task": "sums", "model": "m", "form": "lines", "batch_size": 1, "parsed": 1.0}
    bad, good = {"accuracy": 0.2, "low": 0.1, "high": 0.3}, {"accuracy": 0.8, "low": 0.7, "high": 0.9}
    pair = [cell | good | {"free": False}, cell | bad | {"free": True}]
    text = forms_page.accuracy_sentences(pair)
    assert text.startswith("In 1 of 1 cells the structured answers are more often right")
    assert "in 0 the free ones" in text
    assert "differs by -0.600" in text
    turned = [record | {"free": not record["free"]} for record in pair]
    assert forms_page.accuracy_sentences(turned).startswith("In 0 of 1 cells")


def test_the_two_configurations_differ_in_the_form_alone(monkeypatch, tmp_path):
    folder = CONFIGS
    tables = {form: tomllib.loads((folder / f"profile_forms_{form}.toml").read_text()) for form in ("lines", "json")}
    for form, table in tables.items():
        assert {task.pop("form") for task in table["tasks"]} == {form}
    assert tables["lines"] == tables["json"]
    for model in ("gemma3-270m", "qwen2.5-coder-0.5b"):
        (tmp_path / model).mkdir()
        (tmp_path / model / "config.json").write_text("{}")
    monkeypatch.setenv("ROBATCH_MODELS", str(tmp_path))
    config = read_config(folder / "profile_forms_lines.toml")
    held = {model.name: model for model in config.models if model.structured}
    free = {model.name: model for model in config.models if not model.structured}
    assert {f"{name}-free" for name in held} == set(free)
    assert all(held[name].path == free[f"{name}-free"].path for name in held)
    assert all(held[name].chat == free[f"{name}-free"].chat for name in held)


def test_the_page_in_the_repository_is_made_of_its_records():
    assert (REPORTS / "FORMS.md").read_text(encoding="utf-8") == forms_page.page(forms_page.recorded())
