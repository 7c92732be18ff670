"""Make results/profile_tasks_features.parquet: numbers that stand for the recorded tasks' texts.

usage: ROBATCH_MODELS=FOLDER ROBATCH_TASKS=FOLDER python -m paper_repro.record.profile_tasks_features

The texts of three of the five tasks are not part of this project. So the study of the proxy learns from numbers: one
row per task and query with

* ``counts``: logarithms of one more than its characters, words, digits, other signs and lines;
* ``own``: TF-IDF of words, pairs of words and n-grams of characters (the hashed features of `UtilityProxy`) of the
  query's task, reduced to `SIZE` numbers by a singular value decomposition;
* ``common``: the same of all tasks' texts together, by which a query of one task is compared with those of others.

The weights of the TF-IDF and the reductions are learned from the texts of all queries, those included that the study
holds out; no answer, true or given, enters.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.decomposition import TruncatedSVD
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from paper_repro.common.paths import CONFIGS, FEATURES
from robatch.instances.files import replacing
from robatch.proxies.profiling.config import read_config
from robatch.proxies.tasks.queries import Query
from robatch.proxies.utility.features import HashedTfidf, surface

SIZE = 32
"""Numbers that a text is reduced to."""


def main() -> None:
    """Write the file."""
    config = read_config(CONFIGS / "profile_tasks.toml")
    table = features({task.name: task.queries for task in config.tasks})
    with replacing(FEATURES) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def features(tasks: dict[str, Sequence[Query]]) -> pa.Table:
    """Return the rows of all tasks, by task, then as the queries stand."""
    texts = {name: [query.text for query in queries] for name, queries in tasks.items()}
    every = [text for mine in texts.values() for text in mine]
    columns: dict[str, npt.NDArray[np.float32]] = {
        "counts": surface(every).astype(np.float32),
        "own": np.concatenate([_reduced(mine) for mine in texts.values()]),
        "common": _reduced(every),
    }
    return pa.table(
        {
            "task": [name for name, queries in tasks.items() for _ in queries],
            "query_id": [query.id for queries in tasks.values() for query in queries],
            **{name: pa.FixedSizeListArray.from_arrays(rows.ravel(), rows.shape[1]) for name, rows in columns.items()},
        }
    )


def _reduced(texts: Sequence[str]) -> npt.NDArray[np.float32]:
    with threadpool_limits(limits=1):  # sums in another order are other sums
        counted = HashedTfidf().fit(texts).transform(texts)
        size = min(SIZE, *(n - 1 for n in counted.shape))
        found = TruncatedSVD(size, algorithm="randomized", random_state=0).fit_transform(counted)
    padded = np.zeros((len(texts), SIZE), dtype=np.float32)
    padded[:, :size] = found
    return padded


if __name__ == "__main__":
    main()
