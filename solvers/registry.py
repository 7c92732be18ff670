"""The solvers that `solve` knows, with what each can do."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from robatch.instances.errors import InputError, MissingExtraError
from robatch.instances.problem import IntArray, Problem
from robatch.solvers.plan import Cost, Limit

Proves = Literal["optimum", "bound", "nothing"]


@dataclass(frozen=True, slots=True)
class Request:
    """What a solver is asked, already checked.

    Attributes
    ----------
    problem, budget, cost
        The problem, USD, and the cost model that must keep within them.
    time_limit
        Seconds, or None.
    gap
        Relative gap at which the solver may stop.
    seed, threads
        Seed of every random choice; number of threads, None for the solver's default.
    initial
        An assignment (N,) to start from, or None. It may exceed the budget.
    progress
        Whether to show what happens.
    """

    problem: Problem
    budget: float
    cost: Cost
    time_limit: float | None = None
    gap: float = 0.0
    seed: int = 0
    threads: int | None = None
    initial: IntArray | None = None
    progress: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a solver found; `solve` re-evaluates and checks it.

    Attributes
    ----------
    assignment
        State of each query (N,), or None.
    bound
        Proven upper bound on utility, or None.
    infeasible
        Whether it is proven that no plan keeps the budget.
    limit
        What stopped the solver before it was done, or None.
    shadow_price
        Utility per extra USD of the linear relaxation, or None.
    message
        One sentence on what went wrong, or None.
    """

    assignment: IntArray | None = None
    bound: float | None = None
    infeasible: bool = False
    limit: Limit | None = None
    shadow_price: float | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Solver:
    """An entry of the registry.

    Parameters
    ----------
    name
        What users type.
    summary
        One line on what it does.
    run
        From a `Request` to an `Answer`; or ``"module:function"``, imported at the first use.
    proves
        ``"optimum"`` if it ends with a proof when given time, ``"bound"`` if it only bounds, else ``"nothing"``.
    costs
        The cost models whose budget it can keep.
    package
        The distribution whose version is reported.
    module
        The module that must be importable for the solver to be installed; None if always there.
    extra
        The extra of ``robatch`` that installs it, if the core does not.
    """

    name: str
    summary: str
    run: Callable[[Request], Answer] | str
    proves: Proves = "nothing"
    costs: tuple[Cost, ...] = ("amortized", "realized")
    package: str = "robatch"
    module: str | None = None
    extra: str | None = None

    @property
    def installed(self) -> bool:
        """Whether it can be used here."""
        return self.module is None or importlib.util.find_spec(self.module) is not None

    @property
    def version(self) -> str | None:
        """Version of the package that does the work; None if it is not installed."""
        try:
            return importlib.metadata.version(self.package) if self.installed else None
        except importlib.metadata.PackageNotFoundError:
            return "unknown"

    def load(self) -> Callable[[Request], Answer]:
        """Return the function that runs it.

        Raises
        ------
        MissingExtraError
            If its package is not installed.
        """
        if not self.installed:
            hint = f"robatch[{self.extra}]" if self.extra else self.package
            raise MissingExtraError(f"solver {self.name!r} is not installed: pip install '{hint}'")
        if not isinstance(self.run, str):
            return self.run
        module, function = self.run.split(":")
        run: Callable[[Request], Answer] = getattr(importlib.import_module(module), function)
        return run


_solvers: dict[str, Solver] = {}


def register(solver: Solver, replace: bool = False) -> None:
    """Add a solver, which `solve(solver=name)` and the benchmarks then know.

    Raises
    ------
    InputError
        If the name is taken and `replace` is False.
    """
    if solver.name in _solvers and not replace:
        raise InputError(f"solver {solver.name!r} is registered already: choose another name or replace=True")
    _solvers[solver.name] = solver


def solvers() -> tuple[Solver, ...]:
    """Return all registered solvers, installed or not."""
    return tuple(_solvers.values())


def get(name: str) -> Solver:
    """Return a solver by name.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    try:
        return _solvers[name]
    except KeyError:
        raise InputError(f"solver is {name!r}: known solvers are {', '.join(sorted(_solvers))}") from None


_OWN = "robatch.solvers"
for _solver in (
    Solver("greedy", "concave hull of every query, upgrades by utility per USD; linear bound", f"{_OWN}.greedy:run", "bound"),
    Solver("pareto", "the paper's scheduler, reconstructed from its abstract: best next step of the Pareto frontiers", f"{_OWN}.pareto:run"),
    Solver("highs", "HiGHS, mixed-integer", f"{_OWN}.highs:run", "optimum", package="highspy", module="highspy"),
    Solver("cpsat", "OR-Tools CP-SAT, integer coefficients", f"{_OWN}.cpsat:run", "optimum", package="ortools", module="ortools"),
    Solver("scip", "SCIP through OR-Tools MathOpt, mixed-integer", f"{_OWN}.scip:run", "optimum", package="ortools", module="ortools"),
    Solver("cbc", "CBC through PuLP, mixed-integer", f"{_OWN}.pulp_backend:run_cbc", "optimum", package="pulp", module="pulp"),
    Solver("pulp-highs", "HiGHS through PuLP, mixed-integer", f"{_OWN}.pulp_backend:run_highs", "optimum", package="pulp", module="pulp"),
    Solver("lp", "linear relaxation by HiGHS: a bound and a shadow price, no plan", f"{_OWN}.lp:run", "bound", package="highspy", module="highspy"),
    Solver("router-only", "baseline: the greedy scheduler, every model at its smallest batch size", f"{_OWN}.baselines:run_router_only"),
    Solver("batch-only", "baseline: one model and one batch size for all queries", f"{_OWN}.baselines:run_batch_only"),
    Solver("cheapest", "baseline: the cheapest plan", f"{_OWN}.baselines:run_cheapest"),
    Solver("best", "baseline: the greatest utility, if the budget pays for it", f"{_OWN}.baselines:run_best"),
    Solver("brute-force", "every assignment of a tiny problem", f"{_OWN}.brute_force:run", "optimum"),
):  # fmt: skip
    register(_solver)
