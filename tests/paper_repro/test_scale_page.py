"""The page on scaling is what its script makes of the recorded results."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]


def load():
    spec = importlib.util.spec_from_file_location("scale_page", ROOT / "paper_repro" / "scale_page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_shows_the_recorded_results():
    assert (ROOT / "paper_repro" / "SCALE.md").read_text(encoding="utf-8") == load().page()


def test_what_the_page_links_is_there():
    module = load()
    for name in module.SCALES.values():
        for file in ("scale.md", "results.csv", "time.png", "gap.png"):
            assert (module.HERE / "results" / name / file).stat().st_size > 0
