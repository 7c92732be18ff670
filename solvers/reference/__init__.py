"""What RoBatch is held against: baselines, the paper's scheduler, other papers' methods, brute force.

Code here is plain and slow where that shows the method; no other solver may use it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
