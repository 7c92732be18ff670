"""The sums over one cell of measurements (a task, a model and a batch size), and the interval of its mean score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any


def cell_record(rows: Sequence[Mapping[str, Any]], model: Mapping[str, Any], repeats: int) -> dict[str, Any]:
    """Sum up a cell of at least one row, at the prices of a model's provenance, with so many repeats of each query.

    `robatch.proxies.Measurements.summary` tells what the fields are.
    """
    answers = len(rows)
    score = sum(row["score"] for row in rows)
    calls = {(row["repeat"], row["call"]): row for row in rows}.values()
    inputs = sum(call["call_input_tokens"] for call in calls)
    outputs = sum(call["call_output_tokens"] for call in calls)
    shared = sum(call["shared_tokens"] for call in calls if call["error"] is None)
    cost = (inputs * model["price_in"] + outputs * model["price_out"]) / 1e6
    low, high = wilson(score / repeats, answers // repeats)
    return {
        "queries": answers // repeats,
        "accuracy": score / answers,
        "low": low,
        "high": high,
        "parsed": sum(row["parsed"] for row in rows) / answers,
        "input_tokens": inputs / answers,
        "output_tokens": outputs / answers,
        "cost": cost / answers,
        "shared_cost_share": shared * model["price_in"] / 1e6 / cost if cost else None,
        "seconds": sum(call["seconds"] for call in calls) / answers,
        "errors": sum(row["error"] is not None for row in rows),
    }


def wilson(total: float, trials: int) -> tuple[float, float]:
    """Give the Wilson 95 % interval of a share, or of a mean score, from a total of 0 to `trials`.

    For scores of 0 and 1 this is Wilson's interval (E. B. Wilson, JASA 22, 1927). For scores between, the same
    expression is used with the mean in the place of the share; it is then too wide rather than too narrow, as no
    scores in [0, 1] of a given mean vary more than those of 0 and 1.
    """
    z = 1.959963984540054
    share = min(1.0, max(0.0, total / trials))
    centre = share + z * z / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)
