"""The page on the recorded profile of several tasks says what its measurements say."""

from __future__ import annotations

import numpy as np
import pytest

from paper_repro.common.paths import PROFILE, REPORTS
from paper_repro.common.profile_data import first_loss
from paper_repro.reports import profile_tasks_page
from robatch.proxies import Measurements


def test_every_cell_stands_on_the_page(synthetic):
    measurements, _ = synthetic
    page = profile_tasks_page.page(measurements)
    for record in measurements.summary():
        text = f"{record['accuracy']:.3f} ({record['low']:.2f}-{record['high']:.2f}), "
        rows = [line for line in page.splitlines() if line.startswith(f"| `{record['model']}`")]
        assert any(text in line for line in rows)
        assert any(f"{100 * record['shared_cost_share']:.1f} %, {1000 * record['cost']:.5f}" in line for line in rows)


def test_repeats_means_are_those_of_the_rows(synthetic):
    measurements, _ = synthetic
    found = profile_tasks_page.repeat_means(measurements, "words")
    rows = [row for row in measurements.table.to_pylist() if row["task"] == "words"]
    for (model, size), means in found.items():
        for repeat, mean in enumerate(means):
            mine = [r["score"] for r in rows if (r["model"], r["batch_size"], r["repeat"]) == (model, size, repeat)]
            assert mean == pytest.approx(np.mean(mine))


@pytest.mark.parametrize(("right", "place"), [((90, 88, 50, 40), 2), ((90, 40, 90, 40), 3), ((50, 50, 50, 52), None)])
def test_loss_begins_where_all_larger_batches_lose_too(right, place):
    utility = np.array([[i < count for count in right] for i in range(100)], dtype=float)
    assert first_loss(utility) == place


def test_a_figure_is_drawn(synthetic, tmp_path):
    profile_tasks_page.figure(synthetic[0], tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_the_page_is_made_from_the_record():
    page = profile_tasks_page.page(Measurements.read(PROFILE))
    assert (REPORTS / "PROFILE_TASKS.md").read_text(encoding="utf-8") == page


def test_the_record_is_what_was_asked_for():
    measurements = Measurements.read(PROFILE)
    assert len(measurements.tasks) >= 5
    assert len(measurements.provenance["models"]) == 4
    assert {size for _, size in measurements.states} == {1, 2, 4, 8, 16, 32}
    assert all(record["queries"] >= 200 for record in measurements.summary())
    assert measurements.provenance["repeats"] == 2
    assert PROFILE.stat().st_size < 10_000_000


def test_the_record_holds_no_foreign_text():
    measurements = Measurements.read(PROFILE)
    for task in measurements.provenance["tasks"]:
        answers = {r["answer"] for r in measurements.table.to_pylist() if r["task"] == task["name"]} - {None}
        assert task["kind"] in ("choice", "number")
        if task["kind"] == "choice":
            assert answers <= set(task["choices"])
        else:
            assert all(float(answer.replace(",", "")) is not None for answer in answers)
