"""Text at the edges: words are `str` with surrogateescape inside, bytes on every file descriptor.

The codec is the one with which Python encodes arguments, paths and the environment, so that a byte which is
not valid in the user's locale passes unchanged from a script through a variable to a program and back.
"""

from __future__ import annotations

import sys

from aish.lang import pattern

ENCODING = sys.getfilesystemencoding()

_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-")
_NAMED = {"\a": "\\a", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\v": "\\v", "\f": "\\f", "\r": "\\r",
          "\x1b": "\\E"}  # fmt: skip


def encode(text: str) -> bytes:
    """The bytes that `text` stands for."""
    return text.encode(ENCODING, "surrogateescape")


def decode(data: bytes) -> str:
    """Text for `data`; bytes that are not valid in the locale become lone surrogates, and come back."""
    return data.decode(ENCODING, "surrogateescape")


def from_byte(value: int) -> str:
    """The text for one byte (0-255), as `\\ooo` and `\\xhh` escapes need it."""
    return decode(bytes((value & 0xFF,)))


def spread(text: str) -> str:
    """`text` with a character for each byte, as the locale C has it; `together` undoes it."""
    return encode(text).decode("ascii", "surrogateescape")


def together(text: str) -> str:
    """The text whose bytes stand in `text` as characters."""
    return text if text.isascii() else decode(encode(text))


def from_codepoint(value: int) -> str:
    """The text for a Unicode code point; surrogates and values beyond Unicode become their raw UTF-8 bytes."""
    if value > 0x7FFFFFFF:
        value &= 0x7FFFFFFF
    if 0xD800 <= value < 0xE000:
        return decode(chr(value).encode("utf-8", "surrogatepass"))
    if value <= 0x10FFFF:
        return decode(chr(value).encode("utf-8"))
    return ""


def is_name(text: str) -> bool:
    """True for a POSIX name: ASCII letters, digits and underscores, not beginning with a digit."""
    return text.isascii() and text.isidentifier()


def quote_end(text: str, pos: int) -> int:
    """The place of the quote that ends the one at `pos`; `pos` itself where nothing does."""
    mark = text[pos]
    at = pos + 1
    while at < len(text):
        if text[at] == mark:
            return at
        at += 2 if text[at] == "\\" and mark == '"' else 1
    return pos


def is_printable(text: str) -> bool:
    """Whether all of `text` can be read where it is shown: in a locale without multibyte characters, nothing beyond
    ASCII can."""
    return text.isprintable() and (text.isascii() or not pattern.dialect & pattern.BYTES)


def quote(text: str) -> str:
    """`text` written so that the shell reads it back as one word with the same value."""
    if text and _SAFE.issuperset(text) and text[0] not in "=@":
        return text
    if is_printable(text):
        return single_quoted(text)
    return escape_ansi(text)


def single_quoted(text: str) -> str:
    """`text` between single quotes, whatever is in it."""
    return "'" + text.replace("'", "'\\''") + "'"


def escape_ansi(text: str) -> str:
    """`text` between $' and '."""
    return "$'" + "".join([_escape(char) for char in text]) + "'"


_BACKSLASHED = frozenset(" !\"$&'()*,;<>?[\\]^`{|}")


def quote_by_backslash(text: str) -> str:
    """The same with a backslash before each character that has a meaning: printf's %q."""
    if not text:
        return "''"
    if not is_printable(text):
        return quote(text)
    found = ["\\" if text[0] in "#~" else ""]
    before = ""
    for char in text:
        if char in _BACKSLASHED or (char == "~" and before in (":", "=")):
            found.append("\\")
        found.append(char)
        before = char
    return "".join(found)


def _escape(char: str) -> str:
    if char in "'\\":
        return "\\" + char
    if char in _NAMED:
        return _NAMED[char]
    if is_printable(char):
        return char
    return "".join([f"\\{byte:03o}" for byte in encode(char)])
