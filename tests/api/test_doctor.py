"""``robatch doctor``: known behaviours, their page, and versions that are not to be relied on."""

from __future__ import annotations

import importlib.metadata
import json
import sys
import tomllib

import pytest
from click.testing import CliRunner
from packaging.specifiers import SpecifierSet

from robatch.cli import main
from robatch.doctor import BEHAVIOURS, diagnose
from robatch.doctor.behaviours import rows
from robatch.instances import MissingExtraError, generate
from robatch.solvers import Solver, register, registry, solve
from tests.house.structure import ROOT

GOOD = {"highspy": "1.13.1", "ortools": "9.15.6755", "pulp": "3.3.2"}


def states(monkeypatch: pytest.MonkeyPatch, **versions: str | None) -> dict[str, set[str]]:
    """Return the states of packages, of which some have other versions than those that are installed here."""
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: needed)

    def installed(package: str) -> str | None:
        try:
            return versions[package] if package in versions else importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            return None

    found: dict[str, set[str]] = {}
    for one in diagnose(installed=installed):
        found.setdefault(one.package, set()).add(one.state)
    return found


def test_the_page_is_made_of_the_table() -> None:
    page = (ROOT / "docs" / "behaviours.md").read_text(encoding="utf-8")
    assert [line for line in page.splitlines() if line.startswith("| ")][1:] == rows()


@pytest.mark.parametrize("one", BEHAVIOURS, ids=lambda one: f"{one.package}-{one.shown.rpartition('/')[2]}")
def test_every_behaviour_is_shown_somewhere(one) -> None:
    assert (ROOT / one.shown).is_file()
    assert len(SpecifierSet(one.versions)) > 0
    assert one.what
    assert one.answer


@pytest.mark.parametrize(
    ("versions", "package", "wanted"),
    [({"highspy": "1.14.0"}, "highspy", {"outside", "handled"}),
     ({"highspy": "1.15.1"}, "highspy", {"outside", "wrong", "handled"}),
     ({"highspy": None}, "highspy", {"missing"}), ({"pulp": "4.0"}, "pulp", {"outside"}),
     ({"mip": "2.0.0"}, "mip", {"handled"}),
     ({"numba": "0.1"}, "numba", {"outside"}), ({"pyscipopt": "6.3.0"}, "pyscipopt", {"unused"})],
)  # fmt: skip
def test_versions_are_judged(monkeypatch, versions, package, wanted) -> None:
    assert states(monkeypatch, **versions)[package] == wanted


def test_the_command_ends_by_what_is_found(monkeypatch) -> None:
    from robatch.doctor import diagnosis

    monkeypatch.setattr(diagnosis, "_installed", lambda package: GOOD.get(package, "99"))
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: ["highspy>=1.10,<1.14", "absent; extra == 'x'"])
    fine = CliRunner().invoke(main, ["doctor"])
    assert fine.exit_code == 0, fine.output
    assert "gives each run a thread of its own" in fine.output
    assert "KnapsackSolver" not in fine.output
    assert "KnapsackSolver" in CliRunner().invoke(main, ["doctor", "--all"]).output
    monkeypatch.setattr(diagnosis, "_installed", lambda package: {**GOOD, "highspy": "1.15.1"}.get(package))
    wrong = CliRunner().invoke(main, ["doctor"])
    assert wrong.exit_code == 1
    assert "pip install 'highspy<1.14,>=1.10'" in wrong.output
    assert "Traceback" not in wrong.output
    told = json.loads(CliRunner().invoke(main, ["doctor", "--json"]).stdout)
    assert told["trouble"] == 2


def test_what_is_installed_here_is_in_order() -> None:
    done = CliRunner().invoke(main, ["doctor"])
    assert done.exit_code == 0, done.output


def test_libraries_that_do_not_go_together_are_named(monkeypatch, tmp_path) -> None:
    """As OR-Tools 9.15.6755 fails after python-mip 2.0.0: findings/python-mip-ortools.sh."""
    monkeypatch.setattr(registry, "_solvers", dict(registry._solvers))
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "clashing.py").write_text("raise ImportError('libOsiClp.so.1: undefined symbol: _ZNK18Osi')\n")
    register(Solver("clash", "cannot be loaded", "clashing:run", package="ortools"))
    problem = generate("uncorrelated", queries=3, models=2, batch_sizes=(1,), seed=0)
    with pytest.raises(MissingExtraError, match=r"ortools, of solver 'clash', cannot be loaded beside .* python-mip"):
        solve(problem, problem.dearest_budget, "clash")
    (tmp_path / "clashing.py").write_text("import no_such_module_at_all\n")
    sys.modules.pop("clashing", None)
    with pytest.raises(ModuleNotFoundError):
        solve(problem, problem.dearest_budget, "clash")


@pytest.mark.parametrize(
    ("package", "version", "told"),
    [("highspy", "1.14.0", "loses optima of mixed programs"), ("highspy", "1.15.1", "does not load beside OR-Tools"),
     ("pulp", "4.0", "RoBatch is made for pulp"), ("numba", "0.1", "RoBatch is made for numba"),
     ("mip", "2.0.0", None)],
)  # fmt: skip
def test_version_names_what_is_not_to_be_relied_on(package, version, told, monkeypatch) -> None:
    real = importlib.metadata.version
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: needed)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: version if name == package else real(name))
    shown = CliRunner().invoke(main, ["version"]).stdout
    warnings = json.loads(CliRunner().invoke(main, ["version", "--json"]).stdout)["warnings"]
    mine = [line for line in warnings if line.startswith(f"{package} {version}: ")]
    assert any(told in line for line in mine) if told else not mine
    assert all(f"Warning: {line} " in shown for line in mine)
