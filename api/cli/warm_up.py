"""``robatch warm-up``."""

from __future__ import annotations

import sys

import click


@click.command("warm-up", short_help="Compile all kernels ahead.")
@click.option("--jobs", type=click.IntRange(1), help="Processes at a time; as many as there are cores by default.")
@click.option("--quiet", is_flag=True, help="Show no progress bar, as where standard error is no terminal.")
def warm_up(jobs: int | None, quiet: bool) -> None:
    """Compile all kernels into the cache, for images, CI, and fast first calls.

    Without it, small problems run uncompiled at first, and each kernel is compiled when that takes long.
    """
    from robatch.bench.common.warm_up import task_count
    from robatch.bench.common.warm_up import warm_up as run

    hidden = quiet or not sys.stderr.isatty()
    if hidden:
        found = run(jobs)
    else:
        with click.progressbar(length=task_count(), label="Compiling kernels", file=sys.stderr) as bar:
            found = run(jobs, lambda: bar.update(1))
    if found.folder is None:
        click.echo("There is no folder to keep compiled kernels in: set NUMBA_CACHE_DIR to one.", err=True)
        raise click.exceptions.Exit(1)
    click.echo(f"{found.kernels} kernels are compiled, in {found.seconds:.0f} s; they are kept under {found.folder}.")
