"""The requests of one model's calls, changed by what its provider refuses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from robatch.proxies.engines.engine import ModelCall
from robatch.proxies.engines.refusals import most_output, refused_fields, wants_more_output, words_of
from robatch.proxies.engines.request_settings import OUTPUT_FIELDS, STRUCTURE_FIELDS, RequestSettings

_REFUSALS = (400, 422)  # statuses of a request that is itself at fault
_MAX_WORDS = 300  # characters of a provider's words that are kept


@dataclass(frozen=True)
class Request:
    """A call as it is sent: the fields, and the settings that they were made by."""

    call: ModelCall
    settings: RequestSettings
    fields: Mapping[str, Any]

    def body(self, model: str, chat: bool) -> dict[str, Any]:
        """Return what is sent to a model, by its server's name for it."""
        prompt = {"messages": self.call.messages} if chat else {"prompt": self.call.whole}
        return {"model": model, **self.fields, **prompt}


class Requests:
    """Makes the requests of one model's calls, and learns from refusals what its provider does not take.

    Attributes
    ----------
    settings
        In force now.
    refused
        The provider's words by the field that it refused.
    """

    def __init__(self, settings: RequestSettings, seed: int, template: Mapping[str, Any]) -> None:
        self.settings, self._seed, self._template = settings, seed, dict(template)
        self.refused: dict[str, str] = {}
        self._learned: dict[str, Any] = {}

    def of(self, call: ModelCall, settings: RequestSettings | None = None) -> Request:
        """Make the request of a call, by other settings than those of now where they are given."""
        made_by = self.settings if settings is None else settings
        return Request(call, made_by, made_by.fields_of(call, self._seed) | self._template)

    def too_much(self, call: ModelCall) -> bool:
        """Tell whether a call asks for more output than the provider is known to allow."""
        return self.settings.output_limit is not None and call.max_tokens > self.settings.output_limit

    @property
    def learned(self) -> dict[str, Any]:
        """What refusals changed, as keys of a table [models.request]."""
        return dict(self._learned)

    def adapts(self, request: Request, status: int, message: str, body: object) -> bool:
        """Take in a refusal; tell whether the call is worth sending again in the form of now.

        The settings get nearer to what the provider takes each time, so that this ends.
        """
        if status not in _REFUSALS:
            return False
        if request.settings is not self.settings:  # another call was refused meanwhile
            return request.fields != self.of(request.call).fields
        named = refused_fields(message, body, list(request.fields))
        said = words_of(message, body)
        output = self.settings.output_field
        if wants_more_output(said):
            return False
        if (output in named or not named) and (most := most_output(said, request.call.max_tokens)) is not None:
            self._learn({"output_limit": most}, output, message)
            return False
        changed = False
        for name in named:
            changed |= self._drop(name, message, request.call)
        return changed

    def _drop(self, name: str, message: str, call: ModelCall) -> bool:
        """Go on without a field that the provider refused, or by another name; tell whether that can be."""
        settings = self.settings
        if name in settings.extra_body:
            return False  # the user's own choice
        if name in ("temperature", "seed"):
            return self._learn({"omit": [*settings.omit, name]}, name, message)
        if name == settings.output_field:
            other = next(field for field in OUTPUT_FIELDS if field != name)
            return other not in self.refused and self._learn({"output_field": other}, name, message)
        if name in STRUCTURE_FIELDS:
            return self._learn({"structure": self._weaker(call)}, name, message)
        return False

    def _weaker(self, call: ModelCall) -> str:
        """Return what asks for the same form in a way that more servers know."""
        ways = ("response_format", "json_object", "none") if call.schema is not None else ("none",)
        at = ways.index(self.settings.structure) + 1 if self.settings.structure in ways else 0
        return ways[min(at, len(ways) - 1)]

    def _learn(self, change: dict[str, Any], name: str, message: str) -> bool:
        known = self.settings.to_dict()
        self.settings = RequestSettings.from_dict(known | change, "request.")
        self._learned |= change
        self.refused.setdefault(name, " ".join(message.split())[:_MAX_WORDS])
        return self.settings.to_dict() != known


def with_learned(request: Mapping[str, Any], learned: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table [models.request] with what refusals taught."""
    omit = list(dict.fromkeys([*request.get("omit", ()), *learned.get("omit", ())]))
    return {**request, **learned, **({"omit": omit} if omit else {})}
