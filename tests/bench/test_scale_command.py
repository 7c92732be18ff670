"""The scaling benchmark: bad arguments, presets, the command."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from robatch.bench import (
    default_scale_preset,
    full_scale_preset,
    quick_scale_preset,
    scale_benchmark,
    series_of,
)
from robatch.bench.common.heap_baseline import registered
from robatch.bench.scale.presets import ScalePreset
from robatch.bench.scale.results import ScaleResults
from robatch.cli import main
from robatch.instances import InputError
from robatch.solvers import Answer, Request, registry

SERIES = series_of(("realistic", "ties"), shapes=("2x2",), forms=("dense", "factored"))
QUICK = {"time_limit": 5.0, "repeats": 1}


def fail(_: Request) -> Answer:
    raise RuntimeError("boom\nand more")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"series": ()}, "series is"),
        ({"sizes": ()}, "sizes is"),
        ({"sizes": (0,)}, "size is 0"),
        ({"sizes": (5, 5)}, "only once"),
        ({"solvers": ("nix",)}, "solver is 'nix'"),
        ({"fraction": 1.5}, "budget fraction is 1.5"),
        ({"time_limit": 0.0}, "time_limit is 0.0"),
        ({"repeats": 0}, "repeats is 0"),
        ({"memory_from": 0}, "memory_from is 0"),
    ],
)
def test_bad_arguments(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    arguments: dict[str, Any] = {"series": SERIES, "sizes": (5,), "solvers": ("greedy",), **change}
    with pytest.raises(InputError, match=re.escape(words)):
        scale_benchmark(**arguments, output=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make", [quick_scale_preset, default_scale_preset, full_scale_preset])
def test_presets(make: Any) -> None:
    preset: ScalePreset = make()
    assert len(set(preset.series)) == len(preset.series)
    with registered():
        assert all(registry.get(name).installed for name in preset.solvers)
    assert "exact" in preset.solvers
    for series in preset.series:
        series.problem(3, seed=0)


def robatch(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["bench", "scale", *(str(argument) for argument in arguments)])


def test_command(tmp_path: Path) -> None:
    out = tmp_path / "out"
    chosen = ["--sizes", "100,5", "--shapes", "2x2", "--solvers", "greedy,exact", "--repeats", 1]
    done = robatch(*chosen, "--families", "ties", "-o", out)
    assert done.exit_code == 0, done.output
    assert "ties · 2x2 · dense float64 · 1 thread" in done.stdout
    assert sorted(path.name for path in out.iterdir()) == sorted([*ScaleResults.FILES, "rows.jsonl"])
    command = "robatch bench scale --sizes 100,5 --families ties --shapes 2x2 --solvers greedy,exact --repeats 1"
    assert f"`{command}`" in (out / "scale.md").read_text(encoding="utf-8")
    again = robatch(*command.split()[3:], "-o", out, "--json")
    assert again.exit_code == 0, again.output
    found = json.loads(again.stdout)
    assert found["command"] == command
    assert len(found["rows"]) == 4


def test_command_counts_failures(sized: dict[str, Any], tmp_path: Path) -> None:
    sized["do"] = {5: fail}
    done = robatch("--sizes", 5, "--families", "ties", "--solvers", "fake", "-o", tmp_path)
    assert done.exit_code == 1
    assert "1 of 1 runs failed" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sizes", "x"], "whole numbers"),
        (["--sizes", "-1"], "size is -1"),
        (["--families", "nix"], "family is 'nix'"),
        (["--families", "from-knapsack"], "family is 'from-knapsack'"),
        (["--families", ","], "nothing to solve"),
        (["--shapes", "4by6"], "shape is '4by6'"),
        (["--shapes", "0x6"], "models is 0"),
        (["--shapes", "4x60"], "batch_sizes is 60"),
        (["--forms", "thin"], "form is 'thin'"),
        (["--forms", "factored", "--families", "ties"], "nothing to solve"),
        (["--dtypes", "int8"], "dtype is 'int8'"),
        (["--threads", "0"], "threads is 0"),
        (["--solvers", "nix"], "solver is 'nix'"),
        (["--fraction", "2"], "budget fraction is 2.0"),
        (["--time-limit", "0"], "time_limit is 0.0"),
        (["--quick", "--full"], "exclude each other"),
    ],
)
def test_bad_input(tmp_path: Path, arguments: list[str], words: str) -> None:
    done = robatch(*arguments, "-o", tmp_path / "out")
    assert done.exit_code == 2, done.output
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert words in done.stderr
    assert list(tmp_path.iterdir()) == []
