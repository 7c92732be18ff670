"""Batch APIs: calls go as files of requests, and their answers come back as files of results, hours or days later.

What is in flight is kept by the journal of an execution, whose rules hold here too; no call is handed over twice.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
