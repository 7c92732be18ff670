"""How plans depend on the budget and on the utilities: the frontier of all budgets, the sensitivity of one plan.

Code here reads prices from the relaxation and plans from the schedulers' search.
"""

from robatch.solvers.analysis.amortized_frontier import Frontier
from robatch.solvers.analysis.frontier import frontier
from robatch.solvers.analysis.realized_frontier import RealizedFrontier
from robatch.solvers.analysis.sensitivity import Sensitivity, sensitivity

__all__ = ["Frontier", "RealizedFrontier", "Sensitivity", "frontier", "sensitivity"]
