"""The ledger of usage windows, kept in the records and fed by answers. What it costs a request is a look at the names
of its answer's headers.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from aish.errors import StorageError
from aish.model.dialect import CLIENT
from aish.supervisor.gateway.log import log
from aish.supervisor.gateway.windows.headers import sightings
from aish.supervisor.gateway.windows.ledger import HEADER, Account, Ledger, Sighting, Source, Window
from aish.supervisor.gateway.windows.login import Logins

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from aish.supervisor.gateway.records import Records
    from aish.supervisor.gateway.routes import Server


class Book:
    """`changed` is called when something is known that was not, or is another."""

    def __init__(self, secret: bytes, records: Records, changed: Callable[[], None]) -> None:
        self.ledger = Ledger()
        self._records = records
        self._changed = changed
        self._logins = Logins(secret, dict(records.logins()))
        self._unsaved: dict[tuple[Account, str], Window | None] = {}
        self._unsaved_logins: dict[str, str | None] = {}
        self._flushing = False
        for window in records.windows():
            self.ledger.windows[window.account, window.name] = window

    def heard(self, server: Server, request: Mapping[str, str], answer: Mapping[str, str]) -> None:
        """The head of an answer has come; `request` are the headers that the server was sent."""
        if server.local and server.login != CLIENT:
            return
        now_s = time.time()
        found = sightings(answer, now_s)
        if not found:
            return
        login = ""
        if server.login == CLIENT:
            login, bearer = self._logins.learn({name.lower(): value for name, value in request.items()}, answer)
            if bearer is not None:
                self._unsaved_logins[bearer] = login
                self._unsaved_logins |= dict.fromkeys(self._logins.overflow())
        self.told(Account(server.name, login), found, now_s, HEADER)

    def told(self, account: Account, found: Iterable[Sighting], seen_s: float, source: Source) -> None:
        """Something was read about the windows of an account."""
        windows = self.ledger.see(account, found, seen_s, source, time.time())
        self._unsaved |= {(window.account, window.name): window for window in windows}
        self._unsaved |= dict.fromkeys((window.account, window.name) for window in self.ledger.overflow())
        if not windows and not self._unsaved_logins:
            return
        self._changed()
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self.flush)

    def account(self, server: Server, request: Mapping[str, str]) -> Account | None:
        """The account that a request to this server is for. None: it has no windows, or no answer has told yet."""
        if server.login != CLIENT:
            return None if server.local else Account(server.name)
        login = self._logins.account(request)
        return None if login is None else Account(server.name, login)

    def flush(self) -> None:
        """Write what is new. What the disk does not take stays in memory and is tried again."""
        self._flushing = False
        if not self._unsaved and not self._unsaved_logins:
            return
        try:
            with self._records.transaction():
                for (account, name), window in self._unsaved.items():
                    self._records.put_window(account, name, window)
                for bearer, login in self._unsaved_logins.items():
                    self._records.put_login(bearer, login)
        except StorageError as error:
            log("records", f"usage windows are not kept: {error}")
            return
        self._unsaved, self._unsaved_logins = {}, {}
