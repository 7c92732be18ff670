"""Queries, prompts, readers and graders: from a query to a prompt, and from an output to a score.

Code here is pure: it reads and writes query files and loads datasets, but sends nothing and knows no budget.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
