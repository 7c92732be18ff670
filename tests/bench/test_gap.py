"""The gap benchmark on tiny instances: rows, files, resuming, failures."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from robatch.bench import gap_benchmark
from robatch.bench.common.compilation import WARM_UP_S
from robatch.bench.common.instances import fingerprint
from robatch.bench.common.rows import Row
from robatch.bench.gap.results import GapResults
from robatch.instances import InputError, Problem, generate
from robatch.instances.constraints import Constraints
from robatch.solvers import Answer, Request, Solver, register, registry

SOLVERS = ("greedy", "pareto", "brute-force")
FRACTIONS = (0.2, 0.6)


@pytest.fixture(scope="module")
def tiny() -> dict[str, Problem]:
    return {
        family: generate(family, queries=4, models=2, batch_sizes=(1, 4), seed=2) for family in ("realistic", "ties")
    }


@pytest.fixture
def fake() -> Iterator[dict[str, Any]]:
    """Give a third party's solver that a test can let fail; it counts the calls that are not a warm-up."""
    state: dict[str, Any] = {"calls": 0, "fail": None}

    def run(request: Request) -> Answer:
        if request.time_limit != WARM_UP_S:
            state["calls"] += 1
            if state["fail"] is not None and state["calls"] >= state.get("from", 1):
                raise state["fail"]
        return Answer(request.problem.cheapest_assignment)

    register(Solver("fake", "for a test", run))
    yield state
    registry.unregister("fake")


def test_end_to_end(tiny: dict[str, Problem], tmp_path: Path) -> None:
    out = tmp_path / "new" / "results"
    results = gap_benchmark(tiny, FRACTIONS, SOLVERS, ("amortized", "realized"), time_limit=10, output=out)
    assert len(results.rows) == 2 * 2 * 2 * 3
    assert results.contradictions() == []
    for row in results.rows:
        assert row.status in ("optimal", "feasible")
        assert row.gap is not None
        assert row.gap >= 0
        assert row.time_to_greedy is not None
        assert row.repeats >= 1
        if row.solver == "brute-force":
            assert row.gap == 0
    assert sorted(path.name for path in out.iterdir()) == sorted([*GapResults.FILES, "rows.jsonl"])
    with (out / "results.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert tuple(table[0]) == Row.COLUMNS
    assert [float(line["utility"]) for line in table] == [row.utility for row in results.rows]
    for name in ("gap.png", "runtime.png"):
        assert (out / name).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    json.dumps(results.to_json(), allow_nan=False)


def test_page_is_self_contained(tiny: dict[str, Problem], tmp_path: Path) -> None:
    hostile = {"<script>alert(1)</script>": tiny["ties"]}
    gap_benchmark(
        hostile, (0.3,), ("greedy",), output=tmp_path, sources={next(iter(hostile)): "a & b"}, costs=("amortized",)
    )
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|//\w+\.", re.sub(r"base64,[A-Za-z0-9+/=]+", "", text))
    assert set(re.findall(r'(?:src|href)="(.{21})', text)) == {"data:image/png;base64"}
    assert "<script" not in text
    assert "a &amp; b" in text
    assert text.rstrip().endswith("</html>")


def test_rows_are_kept_for_the_same_instances_only(
    tiny: dict[str, Problem], tmp_path: Path, fake: dict[str, Any]
) -> None:
    results = gap_benchmark(tiny, FRACTIONS, ("greedy", "fake"), output=tmp_path, costs=("amortized",))
    calls = fake["calls"]
    assert gap_benchmark(tiny, FRACTIONS, ("greedy", "fake"), output=tmp_path, costs=("amortized",)) == results
    assert fake["calls"] == calls
    changed = {**tiny, "ties": generate("ties", queries=4, models=2, batch_sizes=(1, 4), seed=3)}
    with pytest.raises(InputError, match=r"instances\.ties\.sha256"):
        gap_benchmark(changed, FRACTIONS, ("greedy", "fake"), output=tmp_path, costs=("amortized",))


def test_failures_are_recorded(tiny: dict[str, Problem], tmp_path: Path, fake: dict[str, Any]) -> None:
    fake["fail"] = RuntimeError("boom\nand more")
    results = gap_benchmark(tiny, FRACTIONS, ("fake", "greedy"), output=tmp_path, costs=("amortized",))
    failed = [row for row in results.rows if row.solver == "fake"]
    assert {(row.status, row.message) for row in failed} == {("error", "RuntimeError: boom")}
    assert all(row.gap is not None for row in results.rows if row.solver == "greedy")
    assert "RuntimeError: boom" in (tmp_path / "report.html").read_text()


def test_a_plan_that_lies_is_a_failure(tiny: dict[str, Problem], fake: dict[str, Any]) -> None:
    problem = tiny["ties"]

    def dear(request: Request) -> Answer:
        return Answer(request.problem.best_assignment)

    register(Solver("fake", "over the budget", dear), replace=True)
    results = gap_benchmark({"ties": problem}, (0.1,), ("fake",), costs=("amortized",))
    assert results.rows[0].status == "error"
    assert "over its budget" in str(results.rows[0].message)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fractions": (float("nan"),)}, "budget fraction is nan"),
        ({"fractions": (1.5,)}, "budget fraction is 1.5"),
        ({"fractions": ()}, "fractions is"),
        ({"fractions": (0.1, 0.1)}, "only once"),
        ({"solvers": ("nix",)}, "solver is 'nix'"),
        ({"costs": ("free",)}, "cost is 'free'"),
        ({"time_limit": 0.0}, "time_limit is 0.0"),
        ({"instances": {}}, "instances is"),
        ({"repeats": 0}, "repeats is 0"),
    ],
)
def test_bad_arguments(tiny: dict[str, Problem], tmp_path: Path, change: dict[str, Any], words: str) -> None:
    arguments = {"instances": tiny, "solvers": ("greedy",), "output": tmp_path / "out", **change}
    with pytest.raises(InputError, match=re.escape(words)):
        gap_benchmark(**arguments)
    assert list(tmp_path.iterdir()) == []


def test_results_are_written_whole_or_not_at_all(
    tiny: dict[str, Problem], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = gap_benchmark(tiny, FRACTIONS, ("greedy",), costs=("amortized",))
    results.write(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr("robatch.bench.gap.plots.runtime_plot", lambda rows: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        replace(results, rows=results.rows[:1]).write(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_same_problem_has_the_same_fingerprint(tiny: dict[str, Problem]) -> None:
    problem = tiny["realistic"]
    same = generate("realistic", queries=4, models=2, batch_sizes=(1, 4), seed=2)
    assert fingerprint(problem) == fingerprint(same)
    cheaper = [problem.models[0].replace(price_in=0.0), *problem.models[1:]]
    assert fingerprint(problem.replace(models=cheaper)) != fingerprint(problem)
    for changed in (
        problem.replace(window_margin=0.1),
        problem.replace(forbidden=[[True, False, False, False]] * 4),
        problem.replace(conflicts=[(0, 1)]),
        problem.replace(constraints=Constraints(max_queries={problem.models[0].name: 1})),
    ):
        assert fingerprint(changed) != fingerprint(problem)


def test_a_solver_is_left_out_where_it_cannot_keep_the_budget(tiny, monkeypatch):
    monkeypatch.setattr(registry, "_solvers", dict(registry._solvers))
    register(Solver("on-paper", "amortized cost only", registry.get("greedy").load(), costs=("amortized",)))
    results = gap_benchmark(tiny, FRACTIONS, ("on-paper", "greedy"), ("amortized", "realized"), time_limit=10)
    assert {(row.solver, row.cost) for row in results.rows} == {
        ("on-paper", "amortized"),
        ("greedy", "amortized"),
        ("greedy", "realized"),
    }
    with pytest.raises(InputError, match=r"solvers is \['on-paper'\]: none of them can keep a budget of realized cost"):
        gap_benchmark(tiny, FRACTIONS, ("on-paper",), ("realized",))
