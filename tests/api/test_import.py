"""`import robatch` is light, and every public name is there."""

from __future__ import annotations

import subprocess
import sys

import pytest

import robatch

HEAVY = (
    "highspy", "matplotlib", "networkx", "numba", "openai", "ortools", "pandas", "polars", "pulp", "pyarrow",
    "rich", "scipy", "sklearn", "torch", "transformers", "vllm",
)  # fmt: skip


def modules_after(code: str) -> set[str]:
    code += "\nimport sys; print(' '.join({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import robatch",
        "import robatch.cli",
        "import robatch; robatch.Problem, robatch.Plan, robatch.solve, robatch.solvers.solvers()",
        "import robatch.bench; robatch.bench.gap_benchmark, robatch.bench.quick_preset()",
    ],
)
def test_nothing_heavy_is_imported(code: str) -> None:
    assert modules_after(code).isdisjoint(HEAVY)


@pytest.mark.parametrize("name", sorted(robatch.__all__))
def test_public_names(name: str) -> None:
    assert getattr(robatch, name) is not None
    assert name in dir(robatch)


def test_functions_stay_functions_after_their_modules_are_imported() -> None:
    code = "import robatch.solvers.solve, robatch.solvers.check.verify, robatch; assert callable(robatch.solve); "
    code += "from robatch import solve, verify; assert callable(solve) and callable(verify)"
    modules_after(code)


def test_unknown_names() -> None:
    with pytest.raises(AttributeError, match="No robatch attribute nix"):
        robatch.nix  # noqa: B018


def test_version() -> None:
    assert robatch.__version__
