"""Benchmarks: how far solvers are from the proven optimum, and how long they take."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from robatch.bench.gap import gap_benchmark
    from robatch.bench.presets import Preset, default_preset, parse_instance, quick_preset
    from robatch.bench.results import GapResults
    from robatch.bench.rows import Row

_HOME = {
    "GapResults": "results",
    "Preset": "presets",
    "Row": "rows",
    "default_preset": "presets",
    "gap_benchmark": "gap",
    "parse_instance": "presets",
    "quick_preset": "presets",
}

__all__ = [
    "GapResults",
    "Preset",
    "Row",
    "default_preset",
    "gap_benchmark",
    "parse_instance",
    "quick_preset",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
