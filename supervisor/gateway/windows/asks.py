"""Questions of clients about usage windows and the rules over them."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from aish.supervisor.gateway.windows import words
from aish.supervisor.gateway.windows.rule import holds
from aish.wire.message import WindowList, WindowSet, WindowUnset
from aish.wire.part import WindowPart, WindowRulePart
from aish.wire.reply import Done, Reply, Windows
from aish.wire.window import OWNER

if TYPE_CHECKING:
    from aish.supervisor.gateway.windows.book import Book
    from aish.supervisor.gateway.windows.gate import Gate
    from aish.supervisor.gateway.windows.ledger import Window


class WindowAsks:
    """`held` tells who waits for an owner, `parked` who has ended until it has room."""

    def __init__(
        self, book: Book, gate: Gate, held: Callable[[str], list[str]], parked: Callable[[str], list[str]]
    ) -> None:
        self._parked = parked
        self._book = book
        self._gate = gate
        self._held = held

    async def answer(self, question: WindowList | WindowSet | WindowUnset) -> Reply:
        """Raises UsageError, StorageError."""
        match question:
            case WindowSet():
                return Done(changed=self._gate.set(words.target(question.target), question.changes))
            case WindowUnset():
                return Done(changed=self._gate.unset(words.target(question.target)))
            case WindowList():
                return await self._list()

    async def _list(self) -> Windows:
        windows = self._book.ledger.all(time.time())
        await self._gate.look([window for window in windows if self._gate.rules.shares(window.account, window.name)])
        return Windows(windows=[self._part(window) for window in windows], rules=self._rules(windows))

    def _part(self, window: Window) -> WindowPart:
        rule = self._gate.rules.of(window.account, window.name)
        in_force = rule if rule is not None and holds(rule, datetime.now().astimezone()) else None
        shares = {} if in_force is None else in_force.shares
        return WindowPart(
            account=window.account.name,
            login=window.account.login,
            window=window.name,
            used=window.spent,
            resets_s=window.resets_s,
            length_s=window.length_s,
            status=window.status,
            seen_s=window.seen_s,
            source=window.source,
            reserve=None if in_force is None else in_force.reserve,
            shares={subject: self._gate.part(window, subject) for subject in shares},
            held=self._held(OWNER + self._gate.named(window)),
            parked=self._parked(OWNER + self._gate.named(window)),
        )

    def _rules(self, windows: list[Window]) -> list[WindowRulePart]:
        now = datetime.now().astimezone()
        return [
            WindowRulePart(
                target=str(target),
                words=words.told(rule),
                holds=holds(rule, now),
                windows=list(
                    dict.fromkeys(
                        f"{window.account.name}/{window.name}"
                        for window in windows
                        if self._gate.rules.nearest(window.account, window.name) == target
                    )
                ),
            )
            for target, rule in sorted(self._gate.rules.rules.items())
        ]
