"""Requests as files, in the form that OpenAI's batch API and vLLM's ``run_batch`` share."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from robatch.instances.scalars import whole
from robatch.proxies.engines.adapting import Requests, with_learned
from robatch.proxies.engines.engine import ModelCall
from robatch.proxies.engines.model_source import TEMPLATE_ARGUMENTS
from robatch.proxies.engines.request_settings import RequestSettings
from robatch.proxies.engines.server import ADDRESSES
from robatch.proxies.engines.server_failures import ServerFailures
from robatch.proxies.execution.pool import PoolModel

MOST_REQUESTS = 50_000
"""Requests of one file: OpenAI's limit, as the ``openai`` client describes `batches.create`."""
MOST_BYTES = 200_000_000
"""Bytes of one file, from there too."""

_ID = re.compile(r"robatch-([0-9a-f]{12})-([0-9]{1,15})")


@dataclass(frozen=True)
class FileLimits:
    """How large a file of requests may be; the defaults are OpenAI's limits."""

    requests: int = MOST_REQUESTS
    bytes: int = MOST_BYTES

    def __post_init__(self) -> None:
        whole("max_requests", self.requests, 1)
        whole("max_bytes", self.bytes, 1)


def custom_id(key: str, call: int) -> str:
    """Return the id of a call's request in a batch."""
    return f"robatch-{key}-{call}"


def of_custom_id(text: object) -> tuple[str, int] | None:
    """Return the batch and the call of an id; None for one that was not made here."""
    found = _ID.fullmatch(text) if isinstance(text, str) else None
    return None if found is None else (found[1], int(found[2]))


class ModelRequests:
    """Makes the requests of one model's calls, and knows what refusals of them mean.

    Attributes
    ----------
    requests
        Learn from refusals; lines are made by the settings of before.
    """

    def __init__(self, model: PoolModel, seed: int, learned: Mapping[str, Any]) -> None:
        settings = RequestSettings.from_dict(with_learned(model.request, learned), f"request of model {model.name!r}.")
        arguments = model.engine.get(TEMPLATE_ARGUMENTS)
        template = {TEMPLATE_ARGUMENTS: dict(arguments)} if arguments and model.chat else {}
        self.requests, self._settings, self._chat = Requests(settings, seed, template), settings, model.chat
        self.model = model.model or model.path or model.name
        self.failures = ServerFailures(None, self.model, 0.0, model.api_key_env, "")

    @property
    def address(self) -> str:
        """The path that requests are for."""
        return f"/v1{ADDRESSES[self._chat]}"

    def line(self, key: str, number: int, call: ModelCall) -> bytes:
        """Return a call's line in the file of a batch."""
        body = self.requests.of(call, self._settings).body(self.model, self._chat)
        line = {"custom_id": custom_id(key, number), "method": "POST", "url": self.address, "body": body}
        return json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") + b"\n"

    def adapts(self, call: ModelCall, status: int, said: str, body: object) -> bool:
        """Take in a refusal; tell whether the call is worth asking again in another form."""
        return self.requests.adapts(self.requests.of(call, self._settings), status, said, body)
