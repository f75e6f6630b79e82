"""OpenAI's chat dialect, the small part that an agent needs: a request's bytes, and what each chunk says. Pure."""

from __future__ import annotations

import json

from aish.errors import UpstreamError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from aish.agents.agent import Agent

    Role = str
    Messages = list[tuple[Role, str]]

DONE: Final = "[DONE]"
TEXT_PARTS: Final = ("text", "output_text")
SHOWN_MAX: Final = 300  # characters of an upstream's own words in an error


class Delta:
    """What one chunk adds. `finish` is why the model stopped ("stop", "length", …), None while it goes on;
    `input_tokens` and `output_tokens` are the server's own counts, None in all chunks but the last."""

    __slots__ = ("finish", "input_tokens", "output_tokens", "text")

    def __init__(
        self,
        text: str = "",
        finish: str | None = None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
    ) -> None:
        self.text = text
        self.finish = finish
        self.input_tokens = input_tokens
        self.output_tokens = output_tokens


def request(agent: Agent, messages: Messages, max_output_tokens: int | None) -> bytes:
    """The body of a streaming chat request. Only what the agent's file sets is sent: servers refuse unknown keys."""
    sampling = agent.sampling
    body: dict[str, Any] = {
        "model": agent.model,
        "messages": [{"role": role, "content": text} for role, text in messages],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    options = {
        "max_tokens": max_output_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
        "stop": list(sampling.stop) or None,
        "frequency_penalty": sampling.frequency_penalty,
        "presence_penalty": sampling.presence_penalty,
    }
    body.update((key, value) for key, value in options.items() if value is not None)
    return json.dumps(body).encode()


def read_chunk(data: str) -> Delta:
    """The meaning of one event's data (not `[DONE]`). Raises UpstreamError: an error told, or not a chunk."""
    chunk = _object(data)
    error = chunk.get("error")
    if error:
        raise UpstreamError(f"the model server broke off: {error_text(error)}", status=_status(error))
    delta = Delta()
    usage = chunk.get("usage")
    if isinstance(usage, dict):
        delta.input_tokens = _count(usage.get("prompt_tokens"))
        delta.output_tokens = _count(usage.get("completion_tokens"))
    choices = chunk.get("choices")
    if choices is None and usage is None:
        raise _malformed(data)
    if not choices:
        return delta  # the usage chunk has none
    choice = choices[0] if isinstance(choices, list) else None
    if not isinstance(choice, dict):
        raise _malformed(data)
    # `message`: a server that does not stream answers with the whole message at once.
    part = choice.get("delta") or choice.get("message") or {}
    delta.text = _said(part.get("content")) if isinstance(part, dict) else ""
    finish = choice.get("finish_reason")
    delta.finish = finish if isinstance(finish, str) else None
    return delta


def _said(content: object) -> str:
    """A text, or the texts of its parts: some servers write them so, thoughts of the model among them."""
    if not isinstance(content, list):
        return content if isinstance(content, str) else ""
    parts = [part for part in content if isinstance(part, dict) and part.get("type") in TEXT_PARTS]
    return "".join(part["text"] for part in parts if isinstance(part.get("text"), str))


def error_text(error: object) -> str:
    """The words of an `error` member in whatever shape, short and on one line."""
    words = error.get("message") if isinstance(error, dict) else error
    if not isinstance(words, str) or not words.strip():
        words = json.dumps(error)
    line = " ".join("".join(c if c.isprintable() else " " for c in words).split())
    return line if len(line) <= SHOWN_MAX else line[:SHOWN_MAX] + " …"


def _status(error: object) -> int | None:
    return _count(error.get("code")) if isinstance(error, dict) else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _object(data: str) -> dict[str, Any]:
    try:
        chunk = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _malformed(data) from error
    if not isinstance(chunk, dict):
        raise _malformed(data)
    return chunk


def _malformed(data: str) -> UpstreamError:
    return UpstreamError(
        f"the model server sent something that is not a chat chunk: {error_text(data[:1000] or 'nothing')}",
        hint="the address must speak OpenAI's chat/completions; see `aish doctor`",
    )
