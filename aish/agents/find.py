"""Where agents are found: the first of these that has the name wins.

project   .aish/agents/NAME.md in the folder or the nearest one above it, up to the home folder or the root
          [agents.NAME] of the nearest aish.toml, found likewise, or of a file that it includes
user      ~/.config/aish/agents/NAME.md
built in  aish/agents/library/NAME.md
plugins   NAME.md in the folder of a package that an entry point of the group aish.agents names
"""

from __future__ import annotations

import hashlib
import os
import stat

from aish.agents import tables
from aish.agents.agent import valid_name
from aish.agents.definition import FILE_BYTES_MAX, parse
from aish.config import folders
from aish.errors import NotFoundError, SourceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from aish.agents.agent import Agent
    from aish.config.document import Document

DEPTH_MAX: Final = 128  # folders above; a deeper path is not a project
_SUFFIX: Final = ".md"
GROUP: Final = "aish.agents"
"""Of entry points: each names a package with agent files."""


def find(name: str, cwd: str) -> Agent | None:
    """The agent called `name` as seen from the folder `cwd`; None where there is none.

    Raises SourceError when its file is there and wrong: a broken agent must not be replaced by another silently.
    """
    file = locate(name, cwd)
    return None if file is None else read(file)


def locate(name: str, cwd: str) -> str | None:
    """The file that defines `name`, without reading it; of a table in an aish.toml see aish.agents.tables.

    Raises SourceError of an aish.toml that cannot be read and may have it, where no other place has.
    """
    if not valid_name(name):
        return None
    project = project_folder(cwd)
    if project is not None and (file := _in(project, name)) is not None:
        return file
    documents, broken = _declared(cwd)
    for each in documents:
        if name in tables.defined(each):
            return tables.place(each.path, name)
    if broken is not None and _mentions(broken.file, name):
        raise broken
    for folder in _folders():
        if (file := _in(folder, name)) is not None:
            return file
    return None


def _in(folder: str, name: str) -> str | None:
    file = os.path.join(folder, name + _SUFFIX)
    return file if os.path.isfile(file) else None


def names(cwd: str) -> list[str]:
    """Every name that `find` knows there, sorted."""
    found = {name for folder in _all(cwd) for name in _entries(folder) if _in(folder, name) is not None}
    for each in _declared(cwd)[0]:
        found.update(tables.defined(each))
    return sorted(name for name in found if valid_name(name))


def nameless(cwd: str) -> list[str]:
    """What the project or the user has there that looks like an agent, and that no `@NAME` finds: by its name, or
    since it is no file."""
    folders_ = [folder for folder in (project_folder(cwd), _own()) if folder is not None]
    places = [(folder, name) for folder in folders_ for name in sorted(_entries(folder))]
    return [
        os.path.join(folder, name + _SUFFIX)
        for folder, name in places
        if not valid_name(name) or _in(folder, name) is None
    ]


def _all(cwd: str) -> list[str]:
    project = project_folder(cwd)
    return [*([project] if project is not None else []), *_folders()]


def _entries(folder: str) -> list[str]:
    try:
        entries = os.listdir(folder)
    except OSError:
        return []  # no such folder, or not ours to read: it has no agents for us
    return [entry.removesuffix(_SUFFIX) for entry in entries if entry.endswith(_SUFFIX)]


def _declared(cwd: str) -> tuple[list[Document], SourceError | None]:
    """The nearest aish.toml with what it includes; and what is wrong with one of these files."""
    from aish.config import project_file  # not for who names an agent file
    from aish.config.problem import Problems

    try:
        path = project_file.find(cwd)
    except (NotFoundError, SourceError):
        return [], None  # somebody else's is passed over, as a folder of agents is
    problems = Problems()
    try:
        documents = project_file.read(path, problems)
    except SourceError as error:
        return [], error
    return documents, next(iter(problems.in_order()), None)


def _mentions(file: str, name: str) -> bool:
    """Whether an agent of that name may stand in a file that is no TOML: then none of elsewhere takes its place."""
    from aish.config import project_file

    try:
        return name.encode() in project_file.content_of(file, file)
    except SourceError:
        return False


def read(file: str) -> Agent:
    """Read and parse an agent file, or a table that `locate` found. Raises NotFoundError, SourceError."""
    table = tables.of_place(file)
    if table is not None:
        return tables.read(_document(table[0]), table[1])
    try:
        fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # opening a FIFO would wait for a writer
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise SourceError("not a regular file", file=file, hint="an agent is a Markdown file")
            content = _read(fd, FILE_BYTES_MAX + 1)
        finally:
            os.close(fd)
    except FileNotFoundError as error:
        raise NotFoundError(f"no agent file {file}") from error
    except OSError as error:
        raise SourceError(f"cannot be read: {error.strerror}", file=file) from error
    if len(content) > FILE_BYTES_MAX:
        raise SourceError(f"longer than {FILE_BYTES_MAX:,} bytes", file=file, hint="an agent file is a page of text")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SourceError("not UTF-8 text", file=file, line=line, hint="save it as UTF-8") from error
    return parse(text, file)


def text(file: str) -> str:
    """What defines it, as it is written there. Raises SourceError."""
    from aish.config import project_file

    table = tables.of_place(file)
    if table is None:
        return project_file.content_of(file, file).decode(errors="replace")
    return tables.text(_document(table[0]), table[1], project_file.content_of(table[0], table[0]).decode())


def digest(file: str) -> str:
    """Of what it says: whether it is still the same. Raises SourceError."""
    from aish.config import project_file

    table = tables.of_place(file)
    if table is not None:
        return tables.digest(_document(table[0]), table[1])
    return hashlib.sha256(project_file.content_of(file, file)).hexdigest()


def _document(path: str) -> Document:
    from aish.config import document, project_file

    shown = project_file.shown(path)
    return document.parse(project_file.content_of(path, shown), path, shown)


def _read(fd: int, most_bytes: int) -> bytes:
    found = b""
    while len(found) < most_bytes and (more := os.read(fd, most_bytes - len(found))):
        found += more
    return found


def _own() -> str:
    return os.path.join(folders.config(), "agents")


def _folders() -> Iterator[str]:
    """Of the user, of aish, of plugins; the last ones are only looked for where no other has the name."""
    yield _own()
    yield os.path.join(os.path.dirname(__file__), "library")
    yield from _plugins()


def _plugins() -> list[str]:
    """Folders of the packages that the entry points name; none of them is imported."""
    from importlib import metadata, util  # slow

    found: list[str] = []
    for point in sorted(metadata.entry_points(group=GROUP), key=lambda point: point.name):
        try:
            spec = util.find_spec(point.module)
        except (ImportError, ValueError):
            spec = None  # its package is gone, or half installed: it offers nothing
        found += list(spec.submodule_search_locations or ()) if spec is not None else []
    return found


def project_folder(cwd: str) -> str | None:
    """The nearest `.aish/agents` upwards that is to be trusted."""
    home = os.path.expanduser("~")
    folder = os.path.abspath(cwd)
    for _ in range(DEPTH_MAX):
        candidate = os.path.join(folder, ".aish", "agents")
        if _ours(candidate):
            return candidate
        above = os.path.dirname(folder)
        if folder in (home, above):
            return None
        folder = above
    return None


def _ours(folder: str) -> bool:
    """Whether it is there and not planted: in /tmp, /tmp/.aish could be any user's, and would be found from below."""
    try:
        owner = os.stat(folder).st_uid
    except OSError:
        return False
    me = os.geteuid()
    return owner in (me, 0) or me == 0
