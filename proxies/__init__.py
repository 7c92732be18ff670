"""Queries -> utilities: profiling runs on real models, grading, measurements.

Importing this package is light: vLLM, ``openai`` and pyarrow are loaded when something that needs them is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from robatch.proxies.config import ModelConfig, ProfileConfig, read_config
    from robatch.proxies.engines import ModelAnswer, ModelCall
    from robatch.proxies.grading import grade
    from robatch.proxies.measurements import Measurements
    from robatch.proxies.offline import OfflineEngine
    from robatch.proxies.profiling import pack, profile
    from robatch.proxies.prompts import Template, answer_regex, default_template, parse, support_template
    from robatch.proxies.server import ServerEngine
    from robatch.proxies.tasks import Query, generate_task, read_queries, write_queries

_HOME = {
    "Measurements": "measurements",
    "ModelAnswer": "engines",
    "ModelCall": "engines",
    "ModelConfig": "config",
    "OfflineEngine": "offline",
    "ProfileConfig": "config",
    "Query": "tasks",
    "ServerEngine": "server",
    "Template": "prompts",
    "answer_regex": "prompts",
    "default_template": "prompts",
    "generate_task": "tasks",
    "grade": "grading",
    "pack": "profiling",
    "parse": "prompts",
    "profile": "profiling",
    "read_config": "config",
    "read_queries": "tasks",
    "support_template": "prompts",
    "write_queries": "tasks",
}

__all__ = [
    "Measurements",
    "ModelAnswer",
    "ModelCall",
    "ModelConfig",
    "OfflineEngine",
    "ProfileConfig",
    "Query",
    "ServerEngine",
    "Template",
    "answer_regex",
    "default_template",
    "generate_task",
    "grade",
    "pack",
    "parse",
    "profile",
    "read_config",
    "read_queries",
    "support_template",
    "write_queries",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
