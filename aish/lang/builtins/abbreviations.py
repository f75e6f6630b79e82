"""abbr: words that are replaced while they are typed at a prompt, so that history has what they stand for."""

from __future__ import annotations

from aish.lang.control import CommandError
from aish.lang.text import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.builtins import Builtin
    from aish.lang.runtime import Runtime


def abbr(rt: Runtime, argv: list[str]) -> int:
    """abbr; abbr [-a] name text ...; abbr name=text; abbr -e name ...: abbreviations of command words."""
    words = argv[1:]
    if not words or words == ["-s"]:
        for name, text in sorted(rt.abbreviations.items()):
            rt.write(f"abbr -a {quote(name)} {quote(text)}\n")
        return 0
    if words[0] in ("-e", "--erase"):
        for name in words[1:]:
            if rt.abbreviations.pop(name, None) is None:
                raise CommandError(f"{name}: no such abbreviation", hint="abbr lists them")
        return 0
    if words[0] in ("-a", "--add", "--"):
        words = words[1:]
    name, equals, text = words[0].partition("=") if words else ("", "", "")
    text = text if equals else " ".join(words[1:])
    if not name or not text or any(char.isspace() for char in name):
        raise CommandError("a name and what it stands for expected", status=2, hint="abbr -a gco git checkout")
    rt.abbreviations[name] = text
    return 0


TABLE: dict[str, Builtin] = {"abbr": abbr}
