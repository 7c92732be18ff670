"""The benchmark of realized cost on tiny problems: rows, files, resuming, failures, problems."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from robatch.bench import (
    Instance,
    RealizedResults,
    default_realized_preset,
    instances_of,
    quick_realized_preset,
    realized_benchmark,
)
from robatch.bench.common.heap_baseline import registered
from robatch.bench.realized import benchmark as realized_module
from robatch.bench.realized import reduced_budget
from robatch.bench.realized.cells import given_instance
from robatch.bench.realized.rows import RealizedRow
from robatch.instances import InputError, generate
from robatch.instances.bundled import load
from robatch.solvers import Answer, Request, Solver, register, registry, solve

FRACTIONS = (0.2, 0.6)
SOLVERS = ("greedy", reduced_budget.NAME, "brute-force")


@pytest.fixture(scope="module")
def tiny() -> list[Instance]:
    return [
        Instance(f"{family}-4", family, 2, "given", generate(family, queries=4, models=2, batch_sizes=(1, 4), seed=2))
        for family in ("realistic", "ties")
    ]


@pytest.fixture
def fake() -> Iterator[dict[str, Any]]:
    """Give a third party's solver that a test can let fail; it counts its calls."""
    state: dict[str, Any] = {"calls": 0, "fail": None}

    def run(request: Request) -> Answer:
        state["calls"] += 1
        if state["fail"] is not None:
            raise state["fail"]
        return Answer(request.problem.cheapest_assignment)

    register(Solver("fake", "for a test", run))
    yield state
    registry.unregister("fake")


def test_end_to_end(tiny: list[Instance], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "results"
    results = realized_benchmark(tiny, FRACTIONS, SOLVERS, 10, out, progress=True, command="robatch bench realized")
    assert len(results.rows) == 2 * 2 * (1 + 3)
    assert results.contradictions() == []
    for row in results.rows:
        assert row.status in ("optimal", "feasible", "no_solution", "infeasible")
        assert (row.problem_seed, row.family) == (2, row.instance[:-2])
        if row.cost == "amortized":
            assert (row.solver, row.status) == ("exact", "optimal")
            assert row.overspend is not None
        elif row.utility is not None:
            assert row.loss_to == "optimum"
            assert row.overspend == 0.0
            if row.solver == "brute-force":
                assert row.loss == 0.0
    assert any(row.loss for row in results.rows) or any(row.status == "infeasible" for row in results.rows)
    assert sorted(path.name for path in out.iterdir()) == sorted([*RealizedResults.FILES, "rows.jsonl"])
    with (out / "results.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert tuple(table[0]) == RealizedRow.COLUMNS
    assert [line["overspend"] for line in table] == [
        "" if r.overspend is None else repr(r.overspend) for r in results.rows
    ]
    for name in ("overspend.png", "loss.png", "time.png"):
        assert (out / name).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    json.dumps(results.to_json(), allow_nan=False)
    markdown = (out / "realized.md").read_text(encoding="utf-8")
    shown = capsys.readouterr().out
    for sheet in results.sheets():
        assert sheet.markdown() in markdown
        assert sheet.title in shown
        assert markdown.count(sheet.note) == 1
    assert "Command: `robatch bench realized`" in markdown
    assert "realistic-4 · 4 queries, 2 models, 4 states" in shown


def test_page_is_self_contained(tiny: list[Instance], tmp_path: Path) -> None:
    hostile = Instance("<script>alert(1)</script>", "a & b", 0, "c & d", tiny[1].problem)
    realized_benchmark([hostile], (0.3,), ("greedy",), output=tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|//\w+\.", re.sub(r"base64,[A-Za-z0-9+/=]+", "", text))
    assert set(re.findall(r'(?:src|href)="(.{21})', text)) == {"data:image/png;base64"}
    assert "<script" not in text
    assert "c &amp; d" in text
    assert text.rstrip().endswith("</html>")


def test_settings_tell_what_the_rows_depend_on(tiny: list[Instance]) -> None:
    results = realized_benchmark(tiny, (0.6,), ("greedy",), threads=1)
    assert {about["seed"] for about in results.settings["instances"].values()} == {2}
    assert all(len(about["sha256"]) == 64 for about in results.settings["instances"].values())
    assert results.settings["solvers"] == {"greedy": registry.get("greedy").version}
    assert {"commit", "time_limit", "fractions", "threads", "left_out", "billed"} <= set(results.settings)
    assert {"cpu", "python", "packages"} <= set(results.machine)


def test_rows_are_kept(tiny: list[Instance], tmp_path: Path, fake: dict[str, Any]) -> None:
    results = realized_benchmark(tiny, FRACTIONS, ("greedy", "fake"), output=tmp_path)
    fake["calls"] = 0
    assert realized_benchmark(tiny, FRACTIONS, ("greedy", "fake"), output=tmp_path) == results
    assert fake["calls"] == 0


def test_failures_are_recorded(tiny: list[Instance], tmp_path: Path, fake: dict[str, Any]) -> None:
    fake["fail"] = RuntimeError("boom\nand more")
    results = realized_benchmark(tiny, FRACTIONS, ("fake",), output=tmp_path)
    failed = [row for row in results.rows if row.solver == "fake"]
    assert {(row.status, row.message) for row in failed} == {("error", "RuntimeError: boom")}
    assert "RuntimeError: boom" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_nothing_fits_and_the_files_are_still_written(tmp_path: Path) -> None:
    results = realized_benchmark(instances_of(["measured"], [4], [0]), (0.0,), ("brute-force",), output=tmp_path)
    assert [row.status for row in results.rows] == ["optimal", "infeasible"]
    assert len(list(tmp_path.iterdir())) == len(RealizedResults.FILES) + 1


def test_a_solver_that_knows_no_realized_cost_is_left_out(tiny: list[Instance]) -> None:
    register(Solver("fake", "for a test", lambda request: Answer(), costs=("amortized",)))
    try:
        results = realized_benchmark(tiny, (0.6,), ("fake", "greedy"))
        with pytest.raises(InputError, match="none of them can keep a budget of realized cost"):
            realized_benchmark(tiny, (0.6,), ("fake",))
    finally:
        registry.unregister("fake")
    assert {row.solver for row in results.rows if row.cost == "realized"} == {"greedy"}
    assert results.left_out() == ["fake was left out: it cannot keep a budget of realized cost"]
    assert "fake was left out" in results.markdown()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"instances": []}, "instances is"),
        ({"fractions": (1.5,)}, "budget fraction is 1.5"),
        ({"fractions": (0.1, 0.1)}, "only once"),
        ({"solvers": ()}, "solvers is"),
        ({"solvers": ("nix",)}, "solver is 'nix'"),
        ({"time_limit": 0.0}, "time_limit is 0.0"),
        ({"threads": 0}, "threads is 0"),
    ],
)
def test_bad_arguments(tiny: list[Instance], tmp_path: Path, change: dict[str, Any], words: str) -> None:
    arguments: dict[str, Any] = {"instances": tiny, "solvers": ("greedy",), "output": tmp_path / "out", **change}
    with pytest.raises(InputError, match=re.escape(words)):
        realized_benchmark(**arguments)
    assert list(tmp_path.iterdir()) == []
    assert reduced_budget.NAME not in {solver.name for solver in registry.solvers()}


def test_problems() -> None:
    found = instances_of(["realistic", "measured"], [500, 20, 400], [3, 1])
    names = [one.name for one in found]
    assert names[:4] == ["realistic-20-3", "realistic-20-1", "measured-20-3", "measured-20-1"]
    assert names.count("measured") == 1  # once, however many sizes are beyond it
    assert len(names) == 6 + 2 + 1
    assert found[0].problem == generate("realistic", 20, 4, (1, 2, 4, 8, 16, 32), 3)
    assert found[0].problem.n_states == 24
    assert found[2].problem.n_queries == 20
    assert found[2].problem != found[3].problem
    assert found[2].problem == instances_of(["measured"], [20], [3])[0].problem
    assert next(one for one in found if one.name == "measured").problem == load("measured")


def test_a_given_problem(tmp_path: Path) -> None:
    generate("ties", 5).write(tmp_path / "mine.parquet")
    one = given_instance(str(tmp_path / "mine.parquet"), 7)
    assert (one.name, one.family, one.seed) == ("mine", "mine", 7)
    assert given_instance("ties:5").family == "ties"


@pytest.mark.parametrize("preset", [quick_realized_preset(), default_realized_preset()], ids=["quick", "default"])
def test_presets(preset: Any) -> None:
    with registered(reduced_budget.SOLVER):
        assert all(registry.get(name).installed for name in preset.solvers)
    assert {"greedy", "exact", "highs"} <= set(preset.solvers)
    assert len(instances_of(preset.families, preset.sizes[:1], preset.seeds[:1])) == len(preset.families)


def test_reduced_budget_keeps_the_budget_and_beats_the_cheapest() -> None:
    problem = generate("ties", queries=40, models=3, batch_sizes=(1, 4, 8), seed=1)
    budget = problem.budget_at(0.6)
    with registered(reduced_budget.SOLVER):
        plan = solve(problem, budget, reduced_budget.NAME, "realized")
    greedy = solve(problem, budget, "greedy", cost="amortized")
    assert greedy.realized_cost is not None
    assert greedy.realized_cost > budget  # there is something to repair
    assert plan.realized_cost is not None
    assert plan.realized_cost <= budget
    assert plan.bound is None
    assert plan.utility is not None
    assert plan.utility > problem.total_utility(problem.cheapest_assignment)


def test_reduced_budget_leaves_a_plan_that_fits_alone() -> None:
    problem = generate("ties", queries=10, models=2, batch_sizes=(1,), seed=1)  # one batch size: the costs are the same
    with registered(reduced_budget.SOLVER):
        plan = solve(problem, problem.budget_at(0.5), reduced_budget.NAME, "realized")
    assert plan.utility == solve(problem, problem.budget_at(0.5), "greedy", cost="amortized").utility


def test_results_need_no_command(tiny: list[Instance]) -> None:
    results: RealizedResults = realized_benchmark(tiny[:1], (0.6,), ("greedy",))
    assert "Command" not in results.markdown()
    assert realized_module.BILLED == ("amortized", "exact")
