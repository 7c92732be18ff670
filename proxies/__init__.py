"""Queries -> utilities: profiling runs on real models, the utility proxy, plans executed, online decisions.

The rooms, each of which imports only those before it: `engines`, `tasks`, `profiling`, `utility`, `execution` and
`online`. Importing this package is light: vLLM, ``openai``, scikit-learn and pyarrow are loaded at their first use.

Bad input, be it an argument, a file or a server, is refused with an `InputError`: one sentence that names what is wrong
and what is needed. Docstrings of the rooms' inner functions say nothing more of it where they raise nothing else.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
