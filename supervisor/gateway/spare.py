"""A copy of what people told the gateway, and gateway.db alone knows: named keys, budgets of keys, projects and the
user with what is used of them, rules over usage windows. For when that file is damaged or gone: see damage.py.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final

import msgspec

from aish.config import private_file
from aish.errors import StorageError
from aish.supervisor.gateway.log import log
from aish.supervisor.gateway.row import AccountRow, KeyRow
from aish.wire.account import of_process

if TYPE_CHECKING:
    from aish.supervisor.gateway.records import Records


class Told(msgspec.Struct, frozen=True, kw_only=True):
    keys: list[KeyRow]
    accounts: list[AccountRow]
    meta: dict[str, bytes]


_encode: Final = msgspec.json.Encoder(order="deterministic").encode
_decode: Final = msgspec.json.Decoder(Told).decode


class Spare:
    """The copy of one gateway.db, beside it."""

    def __init__(self, records_path: str) -> None:
        self._path = records_path.removesuffix(".db") + ".limits"
        self._written = b""
        self._lock = asyncio.Lock()
        self._failing = False

    def exists(self) -> bool:
        return os.path.lexists(self._path)

    def read(self) -> Told | None:
        """None: there is none, or it is damaged, and kept under another name. Raises StorageError where it cannot be
        read now: it would be replaced."""
        try:
            with open(self._path, "rb") as file:
                data = file.read()
            try:
                return _decode(data)
            except msgspec.DecodeError as error:
                log("records", f"the copy of limits in {self._path} is damaged, and kept beside it: {error}")
                os.rename(self._path, f"{self._path}.unread")
        except FileNotFoundError:
            log("records", f"there is no copy of limits in {self._path}")
        except OSError as error:
            raise StorageError(
                f"cannot read the copy of limits in {self._path}: {error.strerror}",
                hint="mend that, or move it away: all requests then wait until you say your limits again",
            ) from error
        return None

    async def keep(self, records: Records) -> None:
        """Have what the records have now. Where the disk does not take it, the copy before stays."""
        async with self._lock:
            try:
                data = _encode(_told(records))
                if data == self._written:
                    return
                await asyncio.to_thread(private_file.replace, self._path, data, lasting=True)
                self._written, self._failing = data, False
            except (OSError, StorageError) as error:
                if not self._failing:
                    log("records", f"limits are not copied to {self._path}: {error}")
                self._failing = True


def _told(records: Records) -> Told:
    accounts = [account for account in records.accounts() if not of_process(account.id)]
    return Told(keys=records.named_keys(), accounts=accounts, meta=records.told())
