"""The console that commands write tables to, and the progress bar of those that take hours."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

PLAIN_WIDTH = 160
"""Characters of a line that goes to a file or a pipe."""


def console(stderr: bool = False) -> Console:
    """Return a console that does not break lines short where they go to a file or a pipe."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    made = Console(file=stream, soft_wrap=False)
    return made if made.is_terminal else Console(file=stream, width=PLAIN_WIDTH)


def progress_bar(before: Sequence[str], after: Sequence[str]) -> Progress:
    """Return a progress bar on standard error, with the time taken and left, for hours of work.

    Parameters
    ----------
    before, after
        Texts before and behind the bar, with fields of a task such as ``"{task.description}"``.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        *map(TextColumn, before), BarColumn(), MofNCompleteColumn(), *map(TextColumn, after), TimeElapsedColumn(),
        TextColumn("left"), TimeRemainingColumn(), console=Console(stderr=True), speed_estimate_period=600,
    )  # fmt: skip
