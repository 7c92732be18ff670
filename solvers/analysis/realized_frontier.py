"""The frontier under realized cost: the best plan known at every budget as it is billed, and a bound."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import FloatArray
from robatch.instances.display.frames import Library, frame
from robatch.instances.problem import Problem
from robatch.instances.scalars import number
from robatch.solvers.analysis.known_plans import KnownPlan
from robatch.solvers.check.verify import verify
from robatch.solvers.plan.plan import Plan
from robatch.solvers.registry import Answer
from robatch.solvers.solve import answered, asked, plan_of
from robatch.solvers.writes import as_billed


@dataclass(frozen=True, eq=False)
class RealizedFrontier:
    """Best known utility at every budget that keeps the bill, and what no plan exceeds there.

    What a plan reaches, every budget from its bill on reaches; and what no plan within a budget exceeds, none within
    a smaller one does. So utilities and bounds are known at all budgets, and best at those that were asked for.

    Attributes
    ----------
    problem
        The problem.
    budgets, utilities, bounds
        USD, rising; the utility of the best plan known whose bill that budget pays, nan where none is known; and the
        utility that no plan within the budget exceeds: (K,).
    shadow_prices
        Utility that the next dollar buys at each budget, by the linear relaxation: (K,).
    """

    problem: Problem
    budgets: FloatArray
    utilities: FloatArray
    bounds: FloatArray
    shadow_prices: FloatArray
    _plans: tuple[KnownPlan, ...]  # by rising bill and utility
    _lines: tuple[FloatArray, FloatArray, FloatArray]  # bounds at budgets, and utility per USD, that hold at all others

    @property
    def gaps(self) -> FloatArray:
        """Relative gap at each budget, ``(bound - utility) / bound``; nan where no plan is known: (K,)."""
        gaps = (self.bounds - self.utilities) / np.where(self.bounds > 0.0, self.bounds, 1.0)
        return np.asarray(np.maximum(gaps, 0.0))

    @property
    def gap(self) -> float:
        """The largest of the gaps; nan if no plan is known."""
        return float(np.nanmax(self.gaps)) if len(self._plans) else float("nan")

    def utility(self, budget: npt.ArrayLike) -> Any:
        """Return the utility of the best plan known at one or many budgets in USD; nan where none is known."""
        bills, utilities = self._bills(), [plan.utility for plan in self._plans]
        place = np.searchsorted(bills, np.asarray(budget, dtype=np.float64), side="right")
        return np.array([np.nan, *utilities])[place][()]

    def budget(self, utility: npt.ArrayLike) -> Any:
        """Return the least USD billed by a known plan that reaches one or many utilities; nan above the greatest."""
        place = np.searchsorted([plan.utility for plan in self._plans], np.asarray(utility, dtype=np.float64))
        return np.append(self._bills(), np.nan)[place][()]

    def bound(self, budget: npt.ArrayLike) -> Any:
        """Return the utility that no plan exceeds at one or many budgets in USD; nan below the cheapest plan's."""
        from robatch.instances.kernels import flat  # here, as it loads numba
        from robatch.solvers.bounds.granularity import lower_to_grades

        wanted = np.asarray(budget, dtype=np.float64)
        at, most, price = self._lines
        lines = (most + price * (wanted[..., None] - at)).min(axis=-1)
        above = np.append(self.bounds, np.inf)[np.searchsorted(self.budgets, wanted)]
        bound = lower_to_grades(flat(self.problem), np.minimum(above, lines))
        return np.where(wanted < as_billed(self.problem).cheapest_budget, np.nan, bound)[()]

    def shadow_price(self, budget: npt.ArrayLike) -> Any:
        """Return what the next dollar buys at one or many budgets, by the linear relaxation: utility per USD."""
        wanted = np.asarray(budget, dtype=np.float64)
        at, most, price = self._lines
        return price[(most + price * (wanted[..., None] - at)).argmin(axis=-1)][()]

    def _bills(self) -> FloatArray:
        return np.array([plan.bill for plan in self._plans])

    def plan(self, budget: float, solver: str | None = None, **options: Any) -> Plan:
        """Return a plan whose bill keeps a budget in USD: the best one known or ``greedy``'s, or another solver's.

        Parameters
        ----------
        budget
            USD. Where no plan is known, ``greedy`` is asked.
        solver
            None for the better one of the best plan known and that of ``greedy`` at the budget, which is asked for it,
            with the lower bound of both; or the name of a solver, which begins with the best plan known.
        options
            For the solver, as for `solve`; the cost model is realized unless they say otherwise.

        Returns
        -------
        Plan
            Checked by `verify`.

        Raises
        ------
        InputError
            As `solve` does.
        """
        budget = number("budget", budget, needed="a finite number of USD of at least 0")
        begin = time.perf_counter()
        place = int(np.searchsorted(self._bills(), budget, side="right")) - 1
        known = self._plans[place] if place >= 0 else None
        if known is not None and solver is not None:
            options.setdefault("initial_plan", known.states())
        entry, request = asked(self.problem, budget, solver or "greedy", **{"cost": "realized", **options})
        plan = answered(entry, request)
        if solver is not None or known is None or request.cost != "realized":
            return plan
        better = plan.assignment is not None and plan.utility is not None and plan.utility >= known.utility
        states = plan.assignment if better else known.states()
        utility = max(known.utility, plan.utility or 0.0)
        bound = float(self.bound(budget))
        bound = max(bound if plan.bound is None else min(bound, plan.bound), utility)
        price = float(self.shadow_price(budget)) if plan.shadow_price is None else plan.shadow_price
        answer = Answer(states, bound=bound, shadow_price=price)
        plan = plan_of(request, entry, answer, time.perf_counter() - begin)
        verify(self.problem, plan, calls=False)
        return plan

    def to_frame(self, library: Library = "pandas") -> Any:
        """Return the budgets as a table of a `library`: budget, utility, bound, gap and shadow price of each."""
        return frame(
            {
                "budget": self.budgets,
                "utility": self.utilities,
                "bound": self.bounds,
                "gap": self.gaps,
                "shadow_price": self.shadow_prices,
            },
            library,
        )

    def __repr__(self) -> str:
        return (
            f"RealizedFrontier({len(self.budgets)} budgets, {self.budgets[0]:.6g} to {self.budgets[-1]:.6g} USD, "
            f"utilities {self.utilities[0]:.6g} to {self.utilities[-1]:.6g}, gap at most {self.gap:.3g})"
        )
