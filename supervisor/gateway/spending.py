"""Reserving and settling: the pure ledger, the records that survive a crash, and the requests that wait.

    reserve   claim -> (wait) -> granted: written down before anything is sent upstream
    settle    the row gets its final figures; sums and events follow (see journal.py)

When the gateway was killed, its rows under way are settled at the next start, marked as estimated: at the full bound
where a budget counts for them, so that a crash never makes tokens appear that a budget does not have.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from aish.errors import StorageError
from aish.supervisor.gateway.account import Today
from aish.supervisor.gateway.allowance import budget_of
from aish.supervisor.gateway.amounts import PICO, Amounts, Budget
from aish.supervisor.gateway.budget import Claim, Ledger, Reservation, Settlement
from aish.supervisor.gateway.day import Day
from aish.supervisor.gateway.held import HeldProcesses
from aish.supervisor.gateway.journal import Journal
from aish.supervisor.gateway.log import log
from aish.supervisor.gateway.meter import Live, estimate_prompt
from aish.supervisor.gateway.records import Records
from aish.supervisor.gateway.row import DIED, KeyRow, Row
from aish.supervisor.gateway.totals import KEY_PREFIX, Totals, amounts_of
from aish.supervisor.gateway.waits import Waits
from aish.wire import account as accounts
from aish.wire.account import of_process
from aish.wire.link import LastSaid
from aish.wire.part import TokensPart

if TYPE_CHECKING:
    from aish.wire.link import Member
    from aish.wire.message import Message
    from aish.wire.spec import LastWordPart

_DAY: Final = "day"
_encode: Final = msgspec.msgpack.Encoder().encode


def _clock() -> tuple[float, float]:
    """Seconds since the epoch, and since boot."""
    return time.time(), time.clock_gettime(time.CLOCK_BOOTTIME)


class Spending:
    """Owner of the ledger and of every write about usage. `notify` is called when there are new events."""

    def __init__(
        self,
        records: Records,
        notify: Callable[[], None],
        clock: Callable[[], tuple[float, float]] = _clock,
    ) -> None:
        self.records = records
        self.ledger = Ledger()
        self.totals = Totals(records, self.ledger)
        self.journal = Journal(records, self.totals, notify)
        self.epoch: int | None = None
        self._notify = notify
        self.held = HeldProcesses(records, self._event)
        self._clock = clock
        self.day = Day()
        self.waits = Waits(
            self.ledger,
            self.held,
            day_left_s=lambda: self.day.ends_s - clock()[0],
            woken=self.turn,
            beyond_grace=self._tell_last_said,
        )
        self.advance, self.refuse = self.waits.advance, self.waits.refuse
        self._next_number = 1

    # --- start --------------------------------------------------------------------------------------------------

    def restore(self) -> None:
        """Take over what the records hold. Raises StorageError."""
        self._next_number = self.records.last_number() + 1
        self._restore_day()
        self._restore_accounts()
        left = self.journal.restore()
        died = list(left.under_way.values())
        for bound in (*(bound for _, bound in left.ended if bound is not None), *died):
            self._resume(bound)
        for row, _ in left.ended:
            self._count(row)
        for row in died:
            if not self.limited(row):
                row.input, row.output, row.cost_usd = estimate_prompt(row.bytes_in), 0, None
            row.estimated, row.status = True, DIED
            self._count(row)
            self.journal.end(row)
        self.held.restore()
        self.journal.flush()
        for id in [id for id in self.ledger.accounts if id.startswith(accounts.WRAPUP)]:
            self._last_said(id)  # told again, if it was
        if died:
            log("records", f"{len(died)} requests were under way when the gateway died: settled as estimated")

    def _resume(self, bound: Row) -> None:
        """It is under way once more, until it is counted: what others could have above it stays the same."""
        above = (id for id in self.ledger.chain(bound.process) if id not in bound.chain)
        bound.chain = self._standing(bound, (*bound.chain, *above))
        if bound.day is not None:
            self.ledger.resume(Reservation(bound.number, bound.process, bound.chain, amounts_of(bound), bound.day))

    def _restore_accounts(self) -> None:
        """As of the last sums: what came later is counted on top. A crash may come before this is on the disk."""
        for saved in self.totals.load():
            self.ledger.place(saved.id, saved.parent, saved.budget, saved.project)
            account = self.ledger.accounts[saved.id]
            account.spent, account.warned = saved.spent, saved.warned
            if account.today is not None and saved.today is None:
                account.today.spent = self.records.spent_on(account.today.day, saved.id)
            elif account.today is not None and saved.today is not None and saved.today.day == self.day.number:
                account.today = Today(saved.today.day, saved.today.spent, warned=saved.today.warned)

    # --- days ---------------------------------------------------------------------------------------------------

    def _restore_day(self) -> None:
        try:
            self.day = msgspec.json.decode(self.records.meta(_DAY) or b"{}", type=Day)
        except msgspec.DecodeError as error:
            log("records", f"which day it was cannot be read: {error}")
        self._look_at_day()
        self.ledger.turn(self.day.number)

    def _look_at_day(self) -> bool:
        """Whether another day has begun. Raises StorageError: it is another one all the same."""
        if not self.day.look(*self._clock()):
            return False
        self.ledger.turn(self.day.number)
        self.records.set_meta(_DAY, msgspec.json.encode(self.day))
        return True

    def turn(self) -> None:
        """Let go who waits for another day, if that has begun. To be called now and then."""
        time.tzset()  # people travel
        try:
            turned = self._look_at_day()
        except StorageError as error:
            log("records", f"that another day has begun is not kept: {error}")
            turned = True
        if turned:
            self.waits.dawn()

    def number(self) -> int:
        """A number for a new request."""
        number = self._next_number
        self._next_number += 1
        return number

    # --- accounts -----------------------------------------------------------------------------------------------

    def place(self, id: str, parent: str | None, budget: Budget, project: str | None = None) -> None:
        """Make or change an account, in memory: the journal writes it, `advance` lets go what it allows. Raises
        StorageError where what was used today cannot be read."""
        before = self.ledger.accounts.get(id)
        counted = before.today is not None if before is not None else of_process(id)
        if budget.day is not None and not counted:
            self.journal.flush()
            used = self._spent_today(id)
        self.ledger.place(id, parent, budget, project)
        today = self.ledger.accounts[id].today
        if today is not None and not counted:
            today.spent = used
        self.totals.own(id)
        self.totals.touch((id,))
        if budget.costs and not (before is not None and before.budget.costs):
            self.waits.price_again()

    def _spent_today(self, id: str) -> Amounts:
        """Raises StorageError."""
        used, project = self.records.spent_on(self.day.number, id), accounts.project(id)
        for row in self.journal.unsaved:  # the disk does not take them
            counts = id == accounts.USER or (row.project == project if project is not None else id in row.chain)
            if counts and row.day == self.day.number:
                used.add(amounts_of(row))
        return used

    def wrap_up(self, process: str, last: LastWordPart | None) -> None:
        """From now on its requests are for a last message; None: that is over. Raises StorageError."""
        id = accounts.WRAPUP + process
        known = id in self.ledger.accounts
        if last is not None:
            self.place(id, process, budget_of(last.tokens, last.budget))
            if not known:
                self.waits.wrap_up(process)
        elif known:
            self._drop_account(id)
            self.totals.drop((id,))
            self.ledger.forget({id})

    def adopt(self, members: Iterable[Member], used: Mapping[str, TokensPart], spent: Mapping[str, int]) -> None:
        """Go on from the daemon's totals of processes that have been placed: ours are lost. In memory."""
        for member in members:
            part = used.get(member.id, TokensPart())
            self.totals.adopt(member, part)
            # Of what else was spent below it nobody knows any more, nor when: its own is counted, and no less.
            pusd = round(part.cost_usd * PICO)
            took = Amounts(spent.get(member.id, 0), part.input, part.output, pusd, part.requests)
            account = self.ledger.accounts[member.id]
            account.spent = took
            if account.today is not None:
                account.today.spent = msgspec.structs.replace(took)

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

    def limit(self, id: str, budget: Budget) -> None:
        """What a project, or the user, may spend: counted from its first limit on, until it has none any more. On
        the disk and then in memory. Raises StorageError."""
        if not budget.limits:
            self._drop_account(id)
            self.totals.drop((id,))
            self.ledger.forget({id})
            return
        fresh = id not in self.ledger.accounts
        total = self.totals.own(id)
        if fresh:
            total.since_s = self._clock()[0]
        try:
            with self.journal.transaction():
                self.totals.put(id, budget)
        except StorageError:
            if fresh:
                self.totals.drop((id,))
            else:
                self.totals.touch((id,))
            raise
        self.place(id, None, budget)

    def _drop_account(self, id: str) -> None:
        """Raises StorageError: it stays."""
        try:
            with self.journal.transaction():
                self.totals.pass_over(id)
                self.records.drop_account(id)
        except StorageError:
            self.totals.touch((id,))
            raise

    def prune(self, keep: set[str]) -> set[str]:
        """Forget all processes but these and those above them, in memory; returns who is forgotten. What they used
        stays in their ancestors and in the records of their requests."""
        others = {id for id in self.ledger.accounts if not of_process(id)}
        dropped = self.ledger.prune(keep | others)
        self.totals.drop(dropped)
        return dropped

    def new_epoch(self, epoch: int) -> None:
        """All processes are others now: nothing of the old ones counts for them."""
        self.epoch = epoch
        self.totals.clear()
        self.ledger.forget({id for id in self.ledger.accounts if of_process(id)})
        self.held.clear()

    def limited(self, row: Row) -> bool:
        """Whether a budget counts for it."""
        counting = map(self.ledger.accounts.get, row.chain)
        return any(account is not None and account.limits for account in counting)

    def tokens(self, id: str) -> TokensPart:
        """Cumulative tokens of a process or key."""
        return self.totals.part(id)

    # --- a request ----------------------------------------------------------------------------------------------

    async def reserve(self, row: Row, claim: Claim, live: Live) -> Reservation:
        """Wait until the claim is granted: what it got.

        What was reserved for the same number is given back before. Raises BudgetError of a hard budget, the error
        given to `refuse`, AskAgainError and StorageError. Cancelling gives all back.
        """
        if self._clock()[0] >= self.day.ends_s:
            self.turn()
        claim.again = claim.number in self.ledger.reservations
        self.ledger.release(claim.number)
        if not self.ledger.grant(claim, time.monotonic()):
            self.journal.drop(claim.number)  # others may have it meanwhile
            self.ledger.ask(claim)
            self.advance()
            try:
                if claim.number not in self.ledger.reservations:
                    await self.waits.granted(claim, live)
            except BaseException:
                self.give_back(claim.number)
                raise
        return self._begun(row, claim)

    async def again(self, row: Row, claim: Claim) -> Reservation | None:
        """The same for a further attempt of a request, which does not wait: None where there is no room at once.

        What is reserved for the same number is given back before, whatever comes of it. Raises StorageError.
        """
        if self._clock()[0] >= self.day.ends_s:
            self.turn()
        claim.again = claim.number in self.ledger.reservations
        self.ledger.release(claim.number)
        self.ledger.ask(claim)
        self.advance()
        if claim.number not in self.ledger.reservations:
            self.journal.drop(claim.number)
            self.ledger.withdraw(claim.number)
            self.advance()  # others that waited behind it
            return None
        return self._begun(row, claim)

    def _begun(self, row: Row, claim: Claim) -> Reservation:
        """Write it down before anything is sent. Raises StorageError; then all is given back."""
        reservation = self.ledger.reservations[claim.number]
        row.chain, row.day = reservation.chain, reservation.day
        row.input, row.output, row.estimated = claim.prompt, reservation.output, True
        row.cost_usd = reservation.promised.pusd / PICO
        try:
            self.journal.begin(row)
        except StorageError:
            self.give_back(claim.number)
            raise
        return reservation

    def give_back(self, number: int) -> None:
        """What was reserved for that request, or is asked for it: nothing of it was sent since it began."""
        self.journal.drop(number)
        if number in self.ledger.reservations:
            self.ledger.settle(number, Amounts())
        else:
            self.ledger.withdraw(number)
        self.advance()

    def settle(self, row: Row) -> None:
        """The request ended: `row` has its final figures. Also for one that never reserved anything."""
        self._count(row)
        self.journal.end(row)
        self.advance()
        if row.chain and row.chain[0].startswith(accounts.WRAPUP):
            self._last_said(row.chain[0])

    def _count(self, row: Row) -> None:
        took = amounts_of(row)
        own = row.epoch == self.epoch
        reservation = self.ledger.reservations.get(row.number)
        if reservation is None:
            settlement = Settlement(self.ledger.spend(self._standing(row, row.chain), took, row.day), [])
        else:
            row.chain = reservation.chain  # a budget may have been put above it meanwhile
            settlement = self.ledger.settle(row.number, took)
            self._count_last(row, reservation, took)
            if settlement.over:
                self.totals.exceeded(row, reservation.promised, settlement)
        self.totals.add(row, settlement, counts=own or row.process.startswith(KEY_PREFIX), served=own)

    def _count_last(self, row: Row, reservation: Reservation, took: Amounts) -> None:
        """What failed, or was embedded, is no last message: another request may be."""
        grace = self.ledger.accounts.get(row.chain[0]) if row.chain else None
        last = row.status == 200 and reservation.output > 0
        if grace is not None and grace.id.startswith(accounts.WRAPUP) and not last:
            grace.spent.requests -= took.requests

    def _last_said(self, id: str) -> None:
        """Whether the process has had its last answer: then the daemon hears of it."""
        grace = self.ledger.accounts.get(id)
        if grace is not None and not grace.under_way and grace.spent.requests >= (grace.budget.requests or 0):
            self._tell_last_said(id.removeprefix(accounts.WRAPUP))

    def _tell_last_said(self, process: str) -> None:
        self.event(f"said/{process}", LastSaid(number=0, id=process))

    def _standing(self, row: Row, chain: tuple[str, ...]) -> tuple[str, ...]:
        """Those of its accounts that still are who they were: a new process table gives ids anew."""
        return chain if row.epoch == self.epoch else tuple(id for id in chain if not of_process(id))

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
