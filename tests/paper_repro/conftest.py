"""A small synthetic profile of two tasks for the pages that are made from recorded ones."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from robatch.proxies.profiling.measurements import Measurements
from robatch.proxies.profiling.sampling import pack
from robatch.proxies.tasks.prompts import Template

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # paper_repro is not installed
QUERIES, SIZES, REPEATS, SHARED = 60, (1, 2, 4), 2, 80
PRICES = {"small": 0.01, "large": 0.1}


@pytest.fixture(scope="session")
def synthetic():
    """Measurements and features; answers depend on the first feature, and get worse in batches."""
    rng = np.random.default_rng(0)
    template = Template("Add.", (("1 + 1", "2"),)).to_dict()
    rows, known = [], []
    for task in ("sums", "words"):
        ids = [f"{task}-{i:03d}" for i in range(QUERIES)]
        features = rng.normal(size=(QUERIES, 5 + 32 + 32)).astype(np.float32)
        known += [(task, id, numbers) for id, numbers in zip(ids, features, strict=True)]
        for model, price in PRICES.items():
            for size in SIZES:
                chance = 1 / (1 + np.exp(-3 * features[:, 5] - (2 if price > 0.05 else 0) + np.log2(size)))
                for repeat in range(REPEATS):
                    for call, members in enumerate(pack(QUERIES, size, 0, repeat)):
                        inputs, outputs = SHARED + 20 * len(members), 4 * len(members)
                        rows += [
                            {
                                "task": task,
                                "query_id": ids[i],
                                "model": model,
                                "batch_size": size,
                                "repeat": repeat,
                                "call": call,
                                "call_size": len(members),
                                "position": position,
                                "score": float(rng.random() < chance[i]),
                                "parsed": True,
                                "answer": "1",
                                "input_tokens": 20.0,
                                "output_tokens": 4.0,
                                "call_input_tokens": inputs,
                                "call_output_tokens": outputs,
                                "shared_tokens": SHARED,
                                "seconds": 0.1,
                                "finish_reason": "stop",
                                "error": None,
                            }
                            for position, i in enumerate(members)
                        ]
    provenance = {
        "kind": "measurements",
        "format": 2,
        "robatch": "0",
        "python": "3",
        "date": "2000-01-01",
        "seed": 0,
        "repeats": REPEATS,
        "tasks": [
            {
                "name": name,
                "described": name,
                "template": template,
                "queries": QUERIES,
                "kind": "number",
                "choices": None,
            }
            for name in ("sums", "words")
        ],
        "models": [
            {
                "name": name,
                "price_in": price,
                "price_out": 2 * price,
                "context_window": 4096,
                "batch_sizes": list(SIZES),
                "shared_tokens": {"sums": SHARED, "words": SHARED},
                "vllm": "0",
                "device": "none",
                "dtype": "none",
                "prefix_caching": False,
                "identity": {"sha256": "0" * 64},
            }
            for name, price in PRICES.items()
        ],
    }
    numbers = np.array([numbers for _, _, numbers in known])
    parts = {"counts": numbers[:, :5], "own": numbers[:, 5:37], "common": numbers[:, 37:]}
    table = pa.table(
        {
            "task": [task for task, _, _ in known],
            "query_id": [id for _, id, _ in known],
            **{name: pa.FixedSizeListArray.from_arrays(part.ravel(), part.shape[1]) for name, part in parts.items()},
        }
    )
    return Measurements.from_rows(rows, provenance), table
