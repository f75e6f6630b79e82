"""What everybody has used in all: processes and named keys themselves, models by what was routed to them.

Held in memory and written now and then (see journal.py), with the events that tell the daemon what changed: a row per
request would else take four more with it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec

from aish.model import kind as kinds
from aish.supervisor.gateway.allowance import in_words, named, said, told
from aish.supervisor.gateway.amounts import PICO, Amounts
from aish.supervisor.gateway.row import OBSERVED, AccountRow, ServedRow
from aish.wire.account import of_process
from aish.wire.link import Exceeded, OverPart, Served, Settled, Warn
from aish.wire.part import TokensPart

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aish.supervisor.gateway.amounts import Budget
    from aish.supervisor.gateway.budget import Ledger, Settlement
    from aish.supervisor.gateway.records import Records
    from aish.supervisor.gateway.row import Row
    from aish.wire.link import Member

KEY_PREFIX: Final = "key:"
_encode: Final = msgspec.msgpack.Encoder().encode


class Totals:
    """One per gateway. `ledger` has what accounts have spent with everything below them."""

    def __init__(self, records: Records, ledger: Ledger) -> None:
        self._records = records
        self._ledger = ledger
        self._own: dict[str, AccountRow] = {}
        self._served: dict[str, ServedRow] = {}
        """By the process of a model."""
        self._changed: dict[str, None] = {}
        """Accounts that are not written yet."""
        self._changed_served: dict[str, None] = {}
        self._settled: dict[str, str] = {}
        """Processes that the daemon is to be told about, and the model that they asked last."""
        self._warned: dict[str, Warn] = {}
        self._exceeded: dict[str, Exceeded] = {}
        """Both by their slots."""

    def load(self) -> list[AccountRow]:
        """Take over what the records hold; returns the accounts. Raises StorageError."""
        self._own = {saved.id: saved for saved in self._records.accounts()}
        self._served = {saved.id: saved for saved in self._records.served()}
        return list(self._own.values())

    def part(self, id: str) -> TokensPart:
        """Cumulative tokens of a process or key."""
        total = self._own.get(id)
        return TokensPart() if total is None else total.part()

    def own(self, id: str) -> AccountRow:
        """Those of a process or key, from nothing if need be."""
        found = self._own.get(id)
        if found is None:
            found = self._own[id] = AccountRow(id)
        return found

    def add(self, row: Row, settlement: Settlement, *, counts: bool, served: bool) -> None:
        """A request ended. `counts`: its process is still the one of that id; `served`: so is its model's."""
        if counts:
            self.own(row.process).add(row)
            if of_process(row.process):
                self._settled[row.process] = row.model
        self._changed[row.process] = None
        for id in row.chain:
            self._changed[id] = None
        if row.server is not None and served:
            self._of_model(row.server).add(row)
            self._changed_served[row.server] = None
        for passed in settlement.passed:
            id, what = passed.account.id, named(passed.what, daily=passed.daily)
            self._warned[f"warn/{id}/{what}"] = Warn(number=0, id=id, **said(passed.account, what))

    def exceeded(self, row: Row, promised: Amounts, settlement: Settlement) -> None:
        """More was used than that, and budgets are above their limits by it."""
        used = amounts_of(row)
        overs = [
            OverPart(
                owner=over.account.id,
                what=told(named(over.what, daily=over.daily)),
                budget=in_words(over.what, over.most),
                over=in_words(over.what, over.by),
                used=in_words(over.what, getattr(used, over.what)),
                reserved=in_words(over.what, getattr(promised, over.what)),
            )
            for over in settlement.over
        ]
        event = Exceeded(number=0, id=row.process, request=row.number, model=row.model, overs=overs)
        self._exceeded[f"exceeded/{row.number}"] = event

    def adopt(self, member: Member, part: TokensPart) -> None:
        """Go on from what the daemon has heard."""
        if member.kind == kinds.MODEL:
            self._of_model(member.id).take(part)
            self._changed_served[member.id] = None
        else:
            self.own(member.id).take(part)
        self._changed[member.id] = None

    def _of_model(self, id: str) -> ServedRow:
        found = self._served.get(id)
        if found is None:
            found = self._served[id] = ServedRow(id)
        return found

    def touch(self, ids: Iterable[str]) -> None:
        """To be written: their budget or their place changed."""
        for id in ids:
            self._changed[id] = None

    def drop(self, ids: Iterable[str]) -> None:
        """Forget these. What models served stays: a request may end after its model."""
        for id in ids:
            self._own.pop(id, None)
            self._settled.pop(id, None)

    def clear(self) -> None:
        """Forget all processes: they are others now."""
        self._own = {id: total for id, total in self._own.items() if not of_process(id)}
        self._served.clear()
        self._changed_served.clear()
        self._settled.clear()
        self._warned.clear()
        self._exceeded.clear()

    # --- writing ------------------------------------------------------------------------------------------------

    @property
    def changed(self) -> bool:
        """Whether there is something to write."""
        return bool(self._changed or self._changed_served)

    def write(self) -> bool:
        """What changed, and the events that tell of it; whether there are such. Inside a transaction; `written` when
        that is over."""
        for id in self._changed:
            self._put_account(id)
        for id, model in self._settled.items():
            self._put_event(f"settled/{id}", Settled(number=0, id=id, model=model, tokens=self.part(id)))
        for id in self._changed_served:
            total = self._served[id]
            self._records.put_served(total)
            self._put_event(f"served/{id}", Served(number=0, id=id, tokens=total.part()))
        for slot, warn in self._warned.items():
            self._put_event(slot, warn)
        for slot, exceeded in self._exceeded.items():
            self._put_event(slot, exceeded)
        return bool(self._settled or self._changed_served or self._warned or self._exceeded)

    def put(self, id: str, budget: Budget) -> None:
        """One account, with the budget that it has once this transaction is over."""
        self._look(id)
        self._changed.pop(id, None)
        self._records.put_account(replace(self._own.get(id) or AccountRow(id), budget=budget))

    def pass_over(self, id: str) -> None:
        """It is dropped in this transaction, and not written for what changed before."""
        self._changed.pop(id, None)

    def written(self) -> None:
        for changes in (self._changed, self._changed_served, self._settled, self._warned, self._exceeded):
            changes.clear()

    def _put_account(self, id: str) -> None:
        total = self._look(id)
        if total is not None:
            self._records.put_account(total)

    def _look(self, id: str) -> AccountRow | None:
        """With what the ledger has now."""
        account = self._ledger.accounts.get(id)
        total = self._own.get(id)
        if account is not None:
            total = total or self.own(id)
            total.parent, total.budget, total.project = account.parent, account.budget, account.project
            total.spent, total.warned, total.today = account.spent, account.warned, account.today
        return total

    def _put_event(self, slot: str, message: Settled | Served | Warn | Exceeded) -> None:
        self._records.put_event(slot, _encode(message))


def amounts_of(row: Row) -> Amounts:
    """What a request took, or is taken for."""
    pusd = round((row.cost_usd or 0.0) * PICO)
    asked = row.server is not None or row.endpoint == OBSERVED
    return Amounts(row.input + row.output, row.input, row.output, pusd, int(asked))
