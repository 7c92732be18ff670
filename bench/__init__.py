"""Benchmarks: how far solvers are from the proven optimum, how long they take, and how that grows with size."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from robatch.bench.gap import gap_benchmark
    from robatch.bench.presets import Preset, default_preset, parse_instance, quick_preset
    from robatch.bench.ratios import Ratio, Ratios, measure_ratios
    from robatch.bench.results import GapResults
    from robatch.bench.rows import Row
    from robatch.bench.scale import scale_benchmark
    from robatch.bench.scale_cells import Series, series_of
    from robatch.bench.scale_presets import (
        ScalePreset,
        default_scale_preset,
        full_scale_preset,
        quick_scale_preset,
    )
    from robatch.bench.scale_results import ScaleResults
    from robatch.bench.scale_rows import ScaleRow

_HOME = {
    "GapResults": "results",
    "Preset": "presets",
    "Ratio": "ratios",
    "Ratios": "ratios",
    "Row": "rows",
    "ScalePreset": "scale_presets",
    "ScaleResults": "scale_results",
    "ScaleRow": "scale_rows",
    "Series": "scale_cells",
    "default_preset": "presets",
    "default_scale_preset": "scale_presets",
    "full_scale_preset": "scale_presets",
    "gap_benchmark": "gap",
    "measure_ratios": "ratios",
    "parse_instance": "presets",
    "quick_preset": "presets",
    "quick_scale_preset": "scale_presets",
    "scale_benchmark": "scale",
    "series_of": "scale_cells",
}

__all__ = [
    "GapResults",
    "Preset",
    "Ratio",
    "Ratios",
    "Row",
    "ScalePreset",
    "ScaleResults",
    "ScaleRow",
    "Series",
    "default_preset",
    "default_scale_preset",
    "full_scale_preset",
    "gap_benchmark",
    "measure_ratios",
    "parse_instance",
    "quick_preset",
    "quick_scale_preset",
    "scale_benchmark",
    "series_of",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
