"""``robatch calls``."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from robatch.cli.batches import batch_options, write_batches
from robatch.cli.support import FILE, check_file, output_option, read_problem, seed_option
from robatch.instances.errors import InputError, why_unreadable

if TYPE_CHECKING:
    from robatch.solvers.plan.packing import Calls
    from robatch.solvers.plan.plan import Plan

KINDS = (".jsonl", ".csv")


@click.command(short_help="Write the calls that a plan sends.")
@click.argument("plan", type=FILE)
@click.option(
    "--policy", type=click.Choice(["order", "length", "similarity", "random"]), default="order", show_default=True,
    help="Which queries of a state share a call.",
)  # fmt: skip
@seed_option("Seed of the policy random.")
@click.option("--problem", help="With the policy length: the plan's problem, whose input tokens are the lengths.")
@click.option("--vectors", type=FILE, help="With the policy similarity: .npy, or .npz of a scipy sparse matrix.")
@output_option("File to write, .jsonl or .csv; JSON lines are printed without one. With openai-batch a folder.")
@click.option(
    "--format", "form", type=click.Choice(["rows", "openai-batch"]), default="rows", show_default=True,
    help="Rows that name queries, or requests for a batch API or vLLM's run_batch, of a plan of `robatch route`.",
)  # fmt: skip
@batch_options
def calls(  # wide: one parameter per option
    plan: Path,
    policy: str,
    seed: int,
    problem: str | None,
    vectors: Path | None,
    output: Path | None,
    form: str,
    **batch: Any,
) -> None:
    """Form the calls of PLAN, and write one row a call: its number, model, batch size and queries.

    Queries are given by id, by position where they have none; in CSV as a JSON list.

    With --format openai-batch the requests themselves are written, of the calls that the budget pays for together;
    `robatch collect` takes the results in.

    \b
    robatch calls plan.parquet -o calls.jsonl
    robatch calls plan.parquet --policy length --problem problem.parquet -o calls.csv
    robatch calls routed.parquet --format openai-batch -o requests/
    """
    from robatch.instances.files import replacing
    from robatch.solvers.plan.plan import Plan

    given = [name for name, value in batch.items() if value not in (None, False)]
    if form == "openai-batch":
        if policy != "order" or problem is not None or vectors is not None:
            raise InputError("--policy, --problem and --vectors go with rows: a routed plan has its calls")
        if output is None:
            raise InputError("-o is needed with --format openai-batch: a folder for the files of requests")
        write_batches(plan, output, **batch)
        return
    if given:
        raise InputError(f"--{given[0].replace('_', '-')} is given: it goes with --format openai-batch")
    if output is not None and output.suffix not in KINDS:
        raise InputError(f"output is {str(output)!r}: a name that ends in {' or '.join(KINDS)} is needed")
    check_file(output)
    for option, value, of in (("--problem", problem, "length"), ("--vectors", vectors, "similarity")):
        if (value is None) == (policy == of):
            raise InputError(f"{option} is needed with --policy {of}, and only there")
    if vectors is not None and vectors.suffix.lower() not in (".npy", ".npz"):
        raise InputError(f"--vectors is {str(vectors)!r}: a file ending in .npy or .npz is needed")
    made = Plan.read(plan)
    formed = made.calls(
        policy,  # type: ignore[arg-type]
        seed=seed,
        lengths=None if problem is None else _lengths(made, problem),
        similarity=None if vectors is None else read_vectors(vectors),
    )
    if output is None:
        _write(made, formed, sys.stdout, as_csv=False)
        return
    with replacing(output) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        _write(made, formed, stream, as_csv=output.suffix == ".csv")
    click.echo(f"{output}: {len(formed):,} calls of {len(formed.order):,} queries")


def _lengths(plan: Plan, name: str) -> Any:
    """Return the input tokens of the problem that a plan was made for."""
    import numpy as np

    problem = read_problem(name)
    same = plan.query_ids is None or problem.query_ids is None or np.array_equal(plan.query_ids, problem.query_ids)
    if plan.states != problem.states or not same:
        raise InputError(f"the plan's states or query ids are not those of {name!r}: it was made for another problem")
    return problem.input_tokens


def read_vectors(path: Path) -> Any:
    """Read vectors from a file of numpy or scipy."""
    import numpy as np

    try:
        if path.suffix.lower() == ".npz":
            from scipy.sparse import load_npz

            return load_npz(path)
        return np.load(path, allow_pickle=False)
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {why_unreadable(error)}") from None
    except Exception:  # what these readers raise on a broken file is not documented; numpy's words advise to unpickle
        needed = "a scipy sparse matrix" if path.suffix.lower() == ".npz" else "an array of numbers"
        raise InputError(f"cannot read {str(path)!r}: it holds no vectors, {needed} is needed") from None


def _write(plan: Plan, calls: Calls, stream: IO[str], as_csv: bool) -> None:
    """Write a row a call, as CSV or as lines of JSON."""
    ids, fields = plan.query_ids, ("call", "model", "batch_size", "queries")
    writer = csv.writer(stream, lineterminator="\n")
    if as_csv:
        writer.writerow(fields)
    for number, call in enumerate(calls):
        queries = (call.queries if ids is None else ids[call.queries]).tolist()
        row = (number, call.state.model, call.state.batch_size, queries)
        if as_csv:
            writer.writerow([*row[:3], json.dumps(queries, ensure_ascii=False)])
        else:
            stream.write(json.dumps(dict(zip(fields, row, strict=True)), ensure_ascii=False) + "\n")
