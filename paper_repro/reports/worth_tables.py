"""The tables and sentences of README.md and SUMMARY.md on what solvers, proxies and single parts are worth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from paper_repro.common import markdown
from paper_repro.common.csv_tables import Row, Table, distinct, groups, where
from paper_repro.common.strategies import EXACT
from paper_repro.experiments.comparison import TIE
from paper_repro.reports.claims import CLOSE, Results
from paper_repro.reports.comparison_tables import KINDS

WORTH = {"worth": "measured tasks", "worth_tables": "routing tables *"}
STEP_WORDS = {
    "pareto to greedy": "upgrades along hulls",
    "greedy to exact": "the proven optimum",
    "state means to proxy": "single queries told apart",
    "four times the profile": "the proxy fitted to all training queries instead of a quarter",
    "proxy to another measurement": "planned for another run's answers to the same queries",
    "proxy to hindsight": "planned for the very answers that count",
}


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
    return float(np.mean([row["worth"] for row in where(results[name]["overall"], step=step)]))


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
    solvers = [solver for solver in distinct(rows, "solver") if solver != EXACT]
    lines = []
    for error in distinct(rows, "error"):
        here = {row["solver"]: row for row in where(rows, error=error)}
        behind = [
            f"{100 * here[name]['behind_exact']:+.2f} ({100 * here[name]['behind_low']:+.2f} to "
            f"{100 * here[name]['behind_high']:+.2f})"
            for name in solvers
        ]
        lines.append([f"{error:g}", f"{100 * here[EXACT]['mean_loss']:.1f} %", *behind])
    head = ["standard deviation", "`exact` loses", *[f"`{name}` more, points" for name in solvers]]
    return markdown.table(head, lines)


def noise_told(rows: Table) -> str:
    """Say how much is lost where predictions are off a little, and much."""
    errors = distinct(rows, "error")
    said = []
    for error in (errors[len(errors) // 2 - 1], errors[-2]):
        here = {row["solver"]: row for row in where(rows, error=error)}
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
    for step in distinct(overall["worth"], "step"):
        cells = []
        for rows in overall.values():
            here = where(rows, step=step)
            better, worse = (sum(sign * row[key] > TIE for row in here) for key, sign in (("low", 1), ("high", -1)))
            cells += [
                f"{np.mean([row['worth'] for row in here]):+.4f}, {better}, {worse}" if here else "one measurement only"
            ]
        lines.append([f"{step}: {STEP_WORDS[step]}", *cells])
    head = [
        f"{len(distinct(rows, 'dataset'))} {words}: gained per query, better, worse"
        for rows, words in zip(overall.values(), WORTH.values(), strict=True)
    ]
    return markdown.table(["step", *head], lines)


def worth_by_budget(results: Results) -> str:
    """Give what each step is worth at each budget."""
    rows = [row for name in WORTH for row in results[name]["by_budget"]]
    budgets = sorted({int(row["budget"]) for row in rows})
    lines = []
    for label, members in groups(rows, "kind", "step"):
        here = {int(row["budget"]): row["mean_worth"] for row in members}
        lines.append([f"{label['step']}, {KINDS[label['kind']]}", *[f"{here[b]:+.3f}" for b in budgets]])
    return markdown.table(["step", *[str(b + 1) for b in budgets]], lines)


def ablations(tables: Mapping[str, Table]) -> str:
    """Give areas with one part changed."""
    areas = tables["areas"]
    tasks = distinct(areas, "dataset")
    rows = []
    for part in distinct(areas, "part"):
        here = {row["dataset"]: row for row in where(areas, part=part)}
        rows.append([part, *[f"{here[task]['area']:.3f}" + _mark(here[task]) for task in tasks]])
    return markdown.table(["", *[task.replace("_", " ") for task in tasks]], rows)


def without(tables: Mapping[str, Table]) -> str:
    """Say what each part is worth on average, and how bills compare with budgets."""
    areas, bills = tables["areas"], tables["bills"]
    behind = {
        part: float(np.mean([row["behind"] for row in where(areas, part=part)])) for part in distinct(areas, "part")
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


def _mark(row: Row) -> str:
    return " -" if row["behind_low"] > TIE else " +" if row["behind_high"] < -TIE else ""
