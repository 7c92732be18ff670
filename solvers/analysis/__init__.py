"""How plans depend on the budget and on the utilities: the frontier of all budgets, the sensitivity of one plan.

Code here reads prices from the relaxation; it solves nothing anew.
"""

from robatch.solvers.analysis.frontier import Frontier, frontier
from robatch.solvers.analysis.sensitivity import Sensitivity, sensitivity

__all__ = ["Frontier", "Sensitivity", "frontier", "sensitivity"]
