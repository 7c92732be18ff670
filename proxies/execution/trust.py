"""What a plan's file, which may be somebody else's, does not decide: who gets the user's keys, and what code runs."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from robatch.instances.errors import InputError
from robatch.proxies.execution.plan import RoutedPlan
from robatch.proxies.execution.pool import PoolModel

_DEFAULT_KEY = "OPENAI_API_KEY"
_HARMLESS = frozenset({
    "block_size", "chat_template_kwargs", "cpu_offload_gb", "data_parallel_size", "distributed_executor_backend",
    "dtype", "enable_chunked_prefill", "enable_prefix_caching", "enforce_eager", "gpu_memory_utilization",
    "kv_cache_dtype", "limit_mm_per_prompt", "max_model_len", "max_num_batched_tokens", "max_num_seqs",
    "pipeline_parallel_size", "quantization", "revision", "seed", "swap_space", "tensor_parallel_size",
})  # fmt: skip
"""Engine arguments that take sizes and switches: none loads code or reads a path."""
_BACKENDS = ("mp", "ray", "uni")  # anything else names a class to import
_TEMPLATE_SWITCHES = frozenset({"enable_thinking", "thinking", "reasoning_effort"})
_WORD = re.compile(r"\w[\w.+-]*", re.ASCII)


def check_trust(routed: RoutedPlan, key_variables: Collection[str], grader: str | None) -> None:
    """Refuse what only a plan's file asks for and the user did not name.

    Parameters
    ----------
    routed
        The plan.
    key_variables
        Environment variables that the user named as keys for the plan's servers.
    grader
        The user's own function that the user named as the plan's grader, or None.

    Raises
    ------
    InputError
        If a key would go to a server, an engine argument to vLLM, or a grader would be run without the user's consent.
    """
    for model in routed.pool:
        named = routed.named.get(model.name, frozenset())
        _check_key(model, named, key_variables)
        if model.server is None and "engine" not in named:
            _check_engine(model)
    if grader is not None and grader != routed.grader:
        raise InputError(f"grader is {grader!r}: the plan is graded by {routed.grader!r}")
    if ":" in routed.grader and grader is None:
        raise InputError(
            f"the plan's grader {routed.grader!r} is code that would be run here: "
            f"if that is right, name it with --grader {routed.grader}"
        )


def _check_key(model: PoolModel, named: Collection[str], key_variables: Collection[str]) -> None:
    variable = model.api_key_env
    if model.server is None or not os.environ.get(variable, "").strip() or variable in key_variables:
        return
    if "api_key_env" in named or (variable == _DEFAULT_KEY and ("server" in named or _known(model.server))):
        return
    raise InputError(
        f"the plan would send the environment variable {variable} to {model.server} as a key: if that is right, name "
        f"the variable with --api-key-env, or give model {model.name!r} a server and an api_key_env in a pool file"
    )


def _known(server: str) -> bool:
    """Tell whether a server is this machine, or the one that the default key is for."""
    parts = urlsplit(server)
    host = parts.hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or (parts.scheme == "https" and host == "api.openai.com")


def _check_engine(model: PoolModel) -> None:
    for key, value in model.engine.items():
        if key not in _HARMLESS or not _plain(key, value):
            raise InputError(
                f"the plan would start vLLM for model {model.name!r} with {key} = {value!r}, which a plan's file may "
                "not decide: if that is right, give this model's engine arguments as 'engine' in a pool file"
            )


def _plain(key: str, value: Any) -> bool:
    if key == "distributed_executor_backend":
        return value in _BACKENDS
    if isinstance(value, Mapping):
        names = _TEMPLATE_SWITCHES if key == "chat_template_kwargs" else {"image", "video", "audio"}
        return key in ("chat_template_kwargs", "limit_mm_per_prompt") and all(
            name in names and not isinstance(part, Mapping) and _plain(name, part) for name, part in value.items()
        )
    if isinstance(value, str):
        return bool(_WORD.fullmatch(value))
    return value is None or isinstance(value, bool | int | float)
