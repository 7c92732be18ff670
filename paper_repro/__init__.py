"""The paper's experiments, rerun: ``python -m paper_repro.run --list``, in a clone of the repository.

From the ground up: `common`; `experiments`, `record` and `proxy`, which compute and record; `reports`, the pages that
are made of their records. `run` runs experiments, `pages` writes pages.
"""
