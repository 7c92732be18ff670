"""The benchmark of what is billed: budgets broken on paper plans, utility lost by keeping them.

Code here plans, runs, records and shows that benchmark alone.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
