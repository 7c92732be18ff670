"""``robatch bench``."""

from __future__ import annotations

import click

from robatch.cli.bench_gap import gap
from robatch.cli.bench_ratios import ratios
from robatch.cli.bench_realized import realized
from robatch.cli.bench_scale import scale


@click.group(short_help="Benchmarks.")
def bench() -> None:
    """Benchmarks of the solvers."""


for command in (gap, scale, ratios, realized):
    bench.add_command(command)
