"""Nothing is compiled while a solver is timed: a kernel that is loaded there now would be compiled there at first."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from robatch.bench.common import compilation
from robatch.bench.common.compilation import uncompiled
from robatch.instances import generate
from robatch.solvers import solve

WATCH = """
import sys
from dataclasses import replace
from robatch import bench
from robatch.bench.common import measure
from robatch.bench.common.compilation import compiling
from robatch.bench.scale import measure as scale_measure, ratios
from robatch.solvers import solve

timed, late = 0, []

def watched(problem, budget, solver, *more, **options):
    global timed
    timed += 1
    with compiling() as seconds:
        plan = solve(problem, budget, solver, *more, **options)
    if seconds:
        late.append((solver, *more, problem.n_queries, str(problem.dtype)))
    return plan

measure.solve = scale_measure.solve = ratios.solve = watched
"""

RUNS = {
    "gap": """
preset = bench.quick_preset()
names = ("measured", "strongly-correlated:100", "adversarial:60")
instances = {name: bench.parse_instance(name)[2] for name in names}
bench.gap_benchmark(instances, (0.3, 0.7), preset.solvers, time_limit=0.3)
bench.gap_benchmark(instances, (0.3,), ("greedy",), ("realized",), time_limit=0.3)
""",
    "scale": """
preset = bench.quick_scale_preset()
bench.scale_benchmark(preset.series, (100, 1000), preset.solvers, time_limit=preset.time_limit, repeats=1)
""",
    "realized": """
preset = bench.quick_realized_preset()
instances = bench.instances_of(("ties", "measured"), (20,), (0,))
bench.realized_benchmark(instances, (0.3, 0.6), preset.solvers[:4], 0.3)
""",
    "ratios": """
ratios._cold = lambda: ()
ratios._memory = lambda *_: bench.Ratio("memory", "s", None)
ratios.MIP = ("highs",)
bench.measure_ratios(10_000, time_limit=1.0)
""",
}


@pytest.mark.parametrize("run", RUNS)
def test_nothing_is_compiled_while_a_solver_is_timed(run: str) -> None:
    code = WATCH + RUNS[run] + "print(timed, late)\nsys.exit(bool(late) or timed < 8)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("compiled", "limit", "runs"),
    [
        ((0.0,), None, 1),
        ((0.5,), None, 1),
        ((30.0, 0.0), None, 2),
        ((30.0, 20.0, 10.0), None, 3),
        ((30.0,), "time", 1),
    ],
    ids=["nothing", "next to nothing", "at first", "always", "in a run that its time limit ended"],
)
def test_a_run_counts_without_compiling(
    monkeypatch: pytest.MonkeyPatch, compiled: Sequence[float], limit: Any, runs: int
) -> None:
    problem = generate("ties", 4)
    plan = replace(solve(problem, problem.budget_at(0.5), "greedy", cost="amortized"), runtime=50.0, limit=limit)
    left, clock = list(compiled), iter(range(0, 1000, 100))

    @contextmanager
    def compiling() -> Iterator[list[float]]:
        yield [left.pop(0)]

    monkeypatch.setattr(compilation, "compiling", compiling)
    monkeypatch.setattr(compilation.time, "perf_counter", lambda: next(clock))
    found, wall = uncompiled(lambda: plan)
    assert left == []
    assert len(compiled) == runs
    assert wall == 100.0 - compiled[-1]
    assert found.runtime == pytest.approx(50.0 * wall / 100.0)
