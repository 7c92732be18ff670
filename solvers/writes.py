"""Writes of cached prompts: what a group's first call of a model bills more, kept by a search around any solver.

Who pays for which writes is branched on. A solver is asked for the best plan as if further writes were free, within
what the budget leaves for those that are paid. That bounds every plan of the branch, and often is the best one: if it
writes more prompts, one branch pays for all of these, and each other one does without one of them.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from robatch.instances.arrays import BoolArray, IntArray
from robatch.instances.constraints import Constraints
from robatch.instances.money import Whole
from robatch.instances.problem import Problem
from robatch.instances.problem_costs import Evaluation
from robatch.solvers.limits import legal
from robatch.solvers.plan.incumbent import Incumbent
from robatch.solvers.plan.plan import Limit
from robatch.solvers.registry import Answer, Proves, Request
from robatch.solvers.search_limits import Work

if TYPE_CHECKING:
    from robatch.solvers.bounds.write_dual import WriteDual

Run = Callable[[Request], Answer]
Pair = tuple[int, int]  # a group and a model

BRANCHES, MANY_BRANCHES = 24, 2  # that are searched for a bound, times the effort; of many candidates
MANY = 2_000_000  # queries times states
PRICES, FEW_PRICES, MOST_GUIDED = 24, 5, 3  # prices that are looked at, and plans that are tried for them
ROUNDED = 1 + 1e-15  # limits of USD, so that no plan is lost by the last digits: `legal` looks at them
MAX_TRIES = 4  # budgets a hair smaller, where the last digit of a bill decides


def as_billed(problem: Problem) -> Problem:
    """Return a problem whose amortized cost is never above its realized cost: each call finds its prompt cached."""
    if all(model.cache_share == 1.0 or model.write_charge == 0.0 for model in problem.models):
        return problem
    return problem.replace(models=[model.replace(cache_share=1.0) for model in problem.models])


def without_writes(problem: Problem) -> Problem:
    """Return a problem as billed in which no write of a prompt costs more than a read."""
    if not problem.write_charge.any():
        return problem
    return problem.replace(models=[model.without_writes() for model in problem.models])


def with_writes(run: Run, proves: Proves) -> Run:
    """Return a solver that pays for writes under realized cost, made of one that knows none of them."""

    def paying(request: Request) -> Answer:
        if request.cost == "amortized" or not request.problem.write_charge.any():
            return run(request)
        return _Search(request, run, proves).answer()

    return paying


@dataclass(order=True, slots=True)
class _Branch:
    """Plans that pay for some writes, and do without others; what no plan among them exceeds."""

    less: float  # minus the bound: the greatest comes first
    number: int
    paid: frozenset[Pair] = field(compare=False)
    without: frozenset[Pair] = field(compare=False)


class _Search:
    """Branches over who writes which prompt, best bound first."""

    def __init__(self, request: Request, run: Run, proves: Proves) -> None:
        problem = request.problem
        self.request, self.run, self.proves = request, run, proves
        self.free, self.work = without_writes(problem), Work(request.time_limit, 1)
        self.found, self.numbers = Incumbent(), count()
        self.limit: Limit | None = None
        self.open_bound = -math.inf  # of branches that ended without a proof
        many = problem.n_queries * problem.n_states > MANY
        self.most = math.inf if proves == "optimum" else (MANY_BRANCHES if many else BRANCHES) * request.effort
        self.first: Answer | None = None
        self.dual: WriteDual | None = None
        self.ceiling = math.inf  # that no plan at all exceeds

    def answer(self) -> Answer:
        """Search; return the best plan that keeps the budget with its writes, and the bound."""
        if self.request.initial is not None:
            self.offer(self.request.initial, self.request.problem.evaluate(self.request.initial))
        heap = [_Branch(-math.inf, next(self.numbers), frozenset(), frozenset())]
        done = 0
        while heap and not self.closed(-heap[0].less) and done < self.most and not self.work.late:
            children = self.searched(heapq.heappop(heap))
            done += 1
            if done == 1 and children and self.proves != "nothing":
                self.guided()
            for child in children:
                heapq.heappush(heap, child)
        assert self.first is not None
        bound = max(self.open_bound, *(-branch.less for branch in heap), -math.inf)
        bound = max(min(bound, self.ceiling), self.found.utility)
        if self.proves == "nothing":
            bound = math.inf
        if self.found.assignment is None and bound == -math.inf:
            return Answer(infeasible=True)
        late = bool(heap) and not self.closed(-heap[0].less)
        limit = self.work.limit or self.limit or ("other" if late and self.proves == "optimum" else None)
        found = replace(self.found, bound=bound, limit=limit if late or self.limit is not None else None)
        return Answer.of(
            found, self.first.message or "no plan was found that keeps the budget with the writes of cached prompts",
            shadow_price=self.first.shadow_price, statistics={**self.first.statistics, "write_branches": done},
        )  # fmt: skip

    def closed(self, bound: float) -> bool:
        """Whether no branch of a bound needs to be searched."""
        bound = min(max(bound, self.open_bound), self.ceiling)
        return replace(self.found, bound=bound).proven(self.request.gap)

    def guided(self) -> None:
        """Bound all plans at the best price, and try the writes that are best at prices near it."""
        problem, budget = self.request.problem, self.request.budget
        price = None if self.first is None else self.first.shadow_price
        if price is None or not 0.0 < price < math.inf:
            price = problem.n_queries / budget if budget > 0.0 else 1.0
        from robatch.solvers.bounds.write_dual import minimized  # here, as it loads scipy

        many = problem.n_queries * problem.n_states > MANY
        duals = minimized(self.free, price, problem.write_charge, budget, FEW_PRICES if many else PRICES)
        if not duals:
            return
        none = np.zeros((problem.n_groups, problem.n_models), dtype=np.bool_)
        self.dual, self.ceiling = duals[0], duals[0].bound(budget, none, none)[0]
        every = {(g, k) for g in range(problem.n_groups) for k in self.dual.models.tolist()}
        held, tried = (self.open_bound, self.limit), set[frozenset[Pair]]()
        for dual in duals:
            pairs = dual.bound(budget, none, none)[1]
            paid = frozenset((g, k) for g, k in every if pairs[g, k])
            if paid not in tried and len(tried) < (1 if many else MOST_GUIDED) and not self.work.late:
                tried.add(paid)
                self.searched(_Branch(-math.inf, next(self.numbers), paid, frozenset(every - paid)))
        self.open_bound, self.limit = held  # a plan is all that is asked for here

    def below(self, branch: _Branch) -> float:
        """Return what the dual says that no plan of a branch exceeds."""
        if self.dual is None:
            return math.inf
        paid, without = (
            np.zeros((self.request.problem.n_groups, self.request.problem.n_models), dtype=np.bool_) for _ in range(2)
        )
        for mask, pairs in ((paid, branch.paid), (without, branch.without)):
            for pair in pairs:
                mask[pair] = True
        return self.dual.bound(self.request.budget, paid, without)[0]

    def searched(self, branch: _Branch) -> list[_Branch]:
        """Ask for the best plan of a branch, and return the branches of it that are left."""
        request = self.asked(branch)
        if request is None:
            return []
        if branch.without and self.proves != "nothing":
            from robatch.solvers.bounds.shared import Bounds  # here, as it loads numba

            request = Bounds.carried(request)
            linear = Bounds.of(request).realized(request.budget)
            if linear.bound <= self.found.utility:
                return []
        answer = self.within(request)
        for _ in range(MAX_TRIES):
            if answer.assignment is None or not self.over(answer.assignment, branch, request):
                break
            request = replace(request, budget=math.nextafter(request.budget, 0.0))
            answer = replace(self.within(request), bound=answer.bound)
        self.first = self.first or answer
        if answer.infeasible:
            return []
        bound = -branch.less if answer.bound is None else min(-branch.less, answer.bound)
        if answer.assignment is None:
            return self.ended(bound, answer.limit)
        evaluation = self.request.problem.evaluate(answer.assignment)
        kept = self.offer(answer.assignment, evaluation)
        used = [pair for pair in self.written(evaluation) if pair not in branch.paid]
        best = kept and evaluation.utility >= bound - self.request.gap * abs(bound)
        if best or not used or (self.proves == "nothing" and kept):
            return self.ended(bound, answer.limit)
        return self.children(branch, bound, used)

    def within(self, request: Request) -> Answer:
        """Ask the solver, unless no plan is cheap enough."""
        return Answer(infeasible=True) if request.budget < request.problem.cheapest_budget else self.run(request)

    def children(self, branch: _Branch, bound: float, used: list[Pair]) -> list[_Branch]:
        """Return the branch that pays for all writes of a plan, and those that do without one of them."""
        used = sorted(used, key=lambda pair: (-self.request.problem.write_charge[pair[1]], pair))
        made = [_Branch(-bound, next(self.numbers), branch.paid | set(used), branch.without)]
        for place, pair in enumerate(used if self.proves != "nothing" else []):
            paid, without = branch.paid | set(used[:place]), branch.without | {pair}
            made.append(_Branch(-bound, next(self.numbers), paid, without))
        for child in made:
            child.less = max(child.less, -self.below(child))
        return made

    def ended(self, bound: float, limit: Limit | None) -> list[_Branch]:
        """Take note of a branch that is not divided any more."""
        self.open_bound, self.limit = max(self.open_bound, bound), self.limit or limit
        return []

    def offer(self, states: IntArray, evaluation: Evaluation) -> bool:
        """Take a plan if it keeps everything; return whether it does."""
        if not legal(self.request.problem, states, self.request.budget, "realized", evaluation):
            return False
        self.found = self.found.evaluated(states, evaluation, "realized", self.request.budget)
        return True

    def over(self, states: IntArray, branch: _Branch, request: Request) -> bool:
        """Whether a plan keeps the budget of its branch by rounding alone."""
        evaluation = self.request.problem.evaluate(states)
        if evaluation.realized_cost <= self.request.budget:
            return False
        return request.budget > 0.0 and all(pair in branch.paid for pair in self.written(evaluation))

    def written(self, evaluation: Evaluation) -> list[Pair]:
        """Return the groups and models of a plan whose writes cost more than reads."""
        groups, models = np.nonzero(self.request.problem.writes(evaluation.calls))
        return list(zip(groups.tolist(), models.tolist(), strict=True))

    def asked(self, branch: _Branch) -> Request | None:
        """Return what is asked of the solver in a branch; None where nothing is left to spend, or no plan is left."""
        problem, request = self.request.problem, self.request
        paid: Whole = sum(problem.money.write[model] for _, model in branch.paid)
        left = problem.money.most(request.budget) - paid
        constraints = self.constraints(branch)
        if left < 0 or (constraints is None and problem.constraints is not None):
            return None
        free = self.free
        if branch.without:
            forbidden = self.forbidden(branch)
            if not (self.free.allowed() & ~forbidden).any(axis=1).all():
                return None
            free = free.replace(forbidden=forbidden if free.forbidden is None else free.forbidden | forbidden)
        if branch.paid and constraints is not None:
            free = free.replace(constraints=constraints)
        start, budget = self.found.assignment, float(problem.money.usd(left)) if branch.paid else request.budget
        if budget == 0.0:  # then what is left is less than anything costs, but for what is free
            budget = math.ulp(0.0)
        if start is not None and branch.without and self.forbidden(branch)[np.arange(len(start)), start].any():
            start = None
        return replace(
            request, problem=free, budget=budget, initial=start, bounds=None, time_limit=self.work.left or None
        )

    def forbidden(self, branch: _Branch) -> BoolArray:
        """Return the states (N, S) that a branch does without."""
        problem = self.request.problem
        out = np.zeros((problem.n_groups, problem.n_models), dtype=np.bool_)
        for group, model in branch.without:
            out[group, model] = True
        pairs: BoolArray = out[problem.group_codes][:, problem.state_model]
        return pairs

    def constraints(self, branch: _Branch) -> Constraints | None:
        """Return what limits of USD leave after the writes that are paid; None where that is not enough."""
        problem = self.request.problem
        given = problem.constraints
        if given is None:
            return None
        usd = problem.write_charge
        models = {model.name: k for k, model in enumerate(problem.models)}
        groups = {label: g for g, label in enumerate(problem.group_labels)}
        max_cost = {
            name: most * ROUNDED - sum(usd[k] for _, k in branch.paid if k == models[name])
            for name, most in given.max_cost.items()
        }
        budgets = {
            label: most * ROUNDED - sum(usd[k] for g, k in branch.paid if g == groups[label])
            for label, most in given.group_budget.items()
        }
        if any(left < 0.0 for left in (*max_cost.values(), *budgets.values())):
            return None
        return replace(given, max_cost=max_cost, group_budget=budgets)
