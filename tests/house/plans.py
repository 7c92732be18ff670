"""Whether a change of structure changed a plan: 600 plans, recorded before it and made again after it.

usage: python tests/house/plans.py record FILE [--more]     # in the version before
       python tests/house/plans.py compare FILE [--more]    # in the version after; exit code 1 if a bit differs

A line a plan: status, limit, utility, both costs, bound and shadow price as hexadecimal floats, and a digest of the
assignment. With `--more` other 200 lines: plans of least cost, explanations, plans from an earlier plan and along the
frontier, and plans of the programs at more queries, with messages and counts of the search. No plan has a time limit,
so nothing hangs on how fast the machine is. The bits hold for one machine and one set of installed packages only.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import robatch

SIZES = (8, 60, 400)
FRACTIONS = (0.15, 0.45, 0.8)
QUICK = ("exact", "greedy", "pareto", "router-only", "batch-only", "tradeoff", "threshold", "destroy-rebuild")
AMORTIZED_ONLY = ("hull-mix", "online-duals", "window-ilp")
COSTS = ("amortized", "realized")
EXACT = ("highs", "cpsat", "scip", "cbc", "pulp-highs", "brute-force")


class Case(NamedTuple):
    """What is solved, by whom."""

    family: str
    queries: int
    variant: str
    solver: str
    cost: str
    fraction: float
    seed: int


def cases() -> Iterator[Case]:
    """Yield every case, about 500."""
    families = sorted(robatch.FAMILIES)
    for (i, family), (j, queries) in product(enumerate(families), enumerate(SIZES)):
        fraction, seed = FRACTIONS[(i + j) % 3], i + 10 * j
        for solver in (*QUICK, *AMORTIZED_ONLY, "lp", "best", "cheapest"):
            yield Case(family, queries, "plain", solver, "amortized", fraction, seed)
        if queries < 400 or i < 3:
            yield Case(family, queries, "plain", "greedy", "realized", fraction, seed)
            yield Case(family, queries, "groups", "greedy", "realized", fraction, seed)
    for (i, family), cost in product(enumerate(families), ("amortized", "realized")):
        for solver in (*EXACT, "exact", "lp"):
            yield Case(family, 5, "plain", solver, cost, FRACTIONS[i % 3], 100 + i)
    for (i, family), variant in product(enumerate(families[:4]), ("conflicts", "windows", "limits")):
        for cost in ("amortized", "realized"):
            for solver in ("greedy", "highs", "brute-force"):
                yield Case(family, 5, variant, solver, cost, FRACTIONS[i % 3], 200 + i)
            yield Case(family, 40, variant, "greedy", cost, FRACTIONS[i % 3], 300 + i)


def problem_of(case: Case) -> robatch.Problem:
    """Return the problem of a case."""
    rng = np.random.default_rng(case.seed)
    problem = robatch.generate(
        case.family,
        queries=case.queries,
        models=2 if case.queries < 8 or case.family == "from-knapsack" else 3,
        batch_sizes=(1, 3) if case.queries < 8 else (1, 2, 4, 8),
        seed=case.seed,
    )
    if case.variant == "groups":
        return problem.replace(groups=rng.integers(0, 3, problem.n_queries))
    if case.variant == "conflicts":
        pairs = [(a, b) for a in range(problem.n_queries) for b in range(a) if rng.random() < 0.3]
        return problem.replace(conflicts=pairs or [(0, 1)])
    if case.variant == "windows":
        longest = problem.input_tokens.max() + problem.output_tokens.max()
        windows = [int(model.shared_tokens + 2.5 * longest) for model in problem.models]
        models = [model.replace(context_window=size) for model, size in zip(problem.models, windows, strict=True)]
        return problem.replace(models=models)
    if case.variant == "limits":
        most = {problem.models[-1].name: max(1, problem.n_queries // 3)}
        limits = robatch.Constraints(max_queries=most)
        return problem.replace(constraints=limits, groups=rng.integers(0, 2, problem.n_queries))
    if case.variant in ("scarce", "floors", "calls"):  # limits of which some can hardly be kept together
        problem = problem.replace(groups=rng.integers(0, 2, problem.n_queries))
        names = [model.name for model in problem.models]
        few, label = problem.n_queries // 2, problem.group_labels[0]
        if case.variant == "scarce":
            limits = robatch.Constraints(max_queries=dict.fromkeys(names, few - 1))
        elif case.variant == "floors":
            spent = problem.budget_at(case.fraction)
            limits = robatch.Constraints(min_group_utility={label: 0.97}, max_cost={names[-1]: 0.2 * spent})
        else:
            limits = robatch.Constraints(max_calls=dict.fromkeys(names, 1), max_queries={names[0]: few})
        pairs = [(a, b) for a in range(problem.n_queries) for b in range(a) if rng.random() < 0.4]
        return problem.replace(constraints=limits, conflicts=pairs if case.variant == "calls" else None)
    return problem


class More(NamedTuple):
    """A case of the second list, and what is asked of it."""

    verb: str
    case: Case


def more_cases() -> Iterator[More]:
    """Yield every case of the second list, about 200."""
    families = sorted(robatch.FAMILIES)
    programs = ("highs", "cpsat", "scip", "cbc", "pulp-highs")
    for i, family in enumerate(families):
        one, two = FRACTIONS[i % 3], FRACTIONS[(i + 1) % 3]
        yield More("cheapest", Case(family, 60, "plain", "greedy", "amortized", one, 400 + i))
        yield More("cheapest", Case(family, 60, "plain", "exact", "amortized", two, 420 + i))
        yield More("cheapest", Case(family, 60, "groups", "greedy", "realized", one, 440 + i))
        yield More("cheapest", Case(family, 7, "groups", "auto", "amortized", two, 460 + i))
        yield More("cheapest", Case(family, 6, "groups", "exact", "realized", one, 480 + i))
        yield More("cheapest", Case(family, 5, "plain", programs[i % 5], "amortized", two, 500 + i))
        yield More("warm", Case(family, 60, "plain", "exact", "amortized", one, 600 + i))
        yield More("warm", Case(family, 60, "groups", "greedy", "realized", two, 620 + i))
        yield More("warm", Case(family, 6, "groups", "exact", "realized", one, 640 + i))
        yield More("warm", Case(family, 7, "plain", programs[i % 5], ("amortized", "realized")[i % 2], two, 660 + i))
        yield More("solve", Case(family, 9, "groups", "exact", "realized", two, 680 + i))
        yield More("solve", Case(family, 9, "groups", programs[i % 5], ("realized", "amortized")[i % 2], one, 700 + i))
        yield More("frontier", Case(family, 60, "plain", ("greedy", "exact")[i % 2], "amortized", one, 720 + i))
    for (i, family), variant in product(enumerate(families[:4]), ("limits", "conflicts", "windows")):
        for cost in ("amortized", "realized"):
            yield More("cheapest", Case(family, 6, variant, "auto", cost, FRACTIONS[i % 3], 800 + i))
        yield More("cheapest", Case(family, 6, variant, programs[i], "amortized", FRACTIONS[i % 3], 820 + i))
    for (i, family), variant, cost in product(enumerate(families[:5]), ("scarce", "floors", "calls"), COSTS):
        yield More("explain", Case(family, 6, variant, "", cost, FRACTIONS[i % 3], 900 + i))


def more_line(more: More) -> str:
    """Return the line of a case of the second list."""
    verb, case = more
    problem = problem_of(case)
    name = f"{verb} {' '.join(map(str, case))}"
    options: dict[str, Any] = {"seed": case.seed, "threads": 1 if case.solver in ("cpsat", "scip") else None}
    try:
        budget = problem.budget_at(case.fraction)
        if verb == "explain":
            told = robatch.explain(problem, budget, case.cost, time_limit=600.0)  # type: ignore[arg-type]
            clashes = [(one.kind, one.label, bits(one.enough), bits(one.needed), one.among) for one in told.clashes]
            return f"{name} | {told.feasible} {told.smallest} {clashes} {told.message}"
        if verb == "cheapest":
            least, most = map(problem.total_utility, (problem.cheapest_assignment, problem.best_assignment))
            options["utility"] = least + case.fraction * (most - least)
            best = robatch.cheapest(problem, solver=case.solver, cost=case.cost, **options)  # type: ignore[arg-type]
            figures = " ".join(map(bits, (best.target, best.cost, best.bound, best.shadow_price)))
            return f"{name} | {best.status} {best.limit} {figures} {best.message} {_told(best.plan)}"
        if verb == "frontier":
            curve = robatch.frontier(problem, cost="amortized")
            return f"{name} | {_told(curve.plan(budget, case.solver, seed=case.seed))}"
        if verb == "warm":
            options["initial_plan"] = robatch.solve(problem, 0.9 * budget, "greedy", case.cost)  # type: ignore[arg-type]
        return f"{name} | {_told(robatch.solve(problem, budget, case.solver, case.cost, **options))}"  # type: ignore[arg-type]
    except robatch.InputError as error:
        return f"{name} | refused: {error}"


def _told(plan: robatch.Plan | None) -> str:
    """Return all that is the same on every run of the same plan, its message and counts too."""
    if plan is None:
        return "none"
    return f"{_figures(plan)} {plan.message} {sorted(plan.statistics.items())}"


def bits(value: Any) -> str:
    """Return a figure so that no bit of it is lost."""
    return value.hex() if isinstance(value, float) else str(value)


def line(case: Case) -> str:
    """Return the line of a case."""
    problem = problem_of(case)
    name = " ".join(map(str, case))
    threads = 1 if case.solver in ("cpsat", "scip") else None
    try:
        budget = problem.budget_at(case.fraction)
        plan = robatch.solve(problem, budget, case.solver, case.cost, seed=case.seed, threads=threads)  # type: ignore[arg-type]
    except robatch.InputError as error:
        return f"{name} | refused: {error}"
    return f"{name} | {_figures(plan)}"


def _figures(plan: robatch.Plan) -> str:
    """Return status, limit and figures of a plan, and a digest of its assignment."""
    digest = "none"
    if plan.assignment is not None:
        digest = hashlib.sha256(np.ascontiguousarray(plan.assignment, dtype="<i8").tobytes()).hexdigest()[:16]
    figures = (plan.utility, plan.amortized_cost, plan.realized_cost, plan.bound, plan.shadow_price)
    return f"{plan.status} {plan.limit} {' '.join(map(bits, figures))} {digest}"


def main() -> int:
    """Record or compare."""
    verb, path = sys.argv[1], Path(sys.argv[2])
    with ProcessPoolExecutor() as pool:
        if "--more" in sys.argv:
            lines = list(pool.map(more_line, more_cases(), chunksize=4))
        else:
            lines = list(pool.map(line, cases(), chunksize=8))
    if verb == "record":
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"{len(lines)} plans recorded, {sum('refused' in one for one in lines)} of them refused")
        return 0
    before = path.read_text(encoding="utf-8").splitlines()
    other = [(old, new) for old, new in zip(before, lines, strict=True) if old != new]
    for old, new in other[:10]:
        print(f"- {old}\n+ {new}")
    print(f"{len(lines)} plans, {len(other)} differ")
    return 1 if other else 0


if __name__ == "__main__":
    sys.exit(main())
