"""The bundled instance and the page are what the recorded measurements say."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np

from paper_repro.common.paths import REPORTS
from paper_repro.reports import profile_page
from robatch.instances import load
from robatch.proxies import Measurements, Template
from robatch.proxies.tasks.queries import generate_task

PROFILE = Path(str(files("robatch.instances") / "data" / "measured_profile.parquet"))


def test_measured_is_made_from_the_measurements():
    assert load("measured") == Measurements.read(PROFILE).to_problem()


def test_measured_is_what_it_is_said_to_be():
    problem = load("measured")
    assert problem.n_models == 4
    assert {size for model in problem.models for size in model.batch_sizes} == {1, 2, 4, 8, 16}
    assert set(np.unique(problem.utilities())) == {0.0, 1.0}
    assert problem.n_queries >= 300


def test_the_page_says_what_the_measurements_say():
    page = profile_page.page(Measurements.read(PROFILE))
    assert (REPORTS / "PROFILE.md").read_text(encoding="utf-8") == page


def test_answers_are_graded_against_the_generated_task():
    measurements = Measurements.read(PROFILE)
    (task,) = measurements.provenance["tasks"]
    assert task["described"].endswith("seed 1")
    truth = {query.id: query.answer for query in generate_task(task["name"], task["queries"], 1)}
    rows = measurements.table.to_pylist()
    assert {row["query_id"] for row in rows} == set(truth)
    assert all(row["score"] == (row["answer"] == truth[row["query_id"]]) for row in rows)


def test_small_models_lose_more_in_large_batches():
    accuracy = {(r["model"], r["batch_size"]): r["accuracy"] for r in Measurements.read(PROFILE).summary()}
    large, small = "qwen2.5-coder-1.5b", "qwen2.5-coder-0.5b"
    assert accuracy[large, 16] > accuracy[small, 16]
    assert accuracy[small, 1] > accuracy[small, 16]


def test_the_template_of_the_record_gives_the_prompt_that_was_sent():
    (task,) = Measurements.read(PROFILE).provenance["tasks"]
    assert Template.from_dict(task["template"]).render([]) == task["prompt"]
