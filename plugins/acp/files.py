"""Reading and writing text files for an agent that leaves it to its client: in its folder alone, and regular files.

It guards against accidents, and keeps the word of the person who allowed a change: the agent has the same rights
itself.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from typing import TYPE_CHECKING, Any, Final

from acp.exceptions import RequestError

from aish.errors import AishError, InputError, LimitError, NotFoundError, RefusedError, StorageError
from aish.plugins.acp.call import diff
from aish.sandbox import opening
from aish.sandbox.paths import within
from aish.wire import question as q
from aish.wire.question import OptionPart

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from aish.spi.agent_adapter import Host
    from aish.wire.question import AnswerPart

    Waits = Callable[[asyncio.Task[AnswerPart]], Awaitable[AnswerPart]]

READ_BYTES: Final = 8 << 20
NOT_FOUND: Final = -32002
REFUSED: Final = -32603
OPTIONS: Final = (
    OptionPart(id="once", label="Allow", meaning=q.ALLOW),
    OptionPart(id="always", label="Allow all of this turn", meaning=q.ALLOW_ALWAYS),
    OptionPart(id="no", label="Deny", meaning=q.DENY),
)


class Files:
    """What one agent reads and writes by us in a turn. A change that a person has allowed is not asked for again."""

    def __init__(self, host: Host, folder: str) -> None:
        self._host, self._folder = host, folder
        self._allowed: set[str] = set()
        self._always = False

    def allow(self, paths: Iterable[str], *, always: bool) -> None:
        """A person has allowed to change these; `always`: and all that come."""
        self._allowed.update(os.path.realpath(path) for path in paths)
        self._always = self._always or always

    def read(self, fields: dict[str, Any]) -> dict[str, Any]:
        """fs/read_text_file. Raises RequestError."""
        line, limit = fields.get("line"), fields.get("limit")
        try:
            text = read(
                self._place(fields, write=False),
                line if isinstance(line, int) else None,
                limit if isinstance(limit, int) else None,
            )
        except AishError as error:
            raise _answer(error) from error
        return {"content": text}

    async def write(self, fields: dict[str, Any], wait: Waits, token: str) -> dict[str, Any]:
        """fs/write_text_file. Raises RequestError, and CancelledError with the turn."""
        content = fields.get("content")
        if not isinstance(content, str):
            raise RequestError.invalid_params({"details": "content is no text"})
        try:
            path = self._place(fields, write=True)
            if not self._always and path not in self._allowed:
                await self._ask(path, content, wait, token)
            write(path, content)
        except AishError as error:
            raise _answer(error) from error
        return {}

    def _place(self, fields: dict[str, Any], *, write: bool) -> str:
        """Raises RefusedError: what its sandbox keeps from the agent, it does not get from us."""
        path, confinement = place(self._folder, str(fields.get("path", ""))), self._host.confinement
        if confinement is not None and not (confinement.writes(path) if write else confinement.reads(path)):
            raise RefusedError(f"{self._told(path)} is outside of the sandbox of this agent")
        return path

    async def _ask(self, path: str, content: str, wait: Waits, token: str) -> None:
        try:
            old = read(path)
        except NotFoundError:
            old = ""
        told = self._told(path)
        self._host.record("tool", name="write", title=f"write: {told}")
        asking = self._host.ask(
            f"write: {told}", body=diff(told, old, content), form=q.DIFF, options=OPTIONS, token=token
        )
        option = (await wait(asyncio.ensure_future(asking))).option
        if option not in ("once", "always"):
            raise RefusedError(f"{told}: the person did not allow it")
        self.allow((path,), always=option == "always")

    def _told(self, path: str) -> str:
        return os.path.relpath(path, os.path.realpath(self._folder))


def place(folder: str, path: str) -> str:
    """Where a path leads, through all links. Raises RefusedError where that is not in the folder."""
    root = os.path.realpath(folder)
    try:
        found = os.path.realpath(os.path.join(root, path))
    except ValueError as error:  # a zero byte
        raise InputError("that is no path") from error
    if found == root or os.path.commonpath((root, found)) != root:
        raise RefusedError(f"{path} is not in {folder}")
    return found


def read(path: str, line: int | None = None, limit: int | None = None) -> str:
    """A file of `place`, from that line (the first is 1), so many lines. Raises AishError."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            _same(file.fileno(), path)
            data = file.read(READ_BYTES + 1)
    except OSError as error:
        raise _failed(error, path) from error
    if len(data) > READ_BYTES:
        raise LimitError(f"{path} is larger than {READ_BYTES:,} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8") from error
    if line is None and limit is None:
        return text
    lines = text.splitlines(keepends=True)[max(0, (line or 1) - 1) :]
    return "".join(lines if limit is None else lines[: max(0, limit)])


def write(path: str, text: str) -> None:
    """All of a file of `place`, which is made where it is not there. Raises AishError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    folder, name = os.path.split(path)
    try:
        fd = opening.folder(folder, lambda there: within(folder, there))
        try:
            with open(os.open(name, flags, 0o666, dir_fd=fd), "wb") as file:
                _same(file.fileno(), path)
                file.truncate()
                file.write(text.encode("utf-8", "replace"))
        finally:
            os.close(fd)
    except OSError as error:
        raise _failed(error, path) from error


def _same(fd: int, path: str) -> None:
    """A regular file, and the one that was looked at: a folder on the way may have become a link meanwhile."""
    if opening.opened(fd) != path:
        raise RefusedError(f"{path} is another file than it was")
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise RefusedError(f"{path} is no regular file")


def _failed(error: OSError, path: str) -> AishError:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return NotFoundError(f"{path} does not exist")
    if error.errno in (errno.EISDIR, errno.ELOOP, errno.ENXIO):
        return RefusedError(f"{path} is no regular file")
    return StorageError(f"{path}: {error.strerror}")


def _answer(error: AishError) -> RequestError:
    if isinstance(error, NotFoundError):
        return RequestError(NOT_FOUND, f"Resource not found: {error}")
    return RequestError(REFUSED, str(error))
