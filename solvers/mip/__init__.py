"""One mixed-integer formulation for each cost model, and the five backends that solve it.

Code here states the program once and hands it to a backend; each backend has a file of its own, of the same shape.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
