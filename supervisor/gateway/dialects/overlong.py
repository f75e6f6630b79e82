"""How servers say that a request is longer than the model's context, and how clients want to hear it. Pure.

Clients shorten the conversation and go on, if they understand: those of OpenAI's dialect by the code (and the agents
here), Anthropic's by the first words of the message, Claude Code by both figures behind them.
"""

from __future__ import annotations

import re
from typing import Any, Final

CODE: Final = "context_length_exceeded"
STATUSES: Final = (400, 413, 422)
_ANTHROPIC: Final = "prompt is too long"
_SAID: Final = re.compile(
    r"maximum context length"  # OpenAI, vLLM, DeepSeek, Mistral
    r"|prompt is too long"  # Anthropic
    r"|input is too long for requested model"  # Bedrock
    r"|longer than the (?:maximum model length|model's context length)"  # vLLM, SGLang
    r"|exceeds the (?:available context size|context window|maximum number of tokens allowed)",  # llama.cpp, Gemini
    re.IGNORECASE,
)


def is_told(status: int, message: str) -> bool:
    """Whether a server's error means that."""
    return status in STATUSES and _SAID.search(message) is not None


def in_anthropic_s_words(error: dict[str, Any]) -> str:
    """The message of such an error in OpenAI's shape, maybe with llama.cpp's figures beside it."""
    message, had, most = str(error.get("message", "")), error.get("n_prompt_tokens"), error.get("n_ctx")
    if _ANTHROPIC in message.lower():
        return message
    if type(had) is int and type(most) is int:
        return f"{_ANTHROPIC}: {had} tokens > {most} maximum"
    return f"{_ANTHROPIC}: {message}"
