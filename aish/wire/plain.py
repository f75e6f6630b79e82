"""Messages as JSON has them: for --json, pictures and replays."""

from __future__ import annotations

import math
from typing import Any

import msgspec


def plain(value: object) -> Any:
    """`value` out of what JSON knows: every field of a message, those at their default too.

    Bytes become text (what is no UTF-8 as backslash escapes); what is unknown or no number is null.
    """
    if isinstance(value, msgspec.Struct):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value
