"""A reader of llama.cpp's grammars that writes at random what they allow: for tests of what makes them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from random import Random

_TOKEN = re.compile(
    r'\s*(?:(?P<literal>"(?:[^"\\]|\\.)*")|(?P<class>\[(?:[^\]\\]|\\.)*\])|(?P<repeat>\{\d*,?\d*\})'
    r"|(?P<mark>[()|*+?])|(?P<name>[a-zA-Z][a-zA-Z0-9-]*))"
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
DEPTH = 25
MORE = 3
"""How often more than it has to be, at most."""

Node = tuple[str, Any]


def rules(text: str) -> dict[str, Node]:
    found = {}
    for line in text.split("\n"):
        name, _, said = line.partition(" ::= ")
        tokens = _tokens(said)
        node, at = _either(tokens, 0)
        assert at == len(tokens), f"cannot read {said[:100]} from {at}"
        found[name] = node
    return found


def _tokens(said: str) -> list[tuple[str, str]]:
    found, at = [], 0
    while at < len(said.rstrip()):
        match = _TOKEN.match(said, at)
        assert match is not None, f"cannot read {said[at : at + 60]!r}"
        kind = match.lastgroup
        assert kind is not None
        found.append((kind, match[kind]))
        at = match.end()
    return found


def _either(tokens: list[tuple[str, str]], at: int) -> tuple[Node, int]:
    choices = []
    while True:
        parts: list[Node] = []
        while at < len(tokens) and tokens[at] not in (("mark", "|"), ("mark", ")")):
            node, at = _one(tokens, at)
            parts.append(node)
        choices.append(("all", parts))
        if at < len(tokens) and tokens[at] == ("mark", "|"):
            at += 1
        else:
            return ("either", choices), at


def _one(tokens: list[tuple[str, str]], at: int) -> tuple[Node, int]:
    kind, text = tokens[at]
    at += 1
    node: Node
    if kind == "literal":
        node = ("literal", re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), text[1:-1]))
    elif kind == "class":
        node = ("class", text)
    elif kind == "name":
        node = ("rule", text)
    else:
        assert (kind, text) == ("mark", "("), (kind, text)
        node, at = _either(tokens, at)
        assert tokens[at] == ("mark", ")")
        at += 1
    while at < len(tokens) and (tokens[at][0] == "repeat" or tokens[at][1] in "*+?"):
        least, most = _bounds(tokens[at][1])
        node, at = ("repeat", (node, least, most)), at + 1
    return node, at


def _bounds(text: str) -> tuple[int, int | None]:
    if text in ("*", "+", "?"):
        return {"*": (0, None), "+": (1, None), "?": (0, 1)}[text]
    least, comma, most = text[1:-1].partition(",")
    return int(least or 0), int(most) if most else (None if comma else int(least))


def sample(grammar: dict[str, Node], random: Random) -> str:
    """Something that the grammar allows."""
    return _say(grammar, grammar["root"], random, 0)


def _say(grammar: dict[str, Node], node: Node, random: Random, depth: int) -> str:
    kind, value = node
    match kind:
        case "literal":
            return str(value)
        case "class":
            return _char(value, random)
        case "rule":
            return _say(grammar, grammar[value], random, depth + 1)
        case "all":
            return "".join(_say(grammar, part, random, depth) for part in value)
        case "either":
            if depth > DEPTH:  # out of a recursion: these grammars have what ends first
                return _say(grammar, value[0], random, depth + 1)
            return _say(grammar, random.choice(value), random, depth + 1)
        case _:
            inner, least, most = value
            extra = 0 if depth > DEPTH else random.randint(0, MORE)
            count = least + extra if most is None else min(most, least + extra)
            return "".join(_say(grammar, inner, random, depth + 1) for _ in range(count))


def _char(said: str, random: Random) -> str:
    inner = re.sub(r"\\x([0-9A-F]{2})", lambda match: re.escape(chr(int(match[1], 16))), said)
    pattern = re.compile(inner)
    common = 'aZ09 .-_@,;:é日<>{}[]()"\\/' + "".join(map(chr, range(0x21, 0x7F)))
    fitting = [char for char in common if pattern.fullmatch(char)]
    assert fitting, said
    return random.choice(fitting)
