"""Kernels where compiled code can be kept, and in every place where it cannot."""

from __future__ import annotations

import importlib.util
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import pytest

ROOT = Path(__file__).parents[2]
FILE = """
from robatch.instances.compilation import njit

@njit(cache=True, nogil=True)
def twice(x):
    return 2 * x
"""
INSTALLED = """
import numpy as np, robatch, robatch.cli
from robatch.proxies.online import kernels
from robatch.solvers.exact import core_kernels
from robatch.solvers.greedy import call_tree_kernels, constrained_kernels, constrained_moves, last_call_kernels
from robatch.solvers.reference import brute_force, frontier_kernels
problem = robatch.generate("realistic", queries=5, seed=0)
print(robatch.__file__, problem.evaluate(problem.cheapest_assignment).utility > 0.0)
"""


def kept(folder):
    """Load the kernel from a file in a folder as a new process does, and call it; return how often kept code served."""
    path = folder / "kernel_file.py"
    if not path.exists():  # what is kept holds for one time of writing
        path.write_text(FILE, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("kernel_file", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.twice(21) == 42
    return sum(module.twice.stats.cache_hits.values())


def closed(folder):
    """Let nobody, root neither, write what belongs beside a folder's files: a file stands where the folder would be."""
    (folder / "__pycache__").write_text("", encoding="utf-8")


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def test_compiled_code_is_kept_where_it_can_be(tmp_path):
    assert [kept(tmp_path) for _ in range(3)] == [0, 1, 1]
    closed_too = tmp_path / "closed"
    closed_too.mkdir()
    closed(closed_too)
    assert [kept(closed_too) for _ in range(2)] == [0, 1]  # in the home


@pytest.mark.parametrize("place", ["no-home", "home-is-a-file", "numba-cache-dir", "full-disk", "closed-later"])
def test_without_a_place_to_write_kernels_are_compiled_again(tmp_path, monkeypatch, place):
    monkeypatch.setenv("HOME", "/dev/null")
    if place == "no-home":
        monkeypatch.delenv("HOME")
        monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/cache")  # else that of the password database
    elif place == "numba-cache-dir":
        monkeypatch.setattr(numba.config, "CACHE_DIR", "/dev/null/kernels")
    if place == "full-disk":
        kept(tmp_path)
        shutil.rmtree(tmp_path / "__pycache__")
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
        try:
            found = [kept(tmp_path), kept(tmp_path)]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    elif place == "closed-later":
        make = numba.core.caching.FunctionCache.save_overload

        def too_late(self, *arguments):
            shutil.rmtree(tmp_path / "__pycache__")
            closed(tmp_path)
            make(self, *arguments)

        monkeypatch.setattr(numba.core.caching.FunctionCache, "save_overload", too_late)
        found = [kept(tmp_path), kept(tmp_path)]
    else:
        closed(tmp_path)
        found = [kept(tmp_path), kept(tmp_path)]
    assert found == [0, 0]


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize("left", [b"", b"\x80\x05", b"no pickle"])
def test_a_kept_file_that_was_cut_off_is_made_again(tmp_path, ending, left):
    kept(tmp_path)
    (path,) = (tmp_path / "__pycache__").glob(f"*.{ending}")
    path.write_bytes(left)
    assert [kept(tmp_path) for _ in range(2)] == [0, 1]


def test_a_read_only_installation_without_a_home_works(tmp_path):
    package = tmp_path / "robatch"
    shutil.copytree(ROOT / "api", package, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("instances", "solvers", "proxies", "bench"):
        shutil.copytree(ROOT / folder, package / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in [package, *(path for path in package.rglob("*") if path.is_dir())]:
        closed(folder)
    environment = {name: text for name, text in os.environ.items() if name not in ("HOME", "NUMBA_CACHE_DIR")}
    environment |= {"PYTHONPATH": str(tmp_path), "XDG_CACHE_HOME": "/dev/null/cache"}
    command = [sys.executable, "-c", INSTALLED]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == [str(package / "__init__.py"), "True"], done.stderr
