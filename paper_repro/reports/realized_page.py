"""Write the page on realized cost, REALIZED.md, from the recorded results of the benchmark.

usage: python -m paper_repro.realized_page [PAGE]     (default: paper_repro/REALIZED.md)

The results are recorded by the commands that the page names, into paper_repro/results.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
RUNS = {
    "`realistic`, 24 states, 20 to 500 queries": "realized-realistic",
    "`realistic`, 24 states, 1,000 queries": "realized-1000",
    "All families, short limits": "realized-all",
}
PLOTS = {"overspend": "Overspend by size", "loss": "Loss by size", "time": "Time by size"}

INTRODUCTION = """\
# What is really billed

This page is made by `python -m paper_repro.realized_page` from what was recorded in [results](results). Every part
names the command that measures it again, and the machine; times are those of one run, side by side.

The amortized cost counts every call as full. What is billed is whole calls: a state's last call pays the whole shared
prompt, however few queries it holds. So a plan that is optimal on paper can exceed its budget in fact. Under realized
cost a plan never does.

## How `greedy` works under realized cost

1. The amortized relaxation, its shares those of calls as full as a group can make them, gives a price and a bound.
   At that price most queries have one state that is clearly best. The others, the core, are what is searched over;
   up to 1,000 queries all are.
2. Given how many calls each state has, and so how many seats, the best assignment at the price is a transportation
   problem whose sinks are the few states: it is kept optimal by shortest augmenting paths over the states.
3. The call counts are searched by simulated annealing: calls are opened, closed and exchanged, each time with queries
   seated anew. A plan that would be better if its bill met the budget is fitted to it by single moves and swaps.
4. Where a group has few queries, single queries, swaps and blocks of queries are annealed, too.
5. Last calls that are not full move to a batch size that is worth more, where that costs nothing or there is room.

The bound is the Lagrangian dual of "each query is answered once": every state then sends the calls that pay best by
itself, and no query can fill two seats. It is lower than the linear relaxation's.

## How `exact` works under realized cost

No better plan holds a pair that loses as much, against one of the two bounds, as the plan is short of it. Those pairs
are fixed. HiGHS first searches the pairs of small loss, which finds the best plan or nearly so, then all that are left,
which proves it. Where many are left, it first finds the call counts alone, with queries that may be split between
states: few are. All mixed-integer backends get the program with its pairs fixed like that; the table compares it, at
the budget fraction 0.1, with others.
"""


def page() -> str:
    """Return the page as Markdown."""
    command = "python -m paper_repro.formulation_table"
    results = HERE / "results"
    parts = [INTRODUCTION, (results / "formulations.md").read_text(encoding="utf-8")]
    parts.append(f"(`{command}`, recorded in [formulations.md](results/formulations.md).)\n")
    for title, name in RUNS.items():
        lines = (results / name / "realized.md").read_text(encoding="utf-8").splitlines()
        shown = [line for line in lines[1:] if not line.startswith("![")]
        parts.append(f"## {title}\n\nAll rows: [{name}/results.csv](results/{name}/results.csv).")
        parts.append("\n".join(f"#{line}" if line.startswith("#") else line for line in shown))
        parts += [f"![{text}](results/{name}/{file}.png)\n" for file, text in PLOTS.items()]
    return "\n".join(parts)


if __name__ == "__main__":
    (Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "REALIZED.md").write_text(page(), encoding="utf-8")
