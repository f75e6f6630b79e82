"""What of a server's JSON is no text: bytes that are no UTF-8, escapes of half a character. U+FFFD takes their
place, as browsers do it: one wrong byte should not cost an answer. Pure.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

BOM: Final = codecs.BOM_UTF8
MOST_LOOKED_BYTES: Final = 16 << 20
"""In more than that half characters are not looked for."""
_STEP_BYTES: Final = 1 << 20
# An escape of a high half without a low one behind it, or the other way round; not behind an odd backslash.
_HALF: Final = re.compile(
    rb"(?<!\\)((?:\\\\)*+)\\u(?:d[89ab][0-9a-f]{2}(?!\\ud[c-f])|(?<!\\ud[89ab][0-9a-f]{2}\\u)d[c-f][0-9a-f]{2})", re.I
)


def check(data: bytes) -> None:
    """Raises UnicodeDecodeError. In steps: as one text a body would be four times as large."""
    if data.isascii():
        return
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(data), _STEP_BYTES):
        decoder.decode(data[start : start + _STEP_BYTES])
    decoder.decode(b"", final=True)


def mended(data: bytes) -> bytes:
    """The same where all of it is text."""
    if not data.isascii():
        try:
            check(data)
        except UnicodeDecodeError:
            data = _replaced(data)
    if (b"\\ud" in data or b"\\uD" in data) and len(data) <= MOST_LOOKED_BYTES:
        data = _HALF.sub(rb"\1\\ufffd", data)
    return data


def _replaced(data: bytes) -> bytes:
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    steps = (decoder.decode(data[start : start + _STEP_BYTES]) for start in range(0, len(data), _STEP_BYTES))
    return b"".join([*(step.encode() for step in steps), decoder.decode(b"", final=True).encode()])
