"""The benchmark of multiple-choice knapsacks: it proves, measures and prints."""

from __future__ import annotations

import pytest

from robatch.bench.scale.mckp import measure, table


@pytest.mark.parametrize("family", ["mckp-subset-sum", "mckp-zig-zag", "mckp-uncorrelated", "mckp-weakly-correlated"])
def test_a_cell_is_measured_and_proven(family: str) -> None:
    cell = measure(family, 20, 100, seeds=2)
    assert cell.proven == 2
    assert min(cell.search, cell.call) > 0.0
    assert table([cell], 2).splitlines()[-1].startswith(f"| {family.removeprefix('mckp-')} | 20 | 100 |")
    beside = cell._replace(before=12.0, before_proven=1)
    assert table([beside], 2).splitlines()[-1].endswith("| 12 | 1 of 2 |")
