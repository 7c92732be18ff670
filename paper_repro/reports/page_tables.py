"""The tables and sentences of README.md and SUMMARY.md, made of the recorded results."""

from __future__ import annotations

from typing import Any

import numpy as np

from paper_repro.claims import CLOSE, COMPARISONS, Results, grouped
from paper_repro.common.csv_tables import Table, markdown
from paper_repro.common.strategies import ALONE, BASELINES, EXACT, LONE_PEERS, PEERS, ROBATCH
from paper_repro.experiments.comparison import TIE

MEASURED = "measured"
KINDS = {MEASURED: "five measured tasks", "semi-synthetic": "three routing tables *"}
WORTH = {"worth": "measured tasks", "worth_tables": "routing tables *"}
STEP_WORDS = {
    "pareto to greedy": "upgrades along hulls",
    "greedy to exact": "the proven optimum",
    "state means to proxy": "single queries told apart",
    "four times the profile": "the proxy fitted to all training queries instead of a quarter",
    "proxy to another measurement": "planned for another run's answers to the same queries",
    "proxy to hindsight": "planned for the very answers that count",
}


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
    for strategy in dict.fromkeys(row["strategy"] for row in areas):
        if short and strategy not in SHORT:
            continue
        here = {row["dataset"]: row for row in areas if row["strategy"] == strategy}
        rows.append([strategy, *[_area(here.get(name), short) for name in titles]])
    return markdown([["strategy", *titles.values()], *rows], 1)


def _area(row: dict[str, Any] | None, short: bool) -> str:
    if row is None:
        return "not run"
    upper = "-" if row["upper_area"] is None else f"{row['upper_area']:.3f}"
    return f"{row['area']:.3f}" + ("" if short else f", {upper}")


def wins(results: Results) -> str:
    """Give how often RoBatch's plans are clearly better and worse than a strategy's, and by how much on average."""
    counted, rows = _both(results, "wins"), []
    for kind, strategy in dict.fromkeys((row["kind"], row["strategy"]) for row in counted):
        here = {row["plan"]: row for row in counted if (row["kind"], row["strategy"]) == (kind, strategy)}
        cells = [f"{here[plan]['better']:.0f}, {here[plan]['worse']:.0f}, {here[plan]['mean_ahead']:+.4f}"
                 if plan in here else "" for plan in ROBATCH]  # fmt: skip
        of = f"{next(iter(here.values()))['budgets']:.0f}"
        lead = here.get(EXACT)
        ends = [f"{lead[key]:+.4f}" if lead else "" for key in ("least_ahead", "most_ahead")]
        rows.append([strategy, KINDS[kind], of, *cells, *ends])
    head = ["against", "on", "cases", *[f"`{plan}` better, worse, mean" for plan in ROBATCH],
            f"`{EXACT}` least", "most"]  # fmt: skip
    return markdown([head, *rows], 1)


def groups(results: Results) -> str:
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
    return markdown([["better, worse than", "cases", *plans, "upper budgets", *plans], *rows], 1)


def close(results: Results) -> str:
    """Say which peers are close to exact plans, on average."""
    said = []
    for name, words in COMPARISONS.items():
        wins = [row for row in results[name]["wins"] if row["plan"] == EXACT and row["strategy"] in PEERS]
        names = [f"`{row['strategy']}`" for row in wins if abs(row["mean_ahead"]) < CLOSE]
        said.append(f"on {words} {', '.join(names) or 'none'}")
    return f"Peers within {CLOSE:g} of `{EXACT}` in utility per query, on average: {'; '.join(said)}."


def losses(results: Results) -> str:
    """Say where exact plans lose clearly, to whom, and what of it is that they answer every query."""
    curves = {(row["dataset"], row["strategy"], row["budget"]): row for row in _both(results, "curves")}
    lost = [row for row in _both(results, "leads")
            if row["plan"] == EXACT and row["strategy"] != "oracle" and row["high"] < -TIE]  # fmt: skip
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
    leads = [row for row in _both(results, "area_leads") if row["plan"] == "greedy" and row["strategy"] != EXACT
             and (row["dataset"], row["strategy"]) in known]  # fmt: skip
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
    curves = [row for row in results["comparison"]["curves"] if row["strategy"] == EXACT]
    over = [row["billed"] for row in curves if row["billed"] > 1 + TIE]
    return (
        f"As billed, exact plans for the measured tasks exceed it at {len(over)} of {len(curves)} budgets (mean of the "
        f"splits), by {100 * (np.mean(over) - 1):.0f} % on average there and {100 * (max(over) - 1):.0f} % at most."
    )


def short(results: Results) -> str:
    """Say at how many budgets queries cannot be answered one by one."""
    curves = [row for row in _both(results, "curves") if row["strategy"] == ALONE]
    said = []
    for kind, words in KINDS.items():
        here = [row for row in curves if row["kind"] == kind]
        counts = [sum(row["answered"] < 1 for row in here if row["dataset"] == name) for name in _titles(here)]
        of = len({row["budget"] for row in here})
        said.append(f"{_span(counts)} of the {of} budgets of each of the {words}")
    return " and ".join(said)


def _span(counts: list[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"


def apgr(results: Results) -> str:
    """Say in how many splits the best model is dearer than the cheapest."""
    figures = [row for row in _both(results, "field") if row["strategy"] == EXACT]
    said = []
    for kind, words in KINDS.items():
        here = [row for row in figures if row["kind"] == kind]
        said.append(f"{sum(row['apgr'] is not None for row in here)} of {len(here)} on the {words}")
    return ", ".join(said)


def field(results: Results) -> str:
    """Give the metrics of the field by strategy and kind of dataset."""
    figures = _both(results, "field")
    head = ["strategy", "on", "AIQ", "APGR", "cost at 95 %", "cost at 99 %", "peak"]
    rows = []
    for strategy in dict.fromkeys(row["strategy"] for row in figures):
        for kind, words in KINDS.items():
            here = [row for row in figures if (row["strategy"], row["kind"]) == (strategy, kind)]
            if here:
                costs = [_reached([row[key] for row in here]) for key in ("cost_at_95", "cost_at_99")]
                aiq, peak = (f"{np.mean([row[key] for row in here]):.3f}" for key in ("aiq", "peak"))
                gaps = [row["apgr"] for row in here if row["apgr"] is not None]
                rows.append([strategy, words, aiq, f"{np.median(gaps):.3f}", *costs, peak])
    return markdown([head, *rows], 1)


def _reached(values: list[float | None]) -> str:
    middle = float(np.median([np.inf if value is None else value for value in values]))
    reached = np.mean([value is not None for value in values])
    return ("not reached" if np.isinf(middle) else f"{middle:.3f}") + f" ({100 * reached:.0f} %)"


def enough(results: Results) -> str:
    """Answer whether greedy scheduling is enough, by what its plans give up on the truth."""
    said = [
        f"on {words} {_step(results, name, 'pareto to greedy'):+.4f} and {_step(results, name, 'greedy to exact'):+.4f}"
        for name, words in WORTH.items()
    ]
    found = "In true utility per query, going from `pareto` to `greedy`, and from `greedy` to `exact`, is worth "
    little = all(_step(results, name, "greedy to exact") < CLOSE for name in WORTH)
    return found + "; ".join(said) + (": there, `greedy` is enough." if little else ".")


def _step(results: Results, name: str, step: str) -> float:
    return float(np.mean([row["worth"] for row in results[name]["overall"] if row["step"] == step]))


def better(results: Results) -> str:
    """Answer which is worth more, by what it is worth on the truth."""
    said = []
    for name, words in WORTH.items():
        solver = _step(results, name, "pareto to greedy") + _step(results, name, "greedy to exact")
        profile = _step(results, name, "four times the profile")
        said.append(
            f"on {words} {solver:+.3f} for the optimum instead of `pareto`, {profile:+.3f} for four times the profile"
        )
    return f"True utility per query: {'; '.join(said)}."


def noise(rows: Table) -> str:
    """Give losses by the error of predictions."""
    solvers = [solver for solver in dict.fromkeys(row["solver"] for row in rows) if solver != EXACT]
    lines = []
    for error in dict.fromkeys(row["error"] for row in rows):
        here = {row["solver"]: row for row in rows if row["error"] == error}
        behind = [
            f"{100 * here[name]['behind_exact']:+.2f} ({100 * here[name]['behind_low']:+.2f} to "
            f"{100 * here[name]['behind_high']:+.2f})"
            for name in solvers
        ]
        lines.append([f"{error:g}", f"{100 * here[EXACT]['mean_loss']:.1f} %", *behind])
    return markdown(
        [["standard deviation", "`exact` loses", *[f"`{name}` more, points" for name in solvers]], *lines], 1
    )


def noise_told(rows: Table) -> str:
    """Say how much is lost where predictions are off a little, and much."""
    errors = list(dict.fromkeys(row["error"] for row in rows))
    said = []
    for error in (errors[len(errors) // 2 - 1], errors[-2]):
        here = {row["solver"]: row for row in rows if row["error"] == error}
        said.append(
            f"with a standard deviation of {error:g} `exact` loses {100 * here[EXACT]['mean_loss']:.1f} % against the true "
            f"optimum, `pareto` {100 * here['pareto']['behind_exact']:.1f} points more, `greedy` "
            f"{100 * here['greedy']['behind_exact']:+.2f} points"
        )
    return "; ".join(said)


def worth(results: Results) -> str:
    """Give what each step is worth: mean, and in how many datasets it is clearly better and worse."""
    lines = []
    overall = {name: results[name]["overall"] for name in WORTH}
    for step in dict.fromkeys(row["step"] for row in overall["worth"]):
        cells = []
        for rows in overall.values():
            here = [row for row in rows if row["step"] == step]
            better, worse = (sum(sign * row[key] > TIE for row in here) for key, sign in (("low", 1), ("high", -1)))
            cells += [
                f"{np.mean([row['worth'] for row in here]):+.4f}, {better}, {worse}" if here else "one measurement only"
            ]
        lines.append([f"{step}: {STEP_WORDS[step]}", *cells])
    counts = [len({row["dataset"] for row in rows}) for rows in overall.values()]
    head = [
        f"{count} {words}: gained per query, better, worse" for count, words in zip(counts, WORTH.values(), strict=True)
    ]
    return markdown([["step", *head], *lines], 1)


def worth_by_budget(results: Results) -> str:
    """Give what each step is worth at each budget."""
    rows = [row for name in WORTH for row in results[name]["by_budget"]]
    budgets = sorted({int(row["budget"]) for row in rows})
    lines = []
    for kind, step in dict.fromkeys((row["kind"], row["step"]) for row in rows):
        here = {int(row["budget"]): row["mean_worth"] for row in rows if (row["kind"], row["step"]) == (kind, step)}
        lines.append([f"{step}, {KINDS[kind]}", *[f"{here[b]:+.3f}" for b in budgets]])
    return markdown([["step", *[str(b + 1) for b in budgets]], *lines], 1)


def ablations(tables: Any) -> str:
    """Give areas with one part changed."""
    areas = tables["areas"]
    tasks = list(dict.fromkeys(row["dataset"] for row in areas))
    rows = []
    for part in dict.fromkeys(row["part"] for row in areas):
        here = {row["dataset"]: row for row in areas if row["part"] == part}
        rows.append([part, *[f"{here[task]['area']:.3f}" + _mark(here[task]) for task in tasks]])
    return markdown([["", *[task.replace("_", " ") for task in tasks]], *rows], 1)


def without(tables: Any) -> str:
    """Say what each part is worth on average, and how bills compare with budgets."""
    areas, bills = tables["areas"], tables["bills"]
    behind = {
        part: float(np.mean([row["behind"] for row in areas if row["part"] == part]))
        for part in dict.fromkeys(row["part"] for row in areas)
    }
    parts = "; ".join(f"{part} {-value:+.3f}" for part, value in list(behind.items())[1:])
    over, silent, count = (sum(row[key] for row in bills) for key in ("overspent", "silent", "splits"))
    most = max(row["most_billed"] for row in bills)
    whole = [row for row in bills if not row["silent"]]
    change = -float(np.average([row["given_up"] for row in whole], weights=[row["splits"] for row in whole]))
    return (
        f"Mean change of the area under the curve over the measured tasks, against RoBatch with `greedy`: {parts}. Of "
        f"{count:.0f} plans of `greedy` that keep the budget on paper, {over:.0f} broke it as billed, by up to "
        f"{100 * (most - 1):.0f} %. To keep it in fact changes the true utility per query by {change:+.4f} on average; at the "
        f"least budgets {silent:.0f} plans then leave queries without an answer, and are not in that mean."
    )


def _mark(row: dict[str, Any]) -> str:
    return " -" if row["behind_low"] > TIE else " +" if row["behind_high"] < -TIE else ""
