"""From the files of a project to what they declare. Pure; every problem is found, not only the first."""

from __future__ import annotations

import math
import posixpath
from typing import TYPE_CHECKING, Any, Final

from aish.agents import tables
from aish.errors import SourceError
from aish.model.name import RESERVED, is_id
from aish.model.nearest import nearest
from aish.model.provider_keys import PROVIDER_KEYS
from aish.project import order
from aish.project.entry import Entry, Project
from aish.project.expand import Expander
from aish.project.schema import FILE, SECTIONS
from aish.project.value import Reading
from aish.wire import budget

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aish.config.document import Document
    from aish.config.problem import Problems

_OF_A_SERVER: Final = (
    "cwd",
    "pty",
    "sockets",
    "before",
    "after",
    "check",
    "upstream",
    "dialect",
    "context",
    "login",
    "price",
    "key_file",
    "key",
    "proxy",
    "ca_file",
    "concurrent",
)
"""What says nothing of a model out of the store: whoever serves it decides."""
IDLE_GPUS: Final = ("says nothing without vram", 'say how much on each: vram = "8G"')
_OF_WHO_ASKS: Final = ("tokens", "budget")
_OF_AN_AGENT: Final = ("words", "model", "input")


def declare(documents: Sequence[Document], variables: Mapping[str, str], problems: Problems) -> Project:
    """`documents`: the project's file first. What has a problem is left out of the Project, or is wrong in it."""
    root = documents[0]
    expander = Expander(variables, problems)
    env: dict[str, str] = {}
    for document in documents:
        _variables(document, expander, env)
    found: list[Entry] = []
    groups: dict[str, tuple[Document, str]] = {}
    definitions: dict[str, Document] = {}
    top: dict[str, Any] = {"env_files": [], "inherit": []}
    for document in documents:
        values = _read(document, expander, problems)
        if document is root:
            top["name"], top["budget"] = values.get("name"), values.get("budget", {})
        for key in ("name", "budget"):
            if document is not root and key in values:
                problems.add(document, (key,), f"only the project's own file has a {key}")
        top["env_files"] += paths(values.get("env_file"), document.folder, variables)
        top["inherit"] += [name for name in values.get("inherit", []) if name is not None]
        for name, group in values.get("groups", {}).items():
            if name in groups:
                problems.add(document, ("groups", name), f"is declared in {groups[name][0].shown} already")
            groups[name] = (document, group.get("strategy") or "one_for_one")
        found += _entries(document, values, len(found))
        _define(document, definitions, problems)
    entries = _once(found, problems)
    project = Project(
        name=top["name"] or posixpath.basename(root.folder) or "project",
        path=root.path,
        entries=entries,
        env=env,
        env_files=top["env_files"],
        inherit=top["inherit"],
        groups={name: strategy for name, (_, strategy) in groups.items()},
        budget=top["budget"],
        definitions={name: tables.place(document.path, name) for name, document in definitions.items()},
    )
    for entry in entries.values():
        _check(entry, project, problems)
    _check_circle(entries, problems)
    return project


def _define(document: Document, definitions: dict[str, Document], problems: Problems) -> None:
    """Agents that it defines, each read as from a file of its own: nothing in them is a variable of the project."""
    for name in tables.defined(document):
        first = definitions.setdefault(name, document)
        if first is not document:
            problems.add(document, (tables.SECTION, name), f"is defined in {first.shown} already")
        try:
            tables.read(document, name)
        except SourceError as error:
            problems.take(error)


def _variables(document: Document, expander: Expander, env: dict[str, str]) -> None:
    """[env] is read first, line by line: a later variable may be made of an earlier one."""
    table = document.table.get("env")
    for name, raw in table.items() if isinstance(table, dict) else ():
        if isinstance(raw, str):  # what is none is told when the file is read
            if name in env:
                expander.problems.add(document, ("env", name), "is declared in another file already")
            value = expander.text(raw, document, ("env", name))
            if value is None:
                expander.unknown.add(name)
            else:
                expander.variables[name] = env[name] = value


def _read(document: Document, expander: Expander, problems: Problems) -> dict[str, Any]:
    table = {key: raw for key, raw in document.table.items() if key not in ("env", "include")}
    if isinstance(table.get(tables.SECTION), dict):
        defined = tables.defined(document)
        table[tables.SECTION] = {key: raw for key, raw in table[tables.SECTION].items() if key not in defined}
    table = expander.tree(table, document, ())
    for key in ("env", "include"):
        if key in document.table:
            table[key] = document.table[key]
    return FILE.read(table, (), Reading(document, problems))


def paths(value: str | list[str | None] | None, folder: str, variables: Mapping[str, str]) -> list[str]:
    """Paths of a file in `folder`, absolute; `~` is the caller's home."""
    words = [value] if isinstance(value, str) else value or []
    return [located(word, folder, variables) for word in words if word is not None]


def located(path: str, folder: str, variables: Mapping[str, str]) -> str:
    if path == "~" or path.startswith("~/"):
        path = variables.get("HOME", "~") + path[1:]
    return posixpath.normpath(posixpath.join(folder, path))


def _entries(document: Document, values: dict[str, Any], count: int) -> list[Entry]:
    found = [(section, name, table) for section in SECTIONS for name, table in values.get(section, {}).items()]
    found.sort(key=lambda item: document.line(item[:2]) or 0)
    return [
        Entry(name=name, section=section, values=table, document=document, place=count + place)
        for place, (section, name, table) in enumerate(found)
    ]


def _once(found: list[Entry], problems: Problems) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for entry in found:
        first = entries.setdefault(entry.name, entry)
        if first is not entry:
            place = f"{first.document.shown}:{first.document.line(first.at)}"
            problems.add(entry.document, entry.at, f"the name is taken by {first.section}.{first.name} ({place})")
        if is_id(entry.name) or entry.name in RESERVED:
            what = "looks like an id" if is_id(entry.name) else "is a word of aish's own"
            hint = "p and digits is an id, as ps shows them: p7x or worker-7 are names" if is_id(entry.name) else None
            problems.add(entry.document, entry.at, f"it needs another name: {entry.name} {what}", hint)
    return entries


def _check(entry: Entry, project: Project, problems: Problems) -> None:
    def wrong(key: str, message: str, hint: str | None = None) -> None:
        problems.add(entry.document, (*entry.at, key), message, hint)

    values = entry.values
    for place, need in entry.needs_by_place.items():
        if need == entry.name:
            problems.add(entry.document, (*entry.at, "needs", place), "it cannot wait for itself")
        elif need not in project.entries:
            near = nearest(need, [name for name in project.entries if name != entry.name])
            hint = f"did you mean {near}?" if near else "declare it, in this file or one that it includes"
            problems.add(entry.document, (*entry.at, "needs", place), f"nothing is called {need}", hint)
    group = values.get("group")
    name = group.get("name") if isinstance(group, dict) else group
    if name is not None and name not in project.groups:
        near = nearest(name, project.groups)
        wrong("group", f"no such group: {name}", f"did you mean {near}?" if near else f"declare it: [groups.{name}]")
    for variable in values.get("env", {}):
        if variable in PROVIDER_KEYS and variable not in values.get("keys", []):
            hint = f'let it through: keys = ["{variable}"]'
            problems.add(entry.document, (*entry.at, "env", variable), "its own key would take its place", hint)
    restart = values.get("restart")
    if isinstance(restart, dict) and restart.get("endless") and "most" in restart:
        wrong("restart", "both most and endless", "one of the two")
    if isinstance(restart, dict) and (restart.get("longest") or math.inf) < (restart.get("delay") or 0):
        wrong("restart", "the longest delay is shorter than the first")
    if "gpus" in values and "vram" not in values and "agent" not in values:
        wrong("gpus", *IDLE_GPUS)
    if entry.section == "agents" and "agent" not in values:
        for key in _OF_AN_AGENT:
            if key in values:
                wrong(key, "belongs to agent")
    if entry.section == "models":
        _check_model(entry, problems)


def _check_model(entry: Entry, problems: Problems) -> None:
    for key in entry.values:
        at = (*entry.at, key)
        if key in _OF_WHO_ASKS:
            hint = f"{key} belongs to an agent, a service or a key (`aish key new`)"
            problems.add(entry.document, at, budget.of_model(entry.name), hint)
        elif key in _OF_A_SERVER and entry.stored_model:
            hint = "it belongs to command, shell or url"
            problems.add(entry.document, at, "says nothing of a model out of the store", hint)


def _check_circle(entries: dict[str, Entry], problems: Problems) -> None:
    circle = order.cycle({name: entry.needs for name, entry in entries.items()})
    if circle is not None and len(circle) > 2:
        entry = entries[circle[0]]
        text = " needs ".join(circle)
        problems.add(entry.document, (*entry.at, "needs"), f"they wait for each other: {text}")
