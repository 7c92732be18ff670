"""Free MPS: what every reader takes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from robatch.solvers.exchange.program import Program, figure


def mps_lines(program: Program) -> Iterator[str]:
    """Yield the lines of a program in free MPS.

    There is no ``OBJSENSE``, which some readers do not heed; and every column has its bounds, as readers do not agree
    on what a whole column without any may be.
    """
    from scipy.sparse import csr_array  # here, as it loads scipy

    yield from (f"* {line}" for line in program.comments())
    yield "NAME robatch FREE"  # CBC reads the word as the format
    yield "ROWS"
    yield " N negative_utility"
    rows = [(name, equation, right) for name, _, equation, right in program.entries()]
    yield from (f" {'E' if equation else 'L'} {name}" for name, equation, _ in rows)
    yield "COLUMNS"
    yield " MARK0 'MARKER' 'INTORG'"
    model = program.model
    shape = (model.n_rows, model.n_columns)
    by_column = csr_array((model.value, model.index, model.starts), shape=shape).tocsc()
    starts, costs = by_column.indptr.tolist(), program.costs.tolist()
    for column, name in enumerate(program.columns):
        begin, end = starts[column], starts[column + 1]
        yield f" {name} negative_utility {figure(costs[column])}"  # also 0, so that no column is without an entry
        entries = zip(by_column.indices[begin:end].tolist(), by_column.data[begin:end].tolist(), strict=True)
        yield from (f" {name} {program.rows[row]} {figure(value)}" for row, value in entries if value)
    yield " MARK1 'MARKER' 'INTEND'"
    yield "RHS"
    yield from (f" RHS {name} {figure(right)}" for name, _, right in rows if right)
    yield "BOUNDS"
    for name, upper in zip(program.columns, np.asarray(model.upper).tolist(), strict=True):
        yield f" UP BOUND {name} {figure(upper)}"
    yield "ENDATA"
