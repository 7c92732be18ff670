"""Queries in tables: files, folders, globs and frames, with a text made of several columns.

Code here reads tables and makes queries of their rows, each text once; it asks nothing and knows no models.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
