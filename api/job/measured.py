"""Measurements made in rounds: put together, billed, and what more of them would be worth."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import numpy as np

from robatch.instances.arrays import FloatArray
from robatch.proxies.profiling.measurements import Measurements

RESAMPLES = 200


def together(rounds: Sequence[Measurements]) -> Measurements:
    """Return the measurements of several runs of one task, on different queries, as those of one run."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if len(rounds) == 1:
        return rounds[0]
    tables, offset = [], 0
    for one in rounds:
        place = one.table.schema.get_field_index("call")
        moved = pc.add(one.table["call"], pa.scalar(offset, pa.int32()))
        tables.append(one.table.set_column(place, one.table.schema.field(place), moved))
        offset = int(pc.max(moved).as_py()) + 1
    last = rounds[-1].provenance
    tasks = [one.provenance["tasks"][0] for one in rounds]
    task = {
        **tasks[-1],
        "queries": sum(task["queries"] for task in tasks),
        "query_hashes": {id: hashed for task in tasks for id, hashed in task["query_hashes"].items()},
        "queries_sha256": None,
        "described": "; ".join(task["described"] for task in tasks),
    }
    hashed = sha256("".join(one.provenance["config_hash"] for one in rounds).encode()).hexdigest()
    return Measurements(pa.concat_tables(tables), {**last, "tasks": [task], "config_hash": hashed})


def billed(measured: Measurements) -> float:
    """Return the USD of all that a run asked, as its servers counted it: calls, tries that failed, and first probes."""
    prices = {model["name"]: (model["price_in"], model["price_out"]) for model in measured.provenance["models"]}
    keys = ("model", "batch_size", "repeat", "call")
    calls = {
        tuple(row[name] for name in keys): (row["call_input_tokens"], row["call_output_tokens"])
        for row in measured.table.select([*keys, "call_input_tokens", "call_output_tokens"]).to_pylist()
    }
    tokens = [(str(key[0]), *counts) for key, counts in calls.items()]
    tokens += [(model["name"], *model.get("probe_tokens", (0, 0))) for model in measured.provenance["models"]]
    for name, tries in measured.provenance.get("failed_tries", {}).items():
        tokens.append((name, tries["input_tokens"], tries["output_tokens"]))
    usd: float = sum(prices[name][0] * t_in + prices[name][1] * t_out for name, t_in, t_out in tokens) / 1e6
    return usd


def lost(measured: Measurements) -> float:
    """Return the USD that calls in flight at interruptions may have been billed at most."""
    prices = {model["name"]: (model["price_in"], model["price_out"]) for model in measured.provenance["models"]}
    tries = measured.provenance.get("lost_tries", {}).items()
    usd: float = sum(
        prices[name][0] * one["input_tokens"] + prices[name][1] * one["output_tokens"] for name, one in tries
    )
    return usd / 1e6


def worth_of_more(
    utility: FloatArray, cost: FloatArray, of_best: float, queries: int, routing: float = 0.0, seed: int = 0
) -> float:
    """Return the USD that more measuring may be worth: knowing each state's mean utility, and the worth of routing.

    The expected value of perfect information (Raiffa and Schlaifer 1961), of the choice that the means lead to: the
    cheapest mix of states that reaches a share of the best mean. The means are drawn again by the bootstrap; what the
    mix then loses against the best state at its shadow price is the worth, in USD at that price. Of routing, what
    is not known of its gain counts.

    Parameters
    ----------
    utility
        Measured utilities, (n, S), NaN where a query was not measured.
    cost
        USD of a query in each state, (S,).
    of_best
        Share of the greatest mean that is wanted.
    queries
        How many are still to be answered.
    routing
        Utility a query by which the gain of telling queries apart may be larger than it was found to be.
    """
    mean = np.nanmean(utility, axis=0)
    mix, price = _cheapest_mix(mean, cost, of_best * float(mean.max()))
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(utility), size=(RESAMPLES, len(utility)))
    known = ~np.isnan(utility)
    filled = np.where(known, utility, 0.0)
    counts = np.stack([known[rows].sum(axis=0) for rows in drawn])
    again = np.stack([filled[rows].sum(axis=0) for rows in drawn]) / np.maximum(counts, 1)
    net = again - price * cost
    lost = float((net.max(axis=1) - net @ mix).mean())
    return (max(0.0, lost) + routing) / price * queries


def _cheapest_mix(mean: FloatArray, cost: FloatArray, target: float) -> tuple[FloatArray, float]:
    """Return the parts of the cheapest mix of states with a mean utility, and its shadow price: utility per USD."""
    hull = [int(np.lexsort((-mean, cost))[0])]
    while True:  # up the upper hull from the cheapest state, by the steepest step
        at = hull[-1]
        better = np.flatnonzero((mean > mean[at]) & (cost > cost[at]))
        if not len(better):
            break
        slopes = (mean[better] - mean[at]) / (cost[better] - cost[at])
        hull.append(int(better[np.lexsort((-mean[better], -slopes))[0]]))
    mix = np.zeros(len(mean))
    if len(hull) == 1:  # the cheapest is the best: all that the dearest costs stands against a whole utility
        mix[hull[0]] = 1.0
        return mix, 1.0 / max(float(cost.max()), 1e-300)
    step = next((i for i in range(1, len(hull)) if mean[hull[i]] >= target), len(hull) - 1)
    low, high = hull[step - 1], hull[step]
    part = float(np.clip((target - mean[low]) / (mean[high] - mean[low]), 0.0, 1.0))
    mix[low], mix[high] = 1.0 - part, part
    return mix, float((mean[high] - mean[low]) / (cost[high] - cost[low]))
