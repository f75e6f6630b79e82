"""How long a server wants to be left alone, of the headers of its answer. Pure."""

from __future__ import annotations

import math
import time
from email.utils import parsedate_to_datetime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def rest_s(headers: Mapping[str, str], now_s: float | None = None) -> float | None:
    """What Retry-After asks for: seconds or a date (RFC 9110, 10.2.3), or in milliseconds as some vendors have it
    beside that. None where it asks for nothing, or for no time that can be read."""
    milliseconds = headers.get("retry-after-ms")
    if milliseconds is not None and (found := _number(milliseconds)) is not None:
        return found / 1000 or None
    text = headers.get("retry-after", "").strip()
    found = _number(text)
    if found is None and text:
        try:
            found = parsedate_to_datetime(text).timestamp() - (time.time() if now_s is None else now_s)
        except (ValueError, OverflowError):
            return None
    return found if found is not None and found > 0 else None


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) and found >= 0 else None
