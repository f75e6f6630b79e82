"""A project as a whole: its files read, checked, and made into what the daemon takes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from aish.client import launch
from aish.client.asks import raise_first
from aish.config import key_file
from aish.errors import AishError, InputError, SourceError
from aish.project import declare, file, specify
from aish.project.problem import Problems
from aish.wire.spec import LaunchPart, RoutePart, SpecPart

if TYPE_CHECKING:
    from aish.project.document import Document
    from aish.project.entry import Entry, Project
    from aish.project.specify import Wanted


class Declared(msgspec.Struct, frozen=True):
    project: Project
    wanted: dict[str, Wanted]
    documents: list[Document]


def path_of(told: str | None) -> str:
    """As aish.project.file.find; a file that was named and is gone still has processes."""
    if told is not None and not os.path.exists(os.path.join(launch.folder(), told)):
        return os.path.realpath(os.path.join(launch.folder(), told))
    return file.find(launch.folder(), told)


def load(path: str) -> Declared:
    """Raises SourceError: the first problem, with the others as its notes."""
    declared, problems = examine(path)
    raise_first(problems)
    assert declared is not None
    return declared


def examine(path: str) -> tuple[Declared | None, list[SourceError]]:
    """What is declared, and everything that is wrong with it; None where the file itself cannot be read."""
    problems = Problems()
    variables = dict(os.environ)
    try:
        documents = file.read(path, problems)
    except SourceError as error:
        return None, [error]
    project = declare.declare(documents, variables, problems)
    shared: dict[str, str] = {}
    try:
        shared = file.env_files(project.env_files)
    except SourceError as error:
        file.unread(error, documents[0], ("env_file",), problems)
    reads = {name: file.beside(entry, project, variables, problems) for name, entry in project.entries.items()}
    if problems.found:  # values that are wrong are not there
        return None, problems.in_order()
    wanted = {
        name: specify.wanted(entry, project, reads[name], shared, variables)
        for name, entry in project.entries.items()
    }
    for each in wanted.values():
        _check(each, problems)
    return Declared(project, wanted, documents), problems.in_order()


def _check(wanted: Wanted, problems: Problems) -> None:
    """What the daemon would refuse is told with its line."""
    from aish.supervisor.daemon import want

    entry = wanted.entry
    try:
        want.check_spec(_as_served(wanted.spec) if entry.stored_model else wanted.spec)
    except InputError as error:
        field = error.field or ""
        key = specify.KEYS.get(field) or specify.KEYS.get(field.partition(".")[0]) or field
        problems.add(entry.document, (*entry.at, *key.split(".")), error.message, error.hint)
    route = wanted.spec.route
    if route is not None:
        _check_key_file(route.key_file, (*entry.at, "key_file"), entry, problems)
        said = route.key.file if route.key is not None else None
        _check_key_file(None if said is None else os.fsdecode(said), (*entry.at, "key", "file"), entry, problems)


def _check_key_file(path: str | None, at: tuple[str | int, ...], entry: Entry, problems: Problems) -> None:
    if path is None:
        return
    try:
        key_file.checked(path)
    except AishError as error:
        problems.add(entry.document, at, str(error), error.hint)


def _as_served(spec: SpecPart) -> SpecPart:
    """As it will be, roughly: who serves it is found out later."""
    return msgspec.structs.replace(spec, argv=[b"server"], route=RoutePart(url="unix:/server"))


def surroundings(wanted: Wanted) -> LaunchPart:
    """What its process is started with: what is declared, and of the caller what is usual."""
    here = launch.capture(wanted.environ(os.environ))
    return msgspec.structs.replace(
        here,
        nice=here.nice if wanted.nice is None else wanted.nice,
        umask=here.umask if wanted.umask is None else wanted.umask,
    )
