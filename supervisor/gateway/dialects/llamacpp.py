"""What llama.cpp calls its own failure (500) though the request is at fault. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import msgspec


@dataclass(slots=True, frozen=True)
class Mistake:
    """The client's. `code` and `field` as OpenAI's clients know them."""

    message: str
    code: str | None = None
    field: str | None = None


_KNOWN: Final[tuple[tuple[re.Pattern[str], str | None, str | None], ...]] = (
    (re.compile(r"input \(\d+ tokens\) is too large to process"), "context_length_exceeded", "input"),
    (re.compile(r"Failed to parse tools: "), None, "tools"),
    (re.compile(r"Failed to parse messages: "), None, "messages"),
    (re.compile(r"(?:image|audio|video) input is not supported"), None, "messages"),
    (re.compile(r"the current context does not support logits computation"), None, None),  # an encoder cannot chat
)


class _Error(msgspec.Struct):
    message: str


class _Reply(msgspec.Struct):
    error: _Error


def mistake(body: bytes) -> Mistake | None:
    """The client's mistake that an error of llama.cpp's tells of; None if it is the server's own, or not known."""
    try:
        message = msgspec.json.decode(body, type=_Reply).error.message
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    for pattern, code, field in _KNOWN:
        if pattern.match(message):
            return Mistake(message, code, field)
    return None
