"""What model servers speak, and which of them that is where nobody says so."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

OPENAI: Final = "openai"
"""OpenAI's chat, completions and embeddings: nearly every server."""
ANTHROPIC: Final = "anthropic"
"""Anthropic's messages."""
DIALECTS: Final = (OPENAI, ANTHROPIC)


KEY: Final = "key"
CLIENT: Final = "client"
LOGINS: Final = (KEY, CLIENT)
"""With whose login a server is asked: see aish.wire.spec.RoutePart."""


def of(url: str) -> str:
    """What the server at an address speaks, as far as the address tells."""
    host = url.partition("://")[2].partition("/")[0].partition(":")[0]
    return ANTHROPIC if host == "anthropic.com" or host.endswith(".anthropic.com") else OPENAI
