"""Questions of clients that the daemon passes on: named keys and usage."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from aish.errors import UsageError
from aish.model import size
from aish.supervisor.gateway import keys as named
from aish.supervisor.gateway import requests, usage
from aish.supervisor.gateway.allowance import budget_of, part_of
from aish.supervisor.gateway.spending import Spending
from aish.supervisor.gateway.totals import KEY_PREFIX
from aish.supervisor.gateway.windows.book import Book
from aish.wire import budget as budgets
from aish.wire.message import KeyList, KeyNew, KeyRevoke, Limit, RequestsQuery, UsageQuery, WindowList
from aish.wire.part import KeyPart, WindowPart
from aish.wire.reply import Done, KeyMade, Keys, Reply, Windows

Question = KeyNew | KeyList | KeyRevoke | UsageQuery | RequestsQuery | WindowList | Limit


class Asks:
    """`revoked` is told the account of a key that is not valid any more."""

    def __init__(
        self, keys: named.Keys, spending: Spending, book: Book, base_url: str, revoked: Callable[[str], None]
    ) -> None:
        self._keys = keys
        self._book = book
        self._spending = spending
        self._base_url = base_url
        self._revoked = revoked

    async def answer(self, question: Question) -> Reply:
        """Raises AishError: the daemon passes it on as a Failure."""
        match question:
            case KeyNew():
                if question.budget is not None:
                    budgets.check(question.budget)
                key = self._keys.make(question.name, budget_of(question.budget_tokens, question.budget))
                return KeyMade(name=question.name, key=key, base_url=self._base_url)
            case KeyList():
                return self._list()
            case KeyRevoke():
                changed = self._keys.revoke(question.name)
                self._revoked(KEY_PREFIX + question.name)
                return Done(changed=changed)
            case Limit():
                return self._limit(question)
            case UsageQuery():
                return await asyncio.to_thread(
                    usage.query, self._spending.records.path, question.by, question.since_s
                )  # fmt: skip
            case RequestsQuery():
                return await asyncio.to_thread(requests.query, self._spending.records.path, question)
            case WindowList():
                return self._windows()

    def _windows(self) -> Windows:
        parts = [
            WindowPart(
                account=window.account.name,
                login=window.account.login,
                window=window.name,
                used=window.spent,
                resets_s=window.resets_s,
                length_s=window.length_s,
                status=window.status,
                seen_s=window.seen_s,
                source=window.source,
            )
            for window in self._book.ledger.all(time.time())
        ]
        return Windows(windows=parts)

    def _list(self) -> Keys:
        parts = [
            KeyPart(
                name=row.name,
                created_s=row.created_s,
                budget_tokens=row.budget.tokens,
                budget=budgets.told(part_of(row.budget)),
                tokens=self._spending.tokens(KEY_PREFIX + row.name),
                revoked=row.revoked_s is not None,
            )
            for row in self._keys.named.values()
        ]
        return Keys(keys=parts)

    def _limit(self, question: Limit) -> Done:
        """`aish limit key:NAME tokens=+50k`."""
        name = question.target.removeprefix("@").removeprefix(KEY_PREFIX)
        row = self._keys.find(name)
        others = [name for name in question.__struct_fields__ if name not in ("target", "tokens", "budget")]
        if any(getattr(question, other) is not None for other in others):
            raise UsageError("a key has a budget only", hint=f"aish limit {KEY_PREFIX}{name} tokens=+50k usd=+1")
        tokens = row.budget.tokens
        if question.tokens is not None:
            tokens = size.changed(tokens, question.tokens, size.parse_count, "tokens")
        budget = budget_of(tokens, budgets.after(part_of(row.budget), question.budget))
        changed = budget != row.budget
        self._keys.limit(name, budget)
        self._spending.advance()
        return Done(changed=changed)
