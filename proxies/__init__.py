"""Queries -> utilities: profiling runs on real models, the utility proxy, plans executed, online decisions.

Importing this package is light: vLLM, ``openai`` and pyarrow are loaded when something that needs them is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from robatch.proxies.engines.engine import ModelAnswer, ModelCall
    from robatch.proxies.engines.offline import OfflineEngine
    from robatch.proxies.engines.server import ServerEngine
    from robatch.proxies.execution.plan import RoutedPlan
    from robatch.proxies.execution.pool import PoolModel
    from robatch.proxies.execution.report import ExecutionReport
    from robatch.proxies.execution.routing import route
    from robatch.proxies.execution.run import execute
    from robatch.proxies.online.call_buffer import OnlineCall
    from robatch.proxies.online.pacing import sample_price
    from robatch.proxies.online.router import OnlineRouter
    from robatch.proxies.profiling.config import ModelConfig, ProfileConfig, read_config
    from robatch.proxies.profiling.measurements import Measurements
    from robatch.proxies.profiling.run import profile
    from robatch.proxies.profiling.sampling import pack
    from robatch.proxies.tasks.grading import grader_of, token_f1
    from robatch.proxies.tasks.prompts import (
        Template,
        answer_regex,
        answer_schema,
        default_template,
        support_template,
        template_for,
    )
    from robatch.proxies.tasks.queries import Query, generate_task, read_queries, write_queries
    from robatch.proxies.tasks.reading import read
    from robatch.proxies.tasks.task import Task
    from robatch.proxies.utility.answer_scorer import AnswerScorer
    from robatch.proxies.utility.cascade import Cascade, fit_cascade
    from robatch.proxies.utility.diagnostics import Diagnosis, compare_with_per_state, diagnose
    from robatch.proxies.utility.utility_proxy import UtilityProxy

_HOME = {
    "AnswerScorer": "utility.answer_scorer",
    "Cascade": "utility.cascade",
    "Diagnosis": "utility.diagnostics",
    "ExecutionReport": "execution.report",
    "Measurements": "profiling.measurements",
    "ModelAnswer": "engines.engine",
    "ModelCall": "engines.engine",
    "ModelConfig": "profiling.config",
    "OfflineEngine": "engines.offline",
    "OnlineCall": "online.call_buffer",
    "OnlineRouter": "online.router",
    "PoolModel": "execution.pool",
    "ProfileConfig": "profiling.config",
    "Query": "tasks.queries",
    "RoutedPlan": "execution.plan",
    "ServerEngine": "engines.server",
    "Task": "tasks.task",
    "Template": "tasks.prompts",
    "UtilityProxy": "utility.utility_proxy",
    "answer_regex": "tasks.prompts",
    "answer_schema": "tasks.prompts",
    "compare_with_per_state": "utility.diagnostics",
    "default_template": "tasks.prompts",
    "diagnose": "utility.diagnostics",
    "execute": "execution.run",
    "fit_cascade": "utility.cascade",
    "generate_task": "tasks.queries",
    "grader_of": "tasks.grading",
    "pack": "profiling.sampling",
    "profile": "profiling.run",
    "read": "tasks.reading",
    "read_config": "profiling.config",
    "read_queries": "tasks.queries",
    "route": "execution.routing",
    "sample_price": "online.pacing",
    "support_template": "tasks.prompts",
    "template_for": "tasks.prompts",
    "token_f1": "tasks.grading",
    "write_queries": "tasks.queries",
}

__all__ = [
    "AnswerScorer",
    "Cascade",
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
    "fit_cascade",
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
