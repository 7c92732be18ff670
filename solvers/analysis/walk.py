"""What the plans along the steps of the concave hulls bill, all at once."""

from __future__ import annotations

import numpy as np

from robatch.instances.arrays import FloatArray, IntArray
from robatch.instances.problem import Problem
from robatch.solvers.bounds.relaxation import Steps


def bills_along(problem: Problem, steps: Steps, share: FloatArray) -> FloatArray:
    """Return the USD that are billed after each number of steps, but for rounding and for conflicts: (steps + 1,).

    `share` is what a query pays of a full call in each state: (S,). A step takes a query from one state of its group
    to another. So what is billed changes by the step's cost, and by what these two pay for calls beyond the shares.
    """
    width, count = problem.n_states, len(steps.query)
    cells = np.bincount(problem.group_codes * width + steps.states, minlength=problem.n_groups * width)
    size, price = problem.state_batch_size, problem.call_price
    paid = (-(-cells.reshape(-1, width) // size) * price - cells.reshape(-1, width) * share).sum()
    order = np.argsort(steps.owner, kind="stable")
    before = steps.states[steps.query].astype(np.int64)  # the state that each step leaves
    again = np.flatnonzero(steps.owner[order][1:] == steps.owner[order][:-1])
    before[order[again + 1]] = steps.state[order[again]]
    group = problem.group_codes[steps.query] * width
    cell = np.concatenate([group + steps.state, group + before])
    change = np.repeat([1, -1], count)
    when = np.tile(np.arange(count), 2)
    order = np.lexsort((when, cell))
    cell, change, when = cell[order], change[order], when[order]
    after = np.cumsum(change)
    first = np.flatnonzero(np.diff(cell, prepend=-1))
    after += np.repeat(cells[cell[first]] - after[first] + change[first], np.diff(np.append(first, len(cell))))
    state = cell % width
    calls: IntArray = -(-after // size[state]) + (change - after) // size[state]
    beyond = np.bincount(when, calls * price[state] - change * share[state], minlength=count)
    return np.asarray(steps.cost + paid + np.concatenate([[0.0], np.cumsum(steps.step_cost + beyond)]))
