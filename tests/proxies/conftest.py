"""What tests of models behind servers share."""

import pytest

from robatch.proxies.engines import waits


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tries follow each other sooner than real servers would want; waits that a server asks for stay."""
    monkeypatch.setattr(waits, "FIRST_WAIT", 0.01)
