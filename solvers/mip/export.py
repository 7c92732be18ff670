"""The mixed-integer program as an MPS or LP file, for any other solver."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from robatch.instances.errors import InputError
from robatch.instances.files import replacing
from robatch.instances.problem import Problem
from robatch.instances.scalars import number
from robatch.solvers.mip.formulation import build
from robatch.solvers.plan.plan import Cost


def export(problem: Problem, budget: float, path: str | os.PathLike[str], cost: Cost = "realized") -> None:
    """Write the program that the mixed-integer backends solve.

    Columns are ``x_<query>_<state>`` and ``y_<group>_<state>``; rows ``query_<i>``, ``calls_<group>_<state>``,
    ``budget``, constraints by kind and number of the model or group, such as ``max_cost_<model>``, and
    ``apart_<group>_<state>_<number>`` for conflicting queries. The objective is utility times a power of two; rows of
    USD and utility have the number of queries concerned as their right-hand side (and 1e-11 of it more, so that
    rounding cuts off no plan: check a solution with `verify`). Conflicting queries may need more calls than the
    program counts; `solve` adds rows where they do.

    Parameters
    ----------
    problem
        Queries, models and utilities.
    budget
        USD, at least 0 and finite.
    path
        A file ending in ``.mps`` or ``.lp``, which names the format.
    cost
        The cost model: ``"realized"``, what is billed, or ``"amortized"``, every call counted as full.

    Raises
    ------
    InputError
        If the budget or the file's ending is not allowed, or the file cannot be written.
    """
    import highspy

    from robatch.solvers.mip.highs import program

    suffix = Path(path).suffix.lower()
    if suffix not in (".mps", ".lp"):
        raise InputError(f"model file is {str(path)!r}: a name ending in .mps or .lp is needed")
    budget = number("budget", budget, needed="a finite number of USD of at least 0")
    model = build(problem, budget, cost)
    lp = program(model)
    lp.col_names_, lp.row_names_ = model.column_names(), model.row_names()
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    highs.passModel(lp)
    with replacing(path) as temporary, tempfile.TemporaryDirectory() as folder:
        named = Path(folder) / f"model{suffix}"  # HiGHS chooses the format by the ending, and takes UTF-8 names only
        if highs.writeModel(str(named)) == highspy.HighsStatus.kError:
            raise OSError("HiGHS could not write the model")
        shutil.copyfile(named, temporary)
