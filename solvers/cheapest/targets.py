"""The utility that a plan must reach: a total, a mean a query, or a share of the best model's."""

from __future__ import annotations

from operator import itemgetter

import numpy as np

from robatch.instances.arrays import IntArray
from robatch.instances.errors import InputError
from robatch.instances.problem import Problem
from robatch.instances.scalars import number

TARGET_ROUNDING = 1e-12  # relative: what two sums of the same utilities may differ by


def target_utility(
    problem: Problem, utility: float | None = None, mean: float | None = None, of_best: float | None = None
) -> float:
    """Return the total utility that is asked for by exactly one of three numbers.

    Parameters
    ----------
    problem
        Queries, models and utilities.
    utility
        Total utility, of at least 0.
    mean
        Utility a query, from 0 to 1.
    of_best
        Share from 0 to 1 of the utility of the best model, see `best_model`.

    Raises
    ------
    InputError
        If none or several are given, or one is out of range, or no model can answer all queries alone.
    """
    if sum(value is not None for value in (utility, mean, of_best)) != 1:
        raise InputError("exactly one of utility, mean and of_best is needed")
    if utility is not None:
        return number("utility", utility)
    if mean is not None:
        return number("mean", mean, most=1.0) * problem.n_queries
    share = number("of_best", of_best, most=1.0)
    return share * best_model(problem)[1]


def best_model(problem: Problem) -> tuple[str, float]:
    """Return the model of greatest total utility when it answers all queries, and that utility.

    Each query is answered in the batch size of greatest utility among those that are allowed for it, whatever it
    costs. A model that is not allowed for some query in any batch size cannot answer all.

    Raises
    ------
    InputError
        If no model can answer all queries.
    """
    totals = {}
    for model in range(problem.n_models):
        states = _alone(problem, model)
        if states is not None:
            totals[problem.models[model].name] = problem.total_utility(states)
    if not totals:
        raise InputError("of_best is given, but no model alone is allowed for all queries: give utility or mean")
    return max(totals.items(), key=itemgetter(1))


def _alone(problem: Problem, model: int) -> IntArray | None:
    """Return the assignment (N,) of all queries to one model, each in its best batch size; None if one allows none."""
    columns = np.flatnonzero(problem.state_model == model)
    states = np.empty(problem.n_queries, dtype=np.int64)
    for rows in problem.blocks():
        utilities = problem.utilities(rows)[:, columns].astype(np.float64)
        if not problem.all_allowed:
            utilities = np.where(problem.allowed(rows)[:, columns], utilities, -np.inf)
        if (utilities.max(axis=1) == -np.inf).any():
            return None
        states[rows] = columns[utilities.argmax(axis=1)]
    return states


def reachable(problem: Problem, target: float) -> tuple[float, str | None]:
    """Return the target as plans can reach it, and one sentence if none can.

    A target above the greatest utility of any plan by no more than sums of floating-point numbers may err is
    taken as that utility.
    """
    greatest = problem.total_utility(problem.best_assignment)
    if target <= greatest:
        return target, None
    if target <= greatest * (1 + TARGET_ROUNDING):
        return greatest, None
    return target, f"utility {target:.12g} is out of reach: the greatest that any plan reaches is {greatest:.12g}"
