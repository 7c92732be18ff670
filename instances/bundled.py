"""Problems that come with the package."""

from __future__ import annotations

from importlib.resources import as_file, files

from robatch.instances.errors import InputError
from robatch.instances.problem import Problem
from robatch.instances.problem_file import read

BUNDLED = {
    "measured": "four small models on one task, utilities measured by real vLLM runs on a CPU",
}


def load(name: str) -> Problem:
    """Return a bundled problem.

    Parameters
    ----------
    name
        ``"measured"``: utilities are 0 or 1, what a real vLLM run of four small models answered right at
        each batch size, so its optimum is a plan of hindsight (paper_repro/reports/PROFILE.md says how it was
        recorded).

    Raises
    ------
    InputError
        If there is no bundled problem of that name.
    """
    if name not in BUNDLED:
        raise InputError(f"bundled problem is {name!r}: known ones are {', '.join(BUNDLED)}")
    with as_file(files("robatch.instances") / "data" / f"{name}.parquet") as path:
        return read(path)
