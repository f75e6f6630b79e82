"""Keys as people write them."""

from __future__ import annotations

import pytest

from aish.errors import UsageError
from aish.model import keys


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("ctrl-] d", b"\x1dd"),
        ("Ctrl+a D", b"\x01D"),
        ("ctrl-p ctrl-q", b"\x10\x11"),
        ("ctrl-\\", b"\x1c"),
        ("esc esc q", b"\x1b\x1bq"),
        ("none", b""),
    ],
)
def test_what_the_terminal_sends(text: str, sent: bytes) -> None:
    assert keys.parse(text) == sent


@pytest.mark.parametrize("text", ["", "d", "~ .", "ctrl-", "ctrl-é", "ctrl-] dd", "ctrl-a b c d e", "space d"])
def test_what_could_not_be_typed_or_would_be_typed_all_the_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        keys.parse(text)
