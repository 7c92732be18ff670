"""The pages of the reproduction are made of its recorded results."""

from __future__ import annotations

import pytest

from paper_repro.common.paths import HERE, REPORTS
from paper_repro.experiments.catalogue import NAMES, experiment
from paper_repro.reports import summary_page as pages
from paper_repro.reports.claims import VERDICTS, judged


@pytest.fixture(scope="module")
def results():
    return pages.recorded()


def test_the_pages_equal_the_recorded_results(results):
    assert (HERE / "README.md").read_text(encoding="utf-8") == pages.readme_page(results)
    summary = pages.summary_page(results)
    assert (REPORTS / "SUMMARY.md").read_text(encoding="utf-8") == summary
    assert (REPORTS / "summary.html").read_text(encoding="utf-8") == pages.html(summary)


def test_every_experiment_is_recorded_with_the_commit_that_made_it(results):
    assert set(results) == set(NAMES)
    for name in NAMES:
        commit = pages.about(name)["commit"]
        assert commit, name
        assert not commit.endswith("-dirty"), name
        assert not pages.about(name)["quick"], name


def test_every_claim_says_where_it_is_known_from_and_what_makes_its_figures(results):
    table = (HERE / "README.md").read_text(encoding="utf-8").split("| the paper claims |")[1].split("\n\n")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    assert len(rows) > len(judged(results)), "and those that no rule judges"
    for _claim, source, verdict, found, command in rows:
        assert source in ("abstract", "second-hand")
        assert command.startswith("`")
        assert verdict in VERDICTS
        assert found
    assert {(verdict, found) for _, _, verdict, found, _ in rows} >= set(judged(results).values())


def test_results_are_of_the_settings_in_the_configurations(results):
    for name in results:
        assert pages.about(name)["settings"] == experiment(name).settings, name


def test_the_html_holds_its_figures():
    page = (REPORTS / "summary.html").read_text(encoding="utf-8")
    assert page.count("<img") == page.count('src="data:image/png;base64,') > 2
