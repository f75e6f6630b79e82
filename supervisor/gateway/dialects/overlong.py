"""How servers say that a request is longer than the model's context, and how clients want to hear it. Pure.

Clients shorten the conversation and go on, if they understand: those of OpenAI's dialect by the code (and the agents
here), Anthropic's by the first words of the message, Claude Code by both figures behind them. Where nearly all of the
room is asked for the answer, a shorter conversation is no remedy: that stays the error of the request that it is.
"""

from __future__ import annotations

import re
from typing import Any, Final

CODE: Final = "context_length_exceeded"
STATUSES: Final = (400, 413, 422)
_ANTHROPIC: Final = "prompt is too long"
_BOTH_EXCEED: Final = "input length and `max_tokens` exceed context limit"
"""Anthropic's, too: Claude Code reads it, and asks for less."""
_SAID: Final = re.compile(
    r"maximum context length"  # OpenAI, vLLM, DeepSeek, Mistral
    rf"|{_ANTHROPIC}|{_BOTH_EXCEED}"
    r"|input is too long for requested model"  # Bedrock
    r"|longer than the (?:maximum model length|model's context length)"  # vLLM, SGLang
    r"|exceeds the (?:available context size|context window|maximum number of tokens allowed)"  # llama.cpp, Gemini
    r"|maximum prompt length is"  # xAI
    r"|`inputs` (?:must have less than|tokens \+ `max_new_tokens` must be <=)",  # TGI
    re.IGNORECASE,
)
_OUTPUT: Final = re.compile(r"max_(?:completion_)?tokens'? is too large", re.IGNORECASE)
_FIGURES: Final = tuple(
    re.compile(words.replace("PROMPT", r"(?P<prompt>\b\d{1,12})").replace("OUTPUT", r"(?P<output>\b\d{1,12})"))
    for words in (
        r"exceed context limit: PROMPT \+ OUTPUT",  # Anthropic
        r"is too large: OUTPUT\b.{0,200}? has PROMPT input tokens",  # vLLM
        r"requested OUTPUT output tokens and your prompt contains at least PROMPT",  # vLLM, newer
        r"\(PROMPT in (?:the messages|your prompt).{0,100}? OUTPUT (?:in|for) the completion",  # OpenAI, vLLM, older
        r"PROMPT tokens from the input messages and OUTPUT tokens for the completion",  # SGLang
        r"PROMPT `inputs` tokens and OUTPUT `max_new_tokens`",  # TGI
    )
)


def is_told(status: int, message: str) -> bool:
    """Whether a server's error means that."""
    if status not in STATUSES or _SAID.search(message) is None:
        return False
    for words in _FIGURES:
        found = words.search(message)
        if found is not None:
            return 2 * int(found["prompt"]) >= int(found["output"])
    return _OUTPUT.search(message) is None


def in_anthropic_s_words(error: dict[str, Any]) -> str:
    """The message of such an error in OpenAI's shape, maybe with llama.cpp's figures beside it."""
    message, had, most = str(error.get("message", "")), error.get("n_prompt_tokens"), error.get("n_ctx")
    if _ANTHROPIC in message.lower() or _BOTH_EXCEED in message:
        return message
    if type(had) is int and type(most) is int:
        return f"{_ANTHROPIC}: {had} tokens > {most} maximum"
    return f"{_ANTHROPIC}: {message}"
