"""A bound for plans that pay for writes of cached prompts: each group chooses which models it pays for.

At a price of USD, the budget couples nothing any more, so that groups are apart: for each set of models that a group
may pay for, every query takes the best state of these. The best sets, and the budget at the price, bound every plan.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robatch.instances.arrays import BoolArray, FloatArray, IntArray
from robatch.instances.problem import Problem

WIDE = 64.0  # times the price that is known, up and down, among which the best is looked for
MOST_MODELS = 8  # whose writes are paid: sets of them are enumerated
NEVER = -1e100  # profit of a query that no model of a set may answer
ROUNDING = 1e-12  # relative


@dataclass(frozen=True, eq=False)
class WriteDual:
    """What groups gain at a price, for each set of the models whose writes are paid for.

    Attributes
    ----------
    price
        Utility per USD.
    models
        The models whose writes cost something: (P,).
    charge
        USD of a write of each of them: (P,).
    gains
        Utility less USD at the price, of each group with each set, before writes: (groups, 2 ** P).
    holds
        Which of the models are in each set: (2 ** P, P).
    """

    price: float
    models: IntArray
    charge: FloatArray
    gains: FloatArray
    holds: BoolArray

    @classmethod
    def of(cls, problem: Problem, price: float, charge: FloatArray) -> WriteDual | None:
        """Return it for a problem whose writes are free, and what they cost by model (K,); None for too many models."""
        models = np.flatnonzero(charge > 0.0)
        if len(models) > MOST_MODELS:
            return None
        sets = np.arange(2 ** len(models))
        gains = np.zeros((problem.n_groups, len(sets)))
        holds = (sets[:, None] >> np.arange(len(models)) & 1).astype(np.bool_)
        for rows in problem.blocks():
            profit = problem.utilities(rows) - price * problem.amortized_costs(rows)
            profit = np.where(problem.allowed(rows), profit, NEVER)
            first = np.flatnonzero(np.diff(problem.state_model, prepend=-1))
            by_model = np.maximum.reduceat(profit, first, axis=1)
            free = np.where(charge > 0.0, NEVER, by_model).max(axis=1)
            codes = problem.group_codes[rows]
            for number in sets.tolist():
                best = np.maximum(free, by_model[:, models[holds[number]]].max(axis=1, initial=NEVER))
                gains[:, number] += np.bincount(codes, best, minlength=problem.n_groups)
        return cls(price, models, charge[models], gains, holds)

    def bound(self, budget: float, paid: BoolArray, without: BoolArray) -> tuple[float, BoolArray]:
        """Return the utility that no plan exceeds, and the pairs of group and model (groups, K) that reach this.

        Parameters
        ----------
        budget
            USD, with which all writes are paid.
        paid, without
            The pairs that are paid for whatever plans do, and those that plans do without: (groups, K).
        """
        bought, out = paid[:, self.models], without[:, self.models]
        more = (~bought).astype(np.float64) * self.charge @ self.holds.T.astype(np.float64)
        value = self.gains - self.price * more
        value = np.where(out.astype(np.float64) @ self.holds.T.astype(np.float64) > 0.0, NEVER, value)
        best = value.argmax(axis=1)
        spent = self.price * (budget - float((bought * self.charge).sum()))
        bound = spent + float(value.max(axis=1).sum())
        pairs = np.zeros_like(paid)
        pairs[:, self.models] = self.holds[best] | bought
        return bound + ROUNDING * (abs(spent) + abs(bound)), pairs


def minimized(problem: Problem, price: float, charge: FloatArray, budget: float, prices: int) -> list[WriteDual]:
    """Return duals at so many prices, the lowest bound first; none for too many models.

    The bound is convex in the price, which is looked for around the one that is known if writes are free.
    """
    from scipy.optimize import minimize_scalar  # here, as few problems need it

    found: list[tuple[float, WriteDual]] = []
    none = np.zeros((problem.n_groups, problem.n_models), dtype=np.bool_)

    def value(logarithm: float) -> float:
        dual = WriteDual.of(problem, price * float(np.exp(logarithm)), charge)
        if dual is None:
            return 0.0
        found.append((dual.bound(budget, none, none)[0], dual))
        return found[-1][0]

    value(0.0)
    if found:
        around = (-np.log(WIDE), np.log(WIDE))
        minimize_scalar(value, bounds=around, method="bounded", options={"maxiter": prices - 1})
    return [dual for _, dual in sorted(found, key=lambda pair: pair[0])]
