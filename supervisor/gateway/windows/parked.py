"""Processes that have ended until a usage window has room for them: told to the daemon when it has, again and again,
as long as they wait. Nothing is kept here: who is parked, and by which window, is the daemon's to know.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from aish.supervisor.gateway.windows import words
from aish.supervisor.gateway.windows.gate import LOOK_S
from aish.supervisor.gateway.windows.ledger import Account
from aish.wire import window
from aish.wire.link import Room

if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.supervisor.gateway.bell import Bell
    from aish.supervisor.gateway.routes import Directory
    from aish.supervisor.gateway.windows.gate import Gate
    from aish.wire.link import Member
    from aish.wire.part import ParkedPart


REST_S: Final = 0.1
"""The bell may ring with every request: they are looked at this often at most."""


class Parked:
    """`send` tells the daemon, where it listens."""

    def __init__(self, gate: Gate, directory: Directory, bell: Bell, send: Callable[[Room], None]) -> None:
        self._gate, self._directory, self._bell, self._send = gate, directory, bell, send

    def by(self, owner: str) -> list[str]:
        """Who is parked by a window."""
        return [member.id for member, parked in self._all() if parked.owner == owner]

    async def run(self) -> None:
        """For ever: looked at with every change, and every LOOK_S, since clocks are set and machines sleep."""
        loop = asyncio.get_running_loop()
        while True:
            next_s = LOOK_S
            for member, parked in self._all():
                if parked.stranded or member.held:  # paused by the user
                    continue
                found = await self._gate.judge(account(parked), member.id)
                if found is None:
                    self._send(Room(id=member.id, since_s=parked.since_s))
                elif found.until_s is not None:
                    next_s = min(next_s, max(0.05, found.until_s - time.time() + 0.05))
            await self._bell.wait_until(loop.time() + next_s)
            await asyncio.sleep(REST_S)

    def _all(self) -> list[tuple[Member, ParkedPart]]:
        members = list(self._directory.members.values())
        return [(member, member.parked) for member in members if member.parked is not None]


def account(parked: ParkedPart) -> Account:
    """Whose window it is. Pure."""
    return Account(words.target(window.name(parked.owner)).name, parked.login)
