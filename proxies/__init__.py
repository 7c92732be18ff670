"""Queries -> utilities: profiling runs on real models, the utility proxy, plans executed, online decisions.

Importing this package is light: vLLM, ``openai`` and pyarrow are loaded when something that needs them is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from robatch.proxies.config import ModelConfig, ProfileConfig, read_config
    from robatch.proxies.diagnostics import Diagnosis, compare_with_per_state, diagnose
    from robatch.proxies.engines import ModelAnswer, ModelCall
    from robatch.proxies.execution import execute
    from robatch.proxies.execution_plan import RoutedPlan
    from robatch.proxies.execution_report import ExecutionReport
    from robatch.proxies.filling import OnlineCall
    from robatch.proxies.grading import grader_of, token_f1
    from robatch.proxies.measurements import Measurements
    from robatch.proxies.offline import OfflineEngine
    from robatch.proxies.online import OnlineRouter
    from robatch.proxies.pacing import sample_price
    from robatch.proxies.pool import PoolModel
    from robatch.proxies.profiling import profile
    from robatch.proxies.prompts import (
        Template,
        answer_regex,
        answer_schema,
        default_template,
        support_template,
        template_for,
    )
    from robatch.proxies.reading import read
    from robatch.proxies.routing import route
    from robatch.proxies.sampling import pack
    from robatch.proxies.server import ServerEngine
    from robatch.proxies.task import Task
    from robatch.proxies.tasks import Query, generate_task, read_queries, write_queries
    from robatch.proxies.utility_proxy import UtilityProxy

_HOME = {
    "Diagnosis": "diagnostics",
    "ExecutionReport": "execution_report",
    "Measurements": "measurements",
    "ModelAnswer": "engines",
    "ModelCall": "engines",
    "ModelConfig": "config",
    "OfflineEngine": "offline",
    "OnlineCall": "filling",
    "OnlineRouter": "online",
    "PoolModel": "pool",
    "ProfileConfig": "config",
    "Query": "tasks",
    "RoutedPlan": "execution_plan",
    "ServerEngine": "server",
    "Task": "task",
    "Template": "prompts",
    "UtilityProxy": "utility_proxy",
    "answer_regex": "prompts",
    "answer_schema": "prompts",
    "compare_with_per_state": "diagnostics",
    "default_template": "prompts",
    "diagnose": "diagnostics",
    "execute": "execution",
    "generate_task": "tasks",
    "grader_of": "grading",
    "pack": "sampling",
    "profile": "profiling",
    "read": "reading",
    "read_config": "config",
    "read_queries": "tasks",
    "route": "routing",
    "sample_price": "pacing",
    "support_template": "prompts",
    "template_for": "prompts",
    "token_f1": "grading",
    "write_queries": "tasks",
}

__all__ = [
    "Diagnosis",
    "ExecutionReport",
    "Measurements",
    "ModelAnswer",
    "ModelCall",
    "ModelConfig",
    "OfflineEngine",
    "OnlineCall",
    "OnlineRouter",
    "PoolModel",
    "ProfileConfig",
    "Query",
    "RoutedPlan",
    "ServerEngine",
    "Task",
    "Template",
    "UtilityProxy",
    "answer_regex",
    "answer_schema",
    "compare_with_per_state",
    "default_template",
    "diagnose",
    "execute",
    "generate_task",
    "grader_of",
    "pack",
    "profile",
    "read",
    "read_config",
    "read_queries",
    "route",
    "sample_price",
    "support_template",
    "template_for",
    "token_f1",
    "write_queries",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
