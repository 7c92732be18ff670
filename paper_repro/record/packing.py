"""Measure how often the packing of conflicting queries needs the fewest calls, against CP-SAT; print Markdown.

usage: python -m paper_repro.record.packing [CASES]     (default: 20 a row)
"""

from __future__ import annotations

import sys

import numpy as np

from paper_repro.common import markdown
from paper_repro.common.exact_packing import fewest_calls
from robatch.instances.arrays import IntArray
from robatch.instances.conflicts import conflict_calls

KINDS = ("10 % of pairs", "30 % of pairs", "60 % of pairs", "duplicates")
SIZES = (12, 20, 40, 100)
METHODS = ("first fit", "and DSATUR", "and search")
TIME_LIMIT = 5.0  # seconds of CP-SAT a case


def conflicts(kind: str, n: int, rng: np.random.Generator) -> IntArray:
    """Return conflicts among n queries: a part of all pairs, or sets of two to five duplicates."""
    one, other = np.triu_indices(n, 1)
    if kind == "duplicates":
        label = np.repeat(np.arange(n), rng.integers(2, 6, n))[:n]
        kept = label[one] == label[other]
    else:
        kept = rng.random(len(one)) < float(kind.split()[0]) / 100
    return np.stack([one[kept], other[kept]], axis=1).astype(np.int64)


def measure(kind: str, n: int, cases: int, time_limit: float = TIME_LIMIT) -> tuple[int, list[int], list[int]]:
    """Return the cases whose optimum is known, and by method how many reach it and their greatest excess of calls."""
    known, reached, excess = 0, [0] * len(METHODS), [0] * len(METHODS)
    for seed in range(cases):
        rng = np.random.default_rng([seed, n, KINDS.index(kind)])
        size = int(rng.choice([2, 4, 8]))
        edges = conflicts(kind, n, rng)
        states, queries = np.zeros(n, dtype=np.int64), np.array([[n]])
        calls = []
        for method in range(len(METHODS)):
            found = conflict_calls(edges, states, None, np.array([size]), queries, method)
            calls.append(-(-n // size) if found is None else int(found.calls[0]))
        if min(calls) == -(-n // size):
            fewest = min(calls)  # every call is full
        else:
            packed = fewest_calls(n, size, edges, time_limit=time_limit)
            if packed is None:
                continue
            fewest = int(packed.max()) + 1
        known += 1
        for method, used in enumerate(calls):
            reached[method] += used == fewest
            excess[method] = max(excess[method], used - fewest)
    return known, reached, excess


def table(cases: int) -> str:
    """Return the measurement as Markdown."""
    lines = []
    for kind in KINDS:
        for n in SIZES:
            known, reached, excess = measure(kind, n, cases)
            shown = [
                f"{hits} of {known}" + (f" (+{most})" if most else "")
                for hits, most in zip(reached, excess, strict=True)
            ]
            lines.append([kind, str(n), f"{known} of {cases}", *shown])
    return markdown.table(["conflicts", "queries", "optimum known", *METHODS], lines)


if __name__ == "__main__":
    print(table(int(sys.argv[1]) if len(sys.argv) > 1 else 20))
