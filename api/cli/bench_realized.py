"""``robatch bench realized``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from robatch.cli.support import (
    FILE,
    NAMES,
    NUMBERS,
    WHOLE_NUMBERS,
    check_folder,
    given_command,
    json_option,
    print_json,
    progress_wanted,
)

if TYPE_CHECKING:
    from robatch.bench.realized.cells import Instance
    from robatch.bench.realized.presets import RealizedPreset


@click.command(short_help="Broken budgets, utility lost and times under realized cost.")
@click.option("--quick", is_flag=True, help="20 and 50 queries, short limits: done within a minute on two cores.")
@click.option("--families", type=NAMES, help="Families, such as realistic,ties,measured.")
@click.option("--sizes", type=WHOLE_NUMBERS, help="Numbers of queries, such as 20,100.")
@click.option("--seeds", type=WHOLE_NUMBERS, help="Seeds of problems and solvers, such as 0,1,2.")
@click.option(
    "--instance", "instances", multiple=True, metavar="FILE",
    help="A problem file, instead of the usual families or beside those given. May be given several times.",
)  # fmt: skip
@click.option("--fractions", type=NUMBERS, help="Budget fractions, such as 0.1,0.3.")
@click.option("--solvers", type=NAMES, help="Solvers, such as greedy,exact,reduced-budget,highs.")
@click.option("--time-limit", type=float, help="Seconds for each run of a solver. [default: 60]")
@click.option("--threads", type=int, help="Number of threads of each solver.")
@click.option("-o", "--output", type=FILE, default=Path("results-realized"), show_default=True, help="Folder to write.")
@click.option("--fresh", is_flag=True, help="Measure again what an earlier run left in the folder.")
@json_option
@click.pass_context
def realized(
    context: click.Context,
    /,
    quick: bool,
    families: tuple[str, ...] | None,
    sizes: tuple[int, ...] | None,
    seeds: tuple[int, ...] | None,
    instances: tuple[str, ...],
    fractions: tuple[float, ...] | None,
    solvers: tuple[str, ...] | None,
    time_limit: float | None,
    threads: int | None,
    output: Path,
    fresh: bool,
    as_json: bool,
) -> None:
    """Bill the amortized optimum, and compare solvers under realized cost.

    Tells how often and how far the bill of the amortized optimum exceeds its budget, what schedulers lose against the
    realized optimum, and how long every solver takes. Without options it runs for many hours, on problems of
    20 to 1,000 queries.

    Rows are kept as they are made: the same command continues a run that was ended. At its end, the folder holds
    results.csv, realized.md, overspend.png, loss.png, time.png and report.html.

    \b
    robatch bench realized --quick
    robatch bench realized --sizes 20,100 --families realistic,measured --solvers greedy,highs --time-limit 10
    """
    from robatch.bench.realized.benchmark import realized_benchmark
    from robatch.bench.realized.presets import default_realized_preset, quick_realized_preset
    from robatch.bench.realized.tables import RealizedTerminal

    preset = quick_realized_preset() if quick else default_realized_preset()
    check_folder(output)
    terminal = RealizedTerminal(stderr=as_json) if not as_json or progress_wanted() else False
    try:
        results = realized_benchmark(
            _instances(preset, instances, families, sizes, seeds),
            preset.fractions if fractions is None else fractions,
            preset.solvers if solvers is None else solvers,
            time_limit=preset.time_limit if time_limit is None else time_limit,
            output=output,
            threads=threads,
            resume=not fresh,
            progress=terminal,
            command=given_command(context, ("output", "fresh", "as_json")),
        )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"Interrupted: the rows so far are kept in {output / 'rows.jsonl'}, the same command continues."
        ) from None
    for sentence in results.contradictions():
        click.echo(f"Some bound is wrong: {sentence}", err=True)
    for sentence in results.left_out():
        click.echo(sentence, err=as_json)
    if as_json:
        print_json(results.to_json())
    else:
        click.echo(f"written to {output}: report.html, realized.md, results.csv, overspend.png, loss.png, time.png")
    failed = sum(row.status == "error" for row in results.rows)
    if failed or results.contradictions():
        raise click.ClickException(f"{failed} of {len(results.rows)} runs failed, or a bound is wrong: see above")


def _instances(
    preset: RealizedPreset,
    files: tuple[str, ...],
    families: tuple[str, ...] | None,
    sizes: tuple[int, ...] | None,
    seeds: tuple[int, ...] | None,
) -> list[Instance]:
    """Return the problems; files stand alone unless families or sizes are given too."""
    from robatch.bench.realized.cells import given_instance, instances_of

    seeds = preset.seeds if seeds is None else seeds
    made = [given_instance(name, seeds[0] if seeds else 0) for name in files]
    if not files or families is not None or sizes is not None:
        families = preset.families if families is None else families
        made += instances_of(families, preset.sizes if sizes is None else sizes, seeds)
    return made
