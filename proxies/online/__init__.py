"""Queries that arrive one by one: a state for each at once, calls that fill up, and a paced budget.

Code here decides and keeps accounts; it sends nothing, and reads no clock: every time is told by the caller.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
