"""The solvers that `solve` knows, with what each can do."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, get_args

from robatch.instances.arrays import IntArray
from robatch.instances.errors import InputError, InputWarning, MissingExtraError, first_line
from robatch.instances.problem import Problem
from robatch.instances.problem_costs import Evaluation
from robatch.instances.scalars import number, whole
from robatch.solvers.limits import KINDS
from robatch.solvers.plan.incumbent import Incumbent
from robatch.solvers.plan.plan import Cost, Limit
from robatch.solvers.versions import version_of

if TYPE_CHECKING:  # a room above this module: a request only hands on what the rooms that solve have put into it
    from robatch.solvers.bounds.shared import Bounds

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
    bounds
        The problem's relaxations, where another part of the same solve has made them already, or None.
    effort
        Times the usual work of a search that could go on for ever; 1 for solvers without one.
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
    bounds: Bounds | None = None
    effort: float = 1.0

    @classmethod
    def checked(  # wide: one parameter per option
        cls,
        problem: Problem,
        budget: float,
        cost: Cost,
        time_limit: float | None = None,
        gap: float = 0.0,
        seed: int = 0,
        threads: int | None = None,
        effort: float = 1.0,
    ) -> Request:
        """Return a request whose arguments are checked, but for the budget.

        Raises
        ------
        InputError
            If one of them is not allowed.
        """
        if cost not in get_args(Cost):
            raise InputError(f"cost is {cost!r}: 'amortized' or 'realized' is needed")
        gap = number("gap", gap, most=1.0, needed="a number from 0 to 1")
        if time_limit is not None:
            time_limit = number("time_limit", time_limit, most=1e9, needed="a number of seconds above 0", above=True)
        seed = whole("seed", seed, most=2**63 - 1)
        threads = None if threads is None else whole("threads", threads, 1, most=1024)
        effort = number("effort", effort, 1.0, MOST_EFFORT)
        return cls(problem, budget, cost, time_limit, gap, seed, threads, effort=effort)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a solver found; `solve` evaluates and checks it.

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
    evaluation
        What `Problem.evaluate` said of this very assignment, where the solver has asked it already. `solve` takes it as
        it is: with the figures of another assignment the plan fails its check, with a `VerificationError`.
    """

    assignment: IntArray | None = None
    bound: float | None = None
    infeasible: bool = False
    limit: Limit | None = None
    shadow_price: float | None = None
    message: str | None = None
    statistics: Mapping[str, int] = field(default_factory=dict)
    evaluation: Evaluation | None = None

    @classmethod
    def of(cls, incumbent: Incumbent, missing: str | None = None, **more: Any) -> Answer:
        """Return what a search ended with as an answer, a message where a plan is `missing`, and `more` fields."""
        return cls(
            incumbent.assignment,
            bound=incumbent.bound if incumbent.bound < math.inf else None,
            limit=incumbent.limit,
            message=missing if incumbent.assignment is None else None,
            evaluation=incumbent.evaluation,
            **more,
        )


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
        The distribution whose version is reported. Empty for the one that `run` comes from; a module that belongs to
        none says its version as ``__version__``, or else has its source's hash reported.
    module
        The module that must be importable for the solver to be installed; None if always there.
    extra
        The extra of ``robatch`` that installs it, if the core does not.
    constraints
        The kinds of `Constraints` that it keeps, and ``"conflicts"`` if it counts the calls that conflicting queries
        need when calls are billed; and ``"costs"`` if it keeps costs of one's own with any of these, and with calls
        that several queries share. What a problem says of single pairs, every solver keeps.
    effort
        The cost models under which it searches longer for a greater `Request.effort`, without `Constraints`.
    writes
        Whether it counts what it costs to write shared prompts to a cache. Else it is asked again and again, for plans
        that pay for some of them and do without others.
    """

    name: str
    summary: str
    run: Callable[[Request], Answer] | str
    proves: Proves = "nothing"
    costs: tuple[Cost, ...] = ("amortized", "realized")
    package: str = ""
    module: str | None = None
    extra: str | None = None
    constraints: frozenset[str] = frozenset()
    effort: tuple[Cost, ...] = ()
    writes: bool = False

    def __post_init__(self) -> None:
        if not self.package:
            object.__setattr__(self, "package", self.home.partition(".")[0])

    @property
    def home(self) -> str:
        """The module that `run` comes from."""
        if isinstance(self.run, str):
            return self.run.partition(":")[0]
        return str(getattr(self.run, "__module__", None) or type(self.run).__module__)

    @property
    def installed(self) -> bool:
        """Whether it can be used here."""
        return self.module is None or importlib.util.find_spec(self.module) is not None

    @property
    def version(self) -> str | None:
        """Version of the package that does the work; None if it is not installed."""
        return version_of(self.package, self.home) if self.installed else None

    def load(self) -> Callable[[Request], Answer]:
        """Return the function that runs it.

        Raises
        ------
        MissingExtraError
            If its package is not installed, or cannot be loaded in this process.
        """
        if not self.installed:
            hint = f"robatch[{self.extra}]" if self.extra else self.package
            raise MissingExtraError(f"solver {self.name!r} is not installed: pip install '{hint}'")
        if not isinstance(self.run, str):
            return self.run
        module, function = self.run.split(":")
        try:
            run: Callable[[Request], Answer] = getattr(importlib.import_module(module), function)
        except ImportError as error:
            if "undefined symbol" not in str(error):
                raise
            raise MissingExtraError(  # seen with OR-Tools after python-mip, see findings/python-mip-ortools.sh
                f"{self.package}, of solver {self.name!r}, cannot be loaded beside what this process has loaded, "
                "such as python-mip or another build of its libraries: use another solver, or another process"
            ) from error
        return run


MOST_EFFORT = 1e9

COUPLED = frozenset({*KINDS, "conflicts"})
"""Constraints and conflicts, of what `Solver.constraints` can name."""

OWN_COSTS = "costs"
"""The name there of costs of one's own where calls are shared, or with constraints."""


ENTRY_POINTS = "robatch.solvers"
"""The group of entry points by which packages announce solvers: names of a `Solver`, or of a function."""

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


def unregister(name: str) -> None:
    """Take a solver away again; one that is not there stays away."""
    _solvers.pop(name, None)


def solver_of(thing: Any, name: str, where: str) -> Solver:
    """Return a solver, or a function from a `Request` to an `Answer` as one of that name; `where` it was found.

    Raises
    ------
    InputError
        If it is neither.
    """
    if isinstance(thing, Solver):
        return thing
    if not callable(thing) or isinstance(thing, type):
        needed = "a robatch.Solver, or a function from a Request to an Answer, is needed"
        raise InputError(f"{where} is of type {type(thing).__name__}: {needed}")
    summary = (getattr(thing, "__doc__", None) or "a solver of the user's own").strip().splitlines()[0]
    return Solver(name, summary, thing)


@cache
def _discover() -> None:
    """Register the solvers that installed packages announce; one that cannot be loaded is said to be so."""
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        try:
            register(solver_of(point.load(), point.name, f"the entry point {point.name!r} ({point.value})"))
        except Exception as error:
            why = first_line(error) if isinstance(error, InputError) else f"{type(error).__name__}: {first_line(error)}"
            text = f"solver {point.name!r} of an installed package is left out: {why}"
            warnings.warn(text, InputWarning, stacklevel=3)


def solvers() -> tuple[Solver, ...]:
    """Return all registered solvers, installed or not, with those that installed packages announce."""
    _discover()
    return tuple(_solvers.values())


def get(name: str) -> Solver:
    """Return a solver by name.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    if name not in _solvers:
        _discover()
    try:
        return _solvers[name]
    except KeyError:
        raise InputError(f"solver is {name!r}: known solvers are auto, {', '.join(sorted(_solvers))}") from None
