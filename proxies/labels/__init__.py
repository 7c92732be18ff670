"""Labels where there are no true answers: a model's, people's, and how far one is from the other.

A reference answer says whose it is (`Query.by`), so that whatever is measured against it is called agreement with it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
