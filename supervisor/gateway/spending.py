"""Reserving and settling: the pure ledger, the records that survive a crash, and the requests that wait.

    reserve   claim -> (wait) -> granted: a row in the records, before anything is sent upstream
    settle    the row gets its final figures, accounts and events in the same transaction

When the gateway was killed, its rows under way are settled at the next start, marked as estimated: at the full bound
where a budget counts for them, so that a crash never makes tokens appear that a budget does not have.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import msgspec

from aish.errors import AishError, StorageError
from aish.model import kind as kinds
from aish.supervisor.gateway.budget import MOST_BUDGET_TOKENS, Account, Claim, Granted, Ledger
from aish.supervisor.gateway.log import log
from aish.supervisor.gateway.meter import Live, estimate_prompt
from aish.supervisor.gateway.records import DIED, AccountRow, KeyRow, Records, Row, ServedRow
from aish.wire.link import Hold, Release, Served, Settled, Warn
from aish.wire.part import TokensPart

if TYPE_CHECKING:
    from aish.wire.link import Member
    from aish.wire.message import Message

KEY_PREFIX: Final = "key:"
_HOLDS: Final = "holds"
_MAX_UNSAVED: Final = 10_000
_encode: Final = msgspec.msgpack.Encoder().encode


@dataclass(slots=True)
class _Wait:
    """A request that waits for its grant."""

    future: asyncio.Future[int]
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
        self.epoch: int | None = None
        self._notify = notify
        self._totals: dict[str, AccountRow] = {}
        self._served: dict[str, ServedRow] = {}
        """By the process of a model."""
        self._waits: dict[int, _Wait] = {}
        self._held: dict[str, _HeldProcess] = {}
        self._unsaved: list[Row] = []
        self._warned: list[Account] = []
        self._flushing = False
        self._next_number = 1

    # --- start --------------------------------------------------------------------------------------------------

    def restore(self) -> None:
        """Take over what the records hold. Raises StorageError."""
        self._next_number = self.records.last_number() + 1
        for saved in self.records.accounts():
            self._totals[saved.id] = saved
            self.ledger.place(saved.id, saved.parent, saved.budget)
            account = self.ledger.accounts[saved.id]
            account.spent, account.warned_at = saved.spent, saved.warned_at
        self._served = {saved.id: saved for saved in self.records.served()}
        died = self.records.open_requests()
        for row in died:
            budgeted = any(
                account is not None and account.budget is not None
                for account in map(self.ledger.accounts.get, row.chain)
            )
            if not budgeted:
                row.input, row.output = estimate_prompt(row.bytes_in), 0
            row.estimated, row.status = True, DIED
            self.settle(row)
        for id, owner in self._holds():
            self._event(f"hold/{id}", Release(number=0, id=id, owner=owner, raised=False))  # it died with the gateway
        self.records.set_meta(_HOLDS, b"[]")
        self.flush()
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

    def place(self, id: str, parent: str | None, budget: int | None) -> None:
        """Make or change an account, in memory: `save` writes it, `advance` lets go what it allows."""
        self.ledger.place(id, parent, None if budget is None else min(budget, MOST_BUDGET_TOKENS))
        self._totals.setdefault(id, AccountRow(id))

    def adopt(self, members: Iterable[Member], used: Mapping[str, TokensPart], spent: Mapping[str, int]) -> None:
        """Go on from the daemon's totals of processes that have been placed: ours are lost. In memory; see `save`."""
        for member in members:
            part = used.get(member.id, TokensPart())
            if member.kind == kinds.MODEL:
                total: AccountRow | ServedRow = self._served.setdefault(member.id, ServedRow(member.id))
            else:
                total = self._totals.setdefault(member.id, AccountRow(member.id))
            total.take(part)
            self.ledger.accounts[member.id].spent = spent.get(member.id, 0)

    def save(self, ids: Iterable[str]) -> None:
        """Write accounts and what models served, inside a transaction of the records."""
        for id in ids:
            self._put_account(id)
            if id in self._served:
                self.records.put_served(self._served[id])

    def put_key(self, row: KeyRow) -> None:
        """Make or change a named key and its account, on the disk and then in memory. Raises StorageError."""
        id = KEY_PREFIX + row.name
        total = self._totals.get(id) or AccountRow(id)
        with self.records.transaction():
            self.records.put_key(row)
            self.records.put_account(replace(total, budget=row.budget_tokens))
        self.place(id, None, row.budget_tokens)

    def prune(self, keep: set[str]) -> set[str]:
        """Forget all processes but these and those above them, in memory; returns who is forgotten. What they used
        stays in their ancestors and in the records of their requests."""
        keys = {id for id in self.ledger.accounts if id.startswith(KEY_PREFIX)}
        dropped = self.ledger.prune(keep | keys)
        for id in dropped:
            self._totals.pop(id, None)
        return dropped

    def new_epoch(self, epoch: int) -> None:
        """All processes are others now: nothing of the old ones counts for them."""
        self.epoch = epoch
        for id in list(self._totals):
            if not id.startswith(KEY_PREFIX):
                del self._totals[id]
        self._served.clear()
        self.ledger.forget({id for id in self.ledger.accounts if not id.startswith(KEY_PREFIX)})
        self._held.clear()

    def tokens(self, id: str) -> TokensPart:
        """Cumulative tokens of a process or key."""
        total = self._totals.get(id)
        return TokensPart() if total is None else total.part()

    # --- a request ----------------------------------------------------------------------------------------------

    async def reserve(self, row: Row, claim: Claim, live: Live) -> int:
        """Wait until the claim is granted; returns the output tokens that it may make, in all its answers.

        Raises the error given to `refuse`, and StorageError. Cancelling gives everything back.
        """
        self.ledger.ask(claim)
        self.advance()
        try:
            if claim.number in self.ledger.reservations:
                output = self.ledger.reservations[claim.number].output
            else:
                output = await self._wait(claim, live)
            reservation = self.ledger.reservations[claim.number]
            row.chain, row.input, row.output, row.estimated = reservation.chain, claim.prompt, output, True
            self._write(row)
        except BaseException:
            self._give_back(claim.number)
            raise
        return output

    async def _wait(self, claim: Claim, live: Live) -> int:
        wait = _Wait(asyncio.get_running_loop().create_future(), live, claim.process)
        self._waits[claim.number] = wait
        self._tell(claim, live)
        try:
            return await wait.future
        finally:
            del self._waits[claim.number]
            granted = wait.future.done() and not wait.future.cancelled() and wait.future.exception() is None
            self._unhold(claim.process, claim.number, raised=granted)

    def _give_back(self, number: int) -> None:
        if number in self.ledger.reservations:
            self.ledger.settle(number, 0)
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
        if row.number in self.ledger.reservations:
            warned = self.ledger.settle(row.number, row.input + row.output)
        else:
            warned = self.ledger.spend(row.chain, row.input + row.output)
        if self._counts(row):
            self._totals.setdefault(row.process, AccountRow(row.process)).add(row)
        if row.server is not None and row.epoch == self.epoch:
            self._served.setdefault(row.server, ServedRow(row.server)).add(row)
        self._unsaved.append(row)
        self._warned += warned
        self.advance()
        if not self._flushing:
            # After the answer is on its way, and for all that end in the same turn together.
            self._flushing = True
            asyncio.get_running_loop().call_soon(self.flush)

    def _counts(self, row: Row) -> bool:
        """Whether the row's process is still the one of that id: a new process table gives ids anew."""
        return row.epoch == self.epoch or row.process.startswith(KEY_PREFIX)

    def flush(self) -> None:
        """Write what was settled. What the disk does not take stays in memory and is tried again."""
        self._flushing = False
        if not self._unsaved:
            return
        try:
            self._write(None)
        except StorageError as error:
            log("records", f"{error}; {len(self._unsaved)} settled requests are kept in memory")
            del self._unsaved[:-_MAX_UNSAVED]

    def _write(self, opening: Row | None) -> None:
        """One transaction: requests that ended, the sums that they changed, events; and one that begins."""
        rows = self._unsaved
        ids = dict.fromkeys(id for row in rows for id in (row.process, *row.chain))
        settled = {row.process: row for row in rows if self._counts(row) and not row.process.startswith(KEY_PREFIX)}
        served = {row.server: self._served[row.server] for row in rows if row.server in self._served}
        with self.records.transaction():
            for row in rows:
                self.records.close_request(row)
            for id in ids:
                self._put_account(id)
            for id, row in settled.items():
                event = Settled(number=0, id=id, model=row.model, tokens=self.tokens(id))
                self.records.put_event(f"settled/{id}", _encode(event))
            for id, total in served.items():
                self.records.put_served(total)
                self.records.put_event(f"served/{id}", _encode(Served(number=0, id=id, tokens=total.part())))
            for account in self._warned:
                if account.budget is not None and not account.id.startswith(KEY_PREFIX):
                    warn = Warn(number=0, id=account.id, used_tokens=account.spent, budget_tokens=account.budget)
                    self.records.put_event(f"warn/{account.id}", _encode(warn))
            if opening is not None:
                self.records.open_request(opening)
        self._unsaved, self._warned = [], []
        if rows:
            self._notify()

    def _put_account(self, id: str) -> None:
        account = self.ledger.accounts.get(id)
        total = self._totals.get(id)
        if account is not None:
            total = total or self._totals.setdefault(id, AccountRow(id))
            total.parent, total.budget = account.parent, account.budget
            total.spent, total.warned_at = account.spent, account.warned_at
        if total is not None:
            self.records.put_account(total)

    # --- what changes for those who wait ------------------------------------------------------------------------

    def advance(self) -> None:
        """Let go what can go now, and tell of what is held."""
        for decision in self.ledger.advance():
            wait = self._waits.get(decision.number)
            if wait is None:
                continue  # just asked: its own coroutine goes on by itself
            if isinstance(decision, Granted):
                if not wait.future.done():
                    wait.future.set_result(decision.output)
            else:
                self._tell(self.ledger.claims[decision.number], wait.live)

    def _tell(self, claim: Claim, live: Live) -> None:
        match claim.state:
            case "held":
                owner = claim.owner or claim.process
                live.why = "over budget" if owner == claim.process else f"over the budget of {owner}"
                self._hold(claim.process, claim.number, owner)
            case "waiting":
                live.why = "waits for tokens that other requests have reserved"
                self._unhold(claim.process, claim.number, raised=True)
            case "new":
                pass

    def _hold(self, process: str, number: int, owner: str) -> None:
        held = self._held.get(process)
        if held is not None:
            held.numbers.add(number)
            if held.owner == owner:
                return
            held.owner = owner
        else:
            self._held[process] = _HeldProcess(owner, {number})
        account = self.ledger.accounts.get(owner)
        if account is None or account.budget is None:
            return
        hold = Hold(number=0, id=process, owner=owner, used_tokens=account.spent, budget_tokens=account.budget)
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
