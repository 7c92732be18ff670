"""Why there is no plan: which limits conflict, and what the least cost is.

Code here answers after a solver found nothing; no solver depends on it.
"""
