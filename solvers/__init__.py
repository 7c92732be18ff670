"""From a problem to a plan: one `solve`, every solver behind it, and an independent check."""

from __future__ import annotations

from robatch.solvers import builtin  # noqa: F401  # registers the solvers that come with it
from robatch.solvers.analysis.amortized_frontier import Frontier
from robatch.solvers.analysis.frontier import frontier
from robatch.solvers.analysis.realized_frontier import RealizedFrontier
from robatch.solvers.analysis.sensitivity import Sensitivity, sensitivity
from robatch.solvers.cheapest.cheapest import Cheapest, cheapest
from robatch.solvers.check.raw import VerificationError
from robatch.solvers.check.verify import Verified, verify
from robatch.solvers.check.verify_cheapest import verify_cheapest
from robatch.solvers.exchange.export import export
from robatch.solvers.exchange.plan_from import plan_from
from robatch.solvers.exchange.solution import read_solution
from robatch.solvers.infeasible.explain import Clash, Explanation, explain
from robatch.solvers.plan.packing import Call, Calls
from robatch.solvers.plan.plan import Cost, Limit, Plan, Status
from robatch.solvers.registry import Answer, Request, Solver, register, solvers
from robatch.solvers.solve import solve

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
    "RealizedFrontier",
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
    "plan_from",
    "read_solution",
    "register",
    "sensitivity",
    "solve",
    "solvers",
    "verify",
    "verify_cheapest",
]
