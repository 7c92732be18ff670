"""The pages, each with its template and the module that fills it: ``python -m paper_repro.pages`` writes them.

Code here reads what is recorded in ``results`` and turns it into Markdown, HTML and figures in this folder; it measures
nothing. Pages that no module writes (PACKING.md) are kept by hand.
"""
