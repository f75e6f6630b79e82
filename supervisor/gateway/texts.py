"""What requests say and are answered, kept for those accounts of which a person wants it; of nobody else.

A text is written when its request is over, off the loop, into a file of its own (aish.config.texts). That goes with
its process, after RETAINED_S, or when there are too many. Headers are not kept, keys are taken out (redaction.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import msgspec

from aish.config import folders, private_file, texts
from aish.errors import AishError, StorageError, UsageError
from aish.supervisor.gateway.log import log
from aish.supervisor.gateway.redaction import presented, redacted
from aish.supervisor.gateway.totals import KEY_PREFIX
from aish.supervisor.gateway.web import Response
from aish.wire import account as accounts
from aish.wire.reply import RequestText

if TYPE_CHECKING:
    from aish.supervisor.gateway.keys import Caller
    from aish.supervisor.gateway.records import Records
    from aish.supervisor.gateway.routes import Directory
    from aish.supervisor.gateway.settling import Exchange
    from aish.supervisor.gateway.upstream import Upstreams
    from aish.supervisor.gateway.web import Answer

MOST_BYTES: Final = 1 << 20
"""Of what was asked, and of what was answered."""
MOST_FILES: Final = 10_000
MOST_KEPT_BYTES: Final = 256 << 20
RETAINED_S: Final = 7 * 86400.0
MOST_ACCOUNTS: Final = 1000
MOST_WAITING: Final = 64
"""Texts on their way to the disk: more are dropped."""
PRUNE_S: Final = 60.0
PATIENCE_S: Final = 2.0
_SLOT: Final = "texts"

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(RequestText).decode


class Text:
    """What is said in one request, as far as it is kept."""

    __slots__ = ("_parts", "_room_bytes", "answered_bytes", "asked", "asked_bytes")

    def __init__(self, asked: bytes) -> None:
        self.asked_bytes, self.answered_bytes = len(asked), 0
        half = MOST_BYTES // 2  # of a conversation the beginning and the newest word
        self.asked = asked if len(asked) <= MOST_BYTES else asked[:half] + b"\n[...]\n" + asked[-half:]
        self._parts: list[bytes] = []
        self._room_bytes = MOST_BYTES

    def add(self, data: bytes) -> None:
        """A part of the answer, as the client gets it."""
        self.answered_bytes += len(data)
        if self._room_bytes > 0:
            self._parts.append(data[: self._room_bytes])
            self._room_bytes -= len(data)

    @property
    def answered(self) -> bytes:
        return b"".join(self._parts)


class Texts:
    """One per gateway. Whose are kept stands in the records; `line` tells a process and those above it."""

    def __init__(
        self,
        records: Records,
        directory: Directory,
        upstreams: Upstreams,
        line: Callable[[str], tuple[str, ...]],
    ) -> None:
        self._records, self._directory, self._upstreams, self._line = records, directory, upstreams, line
        self._state = os.path.dirname(records.path)
        self._accounts: set[str] = set()
        self._writes: set[asyncio.Task[None]] = set()
        self._pruned_s = 0.0

    def restore(self) -> None:
        """Raises StorageError. Texts of records that are gone would be taken for those of other requests."""
        kept = self._records.meta(_SLOT)
        with contextlib.suppress(msgspec.DecodeError):
            self._accounts = set() if kept is None else set(msgspec.json.decode(kept, type=list[str]))
        if self._records.last_number() == 0:
            shutil.rmtree(texts.root(self._state), ignore_errors=True)

    def new_epoch(self) -> None:
        """All processes are others now."""
        self._accounts = {account for account in self._accounts if not accounts.of_process(account)}
        self._save(self._accounts)

    # --- whose ----------------------------------------------------------------------------------------------------

    def keeping(self) -> list[str]:
        return sorted(self._accounts)

    async def keep(self, account: str, *, keep: bool) -> bool:
        """Of that account from now on, or no longer; then what is kept of it goes. Returns whether that was new.
        Raises UsageError, StorageError."""
        changed = keep != (account in self._accounts)
        if changed:
            wanted = self._accounts | {account} if keep else self._accounts - {account}
            if len(wanted) > MOST_ACCOUNTS:
                raise UsageError(f"the text of {MOST_ACCOUNTS} accounts is kept already", hint="user is all of them")
            self._save(wanted)
        if not keep:
            epoch = self._directory.epoch
            everything = account == accounts.USER
            those = [texts.folder(self._state, each, epoch) for each in self._of(account)]
            await asyncio.to_thread(_remove, [texts.root(self._state)] if everything else those)
        return changed

    def _save(self, wanted: set[str]) -> None:
        self._records.set_meta(_SLOT, msgspec.json.encode(sorted(wanted)))
        self._accounts = wanted

    def _of(self, account: str) -> set[str]:
        """Itself, and who counts for it as far as is known now."""
        below = {id for id in self._directory.members if account in self._above(id)}
        return below if accounts.project(account) is not None else {account} | below

    def _above(self, id: str) -> Iterator[str]:
        """A process, those above it, and their projects; a key alone."""
        for each in self._line(id):
            yield each
            member = self._directory.members.get(each)
            if member is not None and member.project is not None:
                yield accounts.of_project(member.project)

    # --- one request ----------------------------------------------------------------------------------------------

    def of(self, caller: Caller, asked: bytes) -> Text | None:
        """None: nobody wants to have it."""
        if not self._accounts:
            return None
        theirs = {accounts.USER, *self._above(caller.account)}
        return None if self._accounts.isdisjoint(theirs) else Text(asked)

    def put(self, exchange: Exchange, text: Text, answer: Answer | None) -> None:
        """The request is over."""
        if isinstance(answer, Response):
            text.add(answer.body)
        if len(self._writes) >= MOST_WAITING:
            log("texts", f"the text of request {exchange.row.number} is not kept: the disk is slow")
            return
        task = asyncio.get_running_loop().create_task(self._put(exchange, text), name="text")
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def _put(self, exchange: Exchange, text: Text) -> None:
        row = exchange.row
        known = presented(exchange.request.headers)
        for server in self._directory.servers.values():
            with contextlib.suppress(StorageError):
                known.append(self._upstreams.scrub(server))
        folder = texts.folder(self._state, row.process, row.epoch)
        told = RequestText(
            number=row.number,
            time_s=row.time_s,
            process=row.process,
            epoch=None if row.process.startswith(KEY_PREFIX) else row.epoch,
            model=row.model,
            endpoint=row.endpoint,
            status=row.status,
            asked="",
            answered="",
            asked_bytes=text.asked_bytes,
            answered_bytes=text.answered_bytes,
        )

        def write() -> None:
            said = [redacted(part, known).decode(errors="replace") for part in (text.asked, text.answered)]
            whole = msgspec.structs.replace(told, asked=said[0], answered=said[1])
            _write(folder, row.number, _encode(whole))

        try:
            await asyncio.to_thread(write)
        except (OSError, AishError) as error:
            log("texts", f"the text of request {row.number} is not kept: {error}")

    async def read(self, number: int) -> RequestText:
        """What was answered can be read at once. Raises NotFoundError, StorageError."""
        await self.written(PATIENCE_S)
        return await asyncio.to_thread(_read, texts.root(self._state), number)

    # --- upkeep ---------------------------------------------------------------------------------------------------

    async def prune(self) -> None:
        """The oldest go, from time to time."""
        now_s = time.monotonic()
        if now_s >= self._pruned_s + PRUNE_S or not self._pruned_s:
            self._pruned_s = now_s
            await asyncio.to_thread(prune, texts.root(self._state), time.time())

    async def written(self, patience_s: float) -> None:
        """Wait for what is on its way to the disk."""
        if self._writes:
            await asyncio.wait(self._writes, timeout=max(0.0, patience_s))


def _write(folder: str, number: int, data: bytes) -> None:
    folders.private(os.path.dirname(folder))
    private_file.replace(os.path.join(folders.private(folder), str(number)), data)


def _read(root: str, number: int) -> RequestText:
    try:
        for entry in os.scandir(root):
            with contextlib.suppress(FileNotFoundError), open(os.path.join(entry.path, str(number)), "rb") as file:
                return _decode(file.read())
    except FileNotFoundError:
        pass
    except (OSError, msgspec.DecodeError) as error:
        raise StorageError(f"the text of request {number} cannot be read: {error}") from error
    raise texts.missing(number)


def _remove(paths: list[str]) -> None:
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)


def prune(root: str, now_s: float, *, files: int = MOST_FILES, most_bytes: int = MOST_KEPT_BYTES) -> None:
    """Delete what is too old, then the oldest of what is too much."""
    found: list[tuple[float, int, str]] = []
    with contextlib.suppress(FileNotFoundError):
        for folder in os.scandir(root):
            for entry in os.scandir(folder.path):
                with contextlib.suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    found.append((status.st_mtime, status.st_size, entry.path))
    kept, kept_bytes = 0, 0
    for written_s, size_bytes, path in sorted(found, reverse=True):
        kept, kept_bytes = kept + 1, kept_bytes + size_bytes
        if written_s < now_s - RETAINED_S or kept > files or kept_bytes > most_bytes:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            with contextlib.suppress(OSError):  # the last one of its process
                os.rmdir(os.path.dirname(path))
