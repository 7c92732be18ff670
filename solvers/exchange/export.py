"""The mixed-integer program as an MPS or LP file, for any other solver."""

from __future__ import annotations

import os
from pathlib import Path

from robatch.instances.errors import InputError
from robatch.instances.files import replacing
from robatch.instances.problem import Problem
from robatch.instances.scalars import number
from robatch.solvers.exchange.lp import lp_lines
from robatch.solvers.exchange.mps import mps_lines
from robatch.solvers.exchange.program import Program
from robatch.solvers.mip.formulation import build
from robatch.solvers.plan.plan import Cost

WRITERS = {".mps": mps_lines, ".lp": lp_lines}


def export(
    problem: Problem, budget: float, path: str | os.PathLike[str], cost: Cost = "realized", *, scale: bool = True
) -> None:
    """Write the program that the mixed-integer backends solve, so that every reader finds the same optimum in it.

    The file minimizes negative utility, which its first lines say: CBC and PuLP minimize whatever a file says. Columns
    are ``x_<query>_<model>_<batch size>`` and, for calls, ``y_<model>_<batch size>``, with the group before the model
    where there are groups; rows ``query_<query>``, ``calls_<model>_<batch size>``, ``budget``, constraints by kind and
    name, such as ``max_cost_<model>``, and ``apart_<group>_<state>_<number>`` for conflicting queries. Queries, models
    and groups are named in letters, digits and dots, or numbered (``q7``) where their names would not differ then or
    have more than 40 characters. Numbers have up to 17 digits and read back as the same float64. Conflicting
    queries may need more calls than the program counts; `solve` adds rows where they do. A solution that a solver found
    becomes a plan by `plan_from`.

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
    scale
        Whether the objective is utility times a power of two, and rows of USD and utility have the number of queries
        concerned as their right-hand side (and 1e-11 of it more, so that rounding cuts off no plan): solvers' absolute
        tolerances are made for such numbers. False for USD and utility as they are: of costs below 1e-6 USD, many
        solvers then return plans as optimal that are not, or that exceed the budget.

    Raises
    ------
    InputError
        If the budget or the file's ending is not allowed, or the file cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in WRITERS:
        raise InputError(f"model file is {str(path)!r}: a name ending in .mps or .lp is needed")
    budget = number("budget", budget, needed="a finite number of USD of at least 0")
    program = Program.of(build(problem, budget, cost, scaled=scale))
    with replacing(path) as temporary, open(temporary, "w", encoding="ascii", newline="\n") as file:
        file.writelines(f"{line}\n" for line in WRITERS[suffix](program))
