"""Reserving and settling: the pure ledger, the records that survive a crash, and the requests that wait.

    reserve   claim -> (wait) -> granted: a row in the records, before anything is sent upstream
    settle    the row gets its final figures; sums and events follow (see journal.py)

When the gateway was killed, its rows under way are settled at the next start, marked as estimated: at the full bound
where a budget counts for them, so that a crash never makes tokens appear that a budget does not have.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from aish.errors import AishError, BudgetError, StorageError
from aish.supervisor.gateway.allowance import WORDS, figures, helps, lacking, said
from aish.supervisor.gateway.budget import (
    PICO,
    Account,
    Amounts,
    Budget,
    Claim,
    Granted,
    Ledger,
    Reservation,
)
from aish.supervisor.gateway.journal import Journal
from aish.supervisor.gateway.log import log
from aish.supervisor.gateway.meter import Live, estimate_prompt
from aish.supervisor.gateway.records import DIED, KeyRow, Records, Row
from aish.supervisor.gateway.totals import KEY_PREFIX, Totals
from aish.wire.link import Hold, Release
from aish.wire.part import TokensPart

if TYPE_CHECKING:
    from aish.wire.link import Member
    from aish.wire.message import Message

_HOLDS: Final = "holds"
_encode: Final = msgspec.msgpack.Encoder().encode


@dataclass(slots=True)
class _Wait:
    """A request that waits for its grant."""

    future: asyncio.Future[None]
    live: Live
    process: str


@dataclass(slots=True)
class _HeldProcess:
    owner: str
    numbers: set[int] = field(default_factory=set)


class Spending:
    """Owner of the ledger and of every write about usage. `notify` is called when there are new events."""

    def __init__(self, records: Records, notify: Callable[[], None]) -> None:
        self.records = records
        self.ledger = Ledger()
        self.totals = Totals(records, self.ledger)
        self.journal = Journal(records, self.totals, notify)
        self.epoch: int | None = None
        self._notify = notify
        self._waits: dict[int, _Wait] = {}
        self._held: dict[str, _HeldProcess] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next_number = 1

    # --- start --------------------------------------------------------------------------------------------------

    def restore(self) -> None:
        """Take over what the records hold. Raises StorageError."""
        self._next_number = self.records.last_number() + 1
        for saved in self.totals.load():
            self.ledger.place(saved.id, saved.parent, saved.budget)
            account = self.ledger.accounts[saved.id]
            account.spent, account.warned = saved.spent, saved.warned
        for row in self.records.unsummed():
            self._count(row)
        died = self.records.under_way()
        for row in died:
            accounts = map(self.ledger.accounts.get, row.chain)
            if not any(account is not None and account.budget.limits for account in accounts):
                row.input, row.output, row.cost_usd = estimate_prompt(row.bytes_in), 0, None
            row.estimated, row.status = True, DIED
            self._count(row)
            self.journal.take_over(row)
            self.journal.end(row)
        for id, owner in self._holds():
            self._event(f"hold/{id}", Release(number=0, id=id, owner=owner, raised=False))  # it died with the gateway
        self.records.set_meta(_HOLDS, b"[]")
        self.journal.flush()
        if died:
            log("records", f"{len(died)} requests were under way when the gateway died: settled as estimated")

    def _holds(self) -> list[tuple[str, str]]:
        """Who was held, and by whose budget."""
        try:
            return msgspec.json.decode(self.records.meta(_HOLDS) or b"[]", type=list[tuple[str, str]])
        except msgspec.DecodeError as error:
            log("records", f"who was held by a budget cannot be read: {error}")
            return []

    def number(self) -> int:
        """A number for a new request."""
        number = self._next_number
        self._next_number += 1
        return number

    # --- accounts -----------------------------------------------------------------------------------------------

    def place(self, id: str, parent: str | None, budget: Budget) -> None:
        """Make or change an account, in memory: the journal writes it, `advance` lets go what it allows."""
        self.ledger.place(id, parent, budget)
        self.totals.own(id)
        self.totals.touch((id,))

    def adopt(self, members: Iterable[Member], used: Mapping[str, TokensPart], spent: Mapping[str, int]) -> None:
        """Go on from the daemon's totals of processes that have been placed: ours are lost. In memory."""
        for member in members:
            part = used.get(member.id, TokensPart())
            self.totals.adopt(member, part)
            # Of what else was spent below it nobody knows any more: its own is counted, and no less.
            pusd = round(part.cost_usd * PICO)
            self.ledger.accounts[member.id].spent = Amounts(
                spent.get(member.id, 0), part.input, part.output, pusd, part.requests
            )

    def put_key(self, row: KeyRow) -> None:
        """Make or change a named key and its account, on the disk and then in memory. Raises StorageError."""
        id = KEY_PREFIX + row.name
        try:
            with self.journal.transaction():
                self.records.put_key(row)
                self.totals.put(id, row.budget)
        finally:
            self.totals.touch((id,))
        self.place(id, None, row.budget)

    def prune(self, keep: set[str]) -> set[str]:
        """Forget all processes but these and those above them, in memory; returns who is forgotten. What they used
        stays in their ancestors and in the records of their requests."""
        keys = {id for id in self.ledger.accounts if id.startswith(KEY_PREFIX)}
        dropped = self.ledger.prune(keep | keys)
        self.totals.drop(dropped)
        return dropped

    def new_epoch(self, epoch: int) -> None:
        """All processes are others now: nothing of the old ones counts for them."""
        self.epoch = epoch
        self.totals.clear()
        self.ledger.forget({id for id in self.ledger.accounts if not id.startswith(KEY_PREFIX)})
        self._held.clear()

    def tokens(self, id: str) -> TokensPart:
        """Cumulative tokens of a process or key."""
        return self.totals.part(id)

    # --- a request ----------------------------------------------------------------------------------------------

    async def reserve(self, row: Row, claim: Claim, live: Live) -> Reservation:
        """Wait until the claim is granted: what it got.

        Raises BudgetError of a hard budget, the error given to `refuse`, and StorageError. Cancelling gives all back.
        """
        self.ledger.ask(claim)
        self.advance()
        try:
            if claim.number not in self.ledger.reservations:
                await self._wait(claim, live)
            reservation = self.ledger.reservations[claim.number]
            row.chain, row.input, row.output, row.estimated = (
                reservation.chain,
                claim.prompt,
                reservation.output,
                True,
            )
            row.cost_usd = reservation.promised.pusd / PICO
            await self.journal.begin(row)
        except BaseException:
            self._give_back(claim.number)
            raise
        return reservation

    async def _wait(self, claim: Claim, live: Live) -> None:
        wait = _Wait(asyncio.get_running_loop().create_future(), live, claim.process)
        self._waits[claim.number] = wait
        self._tell(claim, live)
        try:
            await wait.future
        finally:
            del self._waits[claim.number]
            granted = wait.future.done() and not wait.future.cancelled() and wait.future.exception() is None
            self._unhold(claim.process, claim.number, raised=granted)

    def _give_back(self, number: int) -> None:
        if number in self.ledger.reservations:
            self.ledger.settle(number, Amounts())
        else:
            self.ledger.withdraw(number)
        self.advance()

    def refuse(self, process: str, error: AishError) -> None:
        """Requests of this process that wait for tokens wait in vain."""
        for wait in list(self._waits.values()):
            if wait.process == process and not wait.future.done():
                wait.future.set_exception(error)

    def settle(self, row: Row) -> None:
        """The request ended: `row` has its final figures. Also for one that never reserved anything."""
        self._count(row)
        self.journal.end(row)
        self.advance()

    def _count(self, row: Row) -> None:
        took = _amounts(row)
        own = row.epoch == self.epoch  # a new process table gives ids anew
        if row.number in self.ledger.reservations:
            warned = self.ledger.settle(row.number, took)
        else:
            warned = self.ledger.spend((id for id in row.chain if own or id.startswith(KEY_PREFIX)), took)
        self.totals.add(row, warned, counts=own or row.process.startswith(KEY_PREFIX), served=own)

    # --- what changes for those who wait ------------------------------------------------------------------------

    def advance(self) -> None:
        """Let go what can go now, and tell of what is held."""
        if not self.ledger.claims:
            return
        loop = asyncio.get_running_loop()
        decisions = self.ledger.advance(loop.time())
        self._wake_at(self.ledger.next_s(loop.time()) if self.ledger.claims else None)
        for decision in decisions:
            wait = self._waits.get(decision.number)
            if wait is None:
                continue  # just asked: its own coroutine goes on by itself
            if isinstance(decision, Granted):
                if not wait.future.done():
                    wait.future.set_result(None)
            else:
                self._tell(self.ledger.claims[decision.number], wait.live)

    def _wake_at(self, when_s: float | None) -> None:
        """A minute is over then for a request that waits for that."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if when_s is None else asyncio.get_running_loop().call_at(when_s, self.advance)

    def _tell(self, claim: Claim, live: Live) -> None:
        match claim.state:
            case "held":
                owner = claim.owner or claim.process
                account = self.ledger.accounts[owner]
                if account.budget.hard:
                    self._refuse_hard(claim, account)
                    return
                live.why = "over budget" if owner == claim.process else f"over the budget of {owner}"
                self._hold(claim.process, claim.number, owner, lacking(claim, account))
            case "waiting":
                live.why = "waits until its budget lets more requests go at a time or in a minute"
                if self.ledger.next_s(asyncio.get_running_loop().time()) is None:
                    live.why = "waits for what other requests have reserved"
                self._unhold(claim.process, claim.number, raised=True)
            case "new":
                pass

    def _refuse_hard(self, claim: Claim, account: Account) -> None:
        wait = self._waits.get(claim.number)
        if wait is None or wait.future.done():
            return
        whose = "its budget" if account.id == claim.process else f"the budget of {account.id}"
        what = lacking(claim, account)
        wait.future.set_exception(
            BudgetError(
                f"{whose} does not allow this request: "
                f"too little is left of {WORDS[what]}{figures(claim, account, what)}",
                hint=f"aish limit {account.id} {helps(what)} raises it",
            )
        )

    def _hold(self, process: str, number: int, owner: str, what: str) -> None:
        held = self._held.get(process)
        if held is not None:
            held.numbers.add(number)
            if held.owner == owner:
                return
            held.owner = owner
        else:
            self._held[process] = _HeldProcess(owner, {number})
        hold = Hold(number=0, id=process, owner=owner, **said(self.ledger.accounts[owner], what))
        self._hold_event(process, hold)

    def _unhold(self, process: str, number: int, *, raised: bool) -> None:
        held = self._held.get(process)
        if held is None:
            return
        held.numbers.discard(number)
        if not held.numbers:
            del self._held[process]
            self._hold_event(process, Release(number=0, id=process, owner=held.owner, raised=raised))

    def _hold_event(self, process: str, event: Hold | Release) -> None:
        if process.startswith(KEY_PREFIX):
            return
        try:
            self._event(f"hold/{process}", event)
            holds = [(id, held.owner) for id, held in self._held.items() if not id.startswith(KEY_PREFIX)]
            self.records.set_meta(_HOLDS, msgspec.json.encode(holds))
        except StorageError as error:
            log("records", f"the daemon is not told about {process}: {error}")

    def event(self, slot: str, message: Message) -> None:
        """A durable event of somebody else's. Quiet on a full disk, save for the log."""
        try:
            self._event(slot, message)
        except StorageError as error:
            log("records", f"the daemon is not told: {error}")

    def _event(self, slot: str, message: Message) -> None:
        with self.records.transaction():
            self.records.put_event(slot, _encode(message))
        self._notify()


def _amounts(row: Row) -> Amounts:
    """What a request took, or is taken for."""
    pusd = round((row.cost_usd or 0.0) * PICO)
    return Amounts(row.input + row.output, row.input, row.output, pusd, 0 if row.server is None else 1)
