"""Errors as Anthropic's clients know them. Pure.

Source: platform.claude.com/docs/en/api/errors, with the words of OpenAI's dialect where it has better ones.
"""

from __future__ import annotations

from typing import Final

import msgspec

from aish.supervisor.gateway.dialects import openai

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
    error: _Error


def body(status: int, told: bytes) -> bytes:
    """`told` is an error in OpenAI's shape."""
    try:
        message = msgspec.json.decode(told, type=_Body).error.message
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        message = _Error().message
    kind = _TYPES.get(status, "invalid_request_error" if 400 <= status < 500 else "api_error")
    return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message}})


def status_within(told: bytes) -> int:
    """The status of an error that is told inside a stream, where it names one."""
    return openai.error_status(told)
