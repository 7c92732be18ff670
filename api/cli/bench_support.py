"""What the commands of ``robatch bench`` share: options, where they show a run, and how they end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from robatch.cli.support import FILE, json_option, print_json, progress_wanted

if TYPE_CHECKING:
    from robatch.bench.common.results import Results
    from robatch.bench.common.terminal import LiveTerminal

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

RUN_OPTIONS = ("output", "fresh", "as_json")
"""Options that decide where a run goes and not what it measures."""

threads_option = click.option("--threads", type=int, help="Number of threads of each solver.")
time_limit_option = click.option("--time-limit", type=float, help="Seconds for each run of a solver.")


def output_options(folder: str, fresh: bool = True) -> Callable[[F], F]:
    """Return the options ``--output``, ``--fresh`` and ``--json``, which end every command's options."""
    output = click.option("-o", "--output", type=FILE, default=Path(folder), show_default=True, help="Folder to write.")
    again = click.option("--fresh", is_flag=True, help="Measure again what an earlier run left in the folder.")

    def decorate(function: F) -> F:
        return output(again(json_option(function)) if fresh else json_option(function))

    return decorate


def given(value: T | None, usual: T) -> T:
    """Return the value of an option, or the preset's if it was not given."""
    return usual if value is None else value


def shown(terminal: type[LiveTerminal[Any]], as_json: bool) -> LiveTerminal[Any] | bool:
    """Return what shows a run: on standard error beside JSON, and there only to a person."""
    return terminal(stderr=as_json) if not as_json or progress_wanted() else False


def report(measure: Callable[[], Results[Any]], output: Path, as_json: bool) -> None:
    """Run a benchmark, and say what it found and where it wrote.

    Raises
    ------
    KeyboardInterrupt
        If it was interrupted, with a message on how to go on.
    ClickException
        If a run failed, or a bound is wrong.
    """
    try:
        results = measure()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"Interrupted: the rows so far are kept in {output / 'rows.jsonl'}, the same command continues."
        ) from None
    contradictions = results.contradictions()
    for sentence in contradictions:
        click.echo(f"Some bound is wrong: {sentence}", err=True)
    for sentence in results.notes():
        click.echo(sentence, err=as_json)
    if as_json:
        print_json(results.to_json())
    else:
        click.echo(f"written to {output}: {', '.join(results.FILES)}")
    failed = sum(row.status == "error" for row in results.rows)
    if failed or contradictions:
        raise click.ClickException(f"{failed} of {len(results.rows)} runs failed, or a bound is wrong: see above")
