"""The plot of a frontier. matplotlib is imported when one is drawn."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from robatch.solvers.analysis.amortized_frontier import Frontier
    from robatch.solvers.analysis.realized_frontier import RealizedFrontier

MOST_POINTS = 2_000  # of a curve; more are not told apart


def frontier_plot(curve: Frontier | RealizedFrontier, proven: Sequence[dict[str, Any]] | None = None) -> bytes:
    """Draw utility against the budget, and what the next dollar buys below it, as PNG.

    Parameters
    ----------
    curve
        The frontier.
    proven
        Rows with ``budget`` and ``optimum``, drawn as points; None for none.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    from robatch.solvers.analysis.realized_frontier import RealizedFrontier

    billed = isinstance(curve, RealizedFrontier)
    label, drawn = ("best plan known", "steps-post") if billed else ("linear relaxation", "default")
    budgets = np.linspace(curve.budgets[0], curve.budgets[-1], MOST_POINTS)
    with rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(7.2, 5.4), dpi=150, layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        if billed:
            upper.plot(budgets, curve.bound(budgets), color="#999999", linewidth=1.0, label="bound")
        upper.plot(
            budgets, curve.utility(budgets), color="#0072B2", linewidth=1.6, drawstyle=drawn, label=label,
        )  # fmt: skip
        if proven:
            shown = [row for row in proven if row["optimum"] is not None]
            upper.plot(
                [row["budget"] for row in shown], [row["optimum"] for row in shown],
                "o", color="#D55E00", markersize=3.5, label="optimum, or the best plan of exact",
            )  # fmt: skip
        if proven or billed:
            upper.legend(frameon=False, loc="lower right")
        upper.set_ylabel("utility")
        upper.set_title("Frontier: the best utility at every budget", loc="left", fontsize=12, fontweight="bold")
        prices = curve.shadow_price(budgets[:-1])
        lower.plot(budgets[:-1], prices, color="#0072B2", linewidth=1.4, drawstyle="steps-post")
        if (prices > 0).all():
            lower.set_yscale("log")
        lower.set_ylabel("shadow price,\nutility per USD")
        lower.set_xlabel(f"budget, USD ({'realized' if billed else 'amortized'} cost)")
        for axes in (upper, lower):
            axes.grid(color="#E4E4E4", linewidth=0.8)
            axes.set_axisbelow(True)
        image = io.BytesIO()
        figure.savefig(image, format="png")
    return image.getvalue()
