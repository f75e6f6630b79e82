"""What an import collects: entries as tables, what was left, and both as TOML text. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from aish.model.name import RESERVED, is_id

if TYPE_CHECKING:
    from collections.abc import Mapping

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_UNFIT: Final = re.compile(r"[^A-Za-z0-9._:/+-]+")


class Left(msgspec.Struct, frozen=True):
    """Something that was not taken over."""

    file: str
    what: str
    why: str


class Draft:
    def __init__(self) -> None:
        self.env: dict[str, str] = {}
        self.entries: dict[tuple[str, str], dict[str, Any]] = {}
        """(section, name) -> its table; texts are final: escaped where aish.toml would expand them."""
        self.left: list[Left] = []
        self.files: dict[str, str] = {}
        """Name of an entry -> where it is from."""
        self.renamed: dict[tuple[str, str], str] = {}
        """(file, name there) -> name here, where that is another one."""

    def entry(self, section: str, name: str, file: str) -> dict[str, Any]:
        """A new table; under another name where that is no name, or is taken."""
        fit = _UNFIT.sub("-", name).strip("-._:/+") or "process"
        fit, number = fit[:100], 1
        taken = {taken for _, taken in self.entries} | RESERVED
        if is_id(fit):
            fit = f"process-{fit}"
        while (unique := fit if number == 1 else f"{fit}-{number}") in taken:
            number += 1
        if unique != name:
            self.leave(file, name, f"it is called {unique} now")
            self.renamed[file, name] = unique
        self.files[unique] = file
        return self.entries.setdefault((section, unique), {})

    def leave(self, file: str, what: str, why: str) -> None:
        self.left.append(Left(file, what, why))


def plain(text: str) -> str:
    """A text that is to stay as it is: aish.toml expands ${NAME} and $$."""
    return text.replace("$$", "$$$$").replace("${", "$${")


def toml(draft: Draft) -> str:
    parts = [_table("env", draft.env)] if draft.env else []
    parts += [_table(f"{section}.{_key(name)}", table) for (section, name), table in draft.entries.items()]
    return "\n".join(parts)


def _table(title: str, table: Mapping[str, Any]) -> str:
    """Small tables inside it stay in one line each."""
    lines = [f"[{title}]"]
    lines += [f"{_key(key)} = {value(item)}" for key, item in table.items() if item not in ({}, [])]
    return "\n".join(lines) + "\n"


def value(item: Any) -> str:
    match item:
        case bool():
            return "true" if item else "false"
        case int():
            return str(item)
        case str():
            return _text(item)
        case dict():
            return "{ " + ", ".join(f"{_key(key)} = {value(each)}" for key, each in item.items()) + " }"
        case _:
            return "[" + ", ".join(map(value, item)) + "]"


def _key(word: str) -> str:
    return word if _BARE.fullmatch(word) else _text(word)


def _text(text: str) -> str:
    """As a basic string: what a terminal or TOML would take amiss is escaped."""
    shown = "".join(_escaped(char) for char in text)
    return f'"{shown}"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    if char == "\n":
        return "\\n"
    if char == "\t":
        return "\\t"
    return char if char.isprintable() else f"\\U{ord(char):08X}" if ord(char) > 0xFFFF else f"\\u{ord(char):04X}"
