"""What a program has done to a terminal's modes, read from its output. Pure.

A terminal that leaves a running program must be given back as it was: off the alternate screen, cursor shown, mouse
and bracketed paste as the user's shell expects them. One that comes to a running program needs what the program set
long ago. Colours are left alone but for a reset; what is on the screen is the program's to draw again.

The region that scrolls is of a window of one size: a terminal that is resized forgets it, and programs count on that.
"""

from __future__ import annotations

import re
from typing import Final

ALTERNATE: Final = frozenset({47, 1047, 1049})
_ON: Final = frozenset({7, 25})
"""Modes that are on in a fresh terminal: line wrap, cursor."""
_KNOWN: Final = ALTERNATE | _ON | {1, 9, 66, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1015, 1016, 2004, 2026, 2031}
_CHANGE: Final = re.compile(
    rb"\x1b(?:\[\?(?P<modes>[0-9;]{1,64})(?P<to>[hl])|(?P<plain>[=>c])|\[(?P<keys>[<>=][0-9;]{0,16}u)"
    rb"|\[>4(?:;(?P<other>[0-9]))?m|\[(?P<region>[0-9;]{0,16})r)"
)
_BEGUN: Final = re.compile(rb"\x1b(?:\[[?<>=]?[0-9;]{0,64})?\Z")
_BEGUN_BYTES: Final = 72
KEYS_MOST: Final = 8
_QUESTION: Final = re.compile(
    rb"\x1b\[[>=]?[0-9;]*c|\x1b\[\??[0-9;]*(?:n|\$p)|\x1b\[>[0-9]*q|\x1b\[\?u|\x1b\[(?:1[1-9]|2[01])t|\x1bZ|\x05"
    rb"|\x1b\][0-9]+;[^\x07\x1b]{0,64}?\?(?:\x07|\x1b\\)|\x1bP[+$]q[^\x1b]{0,256}\x1b\\"
)


class Screen:
    """`feed` it all output in order, in any pieces."""

    def __init__(self) -> None:
        self.changed: set[int] = set()
        """Modes that are not as in a fresh terminal."""
        self._keypad = False
        self._region = b""
        """First and last row of what scrolls; empty: all of them."""
        self._keys: list[bytes] = []
        self._other_keys = False
        self._rest = b""

    @property
    def full(self) -> bool:
        """Whether the program has the alternate screen: it draws all of it."""
        return bool(self.changed & ALTERNATE)

    def feed(self, data: bytes) -> None:
        data = self._rest + data
        for found in _CHANGE.finditer(data):
            self._change(found)
        begun = _BEGUN.search(data, max(0, len(data) - _BEGUN_BYTES))
        self._rest = begun[0] if begun is not None else b""

    def _change(self, found: re.Match[bytes]) -> None:
        if found["modes"] is not None:
            on = found["to"] == b"h"
            for word in found["modes"].split(b";"):
                if word and (mode := int(word)) in _KNOWN:
                    (self.changed.discard if on == (mode in _ON) else self.changed.add)(mode)
        elif found["plain"] == b"c":
            self.__init__()  # type: ignore[misc]  # a full reset: a fresh terminal
        elif found["plain"] is not None:
            self._keypad = found["plain"] == b"="
        elif found["keys"] is not None:
            self._key_protocol(found["keys"])
        elif found["region"] is not None:
            self._region = found["region"] if found["region"].strip(b"0;") not in (b"", b"1") else b""
        else:
            self._other_keys = found["other"] not in (None, b"0")

    def _key_protocol(self, change: bytes) -> None:
        """Kitty's stack of keyboard flags: > pushes, < pops."""
        if change[:1] == b"<":
            count = int(change[1:-1].split(b";")[0] or 1)
            del self._keys[max(0, len(self._keys) - count) :]
        elif change[:1] == b">" and len(self._keys) < KEYS_MOST:
            self._keys.append(b"\x1b[" + change)

    def leave(self) -> bytes:
        """What makes the terminal a fresh one again; nothing where it is one."""
        out = [b"\x1b[<%du" % len(self._keys)] if self._keys else []
        out += [b"\x1b[>4;0m"] if self._other_keys else []
        out += [b"\x1b>"] if self._keypad else []
        out += [_scrolls(b"")] if self._region else []
        out += [b"\x1b[?%d%c" % (mode, b"h" if mode in _ON else b"l") for mode in self._ordered()[::-1]]
        return b"".join([b"\x1b[0m", *out]) if out else b""

    def enter(self) -> bytes:
        """What makes a fresh terminal like the program's."""
        out = [b"\x1b[?%d%c" % (mode, b"l" if mode in _ON else b"h") for mode in self._ordered()]
        out += [_scrolls(self._region)] if self._region else []
        out += [b"\x1b="] if self._keypad else []
        out += [b"\x1b[>4;2m"] if self._other_keys else []
        return b"".join([*out, *self._keys])

    def resized(self) -> bytes:
        """What makes the terminal like one that has just been resized: for a program that is told so."""
        region, self._region = self._region, b""
        return _scrolls(b"") if region else b""

    def _ordered(self) -> list[int]:
        """The alternate screen first: it saves the cursor of the other."""
        return sorted(self.changed, key=lambda mode: (mode not in ALTERNATE, mode))


def _scrolls(region: bytes) -> bytes:
    """The cursor stays: setting a region alone would send it home."""
    return b"\x1b7\x1b[" + region + b"r\x1b8"


def without_questions(data: bytes) -> bytes:
    """Old output without what a terminal answers: the answer would be typed into a program that asked long ago."""
    return _QUESTION.sub(b"", data)
