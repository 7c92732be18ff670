"""Independent check of a problem's constraints."""

from __future__ import annotations

import math

import numpy as np

from robatch.instances.arrays import IntArray
from robatch.instances.problem import Problem
from robatch.solvers.check.raw import MICRO, bill_of, chosen_utilities, states_of, token_costs

MEANS = 1e-9  # relative: a mean utility may miss its limit by no more than this
MONEY = 1e-12  # relative: USD may exceed a limit by no more than rounding of the sums here


def broken(problem: Problem, states: IntArray, codes: IntArray, calls: IntArray, realized: bool) -> str | None:
    """Say which constraint an assignment breaks, or None.

    Parameters
    ----------
    problem, states
        The problem, and an assignment (N,) that was checked.
    codes
        Number of the group of each query, or empty if all share one.
    calls
        Calls of each group in each state: (groups, S).
    realized
        Whether USD are counted as billed: else every call counts as full.
    """
    limits = problem.constraints
    if limits is None:
        return None
    states_table = states_of(problem)
    owner = states_table.model
    model = owner[states]
    places = {one.name: k for k, one in enumerate(problem.models)}
    for name, most in limits.max_queries.items():
        number = int(np.sum(model == places[name]))
        if number > most:
            return f"model {name!r} answers {number} queries, over its {most}"
    for name, most in limits.max_calls.items():
        number = int(np.sum(calls[:, owner == places[name]]))
        if number > most:
            return f"model {name!r} is sent {number} calls, over its {most}"
    bills = [bill_of(one) for one in problem.models]
    expected = np.array([bills[k].expected for k in owner])
    tokens, share = token_costs(problem, states), (expected / states_table.size)[states]
    billed = states_table.billed(calls) * MICRO
    for name, usd in limits.max_cost.items():
        mine = model == places[name]
        prompts = billed[:, places[name]] if realized else share[mine]
        spent = math.fsum(tokens[mine]) + math.fsum(prompts)
        if spent / MICRO > usd * (1 + MONEY):
            return f"model {name!r} costs {spent / MICRO} USD, over its {usd}"
    groups = problem.groups
    for label, usd in limits.group_budget.items():
        assert groups is not None
        mine = groups == label
        prompts = billed[codes[np.argmax(mine)]] if realized else share[mine]
        spent = math.fsum(tokens[mine]) + math.fsum(prompts)
        if spent / MICRO > usd * (1 + MONEY):
            return f"group {label!r} costs {spent / MICRO} USD, over its {usd}"
    for label, least in limits.min_group_utility.items():
        assert groups is not None
        members = np.flatnonzero(groups == label)
        mean = math.fsum(chosen_utilities(problem, states, members)) / len(members)
        if mean < least * (1 - MEANS):
            return f"group {label!r} has a mean utility of {mean}, below its {least}"
    return None
