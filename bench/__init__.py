"""Benchmarks: how far solvers are from the proven optimum, how long they take, and how that grows with size.

Code here may call everything below it, solvers above all; nothing of the library calls it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
