"""Behaviours of other libraries that nobody would guess, each seen with the versions that are named.

The page docs/behaviours.md is made of this table: ``python -m robatch.doctor.behaviours`` prints its rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["wrong", "handled", "unused"]
"""``"wrong"``: what is affected is not to be relied on. ``"handled"``: RoBatch works around it. ``"unused"``: RoBatch
does not use what behaves so, and whoever works beside it may."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a library does.

    Attributes
    ----------
    package
        Its distribution.
    versions
        The versions with which it was seen, as a specifier.
    what, answer
        What happens, and what RoBatch does about it.
    shown
        The test or the script that shows it.
    level
        What it means for results.
    """

    package: str
    versions: str
    what: str
    answer: str
    shown: str
    level: Level = "handled"


MIXED = "tests/solvers/test_highs_version.py"
THREADS = "tests/solvers/test_threads_and_processes.py"
FOREIGN = "tests/instances/test_foreign_tables.py"
EXCHANGE = "tests/solvers/test_exchange.py"
PRICES = "tests/instances/test_prices.py"

BEHAVIOURS = (
    Behaviour(
        "highspy", "==1.14.0",
        "presolve loses optima of mixed programs: about one in ten small random ones ends optimal, with a gap of 0, at "
        "what is none (HiGHS issues 2957, 3002, 3043, 3073)",
        "solves mixed programs without presolve; programs of whole columns alone are not concerned", MIXED,
    ),
    Behaviour(
        "highspy", ">=1.15,<1.16", "does not load beside OR-Tools 9.15 in one process",
        "is not installed with it; solvers `highs`, `lp` and `exact` as billed, or `cpsat` and `scip`, fail", MIXED,
        "wrong",
    ),
    Behaviour(
        "highspy", "==1.16.0", "prints a banner to standard output, which `--json` shares",
        "is not installed with it; output for programs cannot be read", MIXED, "wrong",
    ),
    Behaviour(
        "highspy", ">=1.13,<1.17",
        "the first run of a thread sets how many threads HiGHS has in it: a second object that asks for another number "
        "does not run, and its objective reads 0",
        "gives each run a thread of its own", THREADS,
    ),
    Behaviour(
        "highspy", "==1.13.1",
        "writes LP files with sections `bin` and `gen`, which CBC reads as columns of a relaxation",
        "writes model files itself", EXCHANGE,
    ),
    Behaviour(
        "ortools", "==9.15.6755",
        "`import_from_lp_file` of ModelBuilder refuses CPLEX's LP format; the empty model that it leaves is optimal",
        "says so; MPS files are read", EXCHANGE,
    ),
    Behaviour(
        "ortools", "==9.15.6755", "with HiGHS, dual values of ModelBuilder are the activities of the rows",
        "takes bounds from duals of its own", "findings/modelbuilder-highs-duals.sh", "unused",
    ),
    Behaviour(
        "ortools", "==9.15.6755", "the bound of a solved linear program is 0 in ModelBuilder with GLOP and PDLP",
        "does not use it", "findings/modelbuilder-lp-bound.sh", "unused",
    ),
    Behaviour(
        "ortools", "==9.15.6755", "KnapsackSolver by dynamic programming leaves out items of weight 0",
        "solves knapsacks by code of its own", "findings/knapsack-zero-weight.sh", "unused",
    ),
    Behaviour(
        "mip", "==2.0.0", "of it and OR-Tools 9.15 in one process the second fails: OR-Tools with an undefined symbol",
        "says so in one sentence", "findings/python-mip-ortools.sh",
    ),
    Behaviour(
        "pulp", ">=3.3,<4", "CBC and `LpProblem.fromMPS` minimize whatever `OBJSENSE` says, and call that optimal",
        "exports the minimization of negative utility", EXCHANGE,
    ),
    Behaviour(
        "pulp", ">=3.3,<4", "after a time limit CBC's `status` says optimal, and only `sol_status` does not",
        "reads `sol_status`", "tests/solvers/test_mip_backends.py",
    ),
    Behaviour(
        "pulp", "==3.3.2", "values that CBC returns have 8 digits",
        "has whole columns only, and computes every plan again", "findings/pulp-cbc-digits.sh",
    ),
    Behaviour(
        "pulp", "==3.3.2", "duals of a maximization have opposite signs by CBC and HiGHS", "reads none",
        "findings/pulp-highs-dual-sign.sh", "unused",
    ),
    Behaviour(
        "pyscipopt", "==6.3.0", "the dual of a maximization is that of the minimization inside", "reads none",
        "findings/pyscipopt-dual-sign.sh", "unused",
    ),
    Behaviour(
        "pyarrow", "==26.0.1", "values like `0x1A` in a CSV file are whole numbers, and `+5` is a double",
        "reads names and ids as texts", FOREIGN,
    ),
    Behaviour(
        "pyarrow", "==26.0.1", "a safe cast of 1e300 to float32 gives infinity", "refuses what is not finite",
        "findings/arrow-float32-overflow.sh",
    ),
    Behaviour(
        "pyarrow", "==26.0.1", "a column of float32 is compared in double precision: 0.7 is not at least 0.7",
        "compares in a problem's own precision", "tests/instances/test_pairs.py",
    ),
    Behaviour(
        "polars", "==2.1.0", "a sum of float32 by group is 2 % off at five million rows", "sums in float64",
        "findings/polars-group-sum.sh", "unused",
    ),
    Behaviour(
        "duckdb", "==2.0.1", "a file in a folder `model=a` has `a` in every row of its column `model`",
        "opens files without their path", FOREIGN, "unused",
    ),
    Behaviour(
        "scikit-learn", "==1.9.1", "boosted trees by histograms predict otherwise for the same rows stored as float32",
        "says so in `UtilityProxy.fit`", "findings/hist-gradient-float32.sh",
    ),
    Behaviour(
        "skops", "==0.16.0",
        "its own files of forests, boosted trees, neighbours and splines need private classes as trusted",
        "stores numbers of estimators, and builds them anew", "findings/skops-private-classes.sh",
    ),
    Behaviour(
        "litellm", "==1.110.2", "a stated price is billed as 0 where the name with its provider is another entry",
        "takes what the entry of the very name states", PRICES, "unused",
    ),
    Behaviour(
        "litellm", "==1.110.2", "tokens of Gemini, Mistral and Qwen are counted with the tokenizer of GPT-4",
        "counts with a model's own tokenizer, or bounds by bytes", "findings/litellm-token-counts.sh", "unused",
    ),
    Behaviour(
        "genai-prices", "==0.2.3", "a name that no model has is priced as the model that it begins with",
        "refuses it", PRICES,
    ),
    Behaviour(
        "tokencost", "==0.1.26", "calls above a threshold of tokens cost what calls below it cost",
        "does not read it", "findings/tokencost-tiers.sh", "unused",
    ),
)  # fmt: skip


def rows() -> list[str]:
    """Return the rows of the page's table."""
    words = {"wrong": "**not to be relied on**", "handled": "", "unused": "not used by RoBatch"}
    made = []
    for one in BEHAVIOURS:
        note = f" ({words[one.level]})" if words[one.level] else ""
        made.append(
            f"| {one.package} | `{one.versions}` | {one.what} | {one.answer}{note} | [{one.shown}](../{one.shown}) |"
        )
    return made


if __name__ == "__main__":
    print("\n".join(rows()))
