"""Why an agent's process ends, as the supervisor is told of it: the reason in `ps`, `inspect` and `why`."""

from __future__ import annotations

import contextlib
import os
import threading

from aish.errors import AishError
from aish.model import exit as exits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

PATIENCE_S: Final = 2.0
"""For a supervisor that is away, or stands still: the end does not wait for it."""
_REASONS: Final = {
    "auth": exits.AUTH,
    "budget": exits.BUDGET,
    "disconnected": exits.UPSTREAM,
    "limit": exits.LIMIT,
    "loop": exits.LOOP,
    "refused": exits.REFUSED,
    "unavailable": exits.UPSTREAM,
    "upstream": exits.UPSTREAM,
}


def reason(error: AishError) -> str | None:
    """None: its status says all that is known, as that of a program that has failed. Pure."""
    return None if hasattr(error, "ended") else _REASONS.get(error.code)


def tell(word: str | None, text: str = "") -> None:
    """Nothing where there is no supervisor to tell."""
    if word is None or "AISH_ID" not in os.environ:
        return

    def told() -> None:
        from aish.client import Aish  # not for who ends well

        with contextlib.suppress(AishError), Aish(start=False, program="agent", patience_s=PATIENCE_S) as aish:
            aish.conclude(word, text)

    telling = threading.Thread(target=told, daemon=True)
    telling.start()
    telling.join(PATIENCE_S)
