"""Whom the rules over usage windows let go now, and who waits: until the window begins anew, the rule's hours are
over, the rule is another, or something else is known of the window.
"""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from aish.supervisor.gateway.held import GIVEN_UP, WINDOW, WRAPUP
from aish.supervisor.gateway.log import log
from aish.supervisor.gateway.windows import words
from aish.supervisor.gateway.windows.rule import Barrier, Caller, Rule, Rules, Target, barrier
from aish.wire.link import Hold
from aish.wire.window import OWNER, RESERVE, SHARE, over

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from aish.supervisor.gateway.bell import Bell
    from aish.supervisor.gateway.held import HeldProcesses
    from aish.supervisor.gateway.meter import Live
    from aish.supervisor.gateway.records import Records
    from aish.supervisor.gateway.routes import Directory, Server
    from aish.supervisor.gateway.windows.book import Book
    from aish.supervisor.gateway.windows.ledger import Account, Window
    from aish.supervisor.gateway.windows.parts import Parts

LOOK_S: Final = 30.0
"""How late it may be seen at most that time alone lets somebody go: clocks are set, machines sleep."""
_RULES: Final = "window-rules"


class Gate:
    """`chain` tells a process and those above it, nearest first."""

    def __init__(
        self,
        *,
        book: Book,
        parts: Parts,
        records: Records,
        directory: Directory,
        bell: Bell,
        held: HeldProcesses,
        chain: Callable[[str], tuple[str, ...]],
    ) -> None:
        self._held = held
        self._book = book
        self._parts = parts
        self._records = records
        self._directory = directory
        self._bell = bell
        self._chain = chain
        self.rules = Rules(self._kept())

    # --- rules --------------------------------------------------------------------------------------------------

    def _kept(self) -> dict[Target, Rule]:
        body = self._records.meta(_RULES)
        try:
            kept = msgspec.json.decode(body or b"{}", type=dict[str, Rule])
        except msgspec.DecodeError as error:
            log("records", f"the rules over usage windows cannot be read: {error}")
            return {}
        return {words.target(text): rule for text, rule in kept.items()}

    def set(self, target: Target, asked: Mapping[str, str]) -> bool:
        """Change a rule as it was typed; False if it was so already. On the disk first. Raises UsageError,
        StorageError."""
        return self._put(target, words.changed(self.rules.rules.get(target), asked))

    def unset(self, target: Target) -> bool:
        """Take a rule away. Raises StorageError."""
        return self._put(target, None)

    def _put(self, target: Target, rule: Rule | None) -> bool:
        after = {known: kept for known, kept in self.rules.rules.items() if known != target}
        if rule is not None:
            after[target] = rule
        if after == self.rules.rules:
            return False
        self._records.set_meta(_RULES, msgspec.json.encode({str(known): kept for known, kept in after.items()}))
        self.rules.rules = after
        self._bell.ring()
        return True

    # --- judging ------------------------------------------------------------------------------------------------

    def caller(self, process: str) -> Caller:
        """`process`: an id, or key:NAME."""
        members = self._directory.members
        names = {process}
        for id in self._chain(process):
            member = members.get(id)
            names.update((id,) if member is None else filter(None, (id, member.name, member.agent)))
        own = members.get(process)
        return Caller(frozenset(names), own is not None and own.background)

    async def judge(self, account: Account, process: str) -> Barrier | None:
        """What keeps this process from using the account now."""
        if not self.rules.concern(account):
            return None
        caller = self.caller(process)
        windows = self._book.ledger.of(account, time.time())
        shared = [window for window in windows if self._shares(window, caller)]
        if shared:
            await self.look(shared)
        return barrier(self.rules, windows, caller, datetime.now().astimezone(), self.part)

    def _shares(self, window: Window, caller: Caller) -> bool:
        shares = self.rules.shares(window.account, window.name)
        return any(subject.removeprefix("@") in caller.names for subject in shares)

    async def look(self, windows: Iterable[Window]) -> None:
        """Have at hand what `part` tells."""
        await self._parts.look(windows)

    def part(self, window: Window, subject: str) -> float | None:
        """About which part of a window a subject has used; None: that cannot be told."""
        return self._parts.part(window, self.called(subject))

    def called(self, subject: str) -> frozenset[str]:
        """All that a subject is recorded as: by its name and agent, and by the ids that these have now."""
        name = subject.removeprefix("@")
        ids = [id for id, member in self._directory.members.items() if name in (id, member.name, member.agent)]
        return frozenset((name, *ids))

    def hold(self, process: str, found: Barrier) -> Hold:
        """For the daemon."""
        what = RESERVE if found.what == "reserve" else SHARE
        return Hold(
            number=0,
            id=process,
            owner=OWNER + self.named(found.window),
            what=what,
            used=found.used,
            budget=found.most,
            until_s=found.until_s,
            login=found.window.account.login,
            named=found.named,
        )

    def named(self, window: Window) -> str:
        """claude/5h; with the login where there are several."""
        account = window.account
        several = any(known.name == account.name and known != account for known, _ in self._book.ledger.windows)
        return str(Target(account.name, account.login if several else "", window.name))

    # --- requests -----------------------------------------------------------------------------------------------

    async def barrier(self, server: Server, request: Mapping[str, str], process: str) -> Barrier | None:
        """What keeps a request from using the server's windows now. `request`: its headers, for whose login it is.
        Nothing keeps a last message: its time is a short one, and its grace says how much it may take."""
        if self._directory.last_word(process) is not None:
            return None
        account = self._book.account(server, request) if self.rules.rules else None
        return None if account is None else await self.judge(account, process)

    def told(self, found: Barrier) -> str:
        """What it waits for, in a few words."""
        hold = self.hold("", found)
        return over(hold.owner, hold.what, hold.until_s)

    async def wait(
        self,
        server: Server,
        request: Mapping[str, str],
        live: Live,
        found: Barrier | None,
        alive: Callable[[], object],
    ) -> None:
        """Until a request may use the server's windows. `alive` is called after every change and may raise to end the
        wait."""
        why = GIVEN_UP
        try:
            while found is not None:
                self._held.hold(live.process, live.number, self.hold(live.process, found))
                live.why = self.told(found)
                await self._bell.wait_until(asyncio.get_running_loop().time() + _patience_s(found))
                alive()
                found = await self.barrier(server, request, live.process)
            live.why, why = "", WINDOW if self._directory.last_word(live.process) is None else WRAPUP
        finally:
            self._held.release(live.process, live.number, why)

    def elsewhere(self, process: str) -> str | None:
        """The model that its process wants to answer while a window is reserved, rather than to wait."""
        member = self._directory.members.get(process)
        return None if member is None else member.when_reserved.partition(":")[2] or None


def _patience_s(found: Barrier) -> float:
    """How long nothing can be expected to change by time alone."""
    if found.until_s is None:
        return LOOK_S
    return min(LOOK_S, max(0.05, found.until_s - time.time() + 0.05))
