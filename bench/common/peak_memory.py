"""The most memory that this process takes while something runs. Linux only: elsewhere nothing is measured."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc/self")


def reset_peak() -> int | None:
    """Reset the mark of the most memory in use and return the bytes in use now; None if not permitted.

    What was freed is given back to the system first: else it would be taken again unseen.
    """
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    try:
        (PROC / "clear_refs").write_text("5")
        return _status("VmRSS")
    except (OSError, ValueError):
        return None


def peak_beyond(before: int | None) -> int | None:
    """Return the most bytes in use since `reset_peak` beyond what it returned; None if that was None."""
    return None if before is None else max(0, _status("VmHWM") - before)


def _status(name: str) -> int:
    """Return a figure of this process in bytes."""
    for line in (PROC / "status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"the system does not tell {name}")
