"""The solvers that `solve` knows, with what each can do."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Literal

from robatch.instances.arrays import IntArray
from robatch.instances.errors import InputError, MissingExtraError
from robatch.instances.problem import Problem
from robatch.solvers.limits import KINDS, needs
from robatch.solvers.plan.plan import Cost, Limit

if TYPE_CHECKING:
    from robatch.solvers.bounds.relaxation import Relaxer

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
    price
        A shadow price that is thought to be near, in utility per USD, or None.
    relaxer
        What is known of the problem's relaxation already, or None.
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
    price: float | None = None
    relaxer: Relaxer | None = None


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
    statistics
        What the solver counted: sizes and steps of its search, by name.
    """

    assignment: IntArray | None = None
    bound: float | None = None
    infeasible: bool = False
    limit: Limit | None = None
    shadow_price: float | None = None
    message: str | None = None
    statistics: Mapping[str, int] = field(default_factory=dict)


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
        ``"optimum"`` if it proves one when given time, ``"bound"`` if it only bounds, else ``"nothing"``.
    costs
        The cost models whose budget it can keep.
    package
        The distribution whose version is reported.
    module
        The module that must be importable for the solver to be installed; None if always there.
    extra
        The extra of ``robatch`` that installs it, if the core does not.
    constraints
        The kinds of `Constraints` that it keeps, and ``"conflicts"`` if it counts the calls that conflicting queries
        need when calls are billed. What a problem says of single pairs, every solver keeps.
    """

    name: str
    summary: str
    run: Callable[[Request], Answer] | str
    proves: Proves = "nothing"
    costs: tuple[Cost, ...] = ("amortized", "realized")
    package: str = "robatch"
    module: str | None = None
    extra: str | None = None
    constraints: frozenset[str] = frozenset()

    @property
    def installed(self) -> bool:
        """Whether it can be used here."""
        return self.module is None or importlib.util.find_spec(self.module) is not None

    @property
    def version(self) -> str | None:
        """Version of the package that does the work; None if it is not installed."""
        return _version(self.package) if self.installed else None

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


AUTO: dict[Cost, str] = {"amortized": "exact", "realized": "greedy"}
"""What ``"auto"`` stands for, where no constraint couples queries."""

AUTO_COUPLED = "greedy"
"""What it stands for otherwise."""

COUPLED = frozenset({*KINDS, "conflicts"})
"""All that `Solver.constraints` can name."""


@cache
def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


_solvers: dict[str, Solver] = {}


def register(solver: Solver, replace: bool = False) -> None:
    """Add a solver, which `solve(solver=name)` and the benchmarks then know.

    Raises
    ------
    InputError
        If the name is taken and `replace` is False.
    """
    if solver.name == "auto" or (solver.name in _solvers and not replace):
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
        raise InputError(f"solver is {name!r}: known solvers are auto, {', '.join(sorted(_solvers))}") from None


def chosen(name: str, problem: Problem, cost: Cost) -> Solver:
    """Return the solver of a name, or the one that ``"auto"`` stands for, if it can do what is asked.

    Raises
    ------
    InputError
        If there is none of that name, or it cannot keep a budget of that cost or one of the problem's constraints.
    """
    asked = needs(problem, cost)
    entry = get((AUTO_COUPLED if asked else AUTO[cost]) if name == "auto" else name)
    if cost not in entry.costs:
        raise InputError(f"solver {entry.name!r} cannot keep a budget of {cost} cost: it can only do {entry.costs}")
    check_constraints(f"solver {entry.name!r}", entry.constraints, asked, cost)
    return entry


def check_constraints(who: str, able: frozenset[str], asked: list[str], cost: Cost) -> None:
    """Refuse constraints that couple queries where they cannot be kept.

    Raises
    ------
    InputError
        If one of those `asked` is not among those that `who` is `able` to keep.
    """
    beyond = [kind for kind in asked if kind not in able]
    if beyond:
        can = [one.name for one in solvers() if cost in one.costs and one.constraints.issuperset(asked)]
        raise InputError(
            f"{who} cannot keep {beyond[0]} ({cost} cost): solvers that can are {', '.join(can) or 'none'}"
        )


def _builtin(
    name: str,
    proves: Proves,
    run: str,
    summary: str,
    package: str = "robatch",
    costs: tuple[Cost, ...] = ("amortized", "realized"),
    constraints: frozenset[str] = frozenset(),
) -> None:
    module = None if package == "robatch" else package
    run = f"robatch.solvers.{run}"
    register(Solver(name, summary, run, proves, costs, package, module, constraints=constraints))


_builtin(
    "exact",
    "optimum",
    "exact.amortized:run",
    "optimum or a proven gap: amortized at any size by core search, realized by an expanding core",
    constraints=frozenset({"conflicts"}),
)
_builtin(
    "greedy",
    "bound",
    "greedy.amortized:run",
    "concave hulls, upgrades by utility per USD; linear bound",
    constraints=COUPLED,
)
_builtin("pareto", "nothing", "reference.pareto:run", "the paper's scheduler, reconstructed from its abstract")
_builtin("highs", "optimum", "mip.highs:run", "HiGHS, mixed-integer", "highspy", constraints=COUPLED)
_builtin(
    "cpsat", "optimum", "mip.cpsat:run", "OR-Tools CP-SAT, whole-number coefficients", "ortools", constraints=COUPLED
)
_builtin(
    "scip", "optimum", "mip.scip:run", "SCIP through OR-Tools MathOpt, mixed-integer", "ortools", constraints=COUPLED
)
_builtin("cbc", "optimum", "mip.pulp_solvers:run_cbc", "CBC through PuLP, mixed-integer", "pulp", constraints=COUPLED)
_builtin(
    "pulp-highs",
    "optimum",
    "mip.pulp_solvers:run_highs",
    "HiGHS through PuLP, mixed-integer",
    "pulp",
    constraints=COUPLED,
)
_builtin(
    "lp",
    "bound",
    "mip.lp:run",
    "linear relaxation by HiGHS: bound and shadow price, no plan",
    "highspy",
    constraints=COUPLED,
)
_builtin(
    "router-only", "nothing", "reference.baselines:run_router_only", "baseline: greedy at the smallest batch sizes"
)
_builtin("batch-only", "nothing", "reference.baselines:run_batch_only", "baseline: one model, one batch size for all")
_builtin("cheapest", "nothing", "reference.baselines:run_cheapest", "baseline: the cheapest plan")
_builtin("best", "bound", "reference.baselines:run_best", "baseline: the greatest utility, if the budget pays for it")
_builtin(
    "brute-force", "optimum", "reference.brute_force:run", "every assignment of a tiny problem", constraints=COUPLED
)
_builtin(
    "threshold",
    "nothing",
    "reference.peers.threshold:run",
    "peer: RouteLLM, a weak and a strong state, threshold on gain",
)
_builtin(
    "tradeoff", "nothing", "reference.peers.tradeoff:run", "peer: CARROT, one trade-off of utility and cost for all"
)
_builtin(
    "hull-mix",
    "nothing",
    "reference.peers.hull_mix:run",
    "peer: RouterBench's zero router, a random mix of two states",
    costs=("amortized",),
)
_builtin(
    "destroy-rebuild",
    "nothing",
    "reference.peers.destroy_rebuild:run",
    "peer: OptLLM, parts of a plan destroyed and rebuilt greedily",
)
_builtin(
    "window-ilp",
    "nothing",
    "reference.peers.window_ilp:run",
    "peer: batch-level ILP (2603.26796), windows of 256 queries",
)
_builtin(
    "online-duals",
    "nothing",
    "reference.peers.online_duals:run",
    "peer: PORT, queries one at a time at a price from the first few",
    costs=("amortized",),
)
