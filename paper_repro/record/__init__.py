"""What runs models or long computations beside the experiments, and records what it found in ``results``.

Each module is a command, such as ``python -m paper_repro.record.bill``. Code here may run engines, write ``results``
and print; it imports `common` and writes no page.
"""
