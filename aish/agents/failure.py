"""What an HTTP error of the gateway or a model server means for the person who waits for the answer. Pure."""

from __future__ import annotations

import json

from aish.agents.chat import error_text
from aish.errors import (
    BudgetError,
    InputError,
    LimitError,
    NotFoundError,
    RefusedError,
    UnavailableError,
    UpstreamError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from aish.errors import AishError

_CONTEXT_CODES = ("exceed_context_size_error", "context_length_exceeded")
_BUDGET_CODES = ("insufficient_quota", "budget", "limit")
_BUDGET_HINT = "raise the budget: aish limit @NAME tokens=+50k"
_LONG_HINT = "use a model with a longer context, or serve this one with one: `aish model show` tells it"


class ContextError(UpstreamError):
    """The input's fault, mildly: it is longer than the model's context. `context_tokens` is that context, None where
    the server did not tell. The runner catches it and splits the input; a person sees it only if that cannot be."""

    def __init__(self, message: str, *, context_tokens: int | None, hint: str | None = None) -> None:
        super().__init__(message, status=400, hint=hint)
        self.context_tokens = context_tokens


class AuthError(RefusedError):
    """The key or the login that it asks with is not taken there."""

    code = "auth"


def from_response(status: int, body: bytes, model: str) -> AishError:
    """The error to raise for an answer with `status` (not 2xx) and `body` (its beginning is enough)."""
    error = _error(body)
    words = error_text(error) if error else f"HTTP status {status}"
    code = _word(error, "code") or _word(error, "type")
    if status in (400, 413, 422) and (_word(error, "type") in _CONTEXT_CODES or code in _CONTEXT_CODES):
        return ContextError(words, context_tokens=_context_tokens(error), hint=_LONG_HINT)
    # The gateway puts what to do next into brackets at the end: a second advice would only be in the way.
    advised = words.endswith(")")

    def hint(text: str) -> str | None:
        return None if advised else text

    match status:
        case 401 | 403:
            return AuthError(words, hint=hint("its key does not allow this; `aish inspect` tells its rights"))
        case 402:
            return BudgetError(words, hint=hint(_BUDGET_HINT))
        case 404:
            return NotFoundError(words, hint=hint(f"is {model} a model? `aish model ls` shows them"))
        case 429 if code in _BUDGET_CODES:
            return BudgetError(words, hint=hint(_BUDGET_HINT))
        case 429:
            return UpstreamError(f"too many requests: {words}", status=status, hint=hint("try again later"))
        case 413:
            return LimitError(f"the input is too large: {words}", hint=hint("split it first"))
        case 400 | 422:
            return InputError(f"the model server refused the request: {words}", field=_word(error, "param"))
        case 503:
            return UnavailableError(words, hint=hint("`aish ps` shows the model's state, `aish logs` its own words"))
        case 502 | 504 if _word(error, "type") == "upstream_error":
            return UpstreamError(words, status=status, hint=hint("`aish logs` of the model has its own words"))
        case _:
            words = f"the model server failed ({status}): {words}"
            return UpstreamError(words, status=status, hint=hint("`aish logs` of the model has its own words"))


def is_spent(body: bytes) -> bool:
    """Whether an error says that money or a budget is used up: later is no better."""
    error = _error(body)
    return (_word(error, "code") or _word(error, "type")) in _BUDGET_CODES


def _error(body: bytes) -> Any:
    """The `error` member of a JSON body, else its text."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace").strip()
    if isinstance(value, dict):
        return value.get("error") or value.get("message") or value.get("detail") or value
    return value


def _word(error: Any, key: str) -> str | None:
    value = error.get(key) if isinstance(error, dict) else None
    return value if isinstance(value, str) else None


def _context_tokens(error: Any) -> int | None:
    """llama.cpp's servers tell it as `n_ctx`."""
    value = error.get("n_ctx") if isinstance(error, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
