"""How many entries a JSON array or object has, found without taking it apart. Pure.

A body that is all small values would take tens of times its size as objects: it is counted first, and refused while
it still is nothing but bytes.
"""

from __future__ import annotations

import re
from typing import Final

MAX_STEPS: Final = 1 << 20
"""Strings, brackets and braces that are looked at: some 0.2 s."""
# A string (with the colon behind it, if it is a field's name), an opening, a closing. Possessive, and a string's end
# may be missing: no input makes the matcher go back, or look at a byte twice.
_STRUCTURE: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?(\s*+:)?|([\[{])|([\]}])', re.DOTALL)
_NAME, _OPENING, _CLOSING = 1, 2, 3


def entries(text: bytes | memoryview, most: int) -> int | None:
    """The fields of an object; of an array its strings, arrays and objects (numbers and words are not counted).

    None above `most`, and where there is more inside than can be looked at. Of what is no JSON it is any number.
    """
    count = depth = 0
    counted: tuple[int | None, ...] = ()
    for steps, match in enumerate(_STRUCTURE.finditer(text)):
        if steps == MAX_STEPS:
            return None
        kind = match.lastindex
        if not counted:
            counted = (None, _OPENING) if text[match.start()] == ord("[") else (_NAME,)
        elif depth == 1 and kind in counted:
            count += 1
            if count > most:
                return None
        if kind == _OPENING:
            depth += 1
        elif kind == _CLOSING:
            depth -= 1
    return count
