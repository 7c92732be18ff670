"""Where models run: vLLM in this machine's memory, or an OpenAI-compatible server, behind one interface.

Code here opens models, sends calls and hands back text and token counts as they are; it knows no queries and no grades.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
