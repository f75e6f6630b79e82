"""Bytes from a terminal to names of keys. Pure but for what is left of a sequence that came in two reads."""

from __future__ import annotations

import codecs
from typing import Final

_SEQUENCES: Final = {
    "[A": "up",
    "[B": "down",
    "[C": "right",
    "[D": "left",
    "OA": "up",
    "OB": "down",
    "OC": "right",
    "OD": "left",
    "[H": "home",
    "[F": "end",
    "OH": "home",
    "OF": "end",
    "[1~": "home",
    "[7~": "home",
    "[4~": "end",
    "[8~": "end",
    "[5~": "page-up",
    "[6~": "page-down",
    "[3~": "delete",
}
_CONTROLS: Final = {
    "\r": "enter",
    "\n": "enter",
    "\x7f": "backspace",
    "\x08": "backspace",
    "\x0c": "ctrl-l",
    "\x0e": "down",
    "\x10": "up",
    "\x03": "ctrl-c",
    "\x04": "ctrl-d",
}
_MOST: Final = 32
"""Longest sequence that is waited for; no terminal sends a longer one for a key."""


class Keys:
    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="ignore")
        self._left = ""

    def feed(self, data: bytes) -> list[str]:
        """The keys in `data`: a printable character is its own name; what is not known is left out.

        A lone escape at the end is the key Esc; an unfinished longer sequence waits for the next call.
        """
        text, self._left = self._left + self._decoder.decode(data), ""
        keys: list[str] = []
        at = 0
        while at < len(text):
            if text[at] != "\x1b":
                key = _CONTROLS.get(text[at], text[at])
                keys += [key] if len(key) > 1 or key.isprintable() else []
                at += 1
                continue
            end = _end(text, at)
            if end is None:
                if at == len(text) - 1:
                    keys.append("esc")
                else:
                    self._left = text[at : at + _MOST]
                break
            name = _SEQUENCES.get(text[at + 1 : end])
            keys += [name] if name else []
            at = end
        return keys


def _end(text: str, at: int) -> int | None:
    """Where the sequence that begins with the escape at `at` ends; None: not in `text`."""
    if at + 1 >= len(text):
        return None
    if text[at + 1] == "O":
        return at + 3 if at + 2 < len(text) else None
    if text[at + 1] != "[":
        return at + 2  # Alt and a key
    for end in range(at + 2, len(text)):
        if "@" <= text[end] <= "~":
            return end + 1
        if end - at > _MOST:
            return end + 1
    return None
