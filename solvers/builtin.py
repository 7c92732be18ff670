"""The solvers that come with RoBatch, as one table: importing this module registers them."""

from __future__ import annotations

from robatch.solvers.registry import COUPLED, OWN_COSTS, Solver, register

MIP = "robatch.solvers.mip"
REFERENCE = "robatch.solvers.reference"
PEERS = "robatch.solvers.reference.peers"

ALL = COUPLED | {OWN_COSTS}


def _program(name: str, summary: str, run: str, package: str) -> Solver:
    """Return a backend of the mixed-integer program, which keeps every constraint."""
    run = f"{MIP}.{run}"
    return Solver(name, summary, run, "optimum", package=package, module=package, constraints=ALL, writes=True)


BACKENDS = (
    _program("highs", "HiGHS, mixed-integer", "highs:run", "highspy"),
    _program("cpsat", "OR-Tools CP-SAT, whole-number coefficients", "cpsat:run", "ortools"),
    _program("scip", "SCIP through OR-Tools MathOpt, mixed-integer", "scip:run", "ortools"),
    _program("cbc", "CBC through PuLP, mixed-integer", "pulp_solvers:run_cbc", "pulp"),
    _program("pulp-highs", "HiGHS through PuLP, mixed-integer", "pulp_solvers:run_highs", "pulp"),
)
"""The backends of the mixed-integer program: what they run is a `mip.Backend`, which `cheapest` calls too."""

BUILTIN = (
    Solver(
        "exact",
        "optimum or a proven gap: amortized at any size by core search, realized by an expanding core",
        "robatch.solvers.exact:run",
        "optimum",
        constraints=frozenset({"conflicts"}),
        effort=("realized",),
    ),
    Solver(
        "greedy",
        "bound and plan: realized by a tree over call counts, amortized by upgrades along concave hulls",
        "robatch.solvers.greedy:run",
        "bound",
        constraints=COUPLED,
        effort=("realized",),
    ),
    Solver("pareto", "the paper's scheduler, reconstructed from its abstract", f"{REFERENCE}.pareto:run"),
    *BACKENDS,
    Solver(
        "lp",
        "linear relaxation by HiGHS: bound and shadow price, no plan",
        f"{MIP}.lp:run",
        "bound",
        package="highspy",
        module="highspy",
        constraints=ALL,
        writes=True,
    ),
    Solver("router-only", "baseline: greedy at the smallest batch sizes", f"{REFERENCE}.baselines:run_router_only"),
    Solver("batch-only", "baseline: one model, one batch size for all", f"{REFERENCE}.baselines:run_batch_only"),
    Solver("cheapest", "baseline: the cheapest plan", f"{REFERENCE}.baselines:run_cheapest"),
    Solver(
        "best",
        "baseline: the greatest utility, if the budget pays for it",
        f"{REFERENCE}.baselines:run_best",
        "bound",
    ),
    Solver(
        "brute-force",
        "every assignment of a tiny problem",
        f"{REFERENCE}.brute_force:run",
        "optimum",
        constraints=ALL,
        writes=True,
    ),
    Solver("threshold", "peer: RouteLLM, a weak and a strong state, threshold on gain", f"{PEERS}.threshold:run"),
    Solver("tradeoff", "peer: CARROT, one trade-off of utility and cost for all", f"{PEERS}.tradeoff:run"),
    Solver(
        "hull-mix",
        "peer: RouterBench's zero router, a random mix of two states",
        f"{PEERS}.hull_mix:run",
        costs=("amortized",),
    ),
    Solver(
        "destroy-rebuild",
        "peer: OptLLM, parts of a plan destroyed and rebuilt greedily",
        f"{PEERS}.destroy_rebuild:run",
    ),
    Solver("window-ilp", "peer: batch-level ILP (2603.26796), windows of 256 queries", f"{PEERS}.window_ilp:run"),
    Solver(
        "online-duals",
        "peer: PORT, queries one at a time at a price from the first few",
        f"{PEERS}.online_duals:run",
        costs=("amortized",),
    ),
)
"""In the order in which `solvers` lists them."""

for _solver in BUILTIN:
    register(_solver)
