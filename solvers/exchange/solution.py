"""Solution files of other solvers, of a program that `export` wrote: which state each query has in them.

The forms that are read: HiGHS (raw, sparse, and its tables), SCIP, CBC, GLPK (raw and as printed), Gurobi, MIPLIB,
and CPLEX (XML). They differ in where the value of a named column stands.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.sax.saxutils import unescape

import numpy as np

from robatch.instances.arrays import FloatArray, IntArray
from robatch.instances.errors import InputError
from robatch.instances.files import read_text
from robatch.instances.problem import Problem
from robatch.solvers.exchange.names import column_names
from robatch.solvers.mip.variables import make_columns

WHOLE = 1e-4  # by which a value may differ from 1: solvers let whole numbers differ by up to 1e-5

_XML = re.compile(r"<variable\b([^>]*)>")
_XML_FIELD = re.compile(r"""\b(name|value)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_NONE = re.compile(r"infeasible|unbounded|no solution|no feasible|empty|undefined", re.IGNORECASE)


def read_solution(problem: Problem, path: str | os.PathLike[str]) -> IntArray:
    """Read the solution that a solver found of a problem's exported program.

    Parameters
    ----------
    problem
        The problem that was exported.
    path
        A solution file of HiGHS, SCIP, CBC, GLPK, Gurobi or CPLEX, whose program had the names, or the order, of
        columns that `export` gives them. Columns that the file leaves out are 0.

    Returns
    -------
    ndarray of int64, (N,)
        The state of each query. Whether it keeps a budget is for `plan_from` and `verify` to say.

    Raises
    ------
    InputError
        If the file cannot be read, holds no columns of this problem, or leaves a query without a state or between
        several, as the solution of a linear relaxation does.
    """
    name = f"solution {os.fspath(path)!r}"
    text = read_text(path, "solution")
    query, state = np.nonzero(problem.allowed())
    names = column_names(make_columns(problem, query, state, "amortized"))[: len(query)]
    place = {column: position for position, column in enumerate(names)}
    values = np.zeros(len(query))
    found = False
    for position, value in _found(text, place):
        values[position], found = value, True
    if not found:
        first = next((" ".join(line.split()) for line in text.splitlines() if line.strip()), "nothing")
        begins = next((line for line in text.splitlines()[:12] if _NONE.search(line)), first).strip()[:80]
        raise InputError(
            f"{name} gives no column of this problem a value, such as {names[0]} (it says {begins!r}): "
            f"the solution of a program that robatch exported is needed"
        )
    return _states(problem, query, state, values, name)


def _states(problem: Problem, query: IntArray, state: IntArray, values: FloatArray, name: str) -> IntArray:
    """Return the state of each query whose column is 1."""
    whole = np.abs(values - 1.0) <= WHOLE
    wrong = (np.bincount(query, whole, problem.n_queries) != 1) | (
        np.bincount(query, ~whole & (np.abs(values) > WHOLE), problem.n_queries) > 0
    )
    if wrong.any():
        one = int(np.argmax(wrong))
        rows = np.flatnonzero((query == one) & (np.abs(values) > WHOLE))
        parts = ", ".join(f"{values[row]:.4g} of {problem.states[state[row]]}" for row in rows[:3])
        raise InputError(
            f"{name} gives query {problem.query_name(one)} {parts or 'no state'}: "
            f"one state a query is needed, as the whole program has it and its linear relaxation has not"
        )
    states = np.empty(problem.n_queries, dtype=np.int64)
    states[query[whole]] = state[whole]
    return states


def _found(text: str, place: Mapping[str, int]) -> Iterator[tuple[int, float]]:
    """Yield positions of columns and their values, each once."""
    seen: set[int] = set()
    for position, value in _xml(text, place) if text.lstrip().startswith("<") else _lines(text, place):
        if position not in seen:  # what follows again are duals
            seen.add(position)
            yield position, value


def _xml(text: str, place: Mapping[str, int]) -> Iterator[tuple[int, float]]:
    for tag in _XML.findall(text):
        fields = {name: unescape(one or other) for name, one, other in _XML_FIELD.findall(tag)}
        value = _number(fields.get("value", ""))
        if fields.get("name") in place and value is not None:
            yield place[fields["name"]], value


def _lines(text: str, place: Mapping[str, int]) -> Iterator[tuple[int, float]]:
    """Yield what the lines say: a name and then its value, a table that ends in names, or columns by number."""
    numbered, waiting = False, None
    for line in text.splitlines():
        words = line.split()
        if words[:2] == ["s", "mip"] or words[:2] == ["s", "bas"]:
            numbered = True  # GLPK's own form: "j 3 1" is the third column
        if numbered:
            if len(words) >= 3 and words[0] == "j" and words[1].isdecimal() and 0 < int(words[1]) <= len(place):
                value = _number(words[2])
                if value is not None:
                    yield int(words[1]) - 1, value
            continue
        at = next((number for number, word in enumerate(words) if word in place), None)
        if at is None:
            column, waiting = waiting, None  # a long name of GLPK has a line of its own
            rest = words if column is not None else []
        else:
            column, waiting, rest = words[at], None, words[at + 1 :]
            if not rest and len(words) > 4:  # HiGHS: index, status, lower, upper, primal, ..., name
                rest = [word for word in words if _number(word) is not None][3:]
            elif not rest:
                waiting = column
        value = next((number for number in map(_number, rest) if number is not None), None)
        if column is not None and value is not None:
            yield place[column], value


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def is_solution(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path ends as solution files do."""
    return Path(path).suffix.lower() in (".sol", ".txt", ".xml", ".mst")
