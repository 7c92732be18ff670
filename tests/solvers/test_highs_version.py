"""The version of HiGHS: one that solves mixed programs is installed, and another one is made do the same."""

from __future__ import annotations

import tomllib
from pathlib import Path

import highspy
import numpy as np
import pytest
from packaging.requirements import Requirement

from robatch.instances import generate
from robatch.solvers import solve
from robatch.solvers.mip.formulation import build
from robatch.solvers.mip.highs import LOSES_OPTIMA, run_once
from robatch.solvers.registry import Request

ROOT = Path(__file__).parents[2]


def test_the_version_that_loses_optima_is_not_allowed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (highs,) = (one for one in map(Requirement, project["dependencies"]) if one.name == "highspy")
    (pinned,) = (line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("highspy=="))
    assert LOSES_OPTIMA not in highs.specifier
    assert pinned.partition("==")[2] in highs.specifier
    assert highspy.Highs().version() in highs.specifier


@pytest.mark.parametrize("whole", range(1, 5))
def test_mixed_programs_are_solved_to_their_optimum(whole):
    """A row that continuous and whole columns fill together: enumerated over the whole ones."""
    rng = np.random.default_rng(whole)
    for _ in range(20):
        price, most, need = rng.uniform(1.0, 4.0, whole + 1), rng.integers(2, 5, whole + 1), rng.uniform(3.0, 6.0)
        highs = highspy.Highs()
        highs.setOptionValue("output_flag", False)
        kinds = [highspy.HighsVarType.kContinuous] + [highspy.HighsVarType.kInteger] * whole
        columns = [highs.addVariable(0.0, float(n), type=kind) for n, kind in zip(most, kinds, strict=True)]
        highs.addConstr(sum(columns) >= min(need, most.sum() - 0.5))
        highs.minimize(sum(float(p) * column for p, column in zip(price, columns, strict=True)))
        grid = np.stack(np.meshgrid(*(np.arange(n + 1) for n in most[1:]), indexing="ij"), -1).reshape(-1, whole)
        rest = np.maximum(min(need, most.sum() - 0.5) - grid.sum(axis=1), 0.0)
        least = np.min(np.where(rest <= most[0], grid @ price[1:] + rest * price[0], np.inf))
        assert highs.getInfo().objective_function_value == pytest.approx(least, abs=1e-4)


@pytest.mark.parametrize("version", [LOSES_OPTIMA, "1.13.1", "1.16.0"])
def test_only_mixed_programs_of_that_version_run_without_presolve(version, monkeypatch):
    seen = []

    def run(self):
        seen.append(self.getOptionValue("presolve")[1])
        return was(self)

    was = highspy.Highs.run
    monkeypatch.setattr(highspy.Highs, "run", run)
    monkeypatch.setattr(highspy.Highs, "version", lambda self: version)
    problem = generate("realistic", queries=6, models=2, batch_sizes=(1, 3), seed=1)
    budget = problem.budget_at(0.4)
    optimum = solve(problem, budget, "brute-force", cost="realized").utility
    model, request = build(problem, budget, "realized"), Request(problem, budget, "realized")
    split, whole = run_once(model, request, None, split=True), run_once(model, request, None)
    assert seen == ["off" if version == LOSES_OPTIMA else "choose", "choose"]
    assert split.bound >= whole.bound
    assert whole.bound == pytest.approx(optimum * model.objective_scale, rel=1e-9)


@pytest.mark.parametrize("cost", ["amortized", "realized"])
@pytest.mark.parametrize("family", ["realistic", "uncorrelated", "ties"])
def test_the_installed_version_gives_one_plan_for_any_number_of_threads(family, cost):
    problem = generate(family, queries=24, models=3, batch_sizes=(1, 2, 4), seed=2)
    for solver in ("highs", "exact"):
        plans = [solve(problem, problem.budget_at(0.4), solver, threads=n, cost=cost, time_limit=60) for n in (1, 2, 4)]
        assert {plan.status for plan in plans} == {"optimal"}
        for other in plans[1:]:
            assert np.array_equal(other.assignment, plans[0].assignment)
            assert other.utility == plans[0].utility
