"""One model under the names that tables and servers give it: with and without its provider, in any case."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Sequence

from robatch.instances.prices.entry import PriceEntry

PROVIDERS = {
    "aws": "bedrock",
    "bedrock_converse": "bedrock",
    "cohere_chat": "cohere",
    "fireworks": "fireworks_ai",
    "google": "gemini",
    "meta_llama": "meta-llama",
    "mistralai": "mistral",
    "moonshotai": "moonshot",
    "together": "together_ai",
    "x-ai": "xai",
    "z-ai": "zai",
}
"""Providers that tables name differently."""

_NEAREST = 4  # names that are suggested


class Names:
    """The entries of a table by every name that may be meant."""

    def __init__(self, entries: Sequence[PriceEntry]) -> None:
        self._exact = {entry.name: entry for entry in entries}
        self._steps: tuple[dict[str, list[PriceEntry]], ...] = tuple(defaultdict(list) for _ in range(3))
        folded, qualified, short = self._steps
        for entry in entries:
            name = entry.name.casefold()
            folded[name].append(entry)
            qualified[_canonical(name)].append(entry)
            if entry.provider is not None:
                qualified[_canonical(f"{entry.provider.casefold()}/{name}")].append(entry)
            for place, letter in enumerate(name):
                if letter == "/":
                    short[name[place + 1 :]].append(entry)
        self._without_provider = {entry.name.casefold(): entry for entry in entries if entry.provider is None}

    def find(self, name: str) -> list[PriceEntry]:
        """Return the entries that a name may mean: of the first rule that fits.

        The name itself; the name in another case; provider and name; the end of a longer name, from a slash; and the
        name without a provider, where the table has none.
        """
        if name in self._exact:
            return [self._exact[name]]
        asked = name.strip().casefold()
        spelled = [asked]
        if ":" in asked and "/" not in asked.partition(":")[0]:  # provider:name
            spelled.append(asked.replace(":", "/", 1))
        for text in spelled:
            for step, key in zip(self._steps, (text, _canonical(text), text), strict=True):
                if key in step:
                    return list(dict.fromkeys(step[key]))
        for text in spelled:
            provider, _, rest = text.partition("/")
            if provider and rest in self._without_provider:
                return [self._without_provider[rest]]
        return []


def nearest(name: str, known: Sequence[str]) -> list[str]:
    """Return the names that are most like one, the likeliest first."""
    folded = {other.casefold(): other for other in known}
    asked = name.casefold()
    tail = asked.rpartition("/")[2]
    holding = sorted((other for other in folded if tail and tail in other), key=len)
    close = difflib.get_close_matches(asked, folded, n=_NEAREST, cutoff=0.6)
    return [folded[other] for other in dict.fromkeys([*holding[:_NEAREST], *close])][:_NEAREST]


def _canonical(name: str) -> str:
    """Return a name whose provider, where it has one in front, is the one that other tables name too."""
    provider, slash, rest = name.partition("/")
    return f"{PROVIDERS.get(provider, provider)}/{rest}" if slash else name
