"""Passes over all queries by threads: the chunks do not depend on how many there are, and so no result does."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

CHUNK = 32_768  # rows that a thread takes at a time


def over_chunks(run: Callable[[int, int], Any], rows: int, threads: int) -> list[Any]:
    """Return what a kernel finds in each chunk of rows, in order; the chunks do not depend on the threads."""
    return over_ranges(run, [(begin, min(begin + CHUNK, rows)) for begin in range(0, rows, CHUNK)], threads)


def over_ranges(run: Callable[[int, int], Any], ranges: list[tuple[int, int]], threads: int) -> list[Any]:
    """Return what a kernel finds in each range of rows, in order."""
    if threads == 1 or len(ranges) == 1:
        return [run(*part) for part in ranges]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda part: run(*part), ranges))


def thread_count(threads: int | None) -> int:
    """Return the threads to use: those asked for, or as many as this process has cores."""
    if threads is not None:
        return threads
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
