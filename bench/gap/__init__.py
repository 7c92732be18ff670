"""The gap benchmark: how far each solver is from the least bound that any of them proved.

Code here plans, runs, records and shows that benchmark alone.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
