"""Benchmarks: how far solvers are from the proven optimum, how long they take, and how that grows with size."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from robatch.bench.field_metrics import aiq, apgr, cost_at_quality, non_decreasing_hull, peak, pgr
    from robatch.bench.gap import gap_benchmark
    from robatch.bench.presets import Preset, default_preset, parse_instance, quick_preset
    from robatch.bench.ratios import Ratio, Ratios, measure_ratios
    from robatch.bench.realized import realized_benchmark
    from robatch.bench.realized_cells import Instance, given_instance, instances_of
    from robatch.bench.realized_presets import RealizedPreset, default_realized_preset, quick_realized_preset
    from robatch.bench.realized_results import RealizedResults
    from robatch.bench.realized_rows import RealizedRow
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
    "Instance": "realized_cells",
    "Preset": "presets",
    "Ratio": "ratios",
    "Ratios": "ratios",
    "RealizedPreset": "realized_presets",
    "RealizedResults": "realized_results",
    "RealizedRow": "realized_rows",
    "Row": "rows",
    "ScalePreset": "scale_presets",
    "ScaleResults": "scale_results",
    "ScaleRow": "scale_rows",
    "Series": "scale_cells",
    "aiq": "field_metrics",
    "apgr": "field_metrics",
    "cost_at_quality": "field_metrics",
    "default_preset": "presets",
    "default_realized_preset": "realized_presets",
    "default_scale_preset": "scale_presets",
    "full_scale_preset": "scale_presets",
    "gap_benchmark": "gap",
    "given_instance": "realized_cells",
    "instances_of": "realized_cells",
    "measure_ratios": "ratios",
    "non_decreasing_hull": "field_metrics",
    "parse_instance": "presets",
    "peak": "field_metrics",
    "pgr": "field_metrics",
    "quick_preset": "presets",
    "quick_realized_preset": "realized_presets",
    "quick_scale_preset": "scale_presets",
    "realized_benchmark": "realized",
    "scale_benchmark": "scale",
    "series_of": "scale_cells",
}

__all__ = [
    "GapResults",
    "Instance",
    "Preset",
    "Ratio",
    "Ratios",
    "RealizedPreset",
    "RealizedResults",
    "RealizedRow",
    "Row",
    "ScalePreset",
    "ScaleResults",
    "ScaleRow",
    "Series",
    "aiq",
    "apgr",
    "cost_at_quality",
    "default_preset",
    "default_realized_preset",
    "default_scale_preset",
    "full_scale_preset",
    "gap_benchmark",
    "given_instance",
    "instances_of",
    "measure_ratios",
    "non_decreasing_hull",
    "parse_instance",
    "peak",
    "pgr",
    "quick_preset",
    "quick_realized_preset",
    "quick_scale_preset",
    "realized_benchmark",
    "scale_benchmark",
    "series_of",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
