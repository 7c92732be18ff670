"""The page on cached prompts is made of what was recorded, and a bill is what it says."""

from __future__ import annotations

import numpy as np
import pytest

from paper_repro.common.paths import REPORTS
from paper_repro.experiments import caching
from paper_repro.reports import caching_page
from robatch.instances.model import Model
from robatch.instances.problem import Problem


def test_the_page_is_made_of_its_records():
    assert caching_page.page() == (REPORTS / "CACHING.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("read", "batch_api", "first", "further"), [(1.0, False, 2.0, 2.0), (0.1, True, 1.0, 0.1)])
def test_a_bill_is_of_list_prices_or_of_caches_and_batches(read, batch_api, first, further):
    model = caching.billed(Model("m", 2.0, 4.0, shared_tokens=1_000_000, batch_sizes=(1,)), read, batch_api)
    for queries in (1, 2, 3):
        zero = np.zeros(queries)
        problem = Problem([model], zero, zero, utility=np.ones((queries, 1)))
        bill = problem.realized_cost(np.zeros(queries, dtype=np.int64))
        assert bill == pytest.approx(first + (queries - 1) * further)


def test_shares_add_up_to_what_both_save():
    ways = {way: {"saved": saved} for way, saved in (("routing", 1.5), ("batching", 2.0), ("both", 4.0))}
    routing, batching = caching_page.shares(ways)
    assert routing + batching == pytest.approx(1.0)
    assert batching > routing > 0
    none = {way: {"saved": 1.0} for way in ("routing", "batching", "both")}
    assert caching_page.shares(none) == (0.0, 0.0)
