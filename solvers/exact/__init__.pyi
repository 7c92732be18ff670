from .amortized import run as run
