"""The sample of a job: measured until more is worth less than it costs, and the proxy that is fitted to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from robatch.instances.errors import InputError
from robatch.job.forecast import Forecast
from robatch.job.measured import together, worth_of_more
from robatch.job.steps import Steps
from robatch.proxies.profiling.measurements import Measurements
from robatch.proxies.tasks.queries import Query, read_queries, write_queries
from robatch.proxies.utility.decision_value import DecisionValue
from robatch.proxies.utility.diagnostics import diagnose
from robatch.proxies.utility.fit_context import sample
from robatch.proxies.utility.utility_proxy import UtilityProxy

LEAST, FIRST = 16, 64  # queries of a round
CONFIDENT = 1.645  # standard errors, one-sided at 95 %
GENEROUS = 2.0  # times the estimate, that reference answers may cost

Labelled = tuple[tuple[Query, ...], Mapping[str, str]]
"""Queries, and reference answers by their ids."""


def first_round(forecast: Forecast, rest: Sequence[Query], budget: float) -> tuple[int, bool]:
    """Return how many queries are measured at first, 0 for none, and whether they need reference answers."""
    graded = sum(query.answer is not None for query in rest)
    labels = graded < LEAST
    count = min(len(rest) // 2, FIRST, len(rest) if labels else graded)
    while count >= LEAST and sum(step.usd for step in forecast.measuring(count, labels)) > budget:
        count = count * 9 // 10
    return (count if count >= LEAST else 0), labels


def part_left(steps: Steps) -> float:
    """Return the USD that may still be measured with."""
    s = steps.settings
    return min(s.measure * s.budget - steps.ledger.measured, steps.left)


def unmeasured(steps: Steps) -> Labelled | None:
    """Return the queries whose reference answers an earlier run has paid for and not used."""
    entry = steps.ledger.entries[-1] if steps.ledger.entries else None
    if entry is None or entry.kind != "labels" or not entry.done:
        return None
    return read_queries(steps.ledger.file(entry, ".queries.jsonl")), steps.given(entry)


def measure(  # wide: what was weighed before
    steps: Steps, rest: Sequence[Query], forecast: Forecast, first: tuple[int, bool], labelled: Labelled | None
) -> None:
    """Measure in rounds, each as large as all before, until more is worth less than it costs.

    Raises
    ------
    InputError
        If the part of the budget does not suffice, or the model of the reference answers gives none.
    """
    s, (count, labels) = steps.settings, first
    if not count and labelled is None:
        raise InputError(
            f"measure is {s.measure:g}: this part of {s.budget:g} USD does not suffice to measure {LEAST} queries; a "
            "larger part or budget is needed, or routing = 'never'"
        )
    fits = forecast.fits(forecast.best).tolist()
    pool = [query for query, fit in zip(rest, fits, strict=True) if fit if labels or query.answer is not None]
    order = np.random.default_rng(s.seed).permutation(len(pool)).tolist()
    taken, asked, rounds = 0, list[Query](), list[Measurements]()
    while True:
        if labelled is None:
            queries = tuple(pool[i] for i in sorted(order[taken : taken + count]))
            taken += count
            if labels:
                usd = forecast.measuring(count, labels)[0].usd
                labelled = queries, steps.labels(queries, forecast, GENEROUS * usd)
        if labelled is not None:
            queries, labelled = _graded(*labelled, forecast.best.name), None
        if not queries:
            raise InputError(f"model {forecast.best.name!r} gave no answer that can be read to any query")
        asked += queries
        rounds.append(steps.measured(queries))
        count = _next_round(steps, rounds, asked, min((len(rest) - taken) // 2, len(pool) - taken))
        if not count:
            return


def _next_round(steps: Steps, rounds: Sequence[Measurements], queries: Sequence[Query], most: int) -> int:
    """Return how many queries more are worth what they cost, 0 for none; there are at most as many to measure."""
    s, spent, measured = steps.settings, steps.ledger.measured, len(queries)
    usd = spent / measured  # of a query
    count = min(measured, most, int(part_left(steps) / usd) if usd else most)
    so_far = f"measuring ends at {measured:,} queries and {spent:.4g} USD"
    if count < LEAST:
        s.note(f"{so_far}: its part of the budget, or the queries, end")
        return 0
    found = sample(together(rounds), queries, None)
    costs = found.costs(rounds[-1].states)
    if costs is None:
        return count
    decisions = _decisions(steps, together(rounds), queries)
    unknown = 0.0 if decisions is None else CONFIDENT * decisions.error
    worth = worth_of_more(found.utility, costs, s.of_best, 2 * most, unknown, s.seed)
    if worth <= usd * count:
        s.note(f"{so_far}: {count:,} more would cost {usd * count:.4g} USD and be worth at most some {worth:.4g}")
        return 0
    return count


def _decisions(steps: Steps, measured: Measurements, queries: Sequence[Query]) -> DecisionValue | None:
    """Return what telling queries apart is worth, None where the tokens of a model are not known."""
    if len(queries) in steps.judged:
        return steps.judged[len(queries)]
    found, seed = sample(measured, queries, None), steps.settings.seed
    costs = found.costs(measured.states)
    if costs is None:
        return None
    proxy = UtilityProxy(states=tuple(measured.states), random_state=seed)
    made = diagnose(proxy, found.texts, found.utility, seed=seed, costs=costs).decisions
    steps.judged[len(queries)] = made
    return made


def _graded(queries: Sequence[Query], given: Mapping[str, str], by: str) -> tuple[Query, ...]:
    """Return the queries with the answers of a model for reference, without those that it gave none that is allowed."""
    made = []
    for query in queries:
        try:
            made.append(replace(query, answer=given[query.id], by=by))
        except (InputError, KeyError):
            continue
    return tuple(made)


def fit(steps: Steps) -> None:
    """Fit a proxy to all that was measured, once; it treats queries alike where telling them apart is not worth it."""
    ledger, s = steps.ledger, steps.settings
    target = ledger.folder / "proxy.skops"
    if target.exists():
        return
    entries = [entry for entry in ledger.entries if entry.kind == "profile"]
    measured = together([Measurements.read(ledger.file(entry, ".parquet")) for entry in entries])
    queries = tuple(q for entry in entries for q in read_queries(ledger.file(entry, ".queries.jsonl")))
    measured.write(ledger.folder / "measurements.parquet")
    write_queries(ledger.folder / "measurements.queries.jsonl", queries)
    decisions, router = _decisions(steps, measured, queries), "logistic"
    if decisions is None or not decisions.clear:
        s.note("predictions do not tell queries apart clearly: all are treated alike, and models are mixed")
        router = "constant"
    UtilityProxy.from_measurements(measured, queries, router=router, random_state=s.seed).save(target)
