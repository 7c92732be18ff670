"""One model that calls are sent to: where it is, what it costs, and how it is spoken to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from robatch.instances.errors import InputError
from robatch.proxies.engines.address import check_base_url, check_no_secret
from robatch.proxies.engines.engine import Engine
from robatch.proxies.engines.request_settings import RequestSettings
from robatch.proxies.engines.waits import MAX_WAIT, Wait

TEMPLATE_ARGUMENTS = "chat_template_kwargs"
"""The key of `ModelSource.engine` that goes to the chat template."""

_UNLIMITED_WINDOW = 4096  # tokens that the offline engine allows a model without a context window


@dataclass(frozen=True)
class ModelSource:
    """What profiling and execution know of a model.

    Attributes
    ----------
    name
        Its name in measurements and plans.
    price_in, price_out
        USD per million input and output tokens.
    context_window
        Tokens, prompt and answer together; None if unlimited.
    path
        A local folder or a hub name for the offline engine; None for a server.
    server
        Base URL of an OpenAI-compatible server, such as ``http://127.0.0.1:8000/v1``; None for the offline engine.
    model
        The model's name on the server.
    chat
        Whether the model has a chat template; False sends plain text to be completed.
    structured
        Whether answers are held to the form that the task asks for (lines or JSON) by structured output; otherwise
        they are free text, read with tolerance.
    engine
        Further vLLM engine arguments, such as ``tensor_parallel_size``; with
        ``distributed_executor_backend = "ray"`` vLLM runs the model on the GPUs of a Ray cluster.
        ``chat_template_kwargs``, such as ``{"enable_thinking": False}``, goes to the chat template instead; it is the
        one key that a model on a server may have too.
    api_key_env
        The environment variable that holds the server's API key. The key itself is never stored.
    request
        How its server is asked, as `RequestSettings` has it: only keys that differ from the defaults.
    prices
        Where its prices are from, if they were found by a name: `robatch.instances.prices.PriceEntry.to_dict`, with
        the name, the table and the date, and what plans do not count yet. None where they were given as numbers.
    """

    name: str
    price_in: float
    price_out: float
    context_window: int | None = None
    _: KW_ONLY
    server: str | None = None
    model: str | None = None
    path: str | None = None
    chat: bool = True
    structured: bool = False
    engine: Mapping[str, Any] = field(default_factory=dict)
    api_key_env: str = "OPENAI_API_KEY"
    request: Mapping[str, Any] = field(default_factory=dict)
    prices: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        who = f"of model {self.name!r}"
        for name in ("price_in", "price_out"):
            price = getattr(self, name)
            if isinstance(price, bool) or not isinstance(price, int | float) or not 0 <= price < float("inf"):
                raise InputError(f"{name} {who} is {price!r}: a price of at least 0 USD per million tokens is needed")
        window = self.context_window
        if window is not None and (isinstance(window, bool) or not isinstance(window, int) or window < 1):
            raise InputError(f"context_window {who} is {window!r}: a whole number of at least 1 is needed")
        for name in ("server", "model", "path", "api_key_env"):
            check_text(f"{name} {who}", getattr(self, name))
        for name in ("chat", "structured"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"{name} {who} is {getattr(self, name)!r}: true or false is needed")
        if self.server is not None:
            check_base_url(self.server, f"server {who}")
        if not isinstance(self.engine, Mapping):
            raise InputError(f"engine {who} is {self.engine!r}: a table is needed")
        check_no_secret(self.engine, f"engine {who}")
        if self.prices is not None and not isinstance(self.prices, Mapping):
            raise InputError(f"prices {who} are {self.prices!r}: a record of where they are from is needed")
        object.__setattr__(self, "request", self.request_settings.to_dict())

    @property
    def request_settings(self) -> RequestSettings:
        """How its server is asked.

        Raises
        ------
        InputError
            If `request` is not allowed.
        """
        return RequestSettings.from_dict(self.request, f"request of model {self.name!r}.")

    def allowed(self, output_tokens: int) -> int:
        """Return the output tokens that a call may have, of those that its queries need at most."""
        cap = self.request.get("output_cap")
        return output_tokens if cap is None else min(output_tokens, cap)

    def cost(self, input_tokens: float, output_tokens: float) -> float:
        """Return the USD of some tokens."""
        return (self.price_in * input_tokens + self.price_out * output_tokens) * 1e-6


def check_text(what: str, value: Any) -> None:
    """Refuse a field that is neither None nor a text that is not empty."""
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise InputError(f"{what} is {value!r}: a text that is not empty is needed")


def open_engine(
    model: ModelSource,
    seed: int = 0,
    concurrency: int = 8,
    timeout: float = 120.0,
    retry_billed: bool = True,
    *,
    max_wait: float = MAX_WAIT,
    on_wait: Callable[[Wait], None] | None = None,
) -> Engine:
    """Load a model, or connect to its server.

    Parameters
    ----------
    model
        The model.
    seed
        Seeds the engine's sampling.
    concurrency, timeout
        Calls in flight at a server, and seconds until one is given up.
    retry_billed, max_wait, on_wait
        As of `ServerEngine`.

    Raises
    ------
    InputError
        If it cannot be opened.
    MissingExtraError
        If vLLM or the ``openai`` client is needed and not installed.
    """
    if model.server is not None:
        from robatch.proxies.engines.server import ServerEngine

        where = (model.server, model.model or model.name, model.chat, concurrency, timeout, model.api_key_env, seed)
        template = model.engine.get(TEMPLATE_ARGUMENTS)
        how: dict[str, Any] = {"retry_billed": retry_billed, "max_wait": max_wait, "on_wait": on_wait}
        how["request"] = model.request_settings
        return ServerEngine(*where, template_arguments=template, **how)
    from robatch.proxies.engines.offline import OfflineEngine

    assert model.path
    window = _UNLIMITED_WINDOW if model.context_window is None else model.context_window
    return OfflineEngine(model.path, model.chat, window, seed, dict(model.engine))
