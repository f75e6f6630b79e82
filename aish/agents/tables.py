"""Agents that an aish.toml defines: `[agents.NAME]` with the keys of an agent file, and its text as `instructions`.

A table of that section that says what is run (`agent`, `command`, `shell`) is a process of the project instead.
"""

from __future__ import annotations

import hashlib
import json
import os

from aish.agents.definition import FILE_BYTES_MAX, KEYS, of_table
from aish.agents.front_matter import FENCE, Field, Page
from aish.agents.reader import Reader
from aish.errors import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from aish.agents.agent import Agent
    from aish.config.document import Document

SECTION: Final = "agents"
RUN_BY: Final = ("agent", "command", "shell")
_MARK: Final = f"#{SECTION}."
TEXT_MAX: Final = 64 << 10


def place(path: str, name: str) -> str:
    """What stands for the file of such an agent: "/work/aish.toml#agents.fix"."""
    return f"{path}{_MARK}{name}"


def of_place(file: str) -> tuple[str, str] | None:
    """The path of the aish.toml and the name; None: it is a file of its own."""
    path, mark, name = file.partition(_MARK)
    return (path, name) if mark and path.endswith(".toml") and name else None


def defined(document: Document) -> dict[str, dict[str, Any]]:
    """Name -> table, of those that define an agent."""
    section = document.table.get(SECTION)
    tables = section if isinstance(section, dict) else {}
    return {name: table for name, table in tables.items() if isinstance(table, dict) and defines(table)}


def defines(table: dict[str, Any]) -> bool:
    """Whether it is an agent rather than a process. What has nothing of one is told as what it is not."""
    return not any(key in table for key in RUN_BY) and any(key in table for key in (*KEYS, "instructions", "file"))


def read(document: Document, name: str) -> Agent:
    """Raises SourceError, NotFoundError."""
    table = defined(document).get(name)
    if table is None:
        raise NotFoundError(f"{document.shown} defines no agent {name}", hint="`aish agent ls` lists those of here")
    at = (SECTION, name)
    page = Page(document.shown, [], None, "", document.line(at) or 1)
    fields = {key: _field(document, page, value, (*at, key)) for key, value in table.items()}
    reader = Reader(page, fields, f"{SECTION}.{name}.")
    page.body = _instructions(reader, document.folder)
    return of_table(reader, place(document.path, name), name)


def text(document: Document, name: str, whole: str) -> str:
    """The lines of `whole`, the text of its file, in which it stands."""
    begin, end = document.extent((SECTION, name))
    return "\n".join(whole.splitlines()[begin - 1 : end])


def digest(document: Document, name: str) -> str:
    """Of all that it says, whether or not it is right, the text of its file included."""
    table = defined(document).get(name, {})
    text = b""
    if isinstance(table.get("file"), str):
        try:
            with open(_path(table["file"], document.folder), "rb") as stream:
                text = stream.read(FILE_BYTES_MAX)
        except (OSError, ValueError):
            text = b""  # reading it says so
    return hashlib.sha256(json.dumps(table, sort_keys=True, default=str).encode() + text).hexdigest()


def _instructions(reader: Reader, folder: str) -> str:
    if "file" not in reader.fields:
        return reader.text("instructions", "", length_max=TEXT_MAX).strip()
    if "instructions" in reader.fields:
        raise reader.error("file", "says the same as instructions", "one of the two")
    path = _path(reader.text("file", "", length_max=1000), folder)
    try:
        with open(path, "rb") as stream:
            content = stream.read(FILE_BYTES_MAX + 1)
        text = content.decode()
    except OSError as error:
        raise reader.error("file", f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise reader.error("file", f"{path} is not UTF-8 text") from error
    if len(content) > FILE_BYTES_MAX:
        raise reader.error("file", f"{path} is longer than {FILE_BYTES_MAX:,} bytes")
    if text.startswith(FENCE):
        hint = f'its keys belong here; as it is, it is an agent of its own: [{SECTION}.NAME] agent = "{path}"'
        raise reader.error("file", f"{path} has a front matter", hint)
    return text.strip()


def _path(word: str, folder: str) -> str:
    return os.path.join(folder, os.path.expanduser(word))


def _field(document: Document, page: Page, value: Any, at: tuple[str | int, ...]) -> Field:
    line = document.line(at) or page.body_line
    match value:
        case dict():
            return Field({key: _field(document, page, item, (*at, key)) for key, item in value.items()}, line)
        case list():
            return Field([_field(document, page, item, (*at, place)) for place, item in enumerate(value)], line)
        case str() | bool() | int() | float():
            return Field(value, line)
        case _:
            raise page.error(
                f"{'.'.join(map(str, at))}: a date or a time has no meaning here", line, "put it in quotes"
            )
