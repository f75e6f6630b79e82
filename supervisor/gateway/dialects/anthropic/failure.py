"""Errors as Anthropic's clients know them. Pure.

Source: platform.claude.com/docs/en/api/errors, with the words of OpenAI's dialect where it has better ones.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from aish.supervisor.gateway.dialects import openai, overlong

_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class _Error(msgspec.Struct):
    message: str = "the request failed"


class _Body(msgspec.Struct):
    error: dict[str, Any]


class _Shaped(msgspec.Struct):
    type: str
    error: _Error


def body(status: int, told: bytes) -> bytes:
    """`told` is an error in OpenAI's shape."""
    try:
        error = msgspec.json.decode(told, type=_Body).error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        error = {}
    message = error.get("message")
    if error.get("code") == overlong.CODE:
        message = overlong.in_anthropic_s_words(error)
    elif not isinstance(message, str):
        message = _Error().message
    kind = _TYPES.get(status, "invalid_request_error" if 400 <= status < 500 else "api_error")
    return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message}})


def event(told: bytes) -> bytes:
    """The same inside a stream, with the type of the status that it names."""
    return b"event: error\ndata: " + body(openai.error_status(told), told) + b"\n\n"


def passed(status: int, told: bytes, model: str) -> bytes:
    """A server's own error: as it is where it has Anthropic's shape."""
    try:
        if msgspec.json.decode(told, type=_Shaped).type == "error":
            return told
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        pass  # a gateway's or a firewall's page
    return body(status, openai.upstream_failure(status, told, model))
