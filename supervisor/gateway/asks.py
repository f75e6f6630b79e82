"""Questions of clients that the daemon passes on: named keys, usage, KV slots."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import msgspec

from aish.errors import ConflictError, NotFoundError, UsageError
from aish.model import niceness, size
from aish.model.nearest import nearest
from aish.supervisor.gateway import keys as named
from aish.supervisor.gateway import requests, usage
from aish.supervisor.gateway.allowance import budget_of, lines, part_of
from aish.supervisor.gateway.amounts import NONE, Budget
from aish.supervisor.gateway.meter import Board
from aish.supervisor.gateway.routes import Directory
from aish.supervisor.gateway.slots import Slots
from aish.supervisor.gateway.spending import Spending
from aish.supervisor.gateway.texts import Texts
from aish.supervisor.gateway.totals import KEY_PREFIX
from aish.supervisor.gateway.windows.asks import WindowAsks
from aish.wire import account as accounts
from aish.wire import budget as budgets
from aish.wire.link import Question
from aish.wire.message import (
    BudgetQuery,
    KeepText,
    KeyList,
    KeyNew,
    KeyRevoke,
    Limit,
    RequestsQuery,
    SlotKeep,
    SlotUse,
    TextQuery,
    UsageQuery,
    WindowList,
    WindowSet,
    WindowUnset,
)
from aish.wire.part import KeyPart
from aish.wire.reply import Budgets, Done, KeyMade, Keys, Reply, TextsKept


class Asks:
    """`revoked` is told the account of a key that is not valid any more."""

    def __init__(
        self,
        keys: named.Keys,
        directory: Directory,
        spending: Spending,
        windows: WindowAsks,
        texts: Texts,
        slots: Slots,
        board: Board,
        base_url: str,
        revoked: Callable[[str], None],
    ) -> None:
        self._keys = keys
        self._directory = directory
        self._windows = windows
        self._texts = texts
        self._slots = slots
        self._spending = spending
        self._board = board
        self._base_url = base_url
        self._revoked = revoked

    async def answer(self, question: Question) -> Reply:
        """Raises AishError: the daemon passes it on as a Failure."""
        match question:
            case KeyNew():
                if question.budget is not None:
                    budgets.check(question.budget)
                budget = budget_of(question.budget_tokens, question.budget)
                key = self._keys.make(question.name, budget, niceness.checked(question.nice))
                return KeyMade(name=question.name, key=key, base_url=self._base_url)
            case KeyList():
                return self._list()
            case KeyRevoke():
                changed = self._keys.revoke(question.name)
                self._revoked(KEY_PREFIX + question.name)
                return Done(changed=changed)
            case Limit():
                return self._limit(question)
            case BudgetQuery():
                return self._budgets(question.target)
            case UsageQuery():
                self._spending.journal.flush()
                return await asyncio.to_thread(
                    usage.query, self._spending.records.path, question.by, question.since_s
                )  # fmt: skip
            case RequestsQuery():
                journal = self._spending.journal
                journal.flush()
                path, under_way = self._spending.records.path, journal.under_way()
                return await asyncio.to_thread(requests.query, path, question, under_way)
            case KeepText():
                return await self._keep_text(question)
            case TextQuery():
                return await self._texts.read(question.number)
            case SlotUse():
                self._slots.use(question)
                return Done()
            case SlotKeep():
                return await self._slots.keep(question)
            case WindowList() | WindowSet() | WindowUnset():
                return await self._windows.answer(question)

    def _list(self) -> Keys:
        parts = [
            KeyPart(
                name=row.name,
                created_s=row.created_s,
                budget_tokens=row.budget.tokens,
                budget=budgets.told(part_of(row.budget)),
                tokens=self._spending.tokens(KEY_PREFIX + row.name),
                revoked=row.revoked_s is not None,
                nice=row.nice,
                doing=self._board.doing(KEY_PREFIX + row.name),
            )
            for row in self._keys.named.values()
        ]
        return Keys(keys=parts)

    async def _keep_text(self, question: KeepText) -> TextsKept:
        changed = False
        if question.target is not None:
            id = self._account(question.target)
            if id.startswith(KEY_PREFIX):
                self._keys.find(id.removeprefix(KEY_PREFIX))
            changed = await self._texts.keep(id, keep=question.keep)
        return TextsKept(accounts=self._texts.keeping(), changed=changed)

    # --- budgets ------------------------------------------------------------------------------------------------

    def _limit(self, question: Limit) -> Done:
        """`aish limit key:NAME tokens=+50k nice=5`, or of a project, or of the user."""
        id = self._account(question.target)
        of_key = id.startswith(KEY_PREFIX)
        own = ("target", "tokens", "budget", "anew", *(("nice",) if of_key else ()))
        others = [name for name in question.__struct_fields__ if name not in own]
        if any(getattr(question, other) is not None for other in others):
            what = "a key has a budget and a niceness" if of_key else f"{accounts.words(id)} has a budget"
            raise UsageError(f"{what} only", hint=f"aish limit {accounts.written(id)} tokens=+50k usd=+1")
        if of_key:
            row = self._keys.find(id.removeprefix(KEY_PREFIX))
            budget = _after(row.budget, question)
            nice = row.nice if question.nice is None else niceness.parse(question.nice)
            changed = (budget, nice) != (row.budget, row.nice)
            self._keys.limit(row.name, budget, nice)
        elif question.anew:
            changed = self._declare(id, question)
        else:
            before = self._budget(id)
            budget = _after(before, question)
            changed = budget != before
            if changed:
                self._spending.limit(id, budget)
        self._spending.advance()
        return Done(changed=changed)

    def _budget(self, id: str) -> Budget:
        account = self._spending.ledger.accounts.get(id)
        return NONE if account is None else account.budget

    def _declare(self, id: str, question: Limit) -> bool:
        """What a project's file says takes the place of what it said before, and of what was said here since."""
        records, slot = self._spending.records, f"declared/{id}"
        says = msgspec.json.encode([question.tokens, question.budget], order="sorted")
        if records.meta(slot) == says:
            return False
        self._spending.limit(id, _after(NONE, question))
        records.set_meta(slot, says)
        return True

    def _account(self, target: str) -> str:
        """The account that is meant. Raises NotFoundError of a project that nobody knows."""
        target = target.removeprefix("@")
        told = target.removeprefix(accounts.PROJECT)
        if told == target:
            return target
        known = self._projects()
        found = [path for path in known if path == told or _folder(path) == told]
        if len(found) == 1 or told in found:
            return accounts.of_project(told if told in found else found[0])
        if found:
            raise ConflictError(f"several projects are called {told}: {', '.join(found)}", hint="say the whole path")
        if told.startswith("/") and os.path.isfile(told):
            return accounts.of_project(told)
        near = nearest(told, [*known, *map(_folder, known)])
        hint = f"did you mean {near}?" if near else "the path of its aish.toml, or as `aish usage --by project` shows"
        raise NotFoundError(f"no project is known as {told}", hint=hint)

    def _projects(self) -> list[str]:
        """The aish.toml of each."""
        placed = map(accounts.project, self._spending.ledger.accounts)
        members = (member.project for member in self._directory.members.values())
        return sorted({path for path in (*placed, *members, *self._spending.records.projects()) if path})

    def _budgets(self, target: str) -> Budgets:
        id = self._account(target)
        if id.startswith(KEY_PREFIX):
            self._keys.find(id.removeprefix(KEY_PREFIX))
        ledger = self._spending.ledger
        alone = id == accounts.USER or accounts.project(id) is not None
        now_s = asyncio.get_running_loop().time()
        found = [ledger.accounts[each] for each in ([id] if alone else ledger.chain(id)) if each in ledger.accounts]
        day = self._spending.day
        return Budgets(
            lines=[line for account in found for line in lines(account, now_s)],
            day=day.date,
            day_ends_s=day.ends_s,
            tokens=None if alone else self._spending.tokens(id),
        )


def _after(before: Budget, question: Limit) -> Budget:
    """Raises UsageError."""
    tokens = before.tokens
    if question.tokens is not None:
        tokens = size.changed(tokens, question.tokens, size.parse_count, "tokens")
    return budget_of(tokens, budgets.after(part_of(before), question.budget))


def _folder(path: str) -> str:
    """What people call a project that says no name."""
    return os.path.basename(os.path.dirname(path))
