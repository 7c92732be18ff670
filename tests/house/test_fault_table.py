"""The page of faults names tests that exist."""

from __future__ import annotations

import re

import pytest

from tests.house.structure import ROOT

NAMED = re.findall(r"`(test_\w+)::(test_\w+)`", (ROOT / "docs" / "faults.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("file", "function"), NAMED)
def test_a_test_of_the_fault_table_exists(file: str, function: str) -> None:
    text = (ROOT / "tests" / "proxies" / f"{file}.py").read_text(encoding="utf-8")
    assert f"\ndef {function}(" in text


def test_every_row_of_the_fault_table_names_a_test() -> None:
    rows = [line for line in (ROOT / "docs" / "faults.md").read_text(encoding="utf-8").splitlines() if line[:2] == "| "]
    assert len([row for row in rows if not row.startswith("| fault |")]) == len(NAMED) > 20
