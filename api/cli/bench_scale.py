"""``robatch bench scale``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from robatch.cli.bench_support import RUN_OPTIONS, given, output_options, report, shown, time_limit_option
from robatch.cli.support import NAMES, WHOLE_NUMBERS, check_folder, given_command

if TYPE_CHECKING:
    from robatch.bench.scale.cells import Series

OF_SERIES = ("families", "shapes", "forms", "dtypes", "threads")


@click.command(short_help="How time, memory and gap grow with the number of queries.")
@click.option("--quick", is_flag=True, help="Up to 10,000 queries: about a minute on two cores besides compiling.")
@click.option("--full", is_flag=True, help="Up to 10 million queries, 4x6 and 12x8: many hours.")
@click.option("--sizes", type=WHOLE_NUMBERS, help="Numbers of queries, such as 100,1000.")
@click.option("--families", type=NAMES, help="Families, such as realistic,ties.")
@click.option("--shapes", type=NAMES, help="Models x batch sizes, such as 4x6,12x8.")
@click.option("--forms", type=NAMES, help="dense, factored or both.")
@click.option("--dtypes", type=NAMES, help="float64, float32 or both.")
@click.option("--threads", type=WHOLE_NUMBERS, help="Numbers of threads, such as 1,2.")
@click.option("--solvers", type=NAMES, help="Solvers, such as greedy,exact,python-heap.")
@click.option("--fraction", type=float, default=0.3, show_default=True, help="Budget fraction.")
@time_limit_option
@click.option("--repeats", type=int, default=3, show_default=True, help="Least number of timed runs in each cell.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of problems and solvers.")
@click.option(
    "--memory/--no-memory", default=None, help="Measure peak memory at every size, or at none. [default: from 100,000]"
)
@output_options("results-scale")
@click.pass_context
def scale(  # wide: one parameter for each option
    context: click.Context,
    /,
    quick: bool,
    full: bool,
    sizes: tuple[int, ...] | None,
    solvers: tuple[str, ...] | None,
    fraction: float,
    time_limit: float | None,
    repeats: int,
    seed: int,
    memory: bool | None,
    output: Path,
    fresh: bool,
    as_json: bool,
    **of_series: Any,
) -> None:
    """Solve generated problems of growing size with every solver, each until it reaches its time limit.

    Times are multiples of one pass over the utilities, measured in the same process. Any of --families, --shapes,
    --forms, --dtypes and --threads replaces the usual choice by all combinations of what is given.

    Rows are kept as they are made: the same command continues a run that was ended. At its end, the
    folder holds results.csv, time.png, gap.png and scale.md.

    \b
    robatch bench scale --quick
    robatch bench scale --sizes 1000,100000 --families realistic,ties --solvers greedy,exact --threads 1,2
    """
    from robatch.bench.scale.benchmark import MEMORY_FROM, scale_benchmark
    from robatch.bench.scale.presets import default_scale_preset, full_scale_preset, quick_scale_preset
    from robatch.bench.scale.tables import ScaleTerminal

    if quick and full:
        raise click.UsageError("--quick and --full exclude each other.")
    preset = quick_scale_preset() if quick else full_scale_preset() if full else default_scale_preset()
    check_folder(output)
    series = _chosen(of_series) or preset.series
    report(
        lambda: scale_benchmark(
            series,
            given(sizes, preset.sizes),
            given(solvers, preset.solvers),
            fraction,
            time_limit=given(time_limit, preset.time_limit),
            repeats=repeats,
            seed=seed,
            memory_from=MEMORY_FROM if memory is None else 1 if memory else None,
            output=output,
            resume=not fresh,
            progress=shown(ScaleTerminal, as_json),
            command=given_command(context, RUN_OPTIONS),
        ),
        output,
        as_json,
    )


def _chosen(of_series: dict[str, Any]) -> tuple[Series, ...]:
    """Return every combination of what was given; nothing if nothing was."""
    from robatch.bench.scale.cells import series_of

    given = {name: of_series[name] for name in OF_SERIES if of_series[name] is not None}
    return series_of(**given) if given else ()
