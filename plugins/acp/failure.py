"""What the protocol reports as a failure, as an error that says whose fault it is and what to do next. Pure."""

from __future__ import annotations

from typing import Final

from aish.errors import AishError, BudgetError, LimitError, RefusedError, UpstreamError
from aish.plugins.acp.update import as_json, one_line
from aish.wire import budget

AUTH_REQUIRED: Final = -32000
UNKNOWN_METHOD: Final = -32601
_CHARS: Final = 500


def of(code: int, message: str, data: object, *, name: str, doing: str, login_hint: str) -> AishError:
    """`doing` is the protocol's method."""
    told = one_line(message)
    detail = _detail(data)
    if detail and detail not in told:
        told = f"{told}: {detail}"
    told = told[:_CHARS]
    if code == AUTH_REQUIRED and doing != "session/prompt":
        return UpstreamError(f"{name} is not logged in: {told}", hint=login_hint)
    if code == UNKNOWN_METHOD:
        return UpstreamError(
            f"{name} does not know {doing}: {told}", hint="its version may be too old, or speak another protocol"
        )
    if budget.REFUSED in told:  # the protocol has no word for it
        return BudgetError(f"{name} failed at {doing}: {told}")
    return UpstreamError(f"{name} failed at {doing}: {told}", hint="what it said of it stands above, if anything")


def _detail(data: object) -> str:
    match data:
        case None:
            return ""
        case str():
            return one_line(data)
        case {"details": str(text)} | {"message": str(text)} | {"error": str(text)}:
            return one_line(text)
        case _:
            return one_line(as_json(data))


def stopped(reason: object, *, name: str, denied: str | None) -> AishError | None:
    """Why a turn was none; None: it was one. `denied`: what was not allowed, where nothing came after it."""
    if reason == "refusal":
        return RefusedError(f"{name} refused to go on", hint="its model does not want to: ask in other words")
    if reason == "max_turn_requests":
        return LimitError(f"{name} has asked its model as often as it may in a turn", hint="go on in another turn")
    if denied is not None:
        return RefusedError(f"{name} did nothing more: it was not allowed to {denied}")
    if reason == "cancelled":
        return UpstreamError(f"{name} has cancelled its turn by itself", hint="what it said of it stands above")
    if reason not in ("end_turn", "max_tokens"):
        return UpstreamError(f"{name} stopped for a reason that is none of the protocol's: {str(reason)[:_CHARS]}")
    return None
