"""Solvers of the user's own: where they are found, and what they may return."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from numbers import Real
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import numpy as np

from robatch.instances.errors import InputError, first_line
from robatch.instances.problem import Problem
from robatch.instances.scalars import shown
from robatch.solvers.plan.plan import Limit
from robatch.solvers.registry import Answer, Request, Solver, register, solver_of


def register_from(text: str) -> Solver:
    """Register the solver that ``module:name`` or ``file.py:name`` names, in place of one of the same name.

    Parameters
    ----------
    text
        A module that can be imported from here or the working folder, or a file, and the name in it of a `Solver` or
        of a function from a `Request` to an `Answer`, which is then known by that name.

    Raises
    ------
    InputError
        If there is no such thing, or it is no solver.
    """
    where, _, name = text.rpartition(":")
    if not where or not name.isidentifier():
        raise InputError(f"solver to register is {text!r}: MODULE:NAME or FILE.py:NAME is needed, such as mine:solver")
    module = _module(where, text)
    if not hasattr(module, name):
        known = [key for key, value in vars(module).items() if isinstance(value, Solver)]
        advice = f"; its solvers are {', '.join(known)}" if known else ""
        raise InputError(f"solver to register is {text!r}: {where!r} has no {name!r}{advice}")
    solver = solver_of(getattr(module, name), name, f"{text!r}")
    register(solver, replace=True)
    return solver


def _module(where: str, text: str) -> ModuleType:
    """Import a module by name, or a file."""
    try:
        if where.endswith(".py"):
            if not os.path.isfile(where):
                raise InputError(f"solver to register is {text!r}: there is no file {where!r}")
            spec = importlib.util.spec_from_file_location(Path(where).stem, where)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module  # as dataclasses and pickle look for it there
            spec.loader.exec_module(module)
            return module
        with _working_folder():
            return importlib.import_module(where)
    except InputError:
        raise
    except Exception as error:
        why = f"{type(error).__name__}: {first_line(error)}"
        raise InputError(f"solver to register is {text!r}: {where!r} cannot be imported ({why})") from error


@contextmanager
def _working_folder() -> Iterator[None]:
    """Look for modules in the working folder, too, as ``python -m`` does."""
    sys.path.insert(0, os.getcwd())
    try:
        yield
    finally:
        sys.path.remove(os.getcwd())


def asking(solver: Solver) -> Callable[[Request], Answer]:
    """Return the function that runs a solver, whose answers are then checked to be answers."""
    run = solver.load()
    return lambda request: returned(solver.name, run(request), request.problem)


def returned(name: str, answer: object, problem: Problem) -> Answer:
    """Return what a solver returned, if it is an answer whose fields have the right types.

    Raises
    ------
    InputError
        Naming the solver, the field and what is needed.
    """
    who = f"solver {name!r} returned"
    if not isinstance(answer, Answer):
        raise InputError(f"{who} {_kind(answer)}: a robatch.Answer is needed, such as Answer(assignment)")
    states = answer.assignment
    if states is not None:
        array = np.asarray(states)
        if array.shape != (problem.n_queries,) or array.dtype.kind not in "iu":
            raise InputError(
                f"{who} an assignment of shape {array.shape} and type {array.dtype}: "
                f"{problem.n_queries} whole numbers are needed, one state a query"
            )
        if array is not states:
            answer = replace(answer, assignment=array)
    for field in ("bound", "shadow_price"):
        value = getattr(answer, field)
        if value is not None and (isinstance(value, bool | np.bool_) or not isinstance(value, Real) or value != value):
            raise InputError(f"{who} the {field} {shown(value)}: a number, or None, is needed")
    if not isinstance(answer.infeasible, bool | np.bool_):
        raise InputError(f"{who} infeasible={shown(answer.infeasible)}: True or False is needed")
    if answer.limit is not None and answer.limit not in get_args(Limit):
        raise InputError(f"{who} the limit {shown(answer.limit)}: {', '.join(get_args(Limit))} or None is needed")
    if answer.message is not None and not isinstance(answer.message, str):
        raise InputError(f"{who} the message {shown(answer.message)}: a text, or None, is needed")
    counts = answer.statistics
    if not isinstance(counts, Mapping) or not all(isinstance(count, int | np.integer) for count in counts.values()):
        raise InputError(f"{who} the statistics {shown(counts)}: a mapping from names to whole numbers is needed")
    return answer


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
