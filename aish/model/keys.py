"""Sequences of keys as people write them, such as "ctrl-] d", and as terminals send them. Pure."""

from __future__ import annotations

from aish.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

MOST: Final = 4
_NAMED: Final = {"esc": b"\x1b", "tab": b"\t", "enter": b"\r", "space": b" "}
_EXAMPLE: Final = 'such as "ctrl-] d", or "none"'


def parse(text: str) -> bytes:
    """The bytes of these keys; none for "none". Raises UsageError."""
    words = text.split()
    if words == ["none"]:
        return b""
    if not 1 <= len(words) <= MOST:
        raise UsageError(f"expected 1 to {MOST} keys, {_EXAMPLE}")
    found = b"".join(map(_key, words))
    if found[0] >= 0x20:
        raise UsageError(f"the first key must be one with ctrl, {_EXAMPLE}", hint="plain keys are typed all the time")
    return found


def _key(word: str) -> bytes:
    if word.lower() in _NAMED:
        return _NAMED[word.lower()]
    if len(word) == 1 and "!" <= word <= "~":
        return word.encode()
    name = word[5:].upper()
    if word[:5].lower() in ("ctrl-", "ctrl+") and len(name) == 1 and "@" <= name <= "_":
        return bytes([ord(name) & 0x1F])
    raise UsageError(f"{word!r} is no key: expected a character, ctrl-X, esc, tab, enter or space, {_EXAMPLE}")
