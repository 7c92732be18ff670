"""Plans on the way to answers: routed within a budget, sent call by call, metered, and reported.

Code here may spend real money: a call is sent only by `session`, after `dispatch` has seen that its bound is paid for.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
