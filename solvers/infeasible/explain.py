"""Why no plan keeps the budget and the constraints: a smallest set of limits that conflict, and what would do."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from robatch.instances.errors import InputError
from robatch.instances.problem import Problem
from robatch.instances.scalars import number
from robatch.solvers.limits import OF_GROUPS, Entry, Kind
from robatch.solvers.plan.plan import Cost

if TYPE_CHECKING:
    from robatch.solvers.infeasible.conflict_set import Limits, Search

DIGITS = 6  # of numbers in messages; they are rounded to the safe side
MAX_CANDIDATES = 2_000_000  # queries times states, beyond which building the programs alone takes too long


@dataclass(frozen=True, slots=True)
class Clash:
    """One of the limits that no plan keeps together.

    Attributes
    ----------
    kind
        ``"budget"``, or the field of `Constraints` that holds it.
    label
        The model's name or the group's label; None for the budget.
    limit
        What it is.
    enough
        What it would have to be, alone, for a plan to exist: the least found, or for a least utility the greatest.
        None if none was found in time.
    needed
        Where `enough` is not proven to be the least: what every plan needs at least, or for a least utility reaches at
        most. None if that is not known.
    among
        Whether no number would do, since limits that are not named conflict too: the numbers are for those named only.
    """

    kind: Literal["budget"] | Kind
    label: str | int | None
    limit: float
    enough: float | None = None
    needed: float | None = None
    among: bool = False

    def __str__(self) -> str:
        what = "the budget"
        if self.kind != "budget":
            what = f"{self.kind} of {'group' if self.kind in OF_GROUPS else 'model'} {self.label!r}"
        remedies = []
        least = self.kind == "min_group_utility"
        if self.enough is not None:
            remedies.append(f"{self._amount(_rounded(self.enough, up=not least))} would be enough")
        if self.needed is not None:
            counted = math.ceil(self.needed - 1e-6) if self.kind in ("max_queries", "max_calls") else self.needed
            wanted = self._amount(_rounded(counted, up=least))
            remedies.append(f"no plan has more than {wanted}" if least else f"at least {wanted} would be needed")
        remedy = f"alone, {', '.join(remedies)}{' for those named here' if self.among else ''}"
        if not remedies:
            remedy = "what would be enough was not found in time"
        return f"{what}, {self._amount(f'{self.limit:.9g}')} ({remedy})"

    def _amount(self, amount: str) -> str:
        """Return a number with its unit."""
        if self.kind == "max_queries":
            return f"{amount} {'query' if amount == '1' else 'queries'}"
        if self.kind == "max_calls":
            return f"{amount} {'call' if amount == '1' else 'calls'}"
        return amount if self.kind == "min_group_utility" else f"{amount} USD"


@dataclass(frozen=True, slots=True)
class Explanation:
    """Whether a plan can keep a problem's budget and constraints, and if not, why.

    Attributes
    ----------
    feasible
        Whether there is a plan; None if that was not decided in time.
    clashes
        Limits that no plan keeps together; empty if there is a plan.
    smallest
        Whether a plan exists as soon as any one of these clashes is left out, the others alone being kept.
    message
        All of it in a sentence.
    """

    feasible: bool | None
    clashes: tuple[Clash, ...]
    smallest: bool
    message: str


def explain(problem: Problem, budget: float, cost: Cost = "realized", time_limit: float = 10.0) -> Explanation:
    """Say why no plan keeps the budget and the constraints.

    Parameters
    ----------
    problem
        Queries, models, utilities and constraints.
    budget
        USD, at least 0 and finite.
    cost
        The cost model that counts USD: ``"realized"``, what is billed, or ``"amortized"``, every call counted as full.
    time_limit
        Seconds after which what is known then is said.

    Returns
    -------
    Explanation
        With a smallest set of limits that conflict, and for each of them what it would have to be for a plan to
        exist, all other limits being what they are. What is forbidden for single queries is taken as given.

    Raises
    ------
    InputError
        If an argument is not allowed.

    Notes
    -----
    Whether limits conflict is decided by HiGHS. Those without a price in the linear program that breaks all limits by
    the least sum are left out at once. Of the others halves are left out in turn, as long as the rest still conflicts
    (QuickXplain: Junker, "Preferred explanations and relaxations for over-constrained problems", AAAI 2004).
    """
    if cost not in get_args(Cost):
        raise InputError(f"cost is {cost!r}: 'amortized' or 'realized' is needed")
    budget = number("budget", budget, needed="a finite number of USD of at least 0")
    time_limit = number("time_limit", time_limit, most=1e9, needed="a number of seconds above 0", above=True)
    if problem.n_queries * problem.n_states > MAX_CANDIDATES:
        return Explanation(None, (), False, _undecided("the problem is too large to say which of them conflict"))
    from robatch.solvers.infeasible import conflict_set  # here, as it loads numba and HiGHS

    search = conflict_set.Search(problem, budget, cost, time_limit)
    few = search.prices()
    feasible = search.feasible(few, 1.0)
    if feasible is not False and len(few) < len(search.limits):
        few, feasible = search.limits, search.feasible(search.limits, 1.0)
    if feasible is None:
        return Explanation(None, (), False, _undecided(f"that was not decided in {time_limit:g} s"))
    if feasible:
        return Explanation(True, (), False, "a plan exists that keeps the budget and all constraints")
    found = search.smallest([], False, few)
    shares = np.linspace(conflict_set.SUBSET_SHARE, conflict_set.ENOUGH_SHARE, len(found) + 1)[1:].tolist()
    clashes = tuple(_clash(search, limit, found, share) for limit, share in zip(found, shares, strict=True))
    smallest = not search.unsure or all(clash.enough is not None for clash in clashes)
    together = " together" if len(clashes) > 1 else ""
    message = f"no plan keeps{together}: {'; '.join(map(str, clashes))} ({cost} cost)"
    return Explanation(False, clashes, smallest, message)


def _clash(search: Search, limit: Entry | None, named: Limits, share: float) -> Clash:
    """Return a limit with what it would have to be for a plan to keep all others, or those that are named."""
    kind: Literal["budget"] | Kind = "budget" if limit is None else limit.kind
    clash = Clash(kind, None if limit is None else limit.label, search.budget if limit is None else limit.limit)
    others = [other for other in search.limits if other is not limit]
    enough, proven = search.enough(limit, others, share)
    among = enough is None and proven
    if among:
        others = [other for other in named if other is not limit]
        enough, proven = search.enough(limit, others, share)
    return replace(clash, enough=enough, among=among, needed=None if proven else search.needed(limit, others))


def _rounded(value: float, up: bool) -> str:
    """Return a number as text, of few digits, rounded up or down."""
    digits = max(DIGITS, len(f"{value:.0f}"))
    rounding = ROUND_CEILING if up else ROUND_FLOOR
    return f"{Context(prec=digits, rounding=rounding).create_decimal(repr(value)).normalize():f}"


def _undecided(why: str) -> str:
    return f"no plan was found that keeps the budget and the constraints: {why}"
