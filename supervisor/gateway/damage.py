"""A gateway.db that cannot be read: kept under another name, and a new one begun. What that costs is told.

What people said of keys and limits comes back from its copy (spare.py), also where gateway.db is gone. Where that
cannot be read either, nobody knows what was limited: all is held, by a budget of the user's without a token, until a
person says it again. The new file has that before it has its name, so that a kill at any moment leaves the damaged
one, or none and the new one, or the new one: never one without limits.
"""

from __future__ import annotations

import contextlib
import glob
import os
import time
from typing import TYPE_CHECKING, Final

from aish.errors import StorageError
from aish.supervisor.gateway.amounts import Budget
from aish.supervisor.gateway.records import DamagedError, Records
from aish.supervisor.gateway.row import AccountRow
from aish.supervisor.gateway.spare import Spare, Told
from aish.wire.account import USER

if TYPE_CHECKING:
    from collections.abc import Iterator

_TAILS: Final = ("-wal", "-shm")
_HEAD_BYTES: Final = 4096
"""A file of which SQLite has written nothing but its head."""
_BEGUN: Final = ".begun"
"""What the name of a new one ends with that has not its own yet."""
_HELD: Final = Told(keys=[], accounts=[AccountRow(USER, budget=Budget(tokens=0))], meta={})
_KNOWN: Final = (
    "The keys of `aish key new`, the budgets of keys, projects and the user, and rules over usage windows are as they"
    " were some seconds before."
)
_UNKNOWN: Final = (
    "So is its copy, gateway.limits: budgets of the user and of projects are not known any more, and requests to"
    " models wait until you say them: `aish limit user tokens=none` for none. The keys of `aish key new` are gone:"
    " make new ones; so are rules over usage windows."
)
_GOES_ON: Final = "Budgets of what runs go on from what the daemon knew; earlier usage is not shown"


def open_records(path: str) -> tuple[Records, str | None]:
    """The records, and what a person must know where they had to be begun anew. Raises StorageError."""
    if not _has_traces(path):
        return Records(path), None
    moment = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}"
    if not os.path.lexists(path):
        word = _begin(path, f"{path}.gone-{moment}")
        _name(path)
        return Records(path), f"{path} was damaged, or is gone: a new one is begun. {word} {_GOES_ON}"
    try:
        return Records(path, is_known=True), None
    except DamagedError as error:
        aside = f"{path}.damaged-{moment}"
        word = _begin(path, aside)
        with _storage(path):
            os.rename(path, aside)
        _name(path)
        return Records(path), f"{error.message}; it is kept as {aside}. {word} {_GOES_ON}"


def _has_traces(path: str) -> bool:
    """Whether there has been one: it has more than a start leaves that was killed before it made one, or what goes
    with it is there."""
    with _storage(path):
        whole = os.path.lexists(path) and os.stat(path, follow_symlinks=False).st_size > _HEAD_BYTES
        logs = any(os.stat(path + tail, follow_symlinks=False).st_size for tail in _redo_logs(path))
        return whole or logs or Spare(path).exists() or os.path.lexists(path + _BEGUN)


def _begin(path: str, aside: str) -> str:
    """A new file beside it, with what people said. Returns a sentence of that. Write-ahead and redo logs of the old
    one go to `aside`: they would be taken for those of the new one."""
    told = Spare(path).read()
    with _storage(path):
        for tail in sorted({*_TAILS, *_redo_logs(path)}):
            if os.path.lexists(path + tail):
                os.rename(path + tail, aside + tail)
        for name in glob.glob(f"{glob.escape(path)}{_BEGUN}*"):  # of a start that was killed here
            os.unlink(name)
    records = Records(path + _BEGUN)
    try:
        with records.transaction():
            _put(records, _HELD if told is None else told)
    finally:
        records.close()
    with _storage(path):
        if os.path.lexists(path + _BEGUN + _TAILS[0]):
            raise StorageError(f"the disk does not take a new {path}", hint="free some space and try again")
        for tail in _redo_logs(path + _BEGUN):
            os.rename(path + _BEGUN + tail, path + tail)
    return _UNKNOWN if told is None else _KNOWN


def _name(path: str) -> None:
    with _storage(path):
        os.rename(path + _BEGUN, path)


def _redo_logs(path: str) -> list[str]:
    """What their names have behind that of the file."""
    return [name.removeprefix(path) for name in glob.glob(f"{glob.escape(path)}-redo-*")]


@contextlib.contextmanager
def _storage(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot begin a new {path} in place of the damaged one: {error.strerror}") from error


def _put(records: Records, told: Told) -> None:
    for key in told.keys:
        records.put_key(key)
    for account in told.accounts:
        records.put_account(account)
    for slot, value in told.meta.items():
        records.put_meta(slot, value)
