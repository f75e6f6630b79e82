"""Requests that wait for their grant, and who is told why: the request itself, `ps`, the daemon, or an error."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from aish.errors import AishError, BudgetError
from aish.supervisor.gateway.account import Account
from aish.supervisor.gateway.allowance import figures, helps, lacking, said, words
from aish.supervisor.gateway.amounts import FREE
from aish.supervisor.gateway.budget import Claim, Granted, Ledger
from aish.supervisor.gateway.held import DAY, GIVEN_UP, RAISED, WRAPUP, HeldProcesses
from aish.supervisor.gateway.meter import Live
from aish.wire import account as accounts
from aish.wire import budget as budgets
from aish.wire.link import Hold


@dataclass(slots=True)
class _Wait:
    """A request that waits for its grant."""

    future: asyncio.Future[None]
    live: Live
    process: str
    why: str = GIVEN_UP
    """Why it waits no more."""


class AskAgainError(Exception):
    """What a request asks for, or what it would cost, is something else by now: it is to be claimed anew."""


class Waits:
    """`day_left_s` tells when another day begins, `woken` is called then, or when a minute is over; `beyond_grace`
    hears of a process that asks for more than its last message."""

    def __init__(
        self,
        ledger: Ledger,
        held: HeldProcesses,
        *,
        day_left_s: Callable[[], float],
        woken: Callable[[], None],
        beyond_grace: Callable[[str], None],
    ) -> None:
        self._ledger = ledger
        self._held = held
        self._day_left_s, self._woken, self._beyond_grace = day_left_s, woken, beyond_grace
        self._waits: dict[int, _Wait] = {}
        self._dawn = False
        """Whether what is let go now waited for another day."""
        self._timer: asyncio.TimerHandle | None = None

    async def granted(self, claim: Claim, live: Live) -> None:
        """Returns when it is. Raises BudgetError, AskAgainError, and the error given to `refuse`."""
        wait = _Wait(asyncio.get_running_loop().create_future(), live, claim.process)
        self._waits[claim.number] = wait
        self._tell(claim, live)
        try:
            await wait.future
        finally:
            del self._waits[claim.number]
            self._held.release(claim.process, claim.number, wait.why)

    def refuse(self, process: str, error: AishError) -> None:
        """Requests of this process that wait for tokens wait in vain."""
        for wait in list(self._waits.values()):
            if wait.process == process and not wait.future.done():
                wait.future.set_exception(error)

    def wrap_up(self, process: str) -> None:
        """What this process waits for is to be its last message."""
        for wait in self._waits.values():
            if wait.process == process and not wait.future.done():
                wait.why = WRAPUP
                wait.future.set_exception(AskAgainError())

    def price_again(self) -> None:
        """Money is limited that was not: requests that wait did not ask what they cost."""
        for claim in self._ledger.claims.values():
            wait = self._waits.get(claim.number)
            costs = any(account.budget.costs for account in self._ledger.limited(claim.process))
            if costs and claim.price == FREE and wait is not None and not wait.future.done():
                wait.future.set_exception(AskAgainError())

    def dawn(self) -> None:
        """Another day has begun."""
        self._dawn = True
        self.advance()
        self._dawn = False

    def advance(self) -> None:
        """Let go what can go now, and tell of what is held."""
        if not self._ledger.claims:
            return
        now_s = asyncio.get_running_loop().time()
        decisions = self._ledger.advance(now_s)
        if self._ledger.claims or self._timer is not None:
            self._wake_at(self._due_s(now_s))
        for decision in decisions:
            wait = self._waits.get(decision.number)
            if wait is None:
                continue  # just asked: its own coroutine goes on by itself
            if isinstance(decision, Granted):
                if not wait.future.done():
                    wait.why = DAY if self._dawn else RAISED
                    wait.future.set_result(None)
            else:
                self._tell(self._ledger.claims[decision.number], wait.live)

    def _due_s(self, now_s: float) -> float | None:
        """When time alone may let somebody go: a minute is over, or the day."""
        if not self._ledger.claims:
            return None
        minute_s = self._ledger.next_s(now_s)
        day_s = now_s + max(0.0, self._day_left_s())
        return day_s if minute_s is None else min(day_s, minute_s)

    def _wake_at(self, when_s: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if when_s is None else asyncio.get_running_loop().call_at(when_s, self._wake)

    def _wake(self) -> None:
        self._woken()
        self.advance()

    def _tell(self, claim: Claim, live: Live) -> None:
        match claim.state:
            case "held":
                owner = claim.owner or claim.process
                account = self._ledger.accounts[owner]
                if account.budget.hard:
                    self._refuse_hard(claim, account)
                    return
                what = lacking(claim, account)
                told = said(account, what)
                live.why = budgets.over(owner, claim.process, told["what"], told["budget"])
                hold = Hold(number=0, id=claim.process, owner=owner, **told)
                self._held.hold(claim.process, claim.number, hold)
            case "waiting":
                live.why = "waits until its budget lets more requests go at a time or in a minute"
                if self._ledger.next_s(asyncio.get_running_loop().time()) is None:
                    live.why = "waits for what other requests have reserved"
                self._held.release(claim.process, claim.number, DAY if self._dawn else RAISED)
            case "new":
                pass

    def _refuse_hard(self, claim: Claim, account: Account) -> None:
        wait = self._waits.get(claim.number)
        if wait is None or wait.future.done():
            return
        if account.id == claim.grace:
            wait.future.set_exception(
                BudgetError(
                    "this process is wrapped up: it has had its last answer, or asks for more than its grace allows",
                    hint="it is to end now",
                )
            )
            if not account.under_way:
                self._beyond_grace(claim.process)
            return
        own = account.id == claim.process
        whose = "its budget" if own else f"the budget of {accounts.words(account.id)}"
        what = lacking(claim, account)
        wait.future.set_exception(
            BudgetError(
                f"{whose} {budgets.REFUSED}: too little is left of {words(what)}{figures(claim, account, what)}",
                hint=f"aish limit {accounts.written(account.id)} {helps(what)} raises it",
            )
        )
