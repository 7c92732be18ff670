"""The results of a scaling benchmark, and the files that show them."""

from __future__ import annotations

from dataclasses import dataclass

from robatch.bench.common.results import Results
from robatch.bench.scale.rows import ScaleRow
from robatch.bench.scale.tables import markdown

READING = """\
*Time* is the solver's median time, divided by the median time of one pass over the utilities as a dense array: a
compiled loop on one thread that finds the greatest utility of every query, run between the solver's runs in the same
process. Arrays of few queries stay in the processor's caches, where a pass is fast. †: stopped by its time limit.
*Gap* is to the least bound that any solver proved on the same problem; 0 is a proof, to a relative 1e-9. *Memory* is
the peak of the whole call beyond what was in use before it, measured in a process of its own. A solver that stopped at
its time limit is not run at larger sizes; – stands for not run or not known. `python-heap` is the scheduler `pareto`,
the paper's as reconstructed from its abstract, in plain Python.
"""  # noqa: RUF001 (a dash for a missing figure)


@dataclass(frozen=True)
class ScaleResults(Results[ScaleRow]):
    """What a scaling benchmark measured.

    Attributes
    ----------
    settings
        Series, sizes, budget fraction, solvers with their versions, limits, seed and the commit of the sources.
    machine, rows, command, compiled_s
        See `robatch.bench.common.results.Results`.
    """

    FILES = ("scale.md", "results.csv", "time.png", "gap.png")

    def markdown(self) -> str:
        """Return the tables with the machine, the commit, the date and the command, as a page of Markdown."""
        settings = self.settings
        how = (
            f"Budget fraction {settings['budget_fraction']:g}, amortized cost, time limit "
            f"{settings['time_limit']:g} s a run, at least {settings['repeats']} runs, seed {settings['seed']}"
        )
        facts = [f"- {fact}" for fact in (*self.measured_on(), how, *self.made_by())]
        plots = "![time against the number of queries](time.png)\n\n![gap against the number of queries](gap.png)"
        head = ["# How solvers scale", "", *facts, "", READING, plots, ""]
        return "\n".join([*head, markdown(self.rows)]).rstrip() + "\n"

    def contents(self) -> dict[str, str | bytes]:
        """Return the table, the plots and the page by the names of their files."""
        from robatch.bench.scale.plots import gap_plot, time_plot

        plots = {"time.png": time_plot(self.rows), "gap.png": gap_plot(self.rows)}
        return {"results.csv": self.csv(), **plots, "scale.md": self.markdown()}
