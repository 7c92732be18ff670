"""From a problem to a plan: one `solve`, every solver behind it, and an independent check."""

from __future__ import annotations

from robatch.solvers.cheapest import Cheapest, cheapest
from robatch.solvers.explain import Clash, Explanation, explain
from robatch.solvers.export import export
from robatch.solvers.frontier import Frontier, frontier
from robatch.solvers.packing import Call, Calls
from robatch.solvers.plan import Cost, Limit, Plan, Status
from robatch.solvers.registry import Answer, Request, Solver, register, solvers
from robatch.solvers.sensitivity import Sensitivity, sensitivity
from robatch.solvers.solve import solve
from robatch.solvers.verify import VerificationError, Verified, verify
from robatch.solvers.verify_cheapest import verify_cheapest

__all__ = [
    "Answer",
    "Call",
    "Calls",
    "Cheapest",
    "Clash",
    "Cost",
    "Explanation",
    "Frontier",
    "Limit",
    "Plan",
    "Request",
    "Sensitivity",
    "Solver",
    "Status",
    "VerificationError",
    "Verified",
    "cheapest",
    "explain",
    "export",
    "frontier",
    "register",
    "sensitivity",
    "solve",
    "solvers",
    "verify",
    "verify_cheapest",
]
