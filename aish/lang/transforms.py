"""What ${x/p/r} ${x^p} ${x:o:l} ${x@Q} make of one value. Text to text, without a running shell."""

from __future__ import annotations

from aish.lang import pattern as dialects
from aish.lang.pattern import compiled
from aish.lang.text import encode, is_printable, single_quoted, spread, together

TYPE_CHECKING = False
if TYPE_CHECKING:
    Template = list[str | None]
    """A replacement: text, and None for what was matched."""

# --------------------------------------------------------------------------------------- replacement


def replace(text: str, pattern: str, template: Template, how: str) -> str:
    """`text` with the first match of the pattern replaced; `how` is '/', '//' for all, '/#' or '/%' for a match
    at the beginning or at the end."""
    if dialects.dialect & dialects.BYTES and not text.isascii():
        return together(_replace(spread(text), pattern, template, how))
    return _replace(text, pattern, template, how)


def _replace(text: str, pattern: str, template: Template, how: str) -> str:
    if how == "/#" or how == "/%":
        return _replace_end(text, pattern, template, how == "/#")
    if not pattern:
        return text
    matcher = compiled(pattern)
    literal = matcher.literal
    if literal is not None:
        return text.replace(literal, filled(template, literal), -1 if how == "//" else 1)
    if not text:
        return filled(template, "") if pattern[0] == "*" and matcher.matches("") else ""
    return _replace_each(text, pattern, template, how == "//")


def _replace_end(text: str, pattern: str, template: Template, first: bool) -> str:
    if not pattern:
        return filled(template, "") + text if first else text + filled(template, "")
    matcher = compiled(pattern)
    rest = (matcher.without_prefix if first else matcher.without_suffix)(text, True, folded=True)
    if len(rest) == len(text) and not matcher.matches(""):
        return text
    if first:
        return filled(template, text[: len(text) - len(rest)]) + rest
    return rest + filled(template, text[len(rest) :])


def _replace_each(text: str, pattern: str, template: Template, every: bool) -> str:
    """The longest match at each place, from the left.

    Where a `*` lets a match begin early and never end, the rest of the text is asked first whether it holds one at
    all: without that a text of many beginnings takes time by its square.
    """
    matcher = compiled(pattern)
    starred = pattern[0] == "*" and pattern[1:2] != "("
    anywhere = compiled("*" + pattern) if "*" in pattern and not starred and not matcher.matches("") else None
    done: list[str] = []
    pos = begin = 0
    size = len(text)
    while pos < size:
        if anywhere is not None and begin == pos:
            rest = text[pos:]
            if len(anywhere.without_prefix(rest, False)) == len(rest):
                break
        length = matcher.longest(text, pos)
        if length < 0:
            if starred:  # what a later beginning matched, this one would have
                break
            pos += 1
            continue
        done.append(text[begin:pos])
        done.append(filled(template, text[pos : pos + length]))
        begin = pos + length
        pos = max(begin, pos + 1)  # nothing was matched: the character here stays
        if not every:
            break
    done.append(text[begin:])
    return "".join(done)


def filled(template: Template, match: str) -> str:
    """The replacement for one match."""
    if len(template) == 1 and template[0] is not None:
        return template[0]
    return "".join([match if piece is None else piece for piece in template])


def template_of(text: str) -> Template:
    """The replacement that an expansion gave: & is the match, \\& an ampersand."""
    if "&" not in text:
        return [text.replace("\\\\", "\\")] if "\\" in text else [text]
    found: Template = []
    plain: list[str] = []
    pos = 0
    while pos < len(text):
        char = text[pos]
        if char == "\\" and text[pos + 1 : pos + 2] in ("&", "\\"):
            plain.append(text[pos + 1])
            pos += 2
            continue
        if char == "&":
            found += ["".join(plain), None]
            plain.clear()
        else:
            plain.append(char)
        pos += 1
    return [*found, "".join(plain)]


# ---------------------------------------------------------------------------------------------- case


def upper(text: str) -> str:
    """Capitals, one for each letter: what has none of one character stays."""
    if text.isascii():
        return text.upper()
    if dialects.dialect & dialects.BYTES:  # then only ASCII has letters
        return "".join([char.upper() if char.isascii() else char for char in text])
    return "".join([big if len(big := char.upper()) == 1 else char for char in text])


def lower(text: str) -> str:
    """Small letters."""
    if text.isascii():
        return text.lower()
    if dialects.dialect & dialects.BYTES:
        return "".join([char.lower() if char.isascii() else char for char in text])
    return "".join([small if len(small := char.lower()) == 1 else char for char in text])


def swapped(text: str) -> str:
    """Capitals for small letters and the other way round."""
    return "".join([lower(char) if char.isupper() else upper(char) for char in text])


_CASES = {"^": upper, ",": lower, "~": swapped}


def change_case(text: str, op: str, pattern: str) -> str:
    """${x^p} ${x^^p} and so on: characters that match the pattern ('' is any)."""
    change = _CASES[op[0]]
    if len(op) == 1:
        head = text[:1]
        return change(head) + text[1:] if head and (not pattern or compiled(pattern).matches(head)) else text
    if not pattern or pattern == "?":
        return change(text)
    matches = compiled(pattern).matches
    return "".join([change(char) if matches(char) else char for char in text])


# ------------------------------------------------------------------------------------------- quoting


def quoted(text: str) -> str:
    """${x@Q}: always in quotes."""
    if _is_plain(text):
        return single_quoted(text)
    return ansi(text)


def _is_plain(text: str) -> bool:
    return is_printable(text) or all(map(_is_visible, text))


def _is_visible(char: str) -> bool:
    if char > "\x7f" and dialects.dialect & dialects.BYTES:
        return False
    return char.isprintable() or (char > "\x9f" and not "\ud800" <= char <= "\udfff")


_ANSI = {"\a": "\\a", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\v": "\\v", "\f": "\\f", "\r": "\\r", "\x1b": "\\E",
         "'": "\\'", "\\": "\\\\"}  # fmt: skip


def ansi(text: str) -> str:
    """$'..'"""
    done: list[str] = []
    for char in text:
        if char in _ANSI:
            done.append(_ANSI[char])
        elif _is_visible(char):
            done.append(char)
        else:
            done.append("".join([f"\\{byte:03o}" for byte in encode(char)]))
    return "$'" + "".join(done) + "'"


def double_quoted(text: str) -> str:
    """ "..", as `declare -p` writes values; $'..' where something in it cannot be seen."""
    if not _is_plain(text):
        return ansi(text)
    for char in '\\"$`':
        if char in text:
            text = text.replace(char, "\\" + char)
    return f'"{text}"'


def escapes(text: str) -> str:
    """${x@E}: the escapes of $'..' done."""
    if "\\" not in text:
        return text
    from aish.lang.parser import Parser
    from aish.lang.source import Source

    # A quote would end the text, and one that is escaped already must not lose its backslash.
    pieces: list[str] = []
    escaped = False
    for char in text:
        pieces.append("\\'" if char == "'" and not escaped else char)
        escaped = char == "\\" and not escaped
    tail = "\\\\'" if escaped else "'"
    if escaped:
        pieces.pop()
    return Parser(Source("", "$'" + "".join(pieces) + tail)).ansi_quoted().text
