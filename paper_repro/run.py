"""Run experiments: ``python -m paper_repro.run NAME``, ``--all``, ``--list``.

An experiment is a module of `paper_repro.experiments` and a TOML file of the same name. The file has the key ``title``,
the table ``[settings]``, and ``[quick]`` with the settings that a quick run changes. The module has

* ``cells(settings)``: the independent parts of the work, as plain values;
* ``compute(settings, cell)``: the rows of one part, as plain values;
* ``tables(settings, rows)``: the tables made of all rows, by name;
* ``draw(tables, folder)``: the figures;
* ``missing(settings)``, if it needs data that may not be here: what is missing, or None.

Rows are kept in ``rows.jsonl`` as they come, so that a run which was ended continues; tables and figures, drawn from
the tables as written, come when all are there, with ``run.json``, which says what made them.
"""

from __future__ import annotations

import hashlib
import json
import time
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import click
from rich.progress import Progress

import robatch
from paper_repro.common.csv_tables import Table, as_csv, parsed
from paper_repro.common.datasets import DATA, FILES
from robatch.bench.common import machine
from robatch.bench.common.record import Record
from robatch.instances.errors import InputError
from robatch.instances.files import write_text

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
QUICK_RESULTS = Path("results-paper-quick")
NAMES = tuple(sorted(path.stem for path in (HERE / "experiments").glob("*.toml")))


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


class Settings(dict[str, Any]):
    """The settings of an experiment: one that is asked for and not there is named."""

    def __missing__(self, key: str) -> Any:
        raise InputError(f"setting {key!r} is not there: settings are {', '.join(self)}")


def experiment(name: str, quick: bool = False) -> tuple[ModuleType, dict[str, Any], str]:
    """Return an experiment's module, its settings and its title.

    Raises
    ------
    InputError
        If there is none of that name, or its configuration is damaged.
    """
    if name not in NAMES:
        raise InputError(f"experiment is {name!r}: one of {', '.join(NAMES)} is needed")
    path = HERE / "experiments" / f"{name}.toml"
    try:
        config = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path.name} is no TOML: {error}") from None
    for key, kind in (("title", str), ("settings", dict)):
        if not isinstance(config.get(key), kind):
            raise InputError(f"{key} of {path.name} is {config.get(key)!r}: a {kind.__name__} is needed")
    settings = Settings(config["settings"] | (config.get("quick", {}) if quick else {}))
    return import_module(f"paper_repro.experiments.{name}"), settings, config["title"]


def run(
    name: str,
    quick: bool = False,
    folder: Path | None = None,
    fresh: bool = False,
    workers: int = 2,
    commit: str | None = None,
) -> str:
    """Run one experiment and write its tables and figures; return one sentence on what was done.

    Parameters
    ----------
    name
        The experiment.
    quick
        Whether to run its quick settings.
    folder
        Where results go, each experiment into a folder of its own name; by default those recorded in the repository,
        for a quick run ``results-paper-quick``.
    fresh
        Whether to drop rows that are there already.
    workers
        Processes; one where the settings ask for it, as times are measured one after the other.
    commit
        Of the code, by default what git says now.

    Raises
    ------
    InputError
        If there is none of that name, data that it needs are missing, or its settings leave nothing to compute.
    """
    module, settings, _ = experiment(name, quick)
    lacking = missing(name, quick)
    if lacking is not None:
        raise InputError(lacking)
    cells = [Part(cell, []).key for cell in module.cells(settings)]
    if not cells:
        raise InputError(f"the settings of {name} leave nothing to compute: {settings}")
    began = time.perf_counter()
    place = (folder or (QUICK_RESULTS if quick else RESULTS)) / name
    made_by = {"experiment": name, "settings": settings, "sources": _sources(settings)}
    described = machine.describe()
    commit = commit or machine.commit()  # before results in the repository change
    record = Record(place, Part, made_by, described, resume=not fresh)
    resumed = bool(record.rows)
    workers = settings.get("workers", workers)
    failed = None
    try:
        for cell, result in _computed(module, settings, record, workers):
            try:
                record.append(Part(cell, result()))
            except Exception as error:  # what other cells give is kept before it ends the run
                failed = failed or error
        if failed is not None:
            raise failed
        rows = [row for key in cells for row in record.rows[key].rows]
    finally:
        record.close()
    tables = module.tables(settings, rows)
    (place / "run.json").unlink(missing_ok=True)  # what made the files that follow is not said before all are there
    for stem, table in tables.items():
        write_text(place / f"{stem}.csv", as_csv(table))
    module.draw({stem: parsed(as_csv(table)) for stem, table in tables.items()}, place)
    about = {
        "experiment": name,
        "quick": quick,
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit,
        "robatch": robatch.__version__,
        "settings": settings,
        "machine": described,
        "workers": workers,
        "seconds": None if resumed else round(time.perf_counter() - began),
    }
    write_text(place / "run.json", json.dumps(about, indent=1) + "\n")
    return f"{name}: {len(cells)} cells, results in {place}"


def missing(name: str, quick: bool = False) -> str | None:
    """Say what an experiment needs that is not here, or None."""
    module, settings, _ = experiment(name, quick)
    said: str | None = module.missing(settings) if hasattr(module, "missing") else None
    return None if said is None else f"{name}: not run: {said}"


def _computed(
    module: ModuleType, settings: dict[str, Any], record: Record[Part], workers: int
) -> Iterator[tuple[dict[str, Any], Callable[[], Table]]]:
    """Compute the cells that are not recorded yet; yield them as they are done, with what returns or raises."""
    left = [cell for cell in module.cells(settings) if Part(cell, []).key not in record.rows]
    with Progress(*Progress.get_default_columns(), disable=not left) as bar:
        doing = bar.add_task(module.__name__.rpartition(".")[2], total=len(left))
        if workers == 1 or len(left) < 2:
            for cell in left:
                yield cell, partial(module.compute, settings, cell)
                bar.advance(doing)
            return
        pool = ProcessPoolExecutor(workers, get_context("spawn"))
        try:
            later = {pool.submit(module.compute, settings, cell): cell for cell in left}
            for done in as_completed(later):
                yield later[done], done.result
                bar.advance(doing)
        finally:
            pool.shutdown(cancel_futures=True)  # who interrupts does not wait for cells that have not begun


def _sources(settings: dict[str, Any]) -> str:
    """Hash what rows depend on besides the settings: code and data here, the package, their public tables."""
    package = Path(robatch.instances.__file__).parent.parent
    parts = [
        (HERE, pattern) for pattern in ("*.parquet", "tables/*.csv", "common/*.py", "experiments/*.py", "proxy/*.py")
    ]
    parts += [(HERE, "tasks_page.py"), *((package, f"{part}/**/*.py") for part in ("instances", "solvers", "proxies"))]
    parts += [(package, "bench/field_metrics.py"), (package, "bench/oracle.py")]
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
            click.echo(f"{name:<14} {experiment(name)[2]}")
        return
    if every == bool(names):
        raise click.UsageError(f"name experiments ({', '.join(NAMES)}), or give --all")
    try:
        for name in names:
            experiment(name)
        commit = machine.commit()
        for name in NAMES if every else names:
            lacking = missing(name, quick) if every else None
            click.echo(lacking or run(name, quick, output, fresh, workers, commit))
    except InputError as error:
        raise click.UsageError(str(error)) from None


if __name__ == "__main__":
    main()
