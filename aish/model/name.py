"""What is no name: what looks like an id, and aish's own words."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

RESERVED: Final = frozenset({"gateway", "egress", "user", "daemon", "holder", "keeper", "default"})
KEY: Final = "key:"
"""Before the name of a key at the gateway, where a process could be named as well."""
_MOST_DIGITS: Final = 12


def is_id(word: str) -> bool:
    """p and a number, as in p12: an id, so `@p12` never means a name."""
    digits = word[1:]
    return word[:1] == "p" and digits.isascii() and digits.isdecimal() and len(digits) <= _MOST_DIGITS
