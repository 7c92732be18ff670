"""``robatch label``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from robatch.cli.rows import rows_options, rules_of
from robatch.cli.support import FILE, check_outputs, json_option, keep_answers, print_json, seed_option
from robatch.instances.errors import InputError

if TYPE_CHECKING:
    from robatch.proxies.labels import Agreement, Labelled


@click.command(short_help="Make answers to measure against, where there are no true ones.")
@click.argument("queries", type=FILE)
@click.option("--model", help="Whose answers are the references, by its name in the pool; the dearest without it.")
@click.option("--pool", type=FILE, help="TOML file with [[models]], as of robatch profile.")
@click.option("--queries", "count", type=click.IntRange(1), help="How many of the queries, drawn by --seed.")
@seed_option("Seed of which queries are drawn.")
@click.option("--budget", type=float, help="USD; without it a quarter more than all calls can cost.")
@click.option("--prompt", type=FILE, help="Text file of what is asked of every query.")
@click.option("--max-output-tokens", type=click.IntRange(1), help="For an answer: 16, or 256 where it is a text.")
@click.option("--concurrency", type=click.IntRange(1), default=8, show_default=True, help="Calls in flight.")
@click.option("--timeout", type=float, default=120.0, show_default=True, help="Seconds until a try is given up.")
@click.option(
    "--check", type=click.IntRange(1), metavar="N",
    help="Also write OUT.check.csv: N of the labelled queries for people to answer, who see no label.",
)  # fmt: skip
@click.option(
    "--fill", type=click.IntRange(1), metavar="N",
    help="Ask no model: write a CSV file of N queries in which people fill in the column answer.",
)  # fmt: skip
@click.option(
    "--filled", type=FILE, metavar="CSV",
    help="What people filled in: say how far labels are from it, and write the queries with people's answers.",
)  # fmt: skip
@click.option("--judge", "judged", type=FILE, metavar="ANSWERS", help="Grade these answers of robatch execute instead.")
@click.option("--rubric", type=FILE, help="With --judge: text file of what makes an answer good or bad.")
@rows_options
@click.option("-o", "--output", type=FILE, help="File to write.")
@json_option
def label(  # wide: one parameter per option
    queries: Path,
    model: str | None,
    pool: Path | None,
    count: int | None,
    seed: int,
    budget: float | None,
    prompt: Path | None,
    max_output_tokens: int | None,
    concurrency: int,
    timeout: float,
    check: int | None,
    fill: int | None,
    filled: Path | None,
    judged: Path | None,
    rubric: Path | None,
    output: Path | None,
    as_json: bool,
    **rows: Any,
) -> None:
    """Answer QUERIES, a file or table without true answers, so that models can be measured against the answers.

    A model of the pool, usually the best one, is asked each query alone. What is measured against its answers is called
    agreement with it, never accuracy, by robatch profile, fit, route and execute. How far one is from the other, people
    tell who answer some of the queries.

    \b
    robatch label tickets.csv --choices yes,no --pool pool.toml --model large --queries 200 --check 30 -o labels.jsonl
    robatch label labels.jsonl --filled labels.jsonl.check.csv
    robatch label tickets.csv --judge answers.jsonl --rubric rubric.txt --pool pool.toml --check 30 -o grades.jsonl
    robatch label tickets.csv --choices yes,no --fill 100 -o fill.csv
    robatch label tickets.csv --choices yes,no --filled fill.csv -o labels.jsonl
    """
    rules = rules_of(rows)
    if sum(one is not None for one in (pool, fill, filled)) != 1:
        raise InputError("one of --pool (a model answers), --fill and --filled (people answer) is needed")
    if output is None and filled is None:
        raise InputError("-o is missing: the file to write is needed")
    if (judged is None) != (rubric is None) or (judged is not None and (pool is None or prompt is not None)):
        raise InputError("--judge and --rubric belong together and to --pool, in place of --prompt")
    if check is not None and pool is None:
        raise InputError("--check belongs to --pool: it draws from the queries that a model labels")
    checked = None if check is None else Path(f"{output}.check.csv")
    check_outputs({"--output": output, "--check": checked}, [queries, pool, prompt, filled, judged, rubric])
    if fill is not None or filled is not None:
        _people(queries, rules, fill, filled, seed, output, as_json)
        return
    from robatch.instances.files import read_text
    from robatch.proxies.labels import judge
    from robatch.proxies.labels import label as run

    assert pool is not None
    assert output is not None
    asked = None if prompt is None else read_text(prompt, "the prompt").strip()
    settings: dict[str, Any] = {
        "model": model, "count": count, "seed": seed, "budget": budget, "max_output_tokens": max_output_tokens,
        "rules": rules, "concurrency": concurrency, "timeout": timeout,
    }  # fmt: skip
    scores: dict[str, float] = {}
    with keep_answers():
        if judged is not None and rubric is not None:
            found = judge(queries, judged, pool, output, read_text(rubric, "the rubric"), **settings)
            made, scores = found.labelled, dict(found.scores)
        else:
            made = run(queries, pool, output, instructions=asked, **settings)
    _tell(made, scores, output, None if check is None or checked is None else (checked, check, seed), as_json)


def _tell(
    made: Labelled, scores: dict[str, float], output: Path, check: tuple[Path, int, int] | None, as_json: bool
) -> None:
    """Say what was answered or graded, and write what people may check: to a file, so many, drawn by a seed."""
    from robatch.proxies.labels import fill_table

    labelled = [query for query in made.queries if query.answer is not None]
    if not labelled:
        raise click.ClickException(f"none of {made.drawn} queries was answered: see {output}.answers.jsonl")
    if check is not None:
        fill_table(labelled, *check)
    by, checked = labelled[0].by, None if check is None else str(check[0])
    if as_json:
        told: dict[str, Any] = {"scores": scores} if scores else {}
        told |= {"path": str(output), "drawn": made.drawn, "labelled": len(labelled), "by": by, "usd": made.spent}
        print_json({**told, "check": checked, "report": made.report.to_dict()})
        return
    click.echo(f"{len(labelled):,} of {made.drawn:,} queries answered by {by}: {made.spent:.4g} USD")
    if scores:
        mean = sum(scores.values()) / len(scores)
        click.echo(f"mean score {mean:.3f}, by {by}'s judgement, no accuracy; written to {output}")
    else:
        click.echo(f"written to {output}; what is measured against it is agreement with {by}, no accuracy")
    if checked is not None:
        click.echo(f"fill in the column answer of {checked}, then: robatch label {output} --filled {checked}")


def _people(
    queries: Path, rules: Any, fill: int | None, filled: Path | None, seed: int, output: Path | None, as_json: bool
) -> None:
    """Write a table for people to fill in, or read one."""
    from robatch.proxies.labels import agreement, fill_table
    from robatch.proxies.labels import filled as read
    from robatch.proxies.sources.rows import read_rows
    from robatch.proxies.tasks.queries import write_queries

    items = read_rows(queries, rules).queries
    if filled is None:
        assert output is not None
        rows = fill_table(items, output, fill, seed)
        if as_json:
            print_json({"path": str(output), "queries": rows})
        else:
            click.echo(f"{rows:,} queries written to {output}: fill in the column answer, then take --filled {output}")
        return
    answered = read(items, filled)
    found: Agreement | None = agreement(items, answered) if any(query.by is not None for query in items) else None
    if output is not None:
        write_queries(output, answered)
    if as_json:
        differing = [] if found is None else list(found.differing)
        told = None if found is None else {**vars(found), "differing": differing}
        print_json({"answered": len(answered), "agreement": told, "path": None if output is None else str(output)})
        return
    if found is not None:
        click.echo(str(found))
        if found.differing:
            click.echo(
                f"they differ on {', '.join(found.differing[:10])}{', ...' if len(found.differing) > 10 else ''}"
            )
    if output is not None:
        click.echo(f"{len(answered):,} queries with people's answers written to {output}")
