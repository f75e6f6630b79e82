"""The same call with the same result, again and again: an agent that goes round in a circle. Pure."""

from __future__ import annotations

import hashlib
import json
from typing import Final

TOLD_AT: Final = 3
ENDED_AT: Final = 5


class Repeats:
    """Counts each call since its result was another one."""

    def __init__(self, seen: dict[str, tuple[str, int]] | None = None) -> None:
        """`seen`: as in `seen` of those before."""
        self.seen = dict(seen or {})

    def count(self, tool: str, arguments: object, result: str) -> int:
        """How often this call has had this result, this time included."""
        call, got = _digest([tool, _canonical(arguments)]), _digest(result)
        before, times = self.seen.get(call, ("", 0))
        times = times + 1 if before == got else 1
        self.seen[call] = (got, times)
        return times


def _canonical(arguments: object) -> object:
    """Arguments come as JSON or parsed; the order of their names says nothing."""
    if isinstance(arguments, str):
        try:
            return json.loads(arguments)
        except (ValueError, RecursionError):
            return arguments
    return arguments


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()
