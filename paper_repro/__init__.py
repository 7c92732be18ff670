"""The paper's experiments, rerun: ``python -m paper_repro.run --list``, in a clone of the repository."""
