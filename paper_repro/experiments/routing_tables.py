"""The main comparison on public routing tables, whose loss with batch size is published, not measured with them."""

from __future__ import annotations

from paper_repro.experiments.comparison import cells, compute, draw, missing, tables

__all__ = ["cells", "compute", "draw", "missing", "tables"]
