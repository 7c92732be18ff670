"""Problems as instances of a benchmark: how users name them, and what the record tells of them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from robatch.instances.bundled import BUNDLED, load
from robatch.instances.errors import InputError
from robatch.instances.families import FAMILIES, generate
from robatch.instances.multiple_choice import KNAPSACK_FAMILIES
from robatch.instances.problem import Problem
from robatch.instances.problem_file import read

ARRAYS = (
    "input_tokens", "output_tokens", "utility", "base_utility", "retention", "query_ids", "groups", "forbidden",
    "conflicts",
)  # fmt: skip


def parse_instance(text: str, seed: int = 0) -> tuple[str, str, Problem]:
    """Return the problem that a user named.

    Parameters
    ----------
    text
        The name of a bundled problem (``measured``), the path of a problem file, or ``family:queries`` for a
        generated one.
    seed
        Seed of a generated problem.

    Returns
    -------
    tuple of str, str and Problem
        Its name, where it comes from, and the problem.

    Raises
    ------
    InputError
        If there is no such problem.
    """
    if text in BUNDLED:
        return text, f"bundled: {BUNDLED[text]}", load(text)
    family, colon, queries = text.rpartition(":")
    known = {**FAMILIES, **KNAPSACK_FAMILIES}
    if colon and family in known:
        if not queries.isascii() or not queries.isdigit():
            raise InputError(f"instance is {text!r}: a number of queries is needed after the colon")
        source = f"generated: {known[family]}, seed {seed}"
        return f"{family}-{int(queries)}", source, generate(family, int(queries), seed=seed)
    if not os.path.exists(text):  # false for a name too long, where Path.exists raises
        raise InputError(
            f"instance is {text!r}: there is no such file, and it is neither {' nor '.join(BUNDLED)} "
            f"nor FAMILY:QUERIES with a family of {', '.join(known)}"
        )
    return Path(text).stem, f"file {Path(text).name}", read(text)


def about(problem: Problem) -> dict[str, int | str]:
    """Return what the settings tell of a problem: its hash and its sizes."""
    return {"sha256": fingerprint(problem), **sizes(problem)}


def sizes(problem: Problem) -> dict[str, int]:
    """Return the numbers of queries, models and states."""
    return {"queries": problem.n_queries, "models": problem.n_models, "states": problem.n_states}


def fingerprint(problem: Problem) -> str:
    """Return a SHA-256 of everything in a problem."""
    digest = hashlib.sha256(repr([model.replace(priced=None).to_dict() for model in problem.models]).encode())
    for name in ARRAYS if problem.costs is None else (*ARRAYS, "costs"):
        array = getattr(problem, name)
        digest.update(f"{name} {None if array is None else (array.shape, array.dtype.str)}".encode())
        if array is not None:
            digest.update(array.tobytes())
    digest.update(repr((problem.constraints, problem.window_margin)).encode())
    return digest.hexdigest()
