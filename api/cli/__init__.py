"""The command ``robatch``: one module a command; what a command needs is imported when it runs."""

from __future__ import annotations

import sys
import warnings
from functools import partial
from typing import Any

import click

from robatch.cli.about import solvers, version
from robatch.cli.bench import bench
from robatch.cli.calls import calls
from robatch.cli.cheapest import cheapest
from robatch.cli.collect import collect
from robatch.cli.doctor import doctor
from robatch.cli.encoding import escape_output
from robatch.cli.execute import execute
from robatch.cli.fit import fit
from robatch.cli.frontier import frontier
from robatch.cli.generate import generate
from robatch.cli.label import label
from robatch.cli.plan_from import plan_from
from robatch.cli.prices import prices
from robatch.cli.profile import profile
from robatch.cli.restrict import restrict
from robatch.cli.route import route
from robatch.cli.run import run_command
from robatch.cli.solve import solve
from robatch.cli.table import import_table
from robatch.cli.verify import verify
from robatch.cli.warm_up import warm_up


class Refused(click.ClickException):
    """Bad input: one sentence, exit code 2."""

    exit_code = 2


class Failed(click.ClickException):
    """The answer is no: one sentence, exit code 1."""


class Commands(click.Group):
    """A group that turns the errors users can cause into one sentence and an exit code."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line."""
        escape_output()
        return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was named."""
        warnings.showwarning = _show_warning
        if sys.stderr.isatty():
            from robatch.instances.notice import notice

            notice.tell = partial(click.echo, err=True)
        try:
            return super().invoke(ctx)
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            where = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
            raise Refused(f"{error.format_message()}{where}") from None
        except KeyboardInterrupt as stop:
            click.echo(" ".join(str(part) for part in stop.args) or "Interrupted.", err=True)
            ctx.exit(130)
        except (ValueError, ImportError) as error:
            from robatch.instances.errors import InputError, MissingExtraError

            if isinstance(error, InputError | MissingExtraError):
                raise Refused(_one_line(error)) from None
            raise
        except Exception as error:
            from robatch.solvers.check.raw import VerificationError

            if isinstance(error, VerificationError):
                raise Failed(_one_line(error)) from None
            raise


def _show_warning(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    """Print a warning about the user's input as one line, and others as Python does."""
    from robatch.instances.errors import InputWarning

    text = " ".join(str(message).split()) if issubclass(category, InputWarning) else None
    click.echo(f"Warning: {text}" if text else warnings.formatwarning(message, category, *where[:2]).rstrip(), err=True)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Bug reports: robatch version",
)
@click.version_option(package_name="robatch", message="%(package)s %(version)s")
def main() -> None:
    """Choose a model and a batch size for every query, within a budget, with proven bounds."""


for _command in (
    generate,
    import_table,
    restrict,
    solve,
    cheapest,
    calls,
    collect,
    frontier,
    plan_from,
    verify,
    prices,
    label,
    profile,
    fit,
    route,
    execute,
    run_command,
    bench,
    solvers,
    doctor,
    warm_up,
    version,
):
    main.add_command(_command)
