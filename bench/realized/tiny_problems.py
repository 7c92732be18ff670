"""Tiny problems drawn at random: each solver as billed against every assignment.

``python -m robatch.bench.realized.tiny_problems`` mixes families, prices, groups, conflicts, windows, forbidden states
and budgets at the very edge of a bill. A plan's bill is added up again call by call in fractions. What is wrong (a
budget exceeded, a bound below the optimum, a false proof, no plan of `exact` where there is one) is printed with its
seed, and ends in exit code 1; what `greedy` loses at worst is told.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
import time
from collections import Counter
from fractions import Fraction

import numpy as np

from robatch.instances import FAMILIES, Model, Problem, generate
from robatch.instances.arrays import FloatArray
from robatch.solvers import Plan, solve

SIZES = ((1,), (1, 2), (2,), (1, 3), (3, 8), (2, 4), (4,), (1, 64))
PRICES = (0.0, 0.1, 0.3, 1.0, 2.5, 1e-7, 12345.678)  # USD per million tokens
PROMPTS = (0.0, 0.5, 1.0, 100.0, 1e3, 1e6)
TOKENS = ((0.0, 1.0, 7.0, 99.5, 1e6), (5.0,), (10.0, 20.0, 30.0), tuple(range(1, 500, 17)))
UTILITIES = ((0.0, 1.0), (0.0, 1e-9, 1.0), (0.0, 0.25, 0.5, 0.7, 1.0), (0.0,), (1 / 3, 2 / 3, 1.0, 0.1))
MAX_ASSIGNMENTS = 60_000
RELATIVE = 1e-9  # of utilities: what a proof may leave
ABSOLUTE = 1e-12  # the same, where utilities are next to nothing


def drawn(rng: np.random.Generator, seed: int) -> Problem:
    """Return a problem of up to seven queries: of a family, or of awkward numbers."""
    queries, models = int(rng.integers(1, 8)), int(rng.integers(1, 4))
    family = sorted(FAMILIES)[seed % len(FAMILIES)]
    if rng.random() < 0.5:
        of_knapsack = family == "from-knapsack"
        problem = generate(
            family, max(queries, 2), 2 if of_knapsack else max(models, 2), SIZES[int(rng.integers(len(SIZES)))], seed,
            dtype="float32" if rng.random() < 0.3 else "float64",
        )  # fmt: skip
        if rng.random() < 0.5:
            problem = problem.replace(models=[_priced(rng, model) for model in problem.models])
        return problem
    pool = [
        _priced(rng, Model(f"m{k}", 1.0, 1.0, 1.0, batch_sizes=SIZES[int(rng.integers(len(SIZES)))]))
        for k in range(models)
    ]
    states = sum(len(model.batch_sizes) for model in pool)
    choices: FloatArray = rng.random(20) if rng.random() < 0.4 else np.array(UTILITIES[int(rng.integers(5))])
    tokens = TOKENS[int(rng.integers(len(TOKENS)))]
    utility = rng.choice(choices, (queries, states))
    return Problem(pool, rng.choice(tokens, queries), rng.choice(tokens, queries), utility=utility)


def _priced(rng: np.random.Generator, model: Model) -> Model:
    return model.replace(
        shared_tokens=float(rng.choice(PROMPTS)),
        price_in=float(rng.choice(PRICES)),
        price_out=float(rng.choice(PRICES)),
    )


def coupled(rng: np.random.Generator, problem: Problem) -> Problem:
    """Return a problem with some of groups, windows, forbidden states and conflicts."""
    count = problem.n_queries
    if rng.random() < 0.35:
        problem = problem.replace(groups=rng.integers(0, int(rng.choice([2, 3, count])), count))
    if rng.random() < 0.3:  # the first model takes every query alone, so that there is a plan
        tokens = problem.input_tokens.max(axis=1) + problem.output_tokens.max(axis=1)
        longest = [tokens.max(), *(np.quantile(tokens, rng.random(problem.n_models - 1)))]
        problem = problem.replace(
            models=[
                model.replace(context_window=math.ceil(model.shared_tokens + model.batch_sizes[0] * long + 1))
                for model, long in zip(problem.models, longest, strict=True)
            ]
        )
    if rng.random() < 0.3:
        forbidden = rng.random((count, problem.n_states)) < rng.choice([0.1, 0.5])
        forbidden[np.arange(count), [rng.choice(np.flatnonzero(row)) for row in problem.allowed()]] = False
        problem = problem.replace(forbidden=forbidden)
    if rng.random() < 0.3 and count > 1:
        pairs = list(itertools.combinations(range(count), 2))
        few = rng.choice(len(pairs), int(rng.integers(1, min(len(pairs), 2 * count) + 1)), replace=False)
        problem = problem.replace(conflicts=[pairs[place] for place in few])
    return problem


def budget_of(rng: np.random.Generator, problem: Problem) -> float:
    """Return a budget in USD: often what some assignment bills to the last digit, or the float next to it."""
    states = np.array([rng.choice(np.flatnonzero(row)) for row in problem.allowed()])
    bill = problem.realized_cost(states)
    low, high = problem.cheapest_budget, problem.dearest_budget
    kinds = [
        bill,
        math.nextafter(bill, 0.0),
        math.nextafter(bill, math.inf),
        low,
        0.0,
        low + rng.random() * (high - low),
    ]
    return max(float(rng.choice(kinds, p=[0.3, 0.1, 0.1, 0.05, 0.05, 0.4])), 0.0)


def bill_of(problem: Problem, plan: Plan) -> Fraction:
    """Return what the calls of a plan bill in USD, exactly, from prices as they are written."""
    total, place = Fraction(0), {model.name: k for k, model in enumerate(problem.models)}
    for call in plan.calls():
        k = place[call.state.model]
        price_in, price_out = (
            Fraction(repr(x)) / 10**6 for x in (problem.models[k].price_in, problem.models[k].price_out)
        )
        total += price_in * Fraction(problem.models[k].shared_tokens)
        for query in call.queries.tolist():
            read, written = (
                Fraction(float(a[query, k if a.shape[1] > 1 else 0]))
                for a in (problem.input_tokens, problem.output_tokens)
            )
            total += price_in * read + price_out * written
    return total


def faults(problem: Problem, plan: Plan, best: Plan, proves: bool) -> list[str]:
    """Return what is wrong with a plan, in words; the best plan comes from enumeration, `proves` says what is asked."""
    if best.utility is None:
        return ["a plan where there is none"] if plan.utility is not None else []
    found, close = [], max(RELATIVE * best.utility, ABSOLUTE)
    if plan.bound is not None and plan.bound < best.utility - close:
        found.append(f"bound {plan.bound!r} below the optimum {best.utility!r}")
    if plan.status == "infeasible":
        found.append("called infeasible")
    if plan.utility is None:
        return [*found, *(["no plan"] if proves else [])]
    if float(bill_of(problem, plan)) > plan.budget:
        found.append(f"a bill of {float(bill_of(problem, plan))!r}")
    if plan.utility > best.utility + close:
        found.append(f"utility {plan.utility!r} above the optimum {best.utility!r}")
    if (plan.status == "optimal" or proves) and plan.utility < best.utility - close:
        found.append(f"{plan.status} at {plan.utility!r}, where the optimum is {best.utility!r}")
    return found


def main() -> None:
    """Run so many problems, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--solvers", default="greedy,exact", help="names with commas between them")
    given = parser.parse_args()
    names = given.solvers.split(",")
    proven, missing, wrong, solved = Counter[str](), Counter[str](), 0, 0
    seconds = dict.fromkeys(names, 0.0)
    worst = dict.fromkeys(names, (0.0, -1))
    for seed in range(given.first, given.first + given.problems):
        rng = np.random.default_rng([777, seed])
        problem = coupled(rng, drawn(rng, seed))
        budget = budget_of(rng, problem)
        if float(np.prod(problem.allowed().sum(axis=1).astype(np.float64))) > MAX_ASSIGNMENTS:
            continue
        best = solve(problem, budget, "brute-force", cost="realized")
        solved += 1
        for name in names:
            begin = time.process_time()
            plan = solve(problem, budget, name, cost="realized")
            seconds[name] += time.process_time() - begin
            for fault in faults(problem, plan, best, proves=name == "exact"):
                wrong += 1
                print(f"seed {seed}, {name}, {problem.n_queries} queries, budget {budget!r}: {fault}", flush=True)
            proven[name] += plan.status in ("optimal", "infeasible")
            missing[name] += plan.utility is None and best.utility is not None
            if best.utility:
                worst[name] = max(worst[name], (1.0 - (plan.utility or 0.0) / best.utility, seed))
    print(f"{solved:,} problems of {given.problems:,} seeds were small enough; {wrong} faults")
    for name in names:
        print(
            f"{name}: {proven[name]:,} proven, {missing[name]} without a plan where there is one, worst loss "
            f"{worst[name][0]:.2g} (seed {worst[name][1]}), {1e3 * seconds[name] / max(solved, 1):.2f} ms of CPU each"
        )
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
