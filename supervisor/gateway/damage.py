"""A gateway.db that cannot be read: kept under another name, and a new one begun. What that costs is told.

What people said of keys and limits comes back from its copy (spare.py). Where that cannot be read either, nobody
knows what was limited: all is held, by a budget of the user's without a token, until a person says it again.
"""

from __future__ import annotations

import glob
import os
import time
from typing import Final

from aish.errors import StorageError
from aish.supervisor.gateway.amounts import Budget
from aish.supervisor.gateway.records import DamagedError, Records
from aish.supervisor.gateway.row import AccountRow
from aish.supervisor.gateway.spare import Spare, Told
from aish.wire.account import USER

_TAILS: Final = ("-wal", "-shm")
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


def open_records(path: str) -> tuple[Records, str | None]:
    """The records, and what a person must know where they had to be begun anew. Raises StorageError."""
    try:
        return Records(path), None
    except DamagedError as error:
        aside = _move_aside(path)
        told = Spare(path).read()
        records = Records(path)
        with records.transaction():
            _put(records, _HELD if told is None else told)
        return records, (
            f"{error.message}; it is kept as {aside}. {_UNKNOWN if told is None else _KNOWN}"
            " Budgets of what runs go on from what the daemon knew; earlier usage is not shown"
        )


def _put(records: Records, told: Told) -> None:
    for key in told.keys:
        records.put_key(key)
    for account in told.accounts:
        records.put_account(account)
    for slot, value in told.meta.items():
        records.put_meta(slot, value)


def _move_aside(path: str) -> str:
    """Its write-ahead and redo logs belong to it, and would be taken for those of the new file."""
    aside = f"{path}.damaged-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}"
    try:
        tails = {name.removeprefix(path) for name in glob.glob(f"{glob.escape(path)}-redo-*")}
        for tail in (*_TAILS, *sorted(tails)):
            if os.path.exists(path + tail):
                os.rename(path + tail, aside + tail)
        os.rename(path, aside)  # the last: as long as it is there it is found damaged
    except OSError as error:
        raise StorageError(f"cannot move the damaged {path} aside: {error.strerror}") from error
    return aside
