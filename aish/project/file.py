"""The only file here that reads files: a project's own, what it includes, env files and agent files. All bounded."""

from __future__ import annotations

import glob
import hashlib
import os
import stat
from typing import TYPE_CHECKING, Final

from aish.agents import find as agents
from aish.errors import AishError, NotFoundError, SourceError
from aish.model.nearest import nearest
from aish.project import environ
from aish.project.declare import located, paths
from aish.project.document import FILE_BYTES_MAX, Document, parse
from aish.project.specify import Read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aish.project.entry import Entry, Project
    from aish.project.places import Path
    from aish.project.problem import Problems

NAME: Final = "aish.toml"
STDIN: Final = "stdin"
"""What it is called where it came through a pipe."""
FILES_MOST: Final = 64
TOTAL_BYTES_MAX: Final = 4 << 20
DEPTH_MAX: Final = 8
_ABOVE_MOST: Final = 128


def find(cwd: str, told: str | None = None) -> str:
    """The project's file, absolute and without links: `told`, else the nearest aish.toml from `cwd` upwards, up to
    the home folder. Raises NotFoundError, SourceError (it is somebody else's: whoever wrote it says what you run)."""
    if told is not None:
        path = os.path.join(cwd, told)
        if os.path.isdir(path):
            path = os.path.join(path, NAME)
            if not os.path.exists(path):
                raise NotFoundError(f"there is no {NAME} in the folder {told}")
        if not os.path.exists(path):
            raise NotFoundError(f"no such file: {told}")
        return os.path.realpath(path)
    home, folder = os.path.expanduser("~"), os.path.abspath(cwd)
    for _ in range(_ABOVE_MOST):
        path = os.path.join(folder, NAME)
        if os.path.lexists(path):
            _check_ours(path)
            return os.path.realpath(path)
        above = os.path.dirname(folder)
        if folder in (home, above):
            break
        folder = above
    raise NotFoundError(
        f"there is no {NAME} here, nor in a folder above", hint="write one, or name it: --file PATH; docs: aish-toml"
    )


def _check_ours(path: str) -> None:
    try:
        owner = os.stat(path).st_uid
    except OSError as error:
        raise SourceError(f"cannot be read: {error.strerror}", file=path) from error
    me = os.geteuid()
    if owner not in (me, 0) and me != 0:
        raise SourceError(f"belongs to user {owner}, not to you", file=path, hint=f"if you trust it: --file {path}")


def read(path: str, problems: Problems, content: bytes | None = None) -> list[Document]:
    """The project's file and those that it includes, in order; `content` was read elsewhere and is taken as if it
    stood at `path`. Raises SourceError where its own cannot be read; what is wrong with the others is among the
    problems."""
    reader = _Reader(problems)
    reader.add(path, depth=0, content=content)
    return reader.found


class _Reader:
    def __init__(self, problems: Problems) -> None:
        self.found: list[Document] = []
        self._problems = problems
        self._seen: set[str] = set()
        self._size_bytes = 0

    def add(self, path: str, depth: int, content: bytes | None = None) -> None:
        """`path` is absolute and without links. Raises SourceError."""
        self._seen.add(path)
        name = shown(path) if content is None else STDIN
        content = content_of(path, name) if content is None else content
        self._size_bytes += len(content)
        if self._size_bytes > TOTAL_BYTES_MAX:
            raise SourceError(f"with its parts longer than {TOTAL_BYTES_MAX:,} bytes", file=name)
        document = parse(content, path, name)
        self.found.append(document)
        patterns = document.table.get("include", [])
        for place, pattern in enumerate(patterns if isinstance(patterns, list) else ()):
            if isinstance(pattern, str) and pattern and "\0" not in pattern:  # else it is told with the rest
                self._include(document, pattern, place, depth)

    def _include(self, document: Document, pattern: str, place: int, depth: int) -> None:
        at = ("include", place)
        for path in self._matching(document, pattern, place):
            if path in self._seen:
                self._problems.add(document, at, f"{shown(path)} is included twice, or includes itself")
            elif depth >= DEPTH_MAX:
                self._problems.add(document, at, f"more than {DEPTH_MAX} files that include each other")
            elif len(self._seen) >= FILES_MOST:
                self._problems.add(document, at, f"more than {FILES_MOST} files")
            else:
                try:
                    self.add(path, depth + 1)
                except SourceError as error:
                    self._problems.take(error)

    def _matching(self, document: Document, pattern: str, place: int) -> list[str]:
        full = os.path.join(document.folder, os.path.expanduser(pattern))
        if not glob.has_magic(full):
            names = [full] if os.path.lexists(full) else []
            if not names:
                self._problems.add(document, ("include", place), f"no such file: {pattern}")
        else:
            names = sorted(glob.glob(full))
        return [os.path.realpath(name) for name in names]


def shown(path: str) -> str:
    """As people in this folder would name it."""
    try:
        near = os.path.relpath(path)
    except OSError:  # the current folder is gone
        return path
    return path if near.startswith("..") else near


def content_of(path: str, name: str) -> bytes:
    """Of a regular file, bounded. Raises SourceError."""
    try:
        with open(path, "rb", opener=_open_now) as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise SourceError("not a regular file", file=name)
            content = stream.read(FILE_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "a NUL byte in its name"
        raise SourceError(f"cannot be read: {why}", file=name) from error
    if len(content) > FILE_BYTES_MAX:
        raise SourceError(f"longer than {FILE_BYTES_MAX:,} bytes", file=name)
    return content


def _open_now(path: str, flags: int) -> int:
    """Without waiting for the other end: opening a FIFO would take until somebody writes into it."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def env_files(names: list[str]) -> dict[str, str]:
    """What the files say, later ones over earlier ones. Raises SourceError."""
    found: dict[str, str] = {}
    for path in names:
        content = content_of(path, shown(path))
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise SourceError("not UTF-8 text", file=shown(path), line=line) from error
        found |= environ.dotenv(text, shown(path))
    return found


def beside(entry: Entry, project: Project, variables: Mapping[str, str], problems: Problems) -> Read:
    """What an entry is made of beside the project's files; what cannot be read is a problem of its key."""
    found: dict[str, str] = {}
    try:
        found = env_files(paths(entry.values.get("env_file"), entry.document.folder, variables))
    except SourceError as error:
        unread(error, entry.document, (*entry.at, "env_file"), problems)
    word = entry.values.get("agent")
    if word is None:
        return Read(env_files=found)
    at = (*entry.at, "agent")
    try:
        file = _agent_file(word, entry.document.folder, variables)
        agent = agents.read(file)
        content = content_of(file, file)
    except SourceError as error:
        unread(error, entry.document, at, problems)
    except AishError as error:
        problems.add(entry.document, at, str(error), error.hint)
    else:
        return Read(env_files=found, agent=agent, agent_digest=hashlib.sha256(content).hexdigest())
    return Read(env_files=found)


def unread(error: SourceError, document: Document, at: Path, problems: Problems) -> None:
    """What is wrong within a file has its own place; a file that cannot be read has that of the key that names it."""
    if error.line is not None:
        problems.take(error)
    else:
        problems.add(document, at, f"{error.file}: {error.message}", error.hint)


def _agent_file(word: str, folder: str, variables: Mapping[str, str]) -> str:
    """Raises NotFoundError, with the nearest name."""
    if "/" in word or word.endswith(".md"):
        return located(word, folder, variables)
    file = agents.locate(word.removeprefix("@"), folder)
    if file is None:
        near = nearest(word, agents.names(folder))
        raise NotFoundError(f"no agent is called {word}", hint=f"did you mean {near}?" if near else "`aish agent ls`")
    return file
