"""Relaxations and duals: what no plan can exceed, and the prices that prove it.

Code here returns bounds and prices; an assignment only as what a relaxation or a target rounds to.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
