"""The command ``robatch bench realized``: a whole run, its options, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from robatch.bench.realized import presets as realized_presets
from robatch.bench.realized.presets import RealizedPreset
from robatch.bench.realized.results import RealizedResults
from robatch.cli import main
from robatch.instances import generate
from robatch.solvers import Answer, Request, Solver, register, registry

CHOSEN = ["--sizes", "3,4", "--families", "ties,measured", "--solvers", "greedy,highs", "--fractions", "0.6"]


def robatch(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["bench", "realized", *(str(argument) for argument in arguments)])


def test_quick_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = RealizedPreset(("realistic", "ties"), (3, 4), (0,), (0.3, 0.6), ("greedy", "reduced-budget", "highs"), 10.0)
    monkeypatch.setattr(realized_presets, "quick_realized_preset", lambda: tiny)
    out = tmp_path / "out"
    done = robatch("--quick", "-o", out)
    assert done.exit_code == 0, done.output
    assert "realistic-3-0 · 3 queries, 4 models, 24 states" in done.stdout
    assert "The amortized optimum, billed: by size and budget" in done.stdout
    assert sorted(path.name for path in out.iterdir()) == sorted([*RealizedResults.FILES, "rows.jsonl"])
    assert "`robatch bench realized --quick`" in (out / "realized.md").read_text(encoding="utf-8")
    again = robatch("--quick", "-o", out, "--json")
    assert again.exit_code == 0, again.output
    found = json.loads(again.stdout)
    assert found["command"] == "robatch bench realized --quick"
    assert len(found["rows"]) == 2 * 2 * 2 * (1 + 3)
    assert {record["queries"] for record in found["overspend"]} == {3, 4}
    assert {record["solver"] for record in found["loss"]} == {"greedy", "reduced-budget", "highs"}
    assert {record["solver"] for record in found["times"]} == {"greedy", "reduced-budget", "highs"}


def test_options_choose(tmp_path: Path) -> None:
    generate("ties", 4).write(tmp_path / "mine.parquet")
    instance = ["--instance", tmp_path / "mine.parquet"]
    done = robatch(*CHOSEN, *instance, "--seeds", "5", "--time-limit", 7, "-o", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.output
    settings = json.loads(done.stdout)["settings"]
    assert list(settings["instances"]) == ["mine", "ties-3-5", "measured-3-5", "ties-4-5", "measured-4-5"]
    assert {about["seed"] for about in settings["instances"].values()} == {5}
    assert (settings["fractions"], settings["time_limit"]) == ([0.6], 7.0)
    alone = robatch(*instance, "--solvers", "greedy", "-o", tmp_path / "alone", "--json")
    assert list(json.loads(alone.stdout)["settings"]["instances"]) == ["mine"]


def test_a_solver_left_out_is_named(tmp_path: Path) -> None:
    register(Solver("fake", "for a test", lambda request: Answer(), costs=("amortized",)))
    try:
        done = robatch("--sizes", 3, "--families", "ties", "--solvers", "greedy,fake", "-o", tmp_path)
    finally:
        registry.unregister("fake")
    assert done.exit_code == 0, done.output
    assert "fake was left out: it cannot keep a budget of realized cost" in done.stdout


def fail(_: Request) -> Answer:
    raise RuntimeError("boom")


def test_failures_are_counted(tmp_path: Path) -> None:
    register(Solver("fake", "for a test", fail))
    try:
        done = robatch("--sizes", 3, "--families", "ties", "--seeds", 0, "--solvers", "fake", "-o", tmp_path)
    finally:
        registry.unregister("fake")
    assert done.exit_code == 1
    assert "3 of 6 runs failed" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sizes", "x"], "whole numbers"),
        (["--sizes", "0"], "size is 0"),
        (["--sizes", "5,5"], "only once"),
        (["--sizes", ","], "sizes is"),
        (["--seeds", "-1"], "seed is -1"),
        (["--seeds", ","], "seeds is"),
        (["--families", "nix"], "family is 'nix'"),
        (["--families", "adversarial", "--sizes", "1"], "size is 1"),
        (["--fractions", "2"], "budget fraction is 2.0"),
        (["--fractions", "a"], "numbers"),
        (["--solvers", "nix"], "solver is 'nix'"),
        (["--time-limit", "0"], "time_limit is 0.0"),
        (["--time-limit", "-1"], "time_limit is -1.0: a number of seconds above 0 is needed"),
        (["--time-limit", "nan"], "time_limit is nan"),
        (["--threads", "0"], "threads is 0"),
        (["--instance", "nowhere.parquet"], "nowhere.parquet"),
        (["--instance", "ties:3", "--instance", "ties:3"], "only once"),
    ],
)
def test_bad_input(tmp_path: Path, arguments: list[str], words: str) -> None:
    done = robatch(*arguments, "-o", tmp_path / "out")
    assert done.exit_code == 2, done.output
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert words in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_other_settings_is_refused(tmp_path: Path) -> None:
    chosen: list[Any] = ["--sizes", 3, "--families", "ties", "--seeds", 0, "--solvers", "greedy", "-o", tmp_path]
    assert robatch(*chosen).exit_code == 0
    done = robatch(*chosen, "--time-limit", 5)
    assert done.exit_code == 2
    assert "time_limit was 60.0, and is 5.0" in done.stderr
    assert robatch(*chosen, "--time-limit", 5, "--fresh").exit_code == 0
