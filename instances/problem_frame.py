"""A problem as a table with a row for each query and state."""

from __future__ import annotations

from typing import Any

import numpy as np

from robatch.instances.display.frames import labels
from robatch.instances.problem_arrays import ProblemArrays


def pair_columns(problem: ProblemArrays) -> dict[str, Any]:
    """Return the columns of the N x S pairs of a query and a state, query by query, by name."""
    n, s = problem.n_queries, problem.n_states
    ids = np.arange(n) if problem.query_ids is None else problem.query_ids
    group = {} if problem.groups is None else {"group": np.repeat(problem.groups, s)}
    return {
        "query_id": np.repeat(ids, s),
        **group,
        "model": labels([model.name for model in problem.models], np.tile(problem.state_model, n)),
        "batch_size": np.tile(problem.state_batch_size, n),
        "utility": problem.utilities().ravel(),
        "amortized_cost": problem.amortized_costs().ravel(),
        "allowed": problem.allowed().ravel(),
    }
