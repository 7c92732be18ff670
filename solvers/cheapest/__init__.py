"""The least cost of a utility: the problem turned around, by each solver that can.

Code here searches budgets and costs; plans come from the solvers below.
"""

from robatch.solvers.cheapest.cheapest import Cheapest, cheapest

__all__ = ["Cheapest", "cheapest"]
