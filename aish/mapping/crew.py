"""The processes of a map: begun, waited for, read, stopped."""

from __future__ import annotations

import hashlib
import os
import secrets
from typing import TYPE_CHECKING, Final

import msgspec

from aish.errors import AishError, NotFoundError, StorageError
from aish.mapping.round import DONE, RUNNING
from aish.model.state import ENDED
from aish.wire.message import Inspect, Logs, Snapshot, Spawn, Stop, WaitMany
from aish.wire.reply import Done, Inspected, Started, View, WaitedMany

if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.client import Client
    from aish.mapping.book import Book
    from aish.mapping.item import Run
    from aish.mapping.round import Job, Round
    from aish.wire.part import ProcessPart
    from aish.wire.spec import LaunchPart, SpecPart

MAP: Final = "map"
ITEM: Final = "item"
_CHUNK_BYTES: Final = 1 << 16
UNKNOWN: Final = 1
"""The status of what has ended, nobody knows how."""


class Crew:
    """`run` says what is run for an item, `spec` how; `launch` is what each inherits."""

    def __init__(
        self,
        client: Client,
        round: Round,
        book: Book,
        run: Callable[[str], Run],
        spec: Callable[[Run], SpecPart],
        launch: LaunchPart,
    ) -> None:
        self._client, self.round, self._book = client, round, book
        self._run, self._spec = run, spec
        self._launch = launch
        self._asked: tuple[Job, Spawn, str | None] | None = None
        """A start that was asked for and is not answered yet, with what is its stdin."""

    def take_up(self) -> list[Job]:
        """What earlier maps with this log have done, and what of it runs still; returns what has ended and was not
        noted: it is to be shown."""
        ended = []
        found = self._client.ask(View, Snapshot(all=True, labels={MAP: self._book.id})).processes
        rows = {row.labels.get(ITEM, ""): row for row in found}  # the newest comes last
        for job in self.round.jobs:
            row: ProcessPart | None = rows.get(item_label(job.item))
            if self._book.statuses.get(job.item) == 0:
                job.state, job.status, job.process = DONE, 0, row.id if row is not None else None
            elif row is not None and row.lifecycle not in ENDED:
                self.round.began(job, row.id)
            elif row is not None and job.item not in self._book.statuses:
                self.round.began(job, row.id)
                self._over(job, row)
                ended.append(job)
        return ended

    def noted(self, job: Job) -> None:
        """It was shown, and needs not be again."""
        if job.status is not None:
            self._book.ended(job.item, job.process or "", job.status, job.seconds)

    def begin(self) -> list[Job]:
        """Start what has room; returns what could not be started, which has failed for good."""
        failed = []
        for job in self.round.next():
            try:
                self._begin(job)
            except (NotFoundError, StorageError) as error:
                self._asked = None
                self.round.impossible(job, error.exit_status, str(error))
                failed.append(job)
        return failed

    def _begin(self, job: Job) -> None:
        run = self._run(job.item)
        part = self._spec(run)
        part = msgspec.structs.replace(part, labels={**part.labels, MAP: self._book.id, ITEM: item_label(job.item)})
        targets = [] if run.stdin is None else [0]
        request = Spawn(token=secrets.token_hex(16), spec=part, launch=self._launch, targets=targets, rename=True)
        self._asked = (job, request, run.stdin)
        self._ask(*self._asked)

    def _ask(self, job: Job, request: Spawn, stdin: str | None) -> None:
        """Asked a second time it is the same process, by the request's token."""
        fds = [] if stdin is None else [_opened(stdin)]
        try:
            started = self._client.ask(Started, request, fds)
        finally:
            for fd in fds:
                os.close(fd)
        self.round.began(job, started.id)
        self._asked = None

    def wait(self, within_s: float | None = None) -> list[Job]:
        """Until more have ended: which. None of them where nothing happens within that time."""
        running = {job.process: job for job in self.round.jobs if job.state == RUNNING}
        wanted = WaitMany(targets=[id_ for id_ in running if id_], any=True, timeout_s=within_s)
        ended = [running[waited.id] for waited in self._client.ask(WaitedMany, wanted).waited]
        for job in ended:
            self._over(job, self._row(job.process or ""))
        return ended

    def _over(self, job: Job, row: ProcessPart | None) -> None:
        began_s, ended_s = (row.started_s, row.ended_s) if row is not None else (None, None)
        seconds = round(ended_s - began_s, 3) if began_s is not None and ended_s is not None else None
        self.round.ended(job, _status(row), seconds)

    def stop(self) -> None:
        """End all that run, and wait for that. We may have been interrupted between a question and its answer."""
        self._client.reconnect()
        self.round.stop()
        if self._asked is not None:
            try:
                self._ask(*self._asked)  # it may run, and its answer alone says which it is
            except AishError:
                self._asked = None  # refused now as it would have been then
        running = [job for job in self.round.jobs if job.state == RUNNING and job.process]
        for job in running:
            try:
                self._client.ask(Done, Stop(target=job.process or ""))
            except AishError:
                continue  # it has ended, or is gone
        while self.round.count(RUNNING):
            self.wait()

    def copy(self, job: Job, out_fd: int, err_fd: int) -> None:
        """What its last run has written. Raises OSError."""
        if not job.process:
            return
        try:
            _, fds = self._client.request_with_fds(Logs(target=job.process))
        except NotFoundError:
            return  # forgotten since
        try:
            for source, sink in zip(fds[:2], (out_fd, err_fd), strict=False):
                _copied(source, sink)
        finally:
            for fd in fds:
                os.close(fd)

    def _row(self, id_: str) -> ProcessPart | None:
        try:
            return self._client.ask(Inspected, Inspect(target=id_)).process
        except AishError:
            return None


def item_label(item: str) -> str:
    """What finds its process: items are of any length and any characters."""
    return hashlib.sha256(item.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _opened(path: str) -> int:
    """Raises NotFoundError, StorageError."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFoundError(f"no file {path}") from error
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error


def _copied(source: int, sink: int) -> None:
    offset = 0
    while data := os.pread(source, _CHUNK_BYTES, offset):
        offset += len(data)
        view = memoryview(data)
        while view:
            view = view[os.write(sink, view) :]


def _status(row: ProcessPart | None) -> int:
    end = row.exit if row is not None else None
    if end is None:
        return UNKNOWN
    if end.signal is not None:
        return 128 + end.signal
    return UNKNOWN if end.code is None else end.code
