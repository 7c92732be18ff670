"""What a routed plan is for: the most utility within a budget, or the least cost of a utility."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from robatch.instances.errors import InputError
from robatch.instances.problem import Problem
from robatch.solvers.cheapest.cheapest import cheapest
from robatch.solvers.plan.plan import Plan
from robatch.solvers.solve import solve

ALLOWANCE = 0.25
"""Part of a cheapest plan's cost that its execution may spend beyond it, where no budget is given."""


@dataclass(frozen=True)
class Goal:
    """A budget in USD or as a fraction, or a share of the best model's utility or a mean utility; see `route`."""

    budget: float | None = None
    budget_fraction: float | None = None
    of_best: float | None = None
    mean: float | None = None

    def __post_init__(self) -> None:
        if self.budget is not None and self.budget_fraction is not None:
            raise InputError("exactly one of budget and budget_fraction is needed, not both")
        if self.of_best is not None and self.mean is not None:
            raise InputError("of_best and mean are both given: they are both targets, one is needed")
        if self.budget is None and self.budget_fraction is None and not self.thrifty:
            raise InputError("exactly one of budget and budget_fraction is needed, or a target: of_best or mean")

    @property
    def thrifty(self) -> bool:
        """Whether the least cost of a utility is asked for."""
        return self.of_best is not None or self.mean is not None

    def told(self) -> dict[str, Any]:
        """Return the target, as the settings of a plan keep it."""
        return {"of_best": self.of_best, "mean": self.mean} if self.thrifty else {}

    def plan(self, problem: Problem, solver: str, *, time_limit: float | None, seed: int) -> Plan:
        """Return the plan.

        Raises
        ------
        InputError
            If there is none.
        """
        usd = self.budget
        if usd is None and self.budget_fraction is not None:
            usd = problem.budget_at(self.budget_fraction)
        if self.thrifty:
            found = cheapest(
                problem, of_best=self.of_best, mean=self.mean, solver=solver, time_limit=time_limit, seed=seed
            )
            made = found.plan
            if made is None and usd is None:
                raise InputError(found.message or f"solver {found.solver!r} found no plan of that utility")
            if made is not None and made.realized_cost is not None and (usd is None or made.realized_cost <= usd):
                allowed = made.realized_cost * (1.0 + ALLOWANCE) if usd is None else usd
                return replace(made, budget=allowed, bound=None, status="feasible")  # proven of another budget
        assert usd is not None
        plan = solve(problem, usd, solver, "realized", time_limit=time_limit, seed=seed)
        if plan.assignment is None:
            raise InputError(plan.message or f"solver {plan.solver!r} found no plan within {usd:.6g} USD")
        return plan
