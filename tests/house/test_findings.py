"""The scripts of findings/: their form, and that the page beside them names each. They are run by hand alone."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.house.structure import ROOT

SCRIPTS = sorted((ROOT / "findings").glob("*.sh"))
README = (ROOT / "findings" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_the_form_of_a_script(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert os.access(path, os.X_OK), "is not executable"
    assert lines[0] == "#!/usr/bin/env bash"
    assert lines[1].startswith("# "), "does not say what it shows"
    frame = ["set -euo pipefail", "folder=$(mktemp -d)", """trap 'rm -rf "$folder"' EXIT""", "python3 -m venv venv"]
    assert [line for line in lines if line in frame] == frame
    installs = [line.partition(" -q ")[2].split() for line in lines if "pip install" in line]
    assert installs, "installs nothing"
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", wanted) for line in installs for wanted in line), "a version is open"
    assert "sys.exit(" in "\n".join(lines), "does not fail where the behaviour changes"
    assert not any("robatch" in line.lower() for line in lines), "is not without the product"


def test_the_page_names_every_script() -> None:
    assert sorted(set(re.findall(r"\]\(([\w-]+\.sh)\)", README))) == [path.name for path in SCRIPTS]
