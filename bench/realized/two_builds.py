"""Two builds beside each other under realized cost: time, loss against the best known plan, and gap to the own bound.

``python -m robatch.bench.realized.two_builds "COMMAND"`` takes a command that starts the Python of another build, in an
environment where that is installed. Each problem is solved by one build right after the other, on one thread, and CPU
time is told, so that what else the machine does counts little. The loss is against the proven optimum where either
build, or `exact` within ``--prove`` seconds, proved it; else against the best plan that is known.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from robatch.bench.common import machine
from robatch.bench.realized import two_builds_worker
from robatch.instances.files import write_text
from robatch.solvers import solve

FAMILIES = ("realistic", "ties", "uncorrelated", "strongly-correlated", "adversarial")
SIZES = (20, 100, 200, 1000, 10000)
FRACTIONS = (0.1, 0.3, 0.6)


class Build:
    """A process of a build that plans."""

    def __init__(self, command: Sequence[str], solver: str) -> None:
        self.process = subprocess.Popen(
            [*command, "-P", two_builds_worker.__file__, solver],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.commit: str = self.answer()  # when all is compiled

    def ask(self, task: dict[str, Any]) -> Any:
        """Return what it found at each budget."""
        assert self.process.stdin is not None
        print(json.dumps(task), file=self.process.stdin, flush=True)
        return self.answer()

    def answer(self) -> Any:
        """Return what it says next."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{shlex.join(map(str, self.process.args))} ended")  # type: ignore[arg-type]
        return json.loads(line)


class Row(NamedTuple):
    """What the builds found in one cell: loss of each against the best known plan, own gap, seconds."""

    losses: tuple[float, float]
    gaps: tuple[float, float]
    seconds: tuple[float, float]
    proven: bool
    missing: tuple[bool, bool]


def row_of(answers: Sequence[Sequence[Any]], proof: Sequence[Any] | None) -> Row:
    """Compare two answers, each a utility, bound, status and seconds, and that of `exact`, or None."""
    known = [*answers, proof] if proof is not None else list(answers)
    best = max((one[0] for one in known if one[0] is not None), default=0.0)
    proven = any(one[2] == "optimal" for one in known)
    losses, gaps = [], []
    for utility, bound, _, _ in answers:
        losses.append(1.0 if utility is None and best > 0.0 else 0.0 if best == 0.0 else max(1.0 - utility / best, 0.0))
        gaps.append(1.0 if utility is None or bound is None else 0.0 if bound == 0.0 else 1.0 - utility / bound)
    return Row(
        (losses[0], losses[1]), (gaps[0], gaps[1]), (answers[0][3], answers[1][3]), proven,
        (answers[0][0] is None, answers[1][0] is None),
    )  # fmt: skip


def line_of(family: str, queries: int, rows: Sequence[Row]) -> str:
    """Return a row of the table in Markdown."""
    cells = [family, f"{queries:,}", f"{len(rows)} ({sum(row.proven for row in rows)})"]
    cells += [f"{1e3 * median(row.seconds[i] for row in rows):.3g}" for i in (0, 1)]
    cells.append(f"{median(row.seconds[0] / row.seconds[1] for row in rows):.3g}")
    for pairs in ([row.losses for row in rows], [row.gaps for row in rows]):
        for several in zip(*pairs, strict=True):
            cells.append(f"{median(several):.1e} / {max(several):.1e}")
    cells.append(" / ".join(str(sum(row.missing[i] for row in rows)) for i in (0, 1)))
    return "| " + " | ".join(cells) + " |"


HEAD = (
    "| family | queries | cells (proven) | before, ms | now, ms | ratio | loss before, median / worst | loss now "
    "| own gap before, median / worst | own gap now | without a plan, before / now |\n"
    "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
)


def proofs(task: dict[str, Any], seconds: float) -> list[Any]:
    """Return what `exact` finds at each budget within some seconds."""
    problem = two_builds_worker.problem_of(task)
    plans = [
        solve(problem, problem.budget_at(f), "exact", cost="realized", time_limit=seconds) for f in task["fractions"]
    ]
    return [[plan.utility, plan.bound, plan.status, None] for plan in plans]


def listed(kind: type) -> Any:
    """Return a reader of values with commas between them."""
    return lambda text: tuple(kind(part) for part in text.split(","))


def main() -> None:
    """Print a row for each family and size, as they come."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", help="a command that starts the Python of the other build")
    parser.add_argument("--solver", default="greedy")
    parser.add_argument("--families", type=listed(str), default=FAMILIES)
    parser.add_argument("--sizes", type=listed(int), default=SIZES)
    parser.add_argument("--seeds", type=listed(int), default=(1, 2, 3, 4, 5))
    parser.add_argument("--fractions", type=listed(float), default=FRACTIONS)
    parser.add_argument("--groups", type=int, default=0, help="groups that queries are dealt to; 0 for none")
    parser.add_argument("--repeats", type=int, default=1, help="runs of each cell, of which the fastest counts")
    parser.add_argument("--time-limit", type=float, help="seconds of each run; none without it")
    parser.add_argument("--prove", type=float, default=0.0, help="seconds for `exact` where neither build proved")
    parser.add_argument("-o", "--output", type=Path, help="a folder for the table and all answers")
    given = parser.parse_args()
    builds = [Build(shlex.split(given.before), given.solver), Build([sys.executable], given.solver)]
    record: list[dict[str, Any]] = []
    lines = [HEAD]
    print(HEAD, flush=True)
    for queries, family in product(given.sizes, given.families):
        rows: list[Row] = []
        for seed in given.seeds:
            task = {"family": family, "queries": queries, "seed": seed, "groups": given.groups}
            task |= {"fractions": given.fractions, "repeats": given.repeats, "time_limit": given.time_limit}
            answers = list(zip(*(build.ask(task) for build in builds), strict=True))
            open_ = any("optimal" not in (one[2] for one in pair) for pair in answers)
            proof = proofs(task, given.prove) if given.prove and open_ else [None] * len(answers)
            rows += [row_of(pair, third) for pair, third in zip(answers, proof, strict=True)]
            record.append({**task, "answers": answers, "exact": proof})
        lines.append(line_of(family, queries, rows))
        print(lines[-1], flush=True)
        if given.output is not None:
            given.output.mkdir(parents=True, exist_ok=True)
            write_text(given.output / "answers.json", json.dumps(record))
            write_text(given.output / "builds.md", "\n".join([*about(builds, given.solver), "", *lines]) + "\n")


def about(builds: Sequence[Build], solver: str) -> list[str]:
    """Return what a recorded table says of itself."""
    found, options = machine.describe(), shlex.join(sys.argv[2:])
    return [
        f"- Machine: {found['cpu']}, {found['cores']} cores, {found['system'].split()[0]}; {found['python']}; CPU time",
        f"- Solver: {solver}; before: {builds[0].commit}, now: {builds[1].commit}",
        f"- Command: `python -m robatch.bench.realized.two_builds PYTHON_OF_BEFORE {options}`",
    ]


if __name__ == "__main__":
    main()
