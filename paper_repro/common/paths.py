"""Where the recorded results, the pages and the settings lie."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
CONFIGS, REPORTS, RESULTS, TABLES = (HERE / name for name in ("configs", "reports", "results", "tables"))
BUNDLED = HERE.parent / "instances" / "data"

PROFILE = RESULTS / "profile_tasks.parquet"
"""The recorded profile of five tasks."""

FEATURES = RESULTS / "profile_tasks_features.parquet"
"""Numbers that stand for the texts of its queries."""
