"""Proxy error against optimality gap on public routing tables, whose loss with batch size is published."""

from __future__ import annotations

from paper_repro.experiments.worth import cells, compute, draw, missing, tables

__all__ = ["cells", "compute", "draw", "missing", "tables"]
