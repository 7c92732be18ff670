"""The options of commands that say how the rows of a table become queries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from robatch.cli.support import Option, add_options

if TYPE_CHECKING:
    from robatch.proxies.sources.rows import RowRules

rows_options: Option = add_options(
    click.option("--id", "id_column", metavar="COLUMN", help="Column of the ids; id, or else the number of the row."),
    click.option(
        "--text",
        metavar="TEMPLATE",
        help="Column of the texts, or a template of several such as 'Subject: {subject}\\n{body}'; text or question.",
    ),
    click.option("--answer", "answer_column", metavar="COLUMN", help="Column of the true answers; answer, if there."),
    click.option("--choices", metavar="LIST", help="The admissible answers, with commas between them."),
    click.option(
        "--kind",
        type=click.Choice(["choice", "number", "text"]),
        help="What an answer is: choice where there are choices, else text.",
    ),
    click.option(
        "--empty", type=click.Choice(["error", "skip"]), default="error", show_default=True,
        help="What a row without a text is.",
    ),
)  # fmt: skip
"""Adds the options of `rules_of`."""

ROW_OPTIONS = ("id_column", "text", "answer_column", "choices", "kind", "empty")


def rules_of(options: dict[str, Any]) -> RowRules:
    """Take the options of `rows_options` out of those of a command, and return what they say."""
    from robatch.proxies.sources.rows import RowRules

    id, text, answer, choices, kind, empty = (options.pop(name) for name in ROW_OPTIONS)
    listed = tuple(one.strip() for one in (choices or "").split(",") if one.strip())
    return RowRules(id=id, text=text, answer=answer, choices=listed, kind=kind, empty=empty)
