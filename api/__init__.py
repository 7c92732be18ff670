"""RoBatch: choose a model and a batch size for every query, within a budget, with proven bounds.

>>> import robatch
>>> problem = robatch.generate("realistic", queries=200, seed=1)
>>> plan = robatch.solve(problem, problem.budget_at(0.3))
>>> plan.status
'optimal'

Nothing heavy is imported until it is used. The list of solvers is `robatch.solvers.solvers()`: the name
`robatch.solvers` is the package.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from robatch import bench, instances, proxies, solvers
    from robatch.instances.bundled import load
    from robatch.instances.constraints import Constraints
    from robatch.instances.errors import InputError, MissingExtraError
    from robatch.instances.families import FAMILIES, generate
    from robatch.instances.knapsack import Knapsack, from_knapsack
    from robatch.instances.model import Model, State
    from robatch.instances.problem import Problem
    from robatch.instances.problem_file import read
    from robatch.instances.tables import from_table
    from robatch.proxies.profiling.measurements import Measurements
    from robatch.proxies.profiling.run import profile
    from robatch.solvers.analysis.frontier import Frontier, frontier
    from robatch.solvers.analysis.sensitivity import Sensitivity, sensitivity
    from robatch.solvers.cheapest.cheapest import Cheapest, cheapest
    from robatch.solvers.check.verify import VerificationError, Verified, verify
    from robatch.solvers.check.verify_cheapest import verify_cheapest
    from robatch.solvers.infeasible.explain import Explanation, explain
    from robatch.solvers.mip.export import export
    from robatch.solvers.plan.packing import Call, Calls
    from robatch.solvers.plan.plan import Plan
    from robatch.solvers.registry import Answer, Request, Solver, register
    from robatch.solvers.solve import solve

    __version__: str

_HOME = {
    "Answer": "solvers.registry",
    "Call": "solvers.plan.packing",
    "Calls": "solvers.plan.packing",
    "Cheapest": "solvers.cheapest.cheapest",
    "Constraints": "instances.constraints",
    "Explanation": "solvers.infeasible.explain",
    "FAMILIES": "instances.families",
    "Frontier": "solvers.analysis.frontier",
    "InputError": "instances.errors",
    "Knapsack": "instances.knapsack",
    "Measurements": "proxies.profiling.measurements",
    "MissingExtraError": "instances.errors",
    "Model": "instances.model",
    "Plan": "solvers.plan.plan",
    "Problem": "instances.problem",
    "Request": "solvers.registry",
    "Sensitivity": "solvers.analysis.sensitivity",
    "Solver": "solvers.registry",
    "State": "instances.model",
    "VerificationError": "solvers.check.verify",
    "Verified": "solvers.check.verify",
    "cheapest": "solvers.cheapest.cheapest",
    "explain": "solvers.infeasible.explain",
    "export": "solvers.mip.export",
    "from_knapsack": "instances.knapsack",
    "from_table": "instances.tables",
    "frontier": "solvers.analysis.frontier",
    "generate": "instances.families",
    "load": "instances.bundled",
    "profile": "proxies.profiling.run",
    "read": "instances.problem_file",
    "register": "solvers.registry",
    "sensitivity": "solvers.analysis.sensitivity",
    "solve": "solvers.solve",
    "verify": "solvers.check.verify",
    "verify_cheapest": "solvers.check.verify_cheapest",
}
_PACKAGES = ("bench", "instances", "proxies", "solvers")

__all__ = [
    "FAMILIES",
    "Answer",
    "Call",
    "Calls",
    "Cheapest",
    "Constraints",
    "Explanation",
    "Frontier",
    "InputError",
    "Knapsack",
    "Measurements",
    "MissingExtraError",
    "Model",
    "Plan",
    "Problem",
    "Request",
    "Sensitivity",
    "Solver",
    "State",
    "VerificationError",
    "Verified",
    "__version__",
    "bench",
    "cheapest",
    "explain",
    "export",
    "from_knapsack",
    "from_table",
    "frontier",
    "generate",
    "instances",
    "load",
    "profile",
    "proxies",
    "read",
    "register",
    "sensitivity",
    "solve",
    "solvers",
    "verify",
    "verify_cheapest",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("robatch")
    if name in _PACKAGES:
        return import_module(f"{__name__}.{name}")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value  # the next use does not come here
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
