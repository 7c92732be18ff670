"""The versions that are installed, against what is known of them."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from robatch.doctor.behaviours import BEHAVIOURS, Behaviour

State = Literal["missing", "outside", "wrong", "handled", "unused"]
TROUBLE: tuple[State, ...] = ("missing", "outside", "wrong")


@dataclass(frozen=True, slots=True)
class Finding:
    """What there is to say of a package.

    Attributes
    ----------
    package, version
        Its name, and the version that is installed, None without one.
    state
        ``"missing"``: RoBatch needs it. ``"outside"``: the version is not one that RoBatch is made for. Else the level
        of a behaviour that was seen with this version.
    what
        What happens.
    answer
        What RoBatch does about it, or what to do.
    """

    package: str
    version: str | None
    state: State
    what: str
    answer: str

    @property
    def trouble(self) -> bool:
        """Whether something should be done."""
        return self.state in TROUBLE


def diagnose(
    behaviours: Sequence[Behaviour] = BEHAVIOURS, installed: Callable[[str], str | None] | None = None
) -> list[Finding]:
    """Return what is known of the installed packages: what RoBatch needs and lacks first, then behaviours.

    Parameters
    ----------
    behaviours
        What is known.
    installed
        From a package to its installed version, None without one.
    """
    installed = installed or _installed
    found = [*_requirements(installed)]
    for one in behaviours:
        version = installed(one.package)
        if version is not None and SpecifierSet(one.versions, prereleases=True).contains(version):
            found.append(Finding(one.package, version, one.level, one.what, one.answer))
    order = (*TROUBLE, "handled", "unused")
    return sorted(found, key=lambda finding: order.index(finding.state))


def _requirements(installed: Callable[[str], str | None]) -> list[Finding]:
    """Return what RoBatch needs and is not there, or is there in a version that it is not made for."""
    found = []
    for text in importlib.metadata.requires("robatch") or ():
        wanted = Requirement(text)
        optional = wanted.marker is not None
        version = installed(wanted.name)
        if version is None and not optional:
            found.append(
                Finding(
                    wanted.name, None, "missing", "RoBatch needs it", f"pip install '{wanted.name}{wanted.specifier}'"
                )
            )
        elif version is not None and not wanted.specifier.contains(version, prereleases=True):
            needs = f"RoBatch is made for {wanted.name}{wanted.specifier}"
            fix = f"pip install '{wanted.name}{wanted.specifier}'"
            found.append(Finding(wanted.name, version, "outside", needs, fix))
    return list({(one.package, one.state): one for one in found}.values())


def _installed(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
