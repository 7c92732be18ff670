"""The ratios benchmark: what it measures, its files, the command."""

from __future__ import annotations

import csv
import io
import json

import pytest
from click.testing import CliRunner

from robatch.bench.scale import ratios as module
from robatch.bench.scale.ratio_results import FILES, Ratio, Ratios, figure
from robatch.bench.scale.ratios import TARGET_QUERIES, measure_ratios
from robatch.cli import main
from robatch.instances import InputError, generate


@pytest.fixture(scope="module")
def measured() -> tuple[Ratios, list[Ratio]]:
    shown: list[Ratio] = []
    table = generate("realistic", queries=400, models=3, batch_sizes=(1, 4), seed=5)
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(module, "FIRST_CALL", "import robatch")  # what compiling takes is not looked at here
        return measure_ratios(10_000, table, time_limit=20.0, command="robatch bench ratios", shown=shown.append), shown


def test_every_figure_is_measured(measured):
    results, shown = measured
    assert list(results.rows) == shown
    assert all(row.value is not None and row.value > 0 for row in results.rows)
    works = {(row.work, row.unit) for row in results.rows}
    assert len(works) == len(results.rows)
    for solver in ("greedy", "exact"):
        for form in ("dense", "factored"):
            assert {unit for work, unit in works if work == f"`{solver}`, {form}, 10,000 x 24"} == {"max", "pass"}


def test_mixed_integer_solvers_prove_the_same_optimum(measured):
    notes = [row.note for row in measured[0].rows if "against the best" in row.work]
    assert len(notes) == 2
    assert all("fastest" in note and "none in time" not in note for note in notes)


def test_hard_families_and_the_table_are_proven(measured):
    rows = measured[0].rows
    assert [row.note for row in rows if "to the proof" in row.work] == [""] * 3
    assert rows[-1].note == "9 of 9 proven"


def test_targets_are_for_a_million_queries_only(measured):
    assert TARGET_QUERIES == 1_000_000
    assert all(row.target == "" and row.reached is None for row in measured[0].rows)


def test_a_plan_that_is_not_proven_says_its_gap(monkeypatch):
    row = module._proof("adversarial", 20_000, 1e-4, 0)
    assert row.reached is False
    assert row.note.startswith("gap ")


def test_files(measured, tmp_path):
    results, _ = measured
    results.write(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "ratios.csv").read_text())))
    assert [float(row["value"]) for row in rows] == [row.value for row in results.rows]
    page = (tmp_path / "ratios.md").read_text()
    assert all(f"| {row.work} | {figure(row)} |" in page for row in results.rows)
    assert "by `robatch bench ratios`" in page


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (Ratio("w", "max", 3.84), "3.8 max"),
        (Ratio("w", "s", 0.0021), "2.10 ms"),
        (Ratio("w", "times faster", 1234.5), "1,234 times faster"),
        (Ratio("w", "of the input", None), "–"),  # noqa: RUF001
    ],
)
def test_figures(row, text):
    assert figure(row) == text


def test_the_command_writes_what_it_shows(tmp_path, monkeypatch):
    rows = (Ratio("`exact`", "max", 2.0, "<= 4", True), Ratio("`greedy`", "max", 5.0, "<= 4", False, "slow"))

    def fake(queries, table, time_limit, seed, command, shown):
        for row in rows:
            shown(row)
        return Ratios(rows, {"cpu": "c", "cores": 2, "python": "p"}, "abc", command)

    monkeypatch.setattr(module, "measure_ratios", fake)
    done = CliRunner().invoke(main, ["bench", "ratios", "--quick", "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "`exact`: 2.0 max   <= 4: yes" in done.output
    assert "`greedy`: 5.0 max   <= 4: no   slow" in done.output
    assert "**no**" in (tmp_path / "out" / "ratios.md").read_text()
    done = CliRunner().invoke(main, ["bench", "ratios", "--json", "-o", str(tmp_path / "out")])
    assert json.loads(done.stdout)["rows"][1]["reached"] is False


def test_bad_arguments(tmp_path):
    with pytest.raises(InputError, match="queries is 5"):
        measure_ratios(5)
    done = CliRunner().invoke(main, ["bench", "ratios", "--table", str(tmp_path / "no.parquet")])
    assert done.exit_code == 2
    assert "no.parquet" in done.output
