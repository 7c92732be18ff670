"""What pyproject.toml installs is what the tree holds: setuptools omits an unnamed package silently."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

import pytest

import robatch

ROOT = Path(__file__).parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
FOLDERS = {name: ROOT / folder for name, folder in SETTINGS["package-dir"].items()}


def folder_of(package: str) -> Path:
    """Return where a package lies: its own mapping, or below that of its nearest parent."""
    if package in FOLDERS:
        return FOLDERS[package]
    parent, _, name = package.rpartition(".")
    return folder_of(parent) / name


def packages_in_the_tree() -> set[str]:
    found = set()
    for package, folder in FOLDERS.items():
        for init in folder.rglob("__init__.py"):
            found.add(".".join([package, *init.parent.relative_to(folder).parts]))
    return found


def test_every_package_is_listed() -> None:
    assert set(SETTINGS["packages"]) == packages_in_the_tree()


def test_package_data_exists() -> None:
    for package, patterns in SETTINGS["package-data"].items():
        for pattern in patterns:
            assert list(folder_of(package).glob(pattern)), f"{package}: {pattern} matches no file"


def test_every_data_file_is_named() -> None:
    for package in SETTINGS["packages"]:
        folder = folder_of(package)
        named = {path for pattern in SETTINGS["package-data"].get(package, []) for path in folder.glob(pattern)}
        files = {path for path in folder.iterdir() if path.is_file() and path.suffix not in (".py", ".pyc")}
        assert files <= named, f"{package}: not in package-data: {files - named}"


@pytest.mark.parametrize("package", SETTINGS["packages"])
def test_every_module_is_installed(package: str) -> None:
    where = [Path(path) for path in importlib.import_module(package).__path__]
    for module in folder_of(package).glob("*.py"):
        assert any((path / module.name).is_file() for path in where), f"{package} lacks {module.name}"


def test_types_are_announced() -> None:
    assert any((Path(path) / "py.typed").is_file() for path in robatch.__path__)
