"""Queries -> utilities: profiling runs on real models, the utility proxy, plans executed, online decisions.

The rooms, each of which imports only those before it: `engines`, `tasks`, `profiling`, `utility`, `execution` and
`online`. Importing this package is light: vLLM, ``openai``, scikit-learn and pyarrow are loaded at their first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
