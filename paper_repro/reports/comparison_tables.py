"""The tables and sentences of README.md and SUMMARY.md on the main comparison."""

from __future__ import annotations

import numpy as np

from paper_repro.common import markdown
from paper_repro.common.csv_tables import Row, Table, distinct, groups, where
from paper_repro.common.strategies import ALONE, BASELINES, EXACT, LONE_PEERS, PEERS, ROBATCH
from paper_repro.experiments.comparison import TIE
from paper_repro.reports.claims import CLOSE, COMPARISONS, Results, grouped

MEASURED = "measured"
KINDS = {MEASURED: "five measured tasks", "semi-synthetic": "three routing tables *"}


def _both(results: Results, name: str) -> Table:
    """Return a table of both comparisons."""
    return [*results["comparison"][name], *results["routing_tables"][name]]


def _titles(rows: Table) -> dict[str, str]:
    """Return the datasets of a table with their titles; semi-synthetic ones have a star."""
    return {
        row["dataset"]: row["dataset"].replace("_", " ") + ("" if row["kind"] == MEASURED else " *") for row in rows
    }


SHORT = ("exact", "greedy", "pareto", "tradeoff", "router-only", "cascade, no batching", "batch-only", "state means",
         "single model", "random", "oracle")  # fmt: skip


def comparison(results: Results, short: bool = False) -> str:
    """Give areas by strategy and dataset; the second figure of a cell is for the upper budgets."""
    areas = _both(results, "areas")
    titles = _titles(areas)
    rows = []
    for strategy in distinct(areas, "strategy"):
        if not short or strategy in SHORT:
            here = {row["dataset"]: row for row in where(areas, strategy=strategy)}
            rows.append([strategy, *[_area(here.get(name), short) for name in titles]])
    return markdown.table(["strategy", *titles.values()], rows)


def _area(row: Row | None, short: bool) -> str:
    if row is None:
        return "not run"
    upper = "-" if row["upper_area"] is None else f"{row['upper_area']:.3f}"
    return f"{row['area']:.3f}" + ("" if short else f", {upper}")


def wins(results: Results) -> str:
    """Give how often RoBatch's plans are clearly better and worse than a strategy's, and by how much on average."""
    rows = []
    for label, members in groups(_both(results, "wins"), "kind", "strategy"):
        here = {row["plan"]: row for row in members}
        cells = [f"{here[plan]['better']:.0f}, {here[plan]['worse']:.0f}, {here[plan]['mean_ahead']:+.4f}"
                 if plan in here else "" for plan in ROBATCH]  # fmt: skip
        of = f"{next(iter(here.values()))['budgets']:.0f}"
        lead = here.get(EXACT)
        ends = [f"{lead[key]:+.4f}" if lead else "" for key in ("least_ahead", "most_ahead")]
        rows.append([label["strategy"], KINDS[label["kind"]], of, *cells, *ends])
    plans = [f"`{plan}` better, worse, mean" for plan in ROBATCH]
    return markdown.table(["against", "on", "cases", *plans, f"`{EXACT}` least", "most"], rows)


def by_group(results: Results) -> str:
    """Give how often RoBatch's plans are clearly better and worse than each group of strategies."""
    rows = []
    for name, words in COMPARISONS.items():
        for group, members in (("baselines", BASELINES), ("peers that batch", PEERS),
                               ("peers without batching", LONE_PEERS)):  # fmt: skip
            counts = grouped(results[name], members)
            cases, upper = (counts[EXACT][part].cases for part in (0, 1))
            cells = [
                f"{one.better}, {one.worse}" for part in (0, 1) for one in (counts[plan][part] for plan in ROBATCH)
            ]
            rows.append([f"{group}, {words}", str(cases), *cells[:3], str(upper), *cells[3:]])
    plans = [f"`{plan}`" for plan in ROBATCH]
    return markdown.table(["better, worse than", "cases", *plans, "upper budgets", *plans], rows)


def close(results: Results) -> str:
    """Say which peers are close to exact plans, on average."""
    said = []
    for name, words in COMPARISONS.items():
        wins = [row for row in where(results[name]["wins"], plan=EXACT) if row["strategy"] in PEERS]
        names = [f"`{row['strategy']}`" for row in wins if abs(row["mean_ahead"]) < CLOSE]
        said.append(f"on {words} {', '.join(names) or 'none'}")
    return f"Peers within {CLOSE:g} of `{EXACT}` in utility per query, on average: {'; '.join(said)}."


def losses(results: Results) -> str:
    """Say where exact plans lose clearly, to whom, and what of it is that they answer every query."""
    curves = {(row["dataset"], row["strategy"], row["budget"]): row for row in _both(results, "curves")}
    leads = where(_both(results, "leads"), plan=EXACT)
    lost = [row for row in leads if row["strategy"] != "oracle" and row["high"] < -TIE]
    left = [row for row in lost if curves[row["dataset"], row["strategy"], row["budget"]]["answered"] == 1]
    most = min((row["ahead"] for row in left), default=0.0)
    return (
        f"Apart from `oracle`, `{EXACT}` is clearly worse in {len(lost)} cases of strategy, dataset and budget. In "
        f"{len(lost) - len(left)} of them the other plan leaves queries without an answer where that is worth more, while "
        f"`{EXACT}` answers all at every budget; in the other {len(left)} it is behind by up to {-most:.3f}."
    )


def greedy(results: Results) -> str:
    """Say how far greedy is from the optimum by predicted utility, as it proves none."""
    known = {(row["dataset"], row["strategy"]) for row in _both(results, "curves") if row["predicted"] is not None}
    leads = [row for row in where(_both(results, "area_leads"), plan="greedy")
             if row["strategy"] != EXACT and (row["dataset"], row["strategy"]) in known]  # fmt: skip
    ahead = [row for row in leads if row["behind_predicted"] > TIE]
    if not ahead:
        return "None other than `exact` is ahead of `greedy` either."
    most = max(ahead, key=lambda row: row["behind_predicted"])
    return (
        f"`greedy` is not optimal: at some budget in some split, plans of a strategy other than `exact` that answer all "
        f"queries are ahead of it in {len(ahead)} of {len(leads)} pairs of dataset and strategy, by at most "
        f"{100 * most['behind_predicted']:.2g} % (`{most['strategy']}`)."
    )


def billed(results: Results) -> str:
    """Say how much more than the budget plans of batches bill."""
    curves = where(results["comparison"]["curves"], strategy=EXACT)
    over = [row["billed"] for row in curves if row["billed"] > 1 + TIE]
    return (
        f"As billed, exact plans for the measured tasks exceed it at {len(over)} of {len(curves)} budgets (mean of the "
        f"splits), by {100 * (np.mean(over) - 1):.0f} % on average there and {100 * (max(over) - 1):.0f} % at most."
    )


def short(results: Results) -> str:
    """Say at how many budgets queries cannot be answered one by one."""
    curves = where(_both(results, "curves"), strategy=ALONE)
    said = []
    for kind, words in KINDS.items():
        here = where(curves, kind=kind)
        counts = [sum(row["answered"] < 1 for row in where(here, dataset=name)) for name in distinct(here, "dataset")]
        span = " to ".join(str(count) for count in dict.fromkeys((min(counts), max(counts))))
        said.append(f"{span} of the {len(distinct(here, 'budget'))} budgets of each of the {words}")
    return " and ".join(said)


def apgr(results: Results) -> str:
    """Say in how many splits the best model is dearer than the cheapest."""
    figures = where(_both(results, "field"), strategy=EXACT)
    said = []
    for kind, words in KINDS.items():
        here = where(figures, kind=kind)
        said.append(f"{sum(row['apgr'] is not None for row in here)} of {len(here)} on the {words}")
    return ", ".join(said)


def field(results: Results) -> str:
    """Give the metrics of the field by strategy and kind of dataset."""
    figures = _both(results, "field")
    head = ["strategy", "on", "AIQ", "APGR", "cost at 95 %", "cost at 99 %", "peak"]
    rows = []
    for strategy in distinct(figures, "strategy"):
        for kind, words in KINDS.items():
            here = where(figures, strategy=strategy, kind=kind)
            if here:
                costs = [_reached([row[key] for row in here]) for key in ("cost_at_95", "cost_at_99")]
                aiq, peak = (f"{np.mean([row[key] for row in here]):.3f}" for key in ("aiq", "peak"))
                gaps = [row["apgr"] for row in here if row["apgr"] is not None]
                rows.append([strategy, words, aiq, f"{np.median(gaps):.3f}", *costs, peak])
    return markdown.table(head, rows)


def _reached(values: list[float | None]) -> str:
    middle = float(np.median([np.inf if value is None else value for value in values]))
    reached = np.mean([value is not None for value in values])
    return ("not reached" if np.isinf(middle) else f"{middle:.3f}") + f" ({100 * reached:.0f} %)"
