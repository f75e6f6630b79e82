"""The only file here that reads a project's files: where its aish.toml is, and what it includes. All bounded."""

from __future__ import annotations

import glob
import os
import stat
from typing import TYPE_CHECKING, Final

from aish.config.document import FILE_BYTES_MAX, Document, parse
from aish.errors import NotFoundError, SourceError

if TYPE_CHECKING:
    from aish.config.problem import Problems

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
