"""How instances are named, and that the presets name things that exist."""

from __future__ import annotations

from pathlib import Path

import pytest

from robatch.bench.common.instances import parse_instance
from robatch.bench.gap.presets import Preset, default_preset, quick_preset
from robatch.instances import InputError, generate
from robatch.solvers import registry


def test_a_generated_instance() -> None:
    name, source, problem = parse_instance("ties:20", seed=3)
    assert name == "ties-20"
    assert "seed 3" in source
    assert problem == generate("ties", 20, seed=3)


def test_a_file(tmp_path: Path) -> None:
    problem = generate("ties", 5)
    problem.write(tmp_path / "mine.parquet")
    assert parse_instance(str(tmp_path / "mine.parquet")) == ("mine", "file mine.parquet", problem)


@pytest.mark.parametrize("text", ["nowhere.parquet", "ties:", "ties:-1", "ties:x", "ties:0", "nix:20", ""])
def test_no_such_instance(text: str) -> None:
    with pytest.raises(InputError):
        parse_instance(text)


@pytest.mark.parametrize("preset", [quick_preset(), default_preset()], ids=["quick", "default"])
def test_presets(preset: Preset) -> None:
    for name in preset.solvers:
        registry.get(name)
    for name in preset.instances:
        if name != "measured":
            parse_instance(name)
