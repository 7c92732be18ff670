"""What all tests share: where paper_repro is found, kernels compiled before the tests, and who runs which test."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from robatch.bench.common.warm_up import warm_up
from robatch.instances import FAMILIES

try:
    from xdist.scheduler import LoadScopeScheduling
except ModuleNotFoundError:  # without it all tests run in one process
    LoadScopeScheduling = object

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests and paper_repro are not installed


def pytest_configure(config: pytest.Config) -> None:
    """Compile the kernels once, on all processors, before ``pytest -n`` starts processes that would do so each."""
    workers = config.getoption("numprocesses", None)
    whole = config.args_source == pytest.Config.ArgsSource.TESTPATHS
    if workers and whole and "NUMBA_DISABLE_JIT" not in os.environ and not hasattr(config, "workerinput"):
        try:
            warm_up(workers)
        except RuntimeError as error:
            config.issue_config_time_warning(pytest.PytestWarning(str(error)), stacklevel=2)


class ByFamily(LoadScopeScheduling):
    """Deal tests to processes: those of a family of problems to one, which then knows the optima.

    Others are dealt by function, but by file where what they share is made in half a minute.
    """

    def _split_scope(self, nodeid: str) -> str:
        function, _, parameters = nodeid.partition("[")
        if nodeid.startswith(("tests/bench/", "tests/paper_repro/", "bench/")):
            return nodeid.partition("::")[0]
        return next((family for family in FAMILIES if parameters.startswith(family)), function)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByFamily:
    return ByFamily(config, log)
