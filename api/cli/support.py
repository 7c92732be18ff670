"""What the commands share: reading arguments, checking outputs, printing."""

from __future__ import annotations

import os
import secrets
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from robatch.cli.encoding import json_text
from robatch.instances.errors import InputError

if TYPE_CHECKING:
    from robatch.instances.problem import Problem
    from robatch.solvers.plan.plan import Plan

    ParamType = click.ParamType[Any]
else:
    ParamType = click.ParamType  # generic only in newer versions of click


class Listed(ParamType):
    """Values with commas between them, such as ``1,2,4``."""

    def __init__(self, kind: Callable[[str], Any], name: str) -> None:
        self.kind, self.name = kind, name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a tuple of values."""
        if not isinstance(value, str):
            return value
        parts = [part.strip() for part in value.split(",")]
        try:
            return tuple(self.kind(part) for part in parts if part)
        except ValueError:
            self.fail(f"{value!r} is not {self.name} with commas between them.", param, ctx)


WHOLE_NUMBERS = Listed(int, "whole numbers")
NUMBERS = Listed(float, "numbers")
NAMES = Listed(str, "names")
FILE = click.Path(path_type=Path)

cost_choice = click.Choice(["amortized", "realized"])

Option = Callable[[Any], Any]

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


def cost_option(text: str) -> Option:
    """Return the option that names a cost model."""
    return click.option("--cost", type=cost_choice, default="realized", show_default=True, help=text)


def output_option(text: str, **settings: Any) -> Option:
    """Return the option that names what is written."""
    return click.option("-o", "--output", type=FILE, help=text, **settings)


def seed_option(text: str = "Seed of every random choice.") -> Option:
    """Return the option of a seed, 0 without one."""
    return click.option("--seed", type=int, default=0, show_default=True, help=text)


def time_limit_option(text: str = "Seconds.") -> Option:
    """Return the option of a time limit, none without one."""
    return click.option("--time-limit", type=float, help=text)


def threads_option(text: str = "Number of threads.") -> Option:
    """Return the option of a number of threads, left open without one."""
    return click.option("--threads", type=int, help=text)


def prices_option(text: str) -> Option:
    """Return the option that names a source of prices by name."""
    more = "bundled, litellm, genai-prices, or a file (see robatch prices --help)."
    return click.option("--prices", metavar="SOURCE", help=f"{text} SOURCE is {more}")


register_option = click.option(
    "--register", multiple=True, metavar="MODULE:SOLVER",
    help="A solver of one's own: a robatch.Solver, or a function from Request to Answer, in a module or a .py file. "
    "May be given several times.",
)  # fmt: skip


def registered(texts: Sequence[str]) -> tuple[str, ...]:
    """Register solvers of the user's own, and return their names."""
    if not texts:
        return ()
    from robatch.solvers.own import register_from

    return tuple(dict.fromkeys(register_from(text).name for text in texts))


def search_options(gap: str) -> Option:
    """Return the options that limit a search: time, gap, seed and threads."""
    text = f"{gap} at which the solver may stop; 0 for the rounding of float64."
    gap_option = click.option("--gap", type=float, default=1e-9, show_default=True, help=text)
    return add_options(time_limit_option(), gap_option, seed_option(), threads_option())


def add_options(*options: Option) -> Option:
    """Return a decorator that adds several options to a command, in the order in which its help lists them."""

    def add(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return add


def read_problem(text: str) -> Problem:
    """Read a problem file, or return the bundled problem of that name."""
    from robatch.instances.bundled import BUNDLED, load
    from robatch.instances.problem_file import read

    return load(text) if text in BUNDLED else read(text)


def check_file(path: Path | None) -> None:
    """Refuse a path that no file can be written to, before any long work.

    Raises
    ------
    InputError
        If it is a directory, or its directory is missing or cannot be written.
    """
    if path is None:
        return
    if os.path.isdir(path):
        raise InputError(f"cannot write {str(path)!r}: it is a directory, a file path is needed")
    _try_in(path.parent, path)


def check_outputs(outputs: Mapping[str, Path | None], inputs: Iterable[Path | None]) -> None:
    """Refuse outputs that cannot be written, or that would replace an input or each other, before any long work.

    Parameters
    ----------
    outputs
        By the name of their option; None where it was not given.
    inputs
        Files that the command reads.

    Raises
    ------
    InputError
        Naming the option and the path.
    """
    seen: dict[str, Path] = {}
    read = [path for path in inputs if path is not None]
    for option, path in outputs.items():
        if path is None:
            continue
        check_file(path)
        if any(_same(path, other) for other in read):
            raise InputError(f"{option} is {str(path)!r}, which is an input of this command: choose another file")
        for other, taken in seen.items():
            if _same(path, taken):
                raise InputError(f"{option} is {str(path)!r}, which {other} is too: choose another file")
        seen[option] = path


def _same(one: Path, other: Path) -> bool:
    """Whether two paths lead to one file, there or not."""
    if os.path.exists(one) and os.path.exists(other):
        return os.path.samefile(one, other)
    return os.path.realpath(one) == os.path.realpath(other)


def check_folder(path: Path) -> None:
    """Refuse a path that no folder can be made at or written to; make nothing."""
    if os.path.exists(path) and not os.path.isdir(path):
        raise InputError(f"cannot write to {str(path)!r}: it is a file, a folder is needed")
    existing = path.absolute()
    while not os.path.exists(existing):
        existing = existing.parent
    _try_in(existing, path)


def _try_in(folder: Path, path: Path) -> None:
    """Make and remove an empty file: permissions alone do not tell."""
    probe = folder / f".robatch.{secrets.token_hex(4)}.part"
    try:
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise InputError(f"cannot write {os.fspath(path)!r}: {error.strerror or error}") from None


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    click.echo(json_text(value))


def given_command(context: click.Context, left_out: Sequence[str] = ()) -> str:
    """Return the command line that was given, without some parameters."""
    words = context.command_path.split()
    words[0] = "robatch"
    for parameter in context.command.params:
        name = parameter.name or ""
        if name in left_out or context.get_parameter_source(name) != click.core.ParameterSource.COMMANDLINE:
            continue
        value = context.params[name]
        if isinstance(parameter, click.Option) and parameter.is_flag:
            words.append(parameter.opts[0] if value else (parameter.secondary_opts or [""])[0])
        else:
            text = ",".join(str(part) for part in value) if isinstance(value, tuple) else str(value)
            words += [parameter.opts[0], text]
    return shlex.join(words)


@contextmanager
def keep_answers() -> Iterator[None]:
    """Say at an interruption that the answers are kept."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt("Interrupted: the answers so far are kept, the same command continues.") from None


def progress_wanted() -> bool:
    """Whether a person looks at standard error."""
    return sys.stderr.isatty()


def failed(message: str | None, solver: str, limit: str | None) -> click.ClickException:
    """Return the error that ends a command whose solver found no plan."""
    return click.ClickException(message or f"solver {solver!r} found no plan{' within its limit' if limit else ''}")


def show_figures(
    figures: Mapping[str, str | None], plan: Plan, shadow_price: float | None, runtime: float, output: Path | None
) -> None:
    """Print the figures of a plan that are not None, the price and the solver, and the states that the plan uses."""
    from robatch.cli.tables import show_facts, show_table
    from robatch.instances.display import wording

    price = None if shadow_price is None else f"{shadow_price:.6g} utility per extra USD"
    solver = f"{plan.solver} {plan.solver_version}, {wording.seconds(runtime)}"
    facts = {**figures, "shadow price": price, "solver": solver}
    show_facts((name, text) for name, text in facts.items() if text is not None)
    if plan.assignment is None:
        return
    click.echo()
    show_table(("model", "batch size", "queries", "calls"), [tuple(state.values()) for state in plan.states_used()])
    if output is not None:
        click.echo(f"\nwritten to {output}")


def show_problem(problem: Problem, path: Path, as_json: bool, **more: Any) -> None:
    """Say what was written, in JSON with `more`."""
    facts = {
        "path": str(path),
        "queries": problem.n_queries,
        "models": [model.name for model in problem.models],
        "states": problem.n_states,
        "groups": problem.n_groups,
        "cheapest_budget": problem.cheapest_budget,
        "dearest_budget": problem.dearest_budget,
        **more,
    }
    if as_json:
        print_json(facts)
        return
    click.echo(f"{path}: {problem.n_queries:,} queries, {problem.n_models} models, {problem.n_states} states")
    low, high = problem.cheapest_budget, problem.dearest_budget
    click.echo(f"budgets that make sense, as if every call were full: {low:.6g} to {high:.6g} USD")
