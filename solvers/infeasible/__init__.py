"""Why there is no plan: which limits conflict, and what the least cost is.

Code here answers after a solver found nothing; no solver depends on it.
"""

from robatch.solvers.infeasible.explain import Clash, Explanation, explain
from robatch.solvers.infeasible.least_cost import budget_message, least_realized_cost

__all__ = ["Clash", "Explanation", "budget_message", "explain", "least_realized_cost"]
