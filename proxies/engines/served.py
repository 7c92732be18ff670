"""What an OpenAI-compatible server tells about itself and a model, as far as it has an answer."""

from __future__ import annotations

import json
import urllib.request
from http.client import HTTPException
from typing import Any

_SERVED_FIELDS = ("id", "owned_by", "root", "parent", "max_model_len")  # of a model, by a server's list of models


def vllm_version(server: str, key: str) -> str | None:
    """Ask a vLLM server for its version; others do not know the question."""
    version = _asked(server.rstrip("/").removesuffix("/v1") + "/version", key).get("version")
    return str(version) if version else None


def served_model(server: str, key: str, model: str) -> dict[str, Any] | None:
    """Ask for what the server tells about the model, apart from what changes at every start."""
    models = _asked(f"{server.rstrip('/')}/models", key).get("data")
    for told in models if isinstance(models, list) else ():
        if isinstance(told, dict) and told.get("id") == model:
            served = {name: told[name] for name in _SERVED_FIELDS if isinstance(told.get(name), str | int)}
            if str(served.get("root", "")).startswith("/"):
                served["root"] = str(served["root"]).rstrip("/").rpartition("/")[2]
            return served
    return None


def _asked(address: str, key: str) -> dict[str, Any]:
    """Ask a server for a JSON object; an empty one where it has no such answer."""
    request = urllib.request.Request(address)
    if key:
        request.add_unredirected_header("Authorization", f"Bearer {key}")
    try:
        with urllib.request.urlopen(request, timeout=5) as reply:
            found = json.loads(reply.read(1_000_000))
    except (OSError, ValueError, RecursionError, HTTPException):
        return {}
    return found if isinstance(found, dict) else {}
