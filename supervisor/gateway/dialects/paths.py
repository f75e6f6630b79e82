"""Which dialect is spoken at which path. Paths are without /v1, which some clients leave out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aish.supervisor.gateway.dialects import openai
from aish.supervisor.gateway.dialects.anthropic.dialect import Anthropic
from aish.supervisor.gateway.dialects.anthropic.head import COUNT, MESSAGES
from aish.supervisor.gateway.dialects.gemini import dialect as gemini
from aish.supervisor.gateway.dialects.ollama import dialect as ollama
from aish.supervisor.gateway.dialects.ollama import request
from aish.supervisor.gateway.dialects.responses.dialect import Responses
from aish.supervisor.gateway.dialects.responses.head import RESPONSES
from aish.supervisor.gateway.dialects.unchanged import Unchanged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aish.supervisor.gateway.dialects.dialect import Dialect

OPENAI: Final = Unchanged()
ANTHROPIC: Final = Anthropic()
OLLAMA: Final = ollama.Chat()
GEMINI: Final = gemini.Gemini()
SERVED: Final[dict[str, Dialect]] = {
    openai.CHAT: OPENAI,
    openai.COMPLETIONS: OPENAI,
    openai.EMBEDDINGS: OPENAI,
    RESPONSES: Responses(),
    MESSAGES: ANTHROPIC,
    request.CHAT: OLLAMA,
    request.GENERATE: ollama.Generate(),
    request.EMBED: ollama.Embed(),
    request.EMBEDDINGS: ollama.Embedding(),
}
"""Where models answer."""
COUNTED: Final[dict[str, Dialect]] = {COUNT: ANTHROPIC}
"""Where the tokens of a request are counted, and nothing is answered."""
RUNNING: Final = "/api/ps"
LISTS: Final = ("/models", "/api/tags", RUNNING)
"""Where the models are listed."""
OLLAMA_VERSION: Final = "0.12.0"
"""Of the API that is followed here."""
SHOW: Final = "/api/show"
OLLAMA_PREFIX: Final = "/api/"
_ANTHROPIC_HEADER: Final = "anthropic-version"
GEMINI_KEY: Final = "x-goog-api-key"


def spoken(path: str, headers: Mapping[str, str]) -> Dialect:
    """What the client understands, whether there is such a path or not."""
    dialect = SERVED.get(path) or COUNTED.get(path)
    if dialect is not None:
        return dialect
    if path.startswith(OLLAMA_PREFIX):
        return OLLAMA
    if path.startswith(gemini.PREFIX) or GEMINI_KEY in headers or gemini.spoken(path, ""):
        return GEMINI
    return ANTHROPIC if _ANTHROPIC_HEADER in headers else OPENAI
