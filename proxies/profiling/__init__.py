"""Profiling runs: queries to every model at every batch size, graded, and written as `Measurements`.

Code here may open engines and append to the record of a run; it fits nothing and plans nothing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
