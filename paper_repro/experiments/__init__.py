"""The experiments: one module each, with its settings in ``configs/experiments``; `catalogue` finds them by name.

A module computes rows from settings and makes tables and figures of them; it neither reads nor writes results, which
`paper_repro.run` does. It imports `common` alone.
"""
