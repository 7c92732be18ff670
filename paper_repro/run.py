"""Run experiments: ``python -m paper_repro.run NAME``, ``--all``, ``--list``.

`paper_repro.experiments.catalogue` says what an experiment is. Rows are kept in ``rows.jsonl`` as they come, so that a
run which was ended continues; tables and figures, drawn from the tables as written, come when all are there, with
``run.json``, which says what made them.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any, ClassVar

import click
from rich.progress import Progress

import robatch
from paper_repro.common.csv_tables import Table, as_csv, parsed
from paper_repro.common.datasets import DATA, FILES
from paper_repro.common.paths import HERE, RESULTS
from paper_repro.experiments.catalogue import NAMES, Experiment, experiment
from robatch.bench.common import machine
from robatch.bench.common.record import Record
from robatch.instances.errors import InputError
from robatch.instances.files import write_text

QUICK_RESULTS = Path("results-paper-quick")


@dataclass(frozen=True)
class Part:
    """The rows of one cell."""

    BENCHMARK: ClassVar[str] = "paper_repro"
    MEASURED: ClassVar[tuple[str, ...]] = ("cell", "rows")

    cell: dict[str, Any]
    rows: Table

    @property
    def key(self) -> tuple[Any, ...]:
        """The cell, as text."""
        return (json.dumps(self.cell, sort_keys=True),)


def run_experiment(
    name: str,
    quick: bool = False,
    folder: Path | None = None,
    fresh: bool = False,
    workers: int = 2,
    commit: str | None = None,
) -> str:
    """Run one experiment and write its tables and figures; return one sentence on what was done.

    Results go into a folder of the experiment's name in `folder`, by default the recorded results, or those of quick
    runs. One process works where the settings ask for it, as times are measured one after the other. `commit` is that
    of the code, by default what git says now.

    Raises
    ------
    InputError
        If there is none of that name, data that it needs are missing, or its settings leave nothing to compute.
    """
    made = experiment(name, quick)
    if made.missing is not None:
        raise InputError(made.missing)
    cells = [Part(cell, []).key for cell in made.module.cells(made.settings)]
    if not cells:
        raise InputError(f"the settings of {name} leave nothing to compute: {made.settings}")
    began = time.perf_counter()
    place = (folder or (QUICK_RESULTS if quick else RESULTS)) / name
    described = machine.describe()
    commit = commit or machine.commit()  # before results in the repository change
    made_by = {"experiment": name, "settings": made.settings, "sources": _sources(made.settings)}
    record = Record(place, Part, made_by, described, resume=not fresh)
    resumed = bool(record.rows)
    failed = None
    try:
        for cell, result in _results(made, record, made.settings.get("workers", workers)):
            try:
                record.append(Part(cell, result()))
            except Exception as error:  # what other cells give is kept before it ends the run
                failed = failed or error
        if failed is not None:
            raise failed
        rows = [row for key in cells for row in record.rows[key].rows]
    finally:
        record.close()
    (place / "run.json").unlink(missing_ok=True)  # what made the files that follow is not said before all are there
    _write(made, rows, place)
    about = {
        "experiment": name,
        "quick": quick,
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit,
        "robatch": robatch.__version__,
        "settings": made.settings,
        "machine": described,
        "workers": made.settings.get("workers", workers),
        "seconds": None if resumed else round(time.perf_counter() - began),
    }
    write_text(place / "run.json", json.dumps(about, indent=1) + "\n")
    return f"{name}: {len(cells)} cells, results in {place}"


def _results(
    made: Experiment, record: Record[Part], workers: int
) -> Iterator[tuple[dict[str, Any], Callable[[], Table]]]:
    """Compute the cells that are not recorded yet; yield them as they are done, with what returns or raises."""
    compute, settings = made.module.compute, made.settings
    left = [cell for cell in made.module.cells(settings) if Part(cell, []).key not in record.rows]
    with Progress(*Progress.get_default_columns(), disable=not left) as bar:
        doing = bar.add_task(made.name, total=len(left))
        if workers == 1 or len(left) < 2:
            for cell in left:
                yield cell, partial(compute, settings, cell)
                bar.advance(doing)
            return
        pool = ProcessPoolExecutor(workers, get_context("spawn"))
        try:
            later = {pool.submit(compute, settings, cell): cell for cell in left}
            for done in as_completed(later):
                yield later[done], done.result
                bar.advance(doing)
        finally:
            pool.shutdown(cancel_futures=True)  # who interrupts does not wait for cells that have not begun


def _write(made: Experiment, rows: Table, place: Path) -> None:
    """Write the tables, and draw the figures from the tables as written."""
    texts = {stem: as_csv(table) for stem, table in made.module.tables(made.settings, rows).items()}
    for stem, text in texts.items():
        write_text(place / f"{stem}.csv", text)
    made.module.draw({stem: parsed(text) for stem, text in texts.items()}, place)


def _sources(settings: dict[str, Any]) -> str:
    """Hash what rows depend on besides the settings: code and data here, the package, their public tables."""
    package = Path(robatch.instances.__file__).parent.parent
    parts = [(HERE, pattern) for pattern in ("results/*.parquet", "tables/*.csv", "common/*.py", "experiments/*.py")]
    parts += [(package, f"{room}/**/*.py") for room in ("instances", "solvers", "proxies")]
    parts += [(package, f"bench/common/{module}.py") for module in ("field_metrics", "heap_baseline")]
    parts += [(DATA, file) for name in settings.get("datasets", ()) for file in FILES.get(name, ())]
    digest = hashlib.sha256()
    for root, pattern in parts:
        for path in sorted(root.glob(pattern)):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    for name in ("scikit-learn", "scipy"):
        digest.update(version(name).encode())
    return digest.hexdigest()


@click.command()
@click.argument("names", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Run every experiment.")
@click.option("--list", "listed", is_flag=True, help="List the experiments.")
@click.option("--quick", is_flag=True, help="Small sizes: whether everything works, not what is found.")
@click.option("--fresh", is_flag=True, help="Drop the rows of an earlier run.")
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="Folder of the results.")
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Processes.")
def main(
    names: tuple[str, ...], every: bool, listed: bool, quick: bool, fresh: bool, output: Path | None, workers: int
) -> None:
    """Run the experiments NAMES: tables (CSV) and figures (PNG) in a folder each."""
    if listed:
        for name in NAMES:
            click.echo(f"{name:<14} {experiment(name).title}")
        return
    if every == bool(names):
        raise click.UsageError(f"name experiments ({', '.join(NAMES)}), or give --all")
    try:
        for name in names:
            experiment(name)
        commit = machine.commit()
        for name in NAMES if every else names:
            lacking = experiment(name, quick).missing if every else None
            click.echo(lacking or run_experiment(name, quick, output, fresh, workers, commit))
    except InputError as error:
        raise click.UsageError(str(error)) from None


if __name__ == "__main__":
    main()
