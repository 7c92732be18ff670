"""Write the page on scaling, SCALE.md, from the recorded results of two benchmarks.

usage: python -m paper_repro.scale_page [PAGE]     (default: paper_repro/SCALE.md)

The results are recorded by the commands that the page names, into paper_repro/results.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
RATIOS = HERE / "results" / "ratios" / "ratios.md"
SCALES = {
    "All solvers, as far as each one's time limit goes": "scale-all",
    "`greedy` and `exact`: dense and factored, float64 and float32, one thread and two": "scale-own",
    "12 models with 8 batch sizes": "scale-wide",
    "Ten million queries, factored": "scale-large",
    "Hard families": "scale-hard",
}

INTRODUCTION = """\
# How the solvers scale

This page is made by `python -m paper_repro.scale_page` from what was recorded in [results](results). Every
figure names the command that measures it again. Times are ratios: solver and unit take turns in one process, on
a machine whose speed drifts.

## How `greedy` and `exact` work

The amortized problem is a multiple-choice knapsack. Its linear relaxation has one dual value, the shadow price:
at that price of money, almost every query has one state that is best for it, whatever the others do.

1. A stratified sample of the queries brackets the price.
2. One pass over the utilities takes every query's best state at both ends of the bracket. It reads them in
   tiles, turned so that queries are vector lanes, in float32; only queries whose best state does not stand out
   by more than float32 can err, or differs at the two ends, are looked at again, in float64.
3. The hull steps of these few queries are sorted by utility per USD, and taken until the budget is spent: the
   greedy plan, the linear bound, the price.
4. `exact` goes on if the plan is not within the gap of the bound. A state that loses more against its query's
   best one than the plan is short of the bound can be in no better plan. What is left, the core, enters two
   lists of partial plans with dominance, least loss first, which meet in the middle.

Where the lists get long, three other ways are tried before they are let grow: steps that are alike collapse to
counts, which bounds all plans; partial plans near the greedy one only, which finds better plans; and if one
query's steps are a large part of the budget, its states are tried in turn. Costs are counted as whole numbers
of a price grain where tokens are whole, so that the edge of the budget is exact. What is proven holds in
float64 with the rounding on the safe side.

## Where proofs get slow, and why

A proof needs the best plan to lie close to the linear bound, and few queries to be undecided.

- Utilities with many different values (`realistic`, measured scores): the more queries, the easier. Steps of
  all sizes are at hand to fill the budget, and the gap of the greedy plan alone falls like one over their
  number.
- `ties`, right or wrong answers at few prices: utilities are whole multiples of a grade, so the bound may be
  lowered to the next one, which proves most plans at once.
- `subset-sum`: every step gains the same per USD. Nothing is fixed by its reduced cost, but a plan that meets
  the budget to the last grain is optimal, and there are many.
- `adversarial`: one query's upgrade is a large part of the budget. Its states are tried in turn.
- `strongly-correlated` with 10,000 queries and more: thousands of steps lose nothing, so no reduced cost fixes
  them, their sums meet the budget only up to a remainder, and lists hold as many partial plans as there are
  different costs. Proofs take seconds, and at some budgets do not come: at 100,000 queries and a budget
  fraction of 0.7 the search ends for want of memory after about a minute, with a gap of 3.6e-8 (`robatch bench
  scale --families strongly-correlated --sizes 100000 --fraction 0.7 --solvers exact`).
- Cores of more than 3 million states are not searched: at a million queries, `subset-sum` and `adversarial` keep
  the greedy plan and its bound, with gaps of 1.0e-9 and 6.7e-7 (limit "memory" in
  [scale-hard/results.csv](results/scale-hard/results.csv)).
- Tens of queries with tight budgets: the bound is far from the best plan, but the core is small.

When a list would hold more than a million partial plans, when the steps that lead to them (the nodes) fill
512 MiB, or at the time limit, the plan so far comes back with its bound, and the status "feasible".
"""

HELD = """\
The targets are this project's own, set before the solvers were written; those for a pass are meant in *max*. The
given table is the routing table of MMLU-Pro, imported as [tables](tables/README.md) shows.
"""


def page() -> str:
    """Return the page as Markdown."""
    parts = [INTRODUCTION, "## What the schedulers are held to\n", HELD]
    parts.append(RATIOS.read_text(encoding="utf-8").split("\n", 2)[2])
    for title, name in SCALES.items():
        folder = HERE / "results" / name
        text = (folder / "scale.md").read_text(encoding="utf-8")
        command = next(line for line in text.splitlines() if "robatch bench scale" in line).strip()
        parts.append(
            f"## {title}\n\n{command}\n\nTables: [{name}/scale.md](results/{name}/scale.md), all rows: "
            f"[{name}/results.csv](results/{name}/results.csv).\n\n"
            f"![Time against the number of queries](results/{name}/time.png)\n\n"
            f"![Gap against the number of queries](results/{name}/gap.png)\n"
        )
    return "\n".join(parts)


if __name__ == "__main__":
    (Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "SCALE.md").write_text(page(), encoding="utf-8")
