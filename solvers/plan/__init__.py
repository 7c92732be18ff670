"""What a solver returns: the plan, and the calls that its queries are packed into.

Code here knows problems and assignments; it chooses no states and proves nothing.
"""

from robatch.solvers.plan.incumbent import Incumbent
from robatch.solvers.plan.packing import Call, Calls
from robatch.solvers.plan.plan import Cost, Limit, Plan, Status

__all__ = ["Call", "Calls", "Cost", "Incumbent", "Limit", "Plan", "Status"]
