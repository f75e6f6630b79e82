"""What `aish up` says while it waits, to a person at a terminal and to a log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aish.cli import brought
from aish.client.patience import Patience

if TYPE_CHECKING:
    import pytest
    from conftest import Home


def test_who_waits_off_a_terminal_is_told_of_what_lasts(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a log nothing was said for ever, while a server refused the key. Each step would be too much there."""
    served = home.aish("model", "serve", "far", "--url", "http://127.0.0.1:9/v1", "--key", "command:false")
    assert "will not get ready by waiting" in served.stderr
    progress = brought.Progress("up", Patience(None))
    progress(["far"])
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(brought, "LONG_S", 0.0)
    for _ in range(2):
        progress(["far"])
    assert capsys.readouterr().err == f"aish up: far: {home.client.process('far').row().doing}\n"
