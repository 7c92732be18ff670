"""``robatch bench realized``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from robatch.cli.bench_support import RUN_OPTIONS, given, output_options, report, shown, threads_option
from robatch.cli.support import NAMES, NUMBERS, WHOLE_NUMBERS, check_folder, given_command

if TYPE_CHECKING:
    from robatch.bench.realized.cells import Instance
    from robatch.bench.realized.presets import RealizedPreset


@click.command(short_help="Broken budgets, utility lost and times under realized cost.")
@click.option("--quick", is_flag=True, help="20 and 50 queries: within a minute on two cores besides compiling.")
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
@threads_option
@output_options("results-realized")
@click.pass_context
def realized(  # wide: one parameter for each option
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
    problems = _instances(preset, instances, families, sizes, seeds)
    report(
        lambda: realized_benchmark(
            problems,
            given(fractions, preset.fractions),
            given(solvers, preset.solvers),
            time_limit=given(time_limit, preset.time_limit),
            output=output,
            threads=threads,
            resume=not fresh,
            progress=shown(RealizedTerminal, as_json),
            command=given_command(context, RUN_OPTIONS),
        ),
        output,
        as_json,
    )


def _instances(
    preset: RealizedPreset,
    files: tuple[str, ...],
    families: tuple[str, ...] | None,
    sizes: tuple[int, ...] | None,
    seeds: tuple[int, ...] | None,
) -> list[Instance]:
    """Return the problems; files stand alone unless families or sizes are given too."""
    from robatch.bench.realized.cells import given_instance, instances_of

    seeds = given(seeds, preset.seeds)
    made = [given_instance(name, seeds[0] if seeds else 0) for name in files]
    if not files or families is not None or sizes is not None:
        made += instances_of(given(families, preset.families), given(sizes, preset.sizes), seeds)
    return made
