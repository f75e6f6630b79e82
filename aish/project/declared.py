"""A project as a whole: its files read, checked, and made into what the daemon takes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from aish.client import launch
from aish.client.asks import raise_first
from aish.config import key_file, project_file
from aish.config.problem import Problems
from aish.errors import AishError, SourceError
from aish.project import declare, file, specify
from aish.project.sound import as_written, sound
from aish.wire.spec import LaunchPart, RoutePart, SpecPart

if TYPE_CHECKING:
    from aish.config.document import Document
    from aish.config.places import Path
    from aish.project.entry import Entry, Project
    from aish.project.specify import Wanted


class Declared(msgspec.Struct, frozen=True):
    project: Project
    wanted: dict[str, Wanted]
    documents: list[Document]


def path_of(told: str | None) -> str:
    """As aish.config.project_file.find; a file that was named and is gone still has processes."""
    if told is not None and not os.path.exists(os.path.join(launch.folder(), told)):
        return os.path.realpath(os.path.join(launch.folder(), told))
    return project_file.find(launch.folder(), told)


def load(path: str) -> Declared:
    """Raises SourceError: the first problem, with the others as its notes."""
    declared, problems = examine(path)
    raise_first(problems)
    assert declared is not None
    return declared


def examine(path: str, content: bytes | None = None) -> tuple[Declared | None, list[SourceError]]:
    """What is declared, and everything that is wrong with it; None where something is. `content` is taken as if it
    stood at `path`."""
    problems = Problems()
    variables = dict(os.environ)
    try:
        documents = project_file.read(path, problems, content)
    except SourceError as error:
        return None, [error]
    project = declare.declare(documents, variables, problems)
    shared: dict[str, str] = {}
    try:
        shared = file.env_files(project.env_files)
    except SourceError as error:
        file.unread(error, documents[0], ("env_file",), problems)
    reads = {name: file.beside(entry, project, variables, problems) for name, entry in project.entries.items()}
    wanted: dict[str, Wanted] = {}
    wrong = bool(problems.found)  # else there is nothing that would have to be left out
    for name, entry in project.entries.items():
        each = specify.wanted(sound(entry) if wrong else entry, project, reads[name], shared, variables)
        _check(each, entry, problems, wrong=wrong)
        wanted[name] = each
    return (None if problems.found else Declared(project, wanted, documents)), problems.in_order()


def _check(wanted: Wanted, entry: Entry, problems: Problems, *, wrong: bool) -> None:
    """What the daemon would refuse is told with its line, all of it. `wrong`: the project has problems already, and
    `wanted` is made of what is sound in `entry`."""
    from aish.supervisor.daemon import flaw

    spec, known = wanted.spec, problems.inside(entry.document, entry.at)
    if wrong and not spec.argv:  # it may be what is wrong
        spec = msgspec.structs.replace(spec, argv=[b"command"])
    for each in flaw.flaws(_as_served(spec) if wanted.entry.stored_model else spec):
        at = as_written(specify.place_of(each.field or "", entry), entry)
        if not _follows(at, known):
            problems.add(entry.document, (*entry.at, *at), each.message, each.hint)
    route = spec.route
    if route is not None:
        _check_key_file(route.key_file, (*entry.at, "key_file"), entry, problems)
        said = route.key.file if route.key is not None else None
        _check_key_file(None if said is None else os.fsdecode(said), (*entry.at, "key", "file"), entry, problems)


def _check_key_file(path: str | None, at: Path, entry: Entry, problems: Problems) -> None:
    if path is None:
        return
    try:
        key_file.checked(path)
    except AishError as error:
        problems.add(entry.document, at, str(error), error.hint)


def _follows(at: Path, known: list[Path]) -> bool:
    """Whether a flaw may be no more than a consequence of what is known: the same value is wrong, or a part of it, or
    what stands beside it in a table."""
    for place in filter(None, known):
        beside = len(at) > 1 and isinstance(at[-1], str) and at[:-1] == place[:-1]
        if beside or at[: len(place)] == place or place[: len(at)] == at:
            return True
    return False


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
