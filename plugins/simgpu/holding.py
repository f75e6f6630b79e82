"""Who holds how much simulated memory: one small file per process in FOLDER/held, changed under one lock.

A process is its pid, its start time and the boot: when it ends, nobody has to clean up for its memory to be free
again. Like a real driver, the card does not know quotas; it only refuses what does not fit.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aish.config import folders
from aish.errors import LimitError, StorageError
from aish.model.size import format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aish.plugins.simgpu.card import Card

HELD: Final = "held"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What one process holds on one card. `busy_percent` is the share of the card that it keeps busy, 0 to 100."""

    pid: int
    uuid: str
    size_bytes: int
    busy_percent: float


def living(folder: str) -> list[Holding]:
    """The holdings of all living processes. What cannot be read (torn, foreign) holds nothing."""
    try:
        names = os.listdir(os.path.join(folder, HELD))
    except OSError:
        return []
    boot = boot_id()
    holdings = []
    for name in sorted(names):
        if name.isdecimal():
            holdings += _read(os.path.join(folder, HELD, name), int(name), boot)
    return holdings


def change(folder: str, card: Card, pid: int, *, add_bytes: int = 0, busy_percent: float | None = None) -> Holding:
    """Give the process `add_bytes` more (negative: fewer) of the card, and set how busy it keeps it.

    Raises LimitError when the card has not enough left, StorageError when the folder cannot be written.
    """
    with _locked(folder):
        holdings = living(folder)
        mine = {holding.uuid: holding for holding in holdings if holding.pid == pid}
        before = mine.get(card.uuid) or Holding(pid=pid, uuid=card.uuid, size_bytes=0, busy_percent=0.0)
        used_bytes = sum(holding.size_bytes for holding in holdings if holding.uuid == card.uuid)
        free_bytes = max(card.memory_bytes - used_bytes, 0)
        if add_bytes > free_bytes:
            raise LimitError(
                f"out of memory on simulated GPU{card.index}: {format_bytes(add_bytes)} asked for, "
                f"{format_bytes(free_bytes)} free of {format_bytes(card.memory_bytes)}",
                hint="end what holds the rest (`aish gpu` shows it), or ask for less",
            )
        after = Holding(
            pid=pid,
            uuid=card.uuid,
            size_bytes=max(before.size_bytes + add_bytes, 0),
            busy_percent=before.busy_percent if busy_percent is None else busy_percent,
        )
        mine[card.uuid] = after
        _sweep(folder, {holding.pid for holding in holdings} | {pid})
        _write(folder, pid, mine)
        return after


def start_ticks(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None when it is dead or a zombie, which holds nothing."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            fields = stream.read().rpartition(b")")[2].split()
    except OSError:
        return None
    if len(fields) < 20 or fields[0] in (b"Z", b"X"):
        return None
    return int(fields[19])


def boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
            return stream.read().strip()
    except OSError:
        return ""


@contextmanager
def _locked(folder: str) -> Iterator[None]:
    folders.private(os.path.join(folder, HELD))
    try:
        fd = os.open(os.path.join(folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StorageError(f"cannot lock {folder}: {error.strerror}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _read(path: str, pid: int, boot: str) -> list[Holding]:
    try:
        with open(path, encoding="utf-8") as stream:
            table = json.load(stream)
        if table["boot"] != boot or table["start"] != start_ticks(pid):
            return []
        return [
            Holding(pid=pid, uuid=str(uuid), size_bytes=int(size_bytes), busy_percent=float(busy_percent))
            for uuid, (size_bytes, busy_percent) in table["cards"].items()
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def _write(folder: str, pid: int, holdings: dict[str, Holding]) -> None:
    table = {
        "boot": boot_id(),
        "start": start_ticks(pid),
        "cards": {uuid: [holding.size_bytes, holding.busy_percent] for uuid, holding in holdings.items()},
    }
    path = os.path.join(folder, HELD, str(pid))
    try:
        with open(path + ".new", "w", encoding="utf-8") as stream:
            json.dump(table, stream)
        os.replace(path + ".new", path)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error


def _sweep(folder: str, keep: set[int]) -> None:
    """Remove the files of dead processes. Nothing depends on it: a dead process holds nothing, file or not."""
    for name in os.listdir(os.path.join(folder, HELD)):
        if not name.isdecimal() or int(name) not in keep:
            try:
                os.unlink(os.path.join(folder, HELD, name))
            except OSError:
                pass
