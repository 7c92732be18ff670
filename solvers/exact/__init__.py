"""Proven optima: search of the core under amortized cost, an expanding core under realized cost.

Code here may stop only with a proof, or with the limit that stopped it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
