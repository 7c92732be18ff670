"""Make README.md, SUMMARY.md, summary.html and the figures from the recorded results.

usage: python -m paper_repro.pages

Figures are not typed here: those on the pages are read from `paper_repro/results`, which `python -m paper_repro.run
--all` makes, and a test compares them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment
from markdown_it import MarkdownIt  # comes with rich

from paper_repro.claims import CLAIMS, Results
from paper_repro.common.csv_tables import Table, read_tables
from paper_repro.common.strategies import EXACT, FEW
from paper_repro.experiments.comparison import TIE
from paper_repro.run import NAMES, RESULTS, experiment
from robatch.instances.files import write_text

HERE = Path(__file__).resolve().parent
KINDS = {"measured": "five measured tasks", "semi-synthetic": "three routing tables (semi-synthetic)"}

README = """\
# The paper, rerun

What the RoBatch paper ([arXiv 2605.28268](https://arxiv.org/abs/2605.28268)) claims, as far as it is known to us, beside
what was found here. Its full text was not at hand: claims are from its abstract, or second-hand. `pareto` is its
scheduler **as reconstructed from the abstract**; `greedy` and `exact` are this project's own. For the figures that a
reader wants first, see the [two-page summary](SUMMARY.md). Verdicts follow from the figures by the rules in
[claims.py](claims.py).

| the paper claims | known from | verdict | what was found | made by |
| --- | --- | --- | --- | --- |
{claims}

## Experiments

Each is a configuration and a short script in [experiments](experiments). `python -m paper_repro.run --list` names them,
`python -m paper_repro.run NAME` runs one, `--all` all, `--quick` in small. Rows that were computed are kept beside the
results, so that a run which was ended goes on. Everything is seeded: whoever deletes the results and runs again gets the
same tables, except for times, and for how many of the proofs in `gap` end within their second.

| experiment | question | results | recorded at |
| --- | --- | --- | --- |
{experiments}

`routing_tables` and `worth` need three public tables that are not part of this project (environment variable
`ROBATCH_DATA`); without them they are not run, and say so. The pages below say how the rest was recorded.

| page | what it shows |
| --- | --- |
| [PROFILE_TASKS.md](PROFILE_TASKS.md), [PROFILE.md](PROFILE.md) | the recorded vLLM profiles |
| [PROXY.md](PROXY.md) | what a proxy learns from them |
| [FORMS.md](FORMS.md) | structured against free answers |
| [BILL.md](BILL.md) | executed plans, billed against planned |
| [ONLINE.md](ONLINE.md) | queries that arrive one by one |
| [SCALE.md](SCALE.md), [REALIZED.md](REALIZED.md), [PACKING.md](PACKING.md) | the solvers: scale, realized cost, packing |
| [CONFIGURATION.md](CONFIGURATION.md) | configurations of profiles, pools and queries |

## The main comparison

Mean area under the curve of true utility over the logarithm of the budget, queries held out: over all budgets, and over
those that pay for every query alone. Strategies are explained in
[strategies.py](common/strategies.py), with the sources of the peers in the solvers' docstrings.

{comparison}

At equal cost no plan may be worth more than the exact one **on predicted utility**; every run checks it. On the truth:

{wins}

"better" and "worse" count pairs of dataset and budget where the 95 % interval of the difference is on one side of 0.

What to bear in mind:

- Budgets hold for amortized cost. {billed} The strategy `greedy, as billed` keeps the budget in fact.
- Half of the budgets or so do not pay for every query alone: strategies without batching then leave queries without an
  answer, worth 0. The second figure in each cell of the first table is for the other budgets.
- The `cascade` sees an answer's tokens, whether it could be read, what it says and whether the cheapest model says the
  same; on routing tables its tokens alone, and on `llmrouter` nothing. It learns its costs from training queries.
- `window-ilp` and `online-duals` work on windows of 32 queries and observe a quarter where fewer than {few:,} are held out.
- Intervals are bootstraps over queries and splits of what was planned; proxies are not fitted anew, so they are too
  narrow by what another training half would change. They are not corrected for their number.
- Routing tables are semi-synthetic: every strategy knows the published curve by which it is scored. Features of the
  measured tasks are a reduction that saw the texts, never an answer, of queries held out.

The metrics of the field, mean over the datasets of a kind (AIQ: area under the non-decreasing convex hull, RouterBench;
APGR: performance gap recovered, RouteLLM, here over cost; cost at 95 % and 99 % of the best model's quality, in parts of
that model's cost, and in how many datasets it is reached; peak):

{field}
"""

SUMMARY = """\
# Route with Batching: what we found

A summary of [this folder](README.md), made of its recorded results by `python -m paper_repro.pages`.

**Limits first.** Utilities were measured with four small models (135 million to 1.5 billion parameters) on five tasks
of 240 queries through vLLM on a CPU; no model and no task of the paper. Routing tables are public answers of up to 43
models, whose loss with batch size is taken from publications: semi-synthetic. The paper's scheduler is a
reconstruction from its abstract. Prices of the small models are assigned.

## Batches

{stability} {share}

![Utility by batch size](results/motivation/utility.png)

## Routing, batching, and both

{parts}

![True utility of queries held out, by budget](results/comparison/curves.png)

{comparison}

{peers}

## Is the greedy scheduler enough?

{optimum}

![Gap to the optimum by family and number of queries](results/gap/by_family_and_queries.png)

With predictions that are off: {noise}

## A better solver or a better proxy?

{proxy}

{worth}

## What scheduling costs

{scheduling}

## The parts

{ablations}
"""

PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; font-size: 14px; display: block; overflow-x: auto; }
th, td { border-bottom: 1px solid #ccc; padding: 0.2rem 0.6rem; text-align: right; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; }
code { background: #f3f3f3; padding: 0 0.2em; }
</style>
</head>
<body>
{{ body }}
</body>
</html>
"""


def main() -> None:
    """Write the pages, and draw the figures of the experiments."""
    results = recorded()
    for name, tables in results.items():
        experiment(name)[0].draw(tables, RESULTS / name)
    summary = summary_page(results)
    write_text(HERE / "README.md", readme_page(results))
    write_text(HERE / "SUMMARY.md", summary)
    write_text(HERE / "summary.html", html(summary))


def about(name: str) -> dict[str, Any]:
    """Return what made the recorded results of an experiment."""
    found: dict[str, Any] = json.loads((RESULTS / name / "run.json").read_text(encoding="utf-8"))
    return found


def recorded(folder: Path = RESULTS) -> Results:
    """Return the recorded tables of every experiment that has any."""
    return {name: read_tables(folder / name) for name in NAMES if (folder / name / "run.json").is_file()}


def readme_page(results: Results) -> str:
    """Return README.md."""
    claims = [
        f"| {claim.text} | {claim.source} | {verdict} | {found} | {claim.command} |"
        for claim in CLAIMS
        for verdict, found in (claim.found(results),)
    ]
    rows = []
    for name in NAMES:
        made = about(name)
        where = f"[results/{name}](results/{name})"
        rows.append(f"| `{name}` | {experiment(name)[2]} | {where} | {made['commit']}, {made['date']} |")
    return README.format(
        claims="\n".join(claims), experiments="\n".join(rows), comparison=_comparison(results), wins=_wins(results),
        billed=_billed(results), few=FEW, field=_field(results),
    )  # fmt: skip


def summary_page(results: Results) -> str:
    """Return SUMMARY.md."""
    found = {claim.found.__name__: claim.found(results)[1] for claim in CLAIMS}
    return SUMMARY.format(
        **found,
        comparison=_comparison(results, short=True),
        noise=_noise(results["noise"]["losses"]),
        worth=_worth(results["worth"]["by_budget"]),
        ablations=_ablations(results["ablations"]),
    )


def html(markdown: str) -> str:
    """Render Markdown as one HTML page."""
    body = MarkdownIt("commonmark").enable("table").render(markdown)
    title = markdown.splitlines()[0].lstrip("# ")
    return Environment(autoescape=False).from_string(PAGE).render(title=title, body=body) + "\n"


def _grid(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _areas(results: Results) -> Table:
    found = list(results["comparison"]["areas"])
    return found + list(results.get("routing_tables", {}).get("areas", []))


SHORT = ("exact", "greedy", "pareto", "tradeoff", "router-only", "cascade, no batching", "batch-only", "state means",
         "single model", "random", "oracle")  # fmt: skip


def _comparison(results: Results, short: bool = False) -> str:
    areas = _areas(results)
    datasets = list(dict.fromkeys(row["dataset"] for row in areas))
    rows = []
    for strategy in dict.fromkeys(row["strategy"] for row in areas):
        if short and strategy not in SHORT:
            continue
        here = {row["dataset"]: row for row in areas if row["strategy"] == strategy}
        cells = [_area(here.get(name), short) for name in datasets]
        rows.append([strategy, *cells])
    return _grid(["strategy", *[name.replace("_", " ") for name in datasets]], rows)


def _area(row: dict[str, Any] | None, short: bool) -> str:
    if row is None:  # not run there
        return ""
    return f"{row['area']:.3f}" + ("" if short else f", {row['upper_area']:.3f}")


def _wins(results: Results) -> str:
    rows = []
    for row in [*results["comparison"]["wins"], *results.get("routing_tables", {}).get("wins", [])]:
        rows.append(
            [row["strategy"], KINDS[row["kind"]], f"{row['exact_better']:.0f}", f"{row['exact_worse']:.0f}",
             f"{row['budgets']:.0f}", f"{row['mean_ahead']:+.4f}", f"{row['worst_ahead']:+.4f}",
             f"{row['best_ahead']:+.4f}"]
        )  # fmt: skip
    head = ["exact plans against", "on", "better", "worse", "of", "ahead, mean", "least", "most"]
    return _grid(head, rows)


def _billed(results: Results) -> str:
    """Say how much more than the budget plans of batches bill."""
    curves = [row for row in results["comparison"]["curves"] if row["strategy"] == EXACT]
    over = [row["billed"] for row in curves if row["billed"] > 1 + TIE]
    return (
        f"As billed, exact plans for the measured tasks exceed it at {len(over)} of {len(curves)} budgets, by "
        f"{100 * (np.mean(over) - 1):.0f} % on average there and {100 * (max(over) - 1):.0f} % at most."
    )


def _field(results: Results) -> str:
    areas = _areas(results)
    head = ["strategy", "on", "AIQ", "APGR", "cost at 95 %", "cost at 99 %", "peak"]
    rows = []
    for strategy in dict.fromkeys(row["strategy"] for row in areas):
        for kind, words in KINDS.items():
            here = [row for row in areas if (row["strategy"], row["kind"]) == (strategy, kind)]
            if here:
                cells = [_part(here, key) for key in ("aiq", "apgr", "cost_at_95", "cost_at_99", "peak")]
                rows.append([strategy, words, *cells])
    return _grid(head, rows)


def _part(rows: Table, key: str) -> str:
    known = [row[key] for row in rows if row[key] is not None]
    return (f"{np.mean(known):.3f}" if known else "") + ("" if len(known) == len(rows) else f" ({len(known)})")


def _noise(losses: Table) -> str:
    parts = []
    for error in sorted({row["error"] for row in losses}):
        here = [row for row in losses if row["error"] == error]
        loss, behind = (
            float(np.mean([row[key] for row in here if row["solver"] == solver]))
            for solver, key in (("exact", "mean_loss"), ("pareto", "behind_exact"))
        )
        parts.append(f"{error:g}: {100 * loss:.1f} % and {100 * behind:+.1f} %")
    return (
        "on generated problems whose utilities the planner sees with a normal error of the given standard deviation, exact "
        "plans lose against the true optimum, and `pareto` loses more than they do, by " + "; ".join(parts) + "."
    )


def _worth(rows: Table) -> str:
    kinds = [kind for kind in KINDS if any(row["kind"] == kind for row in rows)]
    budgets = sorted({int(row["budget"]) for row in rows})
    lines = []
    for kind in kinds:
        for step in dict.fromkeys(row["step"] for row in rows):
            here = {int(row["budget"]): row["mean_worth"] for row in rows if (row["kind"], row["step"]) == (kind, step)}
            lines.append([f"{step}, {KINDS[kind]}", *[f"{here[b]:+.3f}" if b in here else "" for b in budgets]])
    return "True utility gained per query by each step, at budgets from the least to the most:\n\n" + _grid(
        ["step", *[str(b + 1) for b in budgets]], lines
    )


def _ablations(tables: Any) -> str:
    areas, bills = tables["areas"], tables["bills"]
    tasks = list(dict.fromkeys(row["dataset"] for row in areas))
    rows = [
        [
            part,
            *[f"{next(r['area'] for r in areas if (r['dataset'], r['part']) == (task, part)):.3f}" for task in tasks],
        ]
        for part in dict.fromkeys(row["part"] for row in areas)
    ]
    over, count = sum(row["overspent"] for row in bills), sum(row["splits"] for row in bills)
    most = max(row["amortized_billed"] for row in bills)
    less = float(np.mean([row["given_up"] for row in bills if row["given_up"] is not None]))
    return (
        "Area under the curve without one part at a time:\n\n"
        + _grid(["", *[task.replace("_", " ") for task in tasks]], rows)
        + f"\n\nPlans that keep the budget on paper broke it, as billed, in {over:.0f} of {count:.0f} cases, by up to "
        f"{100 * (most - 1):.0f} % on average at a budget. Plans that keep it in fact are worth {less:.4f} less per query."
    )


if __name__ == "__main__":
    main()
