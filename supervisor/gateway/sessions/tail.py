"""Reading on in a log that grows: whole lines, from where the reading was, within bounds. For a thread.

A log that was replaced or cut is read from its beginning; what is as old as the last line that was read is not
counted once more. A line that is longer than a chunk is left out, whatever it holds.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import Final

import msgspec

from aish.errors import StorageError
from aish.supervisor.gateway.sessions.codex import Limits, Spent, State, feed

CHUNK_BYTES: Final = 8 << 20
HEAD_BYTES: Final = 1 << 20
BEFORE_BYTES: Final = 4 << 20
"""Of what was there before the process began, so much is read: the last total, to subtract from the next one."""
MOST_BYTES: Final = 64 << 20
"""At one look; the rest at the next."""
_TINY_S: Final = 0.001  # times in logs are in milliseconds


class Place(msgspec.Struct):
    """Where the reading of one log is. Kept between runs of the gateway."""

    state: State
    offset: int = 0
    inode: int = 0
    device: int = 0
    skipping: bool = False
    """In the middle of a line that is too long."""


@dataclass(slots=True)
class Look:
    """What one look at a log found. `end`: there is no more now."""

    place: Place
    told: list[Spent | Limits] = field(default_factory=list)
    end: bool = True


def look(path: bytes, place: Place) -> Look:
    """Read what is new; `place` itself stays as it was. Raises StorageError for what cannot be read."""
    place = msgspec.structs.replace(place, state=_copy(place.state))
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return Look(place)  # archived: nothing more comes
    except OSError as error:
        raise StorageError(f"cannot read {os.fsdecode(path)}: {error.strerror}") from error
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid():
            raise StorageError(f"{os.fsdecode(path)} is no file of yours")
        _find(fd, place, status)
        return _read(fd, place, status.st_size)
    except OSError as error:
        raise StorageError(f"cannot read {os.fsdecode(path)}: {error.strerror}") from error
    finally:
        os.close(fd)


def _find(fd: int, place: Place, status: os.stat_result) -> None:
    """Where to go on."""
    same = (place.inode, place.device) == (status.st_ino, status.st_dev)
    if same and status.st_size >= place.offset:
        return
    state = place.state
    if place.inode:
        state.from_s = max(state.from_s, state.at_s + _TINY_S)
        state.total = state.counted = None
        state.recorded = False
    place.inode, place.device, place.offset, place.skipping = status.st_ino, status.st_dev, 0, False
    if status.st_size > HEAD_BYTES + BEFORE_BYTES and status.st_mtime < state.from_s:
        _skip(fd, place, status.st_size - BEFORE_BYTES)


def _skip(fd: int, place: Place, offset: int) -> None:
    """Only the head, and then the last part, of what was written before."""
    line, newline, _ = os.pread(fd, HEAD_BYTES, 0).partition(b"\n")
    if newline:
        feed(place.state, line)
        place.offset, place.skipping = offset, True


def _read(fd: int, place: Place, size: int) -> Look:
    found = Look(place)
    until = place.offset + MOST_BYTES
    while place.offset < size:
        if place.offset >= until:
            found.end = False
            break
        data = os.pread(fd, CHUNK_BYTES, place.offset)
        whole = data.rfind(b"\n") + 1
        if not whole:
            if len(data) < CHUNK_BYTES:
                break  # a line that is being written
            place.skipping = True
            place.offset += len(data)
            continue
        lines = data[:whole].split(b"\n")[:-1]
        if place.skipping:
            place.skipping = False
            del lines[0]
        for line in lines:
            found.told += feed(place.state, line)
        place.offset += whole
    return found


def _copy(state: State) -> State:
    return msgspec.structs.replace(state, seen=list(state.seen))
