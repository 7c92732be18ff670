"""Write pages and their figures from what is recorded: ``python -m paper_repro.pages``, all or those that are named.

What was found is not typed: it is read from ``paper_repro/results``, and tests compare the pages with it.
"""

from __future__ import annotations

from importlib import import_module

import click

from robatch.instances.errors import InputError

NAMES = ("summary", "bill", "caching", "forms", "online", "profile", "profile_tasks", "proxy", "realized", "scale")
"""``NAME_page`` in `paper_repro.reports` has a function ``write``."""


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(NAMES))
def main(names: tuple[str, ...]) -> None:
    """Write the pages NAMES, or all. ``summary`` is README.md, SUMMARY.md and summary.html."""
    try:
        for name in names or NAMES:
            import_module(f"paper_repro.reports.{name}_page").write()
    except InputError as error:
        raise click.UsageError(str(error)) from None


if __name__ == "__main__":
    main()
