"""``robatch doctor``."""

from __future__ import annotations

from dataclasses import asdict

import click

from robatch.cli.support import json_option, print_json


@click.command(short_help="Check installed versions against what is known of them.")
@click.option("--all", "everything", is_flag=True, help="Also behaviours of what RoBatch does not use.")
@json_option
def doctor(everything: bool, as_json: bool) -> None:
    """Say which installed packages behave in ways that nobody would guess, what is affected, and what is done about it.

    Exit code 1: something is missing, of a version that RoBatch is not made for, or not to be relied on.
    """
    from robatch.doctor import BEHAVIOURS, diagnose

    found = [one for one in diagnose() if everything or one.state != "unused"]
    trouble = [one for one in found if one.trouble]
    if as_json:
        print_json({"known": len(BEHAVIOURS), "trouble": len(trouble), "findings": [asdict(one) for one in found]})
    else:
        for one in found:
            click.echo(f"{one.package} {one.version or 'is missing'}: {one.what}")
            click.echo(f"    {one.state}: {one.answer}\n")
        click.echo(
            f"{len(found)} things to know of what is installed here, of {len(BEHAVIOURS)} behaviours that are known"
        )
    if trouble:
        names = ", ".join(dict.fromkeys(one.package for one in trouble))
        raise click.ClickException(f"{names}: missing, of another version than needed, or not to be relied on")
