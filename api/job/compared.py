"""What a plan is worth against all queries in one state, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from robatch.solvers.cheapest.curve import SingleState, best_single


def break_even(cost: float, mean: float, states: Sequence[SingleState]) -> list[str]:
    """Return sentences that compare a plan of a cost and a mean utility with all queries in one state."""
    best = best_single(states)
    if best is None:
        return []
    lines = [
        f"break-even: all queries to {best.model} at batch size {best.batch_size} cost {best.cost:.4g} USD, with a "
        f"predicted mean utility of {best.mean:.3f}; this plan costs {cost:.4g} USD, with {mean:.3f}"
    ]
    as_good = [one for one in states if one.mean >= mean and one.cost <= cost]
    if as_good:
        one = min(as_good, key=lambda one: one.cost)
        lines.append(
            f"Routing does not pay here: all queries to {one.model} at batch size {one.batch_size} cost {one.cost:.4g} "
            f"USD and are predicted to be worth {one.mean:.3f}."
        )
    return lines
