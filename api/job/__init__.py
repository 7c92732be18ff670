"""The whole job, from a table of queries to their answers: what `robatch run` and `robatch.run` do."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
