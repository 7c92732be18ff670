"""The schedulers: amortized along the hulls, realized over whole calls, constrained by prices and moves.

Code here turns prices into assignments; what is proven about them comes from `bounds`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
