"""How much less of a shared thing somebody wants than others: -20 to 19, as nice(1) has it. Pure."""

from __future__ import annotations

from aish.errors import UsageError


def parse(text: str) -> int:
    """Raises UsageError."""
    try:
        return checked(int(text))
    except ValueError:
        raise _wrong(text) from None


def checked(nice: int) -> int:
    """Raises UsageError."""
    if not -20 <= nice <= 19:
        raise _wrong(str(nice))
    return nice


def _wrong(text: str) -> UsageError:
    return UsageError(f"not a niceness: {text[:20]!r}", hint="write nice=N, -20 to 19")
