"""Benchmarks: how far solvers are from the proven optimum, how long they take, and how that grows with size."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from robatch.bench.common.field_metrics import aiq, apgr, cost_at_quality, non_decreasing_hull, peak, pgr
    from robatch.bench.common.rows import Row
    from robatch.bench.gap.benchmark import gap_benchmark
    from robatch.bench.gap.presets import Preset, default_preset, parse_instance, quick_preset
    from robatch.bench.gap.results import GapResults
    from robatch.bench.realized.benchmark import realized_benchmark
    from robatch.bench.realized.cells import Instance, given_instance, instances_of
    from robatch.bench.realized.presets import RealizedPreset, default_realized_preset, quick_realized_preset
    from robatch.bench.realized.results import RealizedResults
    from robatch.bench.realized.rows import RealizedRow
    from robatch.bench.scale.benchmark import scale_benchmark
    from robatch.bench.scale.cells import Series, series_of
    from robatch.bench.scale.presets import (
        ScalePreset,
        default_scale_preset,
        full_scale_preset,
        quick_scale_preset,
    )
    from robatch.bench.scale.ratios import Ratio, Ratios, measure_ratios
    from robatch.bench.scale.results import ScaleResults
    from robatch.bench.scale.rows import ScaleRow

_HOME = {
    "GapResults": "gap.results",
    "Instance": "realized.cells",
    "Preset": "gap.presets",
    "Ratio": "scale.ratios",
    "Ratios": "scale.ratios",
    "RealizedPreset": "realized.presets",
    "RealizedResults": "realized.results",
    "RealizedRow": "realized.rows",
    "Row": "common.rows",
    "ScalePreset": "scale.presets",
    "ScaleResults": "scale.results",
    "ScaleRow": "scale.rows",
    "Series": "scale.cells",
    "aiq": "common.field_metrics",
    "apgr": "common.field_metrics",
    "cost_at_quality": "common.field_metrics",
    "default_preset": "gap.presets",
    "default_realized_preset": "realized.presets",
    "default_scale_preset": "scale.presets",
    "full_scale_preset": "scale.presets",
    "gap_benchmark": "gap.benchmark",
    "given_instance": "realized.cells",
    "instances_of": "realized.cells",
    "measure_ratios": "scale.ratios",
    "non_decreasing_hull": "common.field_metrics",
    "parse_instance": "gap.presets",
    "peak": "common.field_metrics",
    "pgr": "common.field_metrics",
    "quick_preset": "gap.presets",
    "quick_realized_preset": "realized.presets",
    "quick_scale_preset": "scale.presets",
    "realized_benchmark": "realized.benchmark",
    "scale_benchmark": "scale.benchmark",
    "series_of": "scale.cells",
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
