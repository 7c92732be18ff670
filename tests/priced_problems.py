"""Tiny problems with every term of a bill on and off: each solver against every assignment, and an invoice.

usage: python -m tests.priced_problems --problems 3000 [--first SEED] [--solvers greedy,exact,highs]

A provider is simulated here, with no code of RoBatch: it sees calls one by one, keeps a cache of prompts, and writes an
invoice in fractions. What is wrong is printed with its seed, and ends in exit code 1.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from robatch import InputError, Model, Plan, Problem, solve, verify
from robatch.instances.prices.entry import PriceTier, Rates

PRICES = (0.1, 0.15, 1.0, 2.5, 10.0)
PROMPTS = (0.0, 100.0, 900.0, 1_000.0, 2_000.0)
SIZES = ((1,), (1, 2), (2,), (1, 3), (2, 4), (1, 2, 4))
UTILITIES = (0.0, 0.25, 1 / 3, 0.5, 0.7, 1.0)
CLOSE = 1e-9
DECIDING = ("brute-force",)  # proves also at the last digit of a budget that there is no plan


def decimal(value: float) -> Fraction:
    """Return a price as it is written."""
    return Fraction(repr(value))


def vars_of(prices: Model | Rates) -> dict[str, Fraction]:
    """Return the prices that are stated."""
    names = ("price_in", "price_out", "cache_read", "cache_write")
    return {name: decimal(usd) for name in names if (usd := getattr(prices, name)) is not None}


class Provider:
    """Bills calls, one by one: it remembers the prompts that it has seen."""

    def __init__(self) -> None:
        self.seen: set[tuple[str, object]] = set()
        self.invoice = Fraction(0)  # USD

    def call(self, model: Model, group: object, inputs: list[float], outputs: list[float]) -> None:
        """Bill one call of the model's prompt, and the texts after it; `group` says which prompt it is."""
        prompt = Fraction(model.shared_tokens)
        per_in, per_out, read, write = self.list_prices(model, prompt + sum(map(Fraction, inputs)))
        if read is not None and model.shared_tokens >= model.cache_min_tokens:
            price = read if (model.name, group) in self.seen else write
            self.seen.add((model.name, group))
        else:
            price = per_in
        tokens_in, tokens_out = sum(map(Fraction, inputs)), sum(map(Fraction, outputs))
        usd = price * prompt + per_in * tokens_in + per_out * tokens_out
        self.invoice += usd / 10**6 + decimal(model.call_fee)

    def list_prices(self, model: Model, tokens: Fraction) -> tuple[Fraction, Fraction, Fraction | None, Fraction]:
        """Return what a million tokens cost: in, out, found in the cache (None without one), written to it."""
        tiers = [tier for tier in model.tiers if tokens > tier.above]
        listed = [vars_of(model), *(vars_of(tier.rates) for tier in tiers)]
        if model.batch_api and isinstance(model.batch, Rates):
            cached = ("cache_read", "cache_write")
            listed = [{name: usd for name, usd in prices.items() if name not in cached} for prices in listed]
            listed += [vars_of(model.batch), *(vars_of(tier.batch) for tier in tiers)]
        prices = {name: usd for prices in listed for name, usd in prices.items()}
        factor = decimal(model.batch) if model.batch_api and isinstance(model.batch, float) else Fraction(1)
        found = None if prices.get("cache_read") is None else prices["cache_read"] * factor
        return (
            prices["price_in"] * factor, prices["price_out"] * factor, found,
            prices.get("cache_write", prices["price_in"]) * factor,
        )  # fmt: skip


def invoice(problem: Problem, plan: Plan) -> Fraction:
    """Return what the provider bills for the calls of a plan, sent in their order."""
    provider, models = Provider(), {model.name: (k, model) for k, model in enumerate(problem.models)}
    for call in plan.calls():
        k, model = models[call.state.model]
        tokens = [
            array[call.queries, k if array.shape[1] > 1 else 0].astype(np.float64).tolist()
            for array in (problem.input_tokens, problem.output_tokens)
        ]
        group = None if problem.groups is None else problem.groups[call.queries[0]]
        provider.call(model, group, *tokens)
    return provider.invoice


def drawn(rng: np.random.Generator) -> Problem:
    """Return a problem of up to six queries whose models are billed in any way."""
    queries = int(rng.integers(1, 7))
    models = [priced(rng, f"m{k}") for k in range(int(rng.integers(1, 4)))]
    states = sum(len(model.batch_sizes) for model in models)
    problem = Problem(
        models,
        rng.integers(1, 400, queries),
        rng.integers(1, 50, queries),
        utility=rng.choice(UTILITIES, (queries, states)),
        groups=rng.integers(0, 3, queries) if rng.random() < 0.4 else None,
    )
    if rng.random() < 0.2 and queries > 1:
        problem = problem.replace(conflicts=[(0, 1)])
    return problem


def priced(rng: np.random.Generator, name: str) -> Model:
    """Return a model with some of the terms of a bill."""
    price, out = float(rng.choice(PRICES)), float(rng.choice(PRICES))
    terms: dict[str, object] = {}
    if rng.random() < 0.6:
        terms["cache_read"] = float(rng.choice([0.0, 0.1, 0.5])) * price
        terms["cache_write"] = [None, 1.25 * price, 2.0 * price][int(rng.integers(3))]
        terms["cache_share"] = float(rng.choice([1.0, 1.0, 0.8, 0.5]))
        terms["cache_min_tokens"] = int(rng.choice([0, 0, 1_000, 1_024]))
    if rng.random() < 0.3:
        terms["call_fee"] = float(rng.choice([1e-4, 0.01]))
    if rng.random() < 0.4:
        own = Rates(price_in=price / 2, price_out=out / 2, cache_read=[None, 0.0][int(rng.integers(2))])
        terms["batch"] = float(rng.choice([0.5, 0.8])) if rng.random() < 0.5 else own
        terms["batch_api"] = bool(rng.random() < 0.7)
    if rng.random() < 0.4:
        prompt = float(rng.choice(PROMPTS))
        first = PriceTier(int(prompt) + int(rng.choice([150, 400])), Rates(2 * price, None, None, 4 * price))
        second = PriceTier(int(prompt) + 900, Rates(5 * price, 3 * out, price, 5 * price), Rates(3 * price, out))
        terms["tiers"] = [first, second][: int(rng.integers(1, 3))]
    sizes = SIZES[int(rng.integers(len(SIZES)))]
    return Model(name, price, out, float(rng.choice(PROMPTS)), batch_sizes=sizes, **terms)  # type: ignore[arg-type]


def budget_of(rng: np.random.Generator, problem: Problem, cost: str) -> float:
    """Return a budget: often what some assignment costs to the last digit, or the float below it."""
    bill = problem.cost(rng.integers(0, problem.n_states, problem.n_queries), cost)  # type: ignore[arg-type]
    return float(rng.choice([bill, bill, math.nextafter(bill, 0.0), 1.2 * bill, 0.7 * bill]))


def faults(problem: Problem, plan: Plan, best: Plan) -> Iterator[str]:
    """Yield what is wrong with a plan, whose best is found by enumeration."""
    verify(problem, plan)
    if plan.utility is not None and plan.realized_cost is not None:
        bill = float(invoice(problem, plan))
        crossed = plan.tier_codes is not None and bool(plan.tier_codes.any())  # then a last call may cost less
        if bill > plan.realized_cost * (1 + 1e-12) or (not crossed and bill < plan.realized_cost * (1 - 1e-12)):
            yield f"an invoice of {bill!r}, where the plan says {plan.realized_cost!r}"
        if plan.cost == "realized" and bill > plan.budget * (1 + 1e-12):
            yield f"an invoice of {bill!r}"
    if best.utility is None:
        if plan.utility is not None:
            yield "a plan where there is none"
        if plan.solver in DECIDING and plan.status != "infeasible":
            yield f"{plan.status} where there is no plan"
        return
    if plan.bound is not None and plan.bound < best.utility - CLOSE:
        yield f"bound {plan.bound!r} below the optimum {best.utility!r}"
    if plan.utility is None:
        yield f"no plan ({plan.status}), where the optimum is {best.utility!r}"
    elif plan.utility > best.utility + CLOSE:
        yield f"utility {plan.utility!r} above the optimum {best.utility!r}"
    elif (plan.solver != "greedy" or plan.status == "optimal") and plan.utility < best.utility - CLOSE:
        yield f"{plan.status} at {plan.utility!r}, where the optimum is {best.utility!r}"


def checked(seed: int, names: tuple[str, ...]) -> list[str]:
    """Return what is wrong with the plans of one problem under both cost models."""
    rng = np.random.default_rng([16, seed])
    problem, found = drawn(rng), []
    for cost in ("realized", "amortized"):
        budget = budget_of(rng, problem, cost)
        best = solve(problem, budget, "brute-force", cost=cost)  # type: ignore[arg-type]
        for name in ("brute-force", *names):
            try:
                plan = best if name == "brute-force" else solve(problem, budget, name, cost=cost)  # type: ignore[arg-type]
            except InputError as error:
                found.append(f"seed {seed}, {name}, {cost}: {error}")
                continue
            found += [
                f"seed {seed}, {name}, {cost}, budget {budget!r}: {fault}" for fault in faults(problem, plan, best)
            ]
    return found


def main() -> None:
    """Run so many problems, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=3_000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--solvers", default="greedy,exact,highs", help="names with commas between them")
    given = parser.parse_args()
    wrong = 0
    for seed in range(given.first, given.first + given.problems):
        for fault in checked(seed, tuple(given.solvers.split(","))):
            wrong += 1
            print(fault, flush=True)
    print(f"{given.problems:,} problems, {wrong} faults")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
