"""What a key of the gateway looks like, for who must not let one through: see aish.wire.key."""

from __future__ import annotations

import re
from typing import Final

ANY: Final = r"(?<![A-Za-z0-9_-])(?:sk-aish-|aish-[a-z][a-z0-9]{0,31}-[0-9]{1,12}-)[A-Za-z0-9_-]{43}"
"""A key of the gateway within a text: of a process or named."""
_ANY: Final = re.compile(ANY)


def within(text: str) -> bool:
    """Whether there is one in it, whoever it was made for."""
    return _ANY.search(text) is not None
