"""Versions of what solvers come from: distributions, and modules that belong to none."""

from __future__ import annotations

import hashlib
import importlib.metadata
import sys
from functools import cache
from pathlib import Path


def version_of(package: str, home: str) -> str:
    """Return the version of a distribution, or else of a module that belongs to none."""
    found = _released(package)
    if found is not None:
        return found
    module = sys.modules.get(home) or sys.modules.get(package)
    said = getattr(module, "__version__", None)
    if said is not None:
        return str(said)
    try:
        source = Path(str(getattr(module, "__file__", ""))).read_bytes()
    except (OSError, ValueError):
        return "unknown"
    return f"source {hashlib.sha256(source).hexdigest()[:8]}"


@cache
def _released(package: str) -> str | None:
    """Return the version of an installed distribution, named by itself or by what it is imported as; None without."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        names = importlib.metadata.packages_distributions().get(package)
        return importlib.metadata.version(names[0]) if names else None
