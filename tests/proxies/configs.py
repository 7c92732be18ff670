"""A profiling run's configuration with one model behind a server, for tests that vary its tasks and settings."""

from __future__ import annotations


def model_text(name: str = "m", price_in: float = 0.1, price_out: float = 0.2, window: int = 1024) -> str:
    """Return the table of a model behind a server that does not answer."""
    return f"""
[[models]]
name = "{name}"
server = "http://127.0.0.1:9/v1"
model = "{name}"
price_in = {price_in}
price_out = {price_out}
context_window = {window}
"""


def config_text(*tasks: str, run: str, **of_model: object) -> str:
    """Return tasks, each given by the lines of its table, run settings and a model."""
    tables = "".join(f"\n[[tasks]]\n{task}\n" for task in tasks)
    return f"{tables}\n[run]\n{run}\n{model_text(**of_model)}"
