"""What vendors have stored of earlier responses, in tokens: what a request that goes on from one has beside its body.

A response's usage has in it all that went before, so the next one's input is that, its output, and what is new.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from aish.errors import StorageError
from aish.supervisor.gateway.log import log

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aish.supervisor.gateway.records import Records

UNKNOWN_TOKENS: Final = 1 << 20
"""Of one that was not made here, at a server of which nobody says how much it reads: the longest that there are."""
MOST_ID_CHARS: Final = 200


class Histories:
    """By ids of responses and conversations, kept in the records."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._unsaved: dict[str, int] = {}
        self._flushing = False

    def learn(self, ids: Iterable[str], tokens: int) -> None:
        """A response, or what a conversation has now, is so long."""
        found = {id: tokens for id in ids if 0 < len(id) <= MOST_ID_CHARS}
        if not found:
            return
        self._unsaved |= found
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self.flush)

    def tokens(self, ids: Iterable[str], context: int | None) -> int:
        """The most that what is stored under these has; `context`: of the server, where that is known. Raises
        StorageError."""
        most = UNKNOWN_TOKENS if context is None else context
        found = 0
        for id in ids:
            known = self._unsaved.get(id)
            if known is None:
                known = self._records.history(id)
            found += most if known is None else min(known, most)
        return found

    def flush(self) -> None:
        """Write what is new. What the disk does not take stays in memory and is tried again."""
        self._flushing = False
        if not self._unsaved:
            return
        try:
            with self._records.transaction():
                for id, tokens in self._unsaved.items():
                    self._records.put_history(id, tokens, time.time())
        except StorageError as error:
            log("records", f"what vendors have stored is not kept: {error}")
            return
        self._unsaved = {}
