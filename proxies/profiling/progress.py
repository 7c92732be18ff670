"""The progress bar of a profiling run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID


class Progress:
    """Counts measured queries of a total; shows them with the rate, the cost so far and the time left if asked to."""

    def __init__(self, total: int, show: bool) -> None:
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None
        self._total, self._resumed, self._usd, self._show = total, 0, 0.0, show

    def __enter__(self) -> Progress:
        if self._show:
            from robatch.instances.display.terminal import progress_bar

            texts = ("{task.fields[rate]}", "{task.fields[cost]}")
            self._bar = progress_bar(("{task.description}",), texts)
            self._task = self._bar.add_task("profile", total=self._total, rate="", cost="")
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def describe(self, text: str) -> None:
        """Say what is being measured."""
        if self._bar and self._task is not None:
            self._bar.update(self._task, description=text)

    def leave_out(self, queries: int) -> None:
        """Take back queries that adaptive sampling need not measure."""
        self._total -= queries
        if self._bar and self._task is not None:
            self._bar.update(self._task, total=self._total)

    def advance(self, queries: int, usd: float, resumed: bool = False) -> None:
        """Count measured queries and their cost; those of an earlier run do not count towards the rate."""
        self._usd += usd
        if not self._bar or self._task is None:
            return
        cost = f"{self._usd:.4g} USD"
        if resumed:
            self._resumed += queries
            task = self._bar.tasks[0]
            self._bar.update(self._task, completed=task.completed + queries, cost=cost)
            return
        self._bar.advance(self._task, queries)
        task = self._bar.tasks[0]
        rate = (task.completed - self._resumed) / max(task.elapsed or 0.0, 1e-9)
        self._bar.update(self._task, rate=f"{rate:.2f} queries/s", cost=cost)
