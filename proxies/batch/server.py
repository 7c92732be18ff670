"""The batch API of one OpenAI-compatible server, through the ``openai`` client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from robatch.instances.errors import InputError, require
from robatch.proxies.engines.client import key_of
from robatch.proxies.engines.engine import EngineFailure
from robatch.proxies.engines.reply import read_reply
from robatch.proxies.engines.server_failures import ServerFailures
from robatch.proxies.execution.pool import PoolModel

OVER = ("completed", "failed", "expired", "cancelled")
"""Statuses of a batch to which nothing more will happen."""
MARK = "robatch"
"""The key of a batch's metadata that holds ours."""
_WINDOW = "24h"  # the one that OpenAI offers
_MOST_LISTED = 1000  # batches of an account in which one is looked for, the newest first


@dataclass(frozen=True)
class Standing:
    """Where a batch stands: its status, the files of its results, why it failed, and how many requests are done."""

    status: str
    files: tuple[str, ...] = ()
    why: str | None = None
    done: int = 0


class BatchServer:
    """Uploads files of requests, and follows their batches.

    Raises
    ------
    InputError
        If the model has no server or its key cannot be one.
    MissingExtraError
        If the ``openai`` client is not installed.
    """

    def __init__(self, model: PoolModel, timeout: float) -> None:
        if model.server is None:
            raise InputError(
                f"model {model.name!r} has no server, so no batch API: write its requests with "
                "robatch calls --format openai-batch, for vLLM's run_batch"
            )
        self._openai = require("openai", "server", "A server's batch API")
        key = key_of(model.api_key_env)
        self._server = model.server
        self._client = self._openai.OpenAI(
            base_url=model.server, api_key=key or "unset", timeout=timeout, max_retries=2
        )
        self._failures = ServerFailures(
            self._openai, model.model or model.name, timeout, model.api_key_env, key
        )  # fmt: skip

    def upload(self, name: str, requests: bytes) -> str:
        """Upload a file of requests; return its id."""
        with self._failing("takes no file of requests"):
            return str(self._client.files.create(file=(name, requests), purpose="batch").id)

    def create(self, file: str, address: str, key: str) -> str:
        """Begin the batch of an uploaded file, marked with its key; return its id. It is tried once."""
        with self._failing("begins no batch"):
            once = self._client.with_options(max_retries=0)
            made = once.batches.create(
                input_file_id=file, endpoint=address, completion_window=_WINDOW, metadata={MARK: key}
            )
            return str(made.id)

    def find(self, key: str) -> str | None:
        """Return the id of the batch that is marked with a key, None where the server lists none."""
        with self._failing("lists no batches"):
            for place, batch in enumerate(self._client.batches.list(limit=100)):
                if (getattr(batch, "metadata", None) or {}).get(MARK) == key:
                    return str(batch.id)
                if place >= _MOST_LISTED:
                    break
        return None

    def standing(self, id: str) -> Standing:
        """Ask where a batch stands."""
        with self._failing(f"does not tell of batch {id}"):
            batch = self._client.batches.retrieve(id)
        errors = getattr(getattr(batch, "errors", None), "data", None) or []
        said = "; ".join(str(getattr(error, "message", error)) for error in errors[:3])
        files = (getattr(batch, name, None) for name in ("output_file_id", "error_file_id"))
        counts = getattr(batch, "request_counts", None)
        done = getattr(counts, "completed", 0) or 0
        return Standing(str(batch.status), tuple(file for file in files if file), said or None, done)

    def download(self, file: str) -> bytes:
        """Return a file of results."""
        with self._failing(f"does not give file {file}"):
            return bytes(self._client.files.content(file).read())

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @contextmanager
    def _failing(self, what: str) -> Iterator[None]:
        """Turn the client's errors into a failure of the server; ``passes`` where its outcome may be unknown."""
        try:
            yield
        except self._openai.APIStatusError as error:
            reply = read_reply(error.response.content, error.response.headers.get("content-type", ""))
            failure = self._failures.of_status(error, reply)
            why = "offers no batch API" if error.status_code in (404, 405, 501) else f"{what}: it {failure.why}"
            raise EngineFailure(f"the server {self._server} {why}", passes=failure.passes) from None
        except self._openai.OpenAIError as error:
            why = self._failures.of_connection(error).why
            raise EngineFailure(f"the server {self._server} {why}", passes=True) from None
