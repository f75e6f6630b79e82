"""Budgets, pure: reserve an upper bound before a request is sent, settle with the server's own figure afterwards.

A budget counts for a process and everything below it, so a claim must fit every account above it, in everything that
is limited there: tokens, those of input and of output, money, requests; in all, and in a day. With `spent` settled
and `reserved` promised to requests under way, an account always keeps, of each of them,

    spent + reserved <= budget

as long as servers stay within what was reserved (they do where prompt tokens are counted exactly and the output is
limited); by how much one that does not leads above is told (`Over`). A request counts for the day that it was granted
on, however long it takes. A claim is

    granted   its prompt and its wished output fit; or only part of the output fits and waiting could not make it more
    waiting   it would fit once requests under way release what they reserved, or end, or a minute is over
    held      not even one token of output fits whatever is released: only a raised budget helps, or another day

Claims are served first come, first served: a waiting claim keeps later ones from the accounts that it waits for. A
held claim keeps nobody (others may use the rest that is too small for it), and is the first to go when the budget is
raised.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from aish.supervisor.gateway.account import Account, Over, Passed, Today
from aish.supervisor.gateway.amounts import FREE, Amounts, Budget, Most, Price, What
from aish.wire.account import USER, of_process

State = Literal["new", "waiting", "held"]


class Claim(msgspec.Struct):
    """A request that wants to go. `prompt` is an upper bound of its input.

    `wish` is the output that it would like in all, `least` the part of it for which it goes without waiting for
    more; one grant covers `copies` answers, each of which needs a token. `wish` 0 (an embedding) needs no output.
    """

    number: int
    process: str
    prompt: int
    wish: int
    least: int
    copies: int = 1
    price: Price = FREE
    grace: str | None = None
    """The account that alone decides, where its process is wrapped up; what it takes counts for the others, too."""
    state: State = "new"
    owner: str | None = None
    """The account that holds it, while held."""
    again: bool = False
    """It went before and was asked anew: in the limit of a minute it counts once."""

    def same(self, other: Claim) -> bool:
        """Whether what is reserved for one does for the other."""
        names = ("prompt", "wish", "least", "copies", "price", "grace")
        return all(getattr(self, name) == getattr(other, name) for name in names)

    @property
    def floor(self) -> int:
        return min(self.copies, self.wish)

    def amounts(self, output: int) -> Amounts:
        """The most that it takes with so much output."""
        pusd = self.prompt * self.price.input + output * self.price.output
        return Amounts(self.prompt + output, self.prompt, output, pusd, 1)

    def fits(self, most: Most, used: Amounts) -> int:
        """The output that sums allow it after what is used; below 0 where not even the prompt fits."""
        room = self.wish
        if most.tokens is not None:
            rest = most.tokens - used.tokens - self.prompt
            room = rest if rest < room else room
        if most.input is not None and most.input - used.input < self.prompt:
            room = min(room, -1)
        if most.output is not None:
            room = min(room, most.output - used.output)
        if most.pusd is not None:
            rest = most.pusd - used.pusd - self.prompt * self.price.input
            if rest < 0:
                room = min(room, -1)
            elif self.price.output and rest < room * self.price.output:  # fewer: the division is seldom needed
                room = rest // self.price.output
        if most.requests is not None and most.requests <= used.requests:
            room = min(room, -1)
        return room

    def room(self, account: Account, *, promised: bool) -> int:
        """The output that an account allows it; `promised`: after what requests under way may still take, too."""
        room, budget, today = self.wish, account.budget, account.today
        if account.summed:
            room = self.fits(budget, account.spent + account.reserved if promised else account.spent)
        if budget.day is not None and today is not None:
            room = min(room, self.fits(budget.day, today.spent + today.reserved if promised else today.spent))
        return room if budget.context is None else min(room, self.in_context(budget.context))

    def in_context(self, most: int) -> int:
        """The output that so many tokens for one request leave it."""
        return (most - -(-self.prompt // self.copies)) * self.copies


class Reservation(msgspec.Struct, frozen=True):
    """Promised to a request under way, on the accounts that were above its process when it began."""

    number: int
    process: str
    chain: tuple[str, ...]
    promised: Amounts
    day: int
    """On which it was granted."""
    lowered_by: str | None = None
    """The account that allows no more output than it got."""

    @property
    def output(self) -> int:
        return self.promised.output


class Settlement(msgspec.Struct, frozen=True):
    """What has just passed 80 %, and what is above its limit by what the server used beyond the bound."""

    passed: list[Passed]
    over: list[Over]


class Granted(msgspec.Struct, frozen=True):
    number: int
    output: int
    chain: tuple[str, ...]


class Waiting(msgspec.Struct, frozen=True):
    number: int


class Held(msgspec.Struct, frozen=True):
    number: int
    owner: str


Decision = Granted | Waiting | Held


@dataclass(slots=True)
class Ledger:
    """All accounts, reservations and claims. Nothing in it waits: `advance` tells what changed."""

    accounts: dict[str, Account] = field(default_factory=dict)
    reservations: dict[int, Reservation] = field(default_factory=dict)
    claims: dict[int, Claim] = field(default_factory=dict)
    """In the order of asking."""
    day: int = 0
    _chains: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _limited: dict[str, tuple[Account, ...]] = field(default_factory=dict)
    """Both by process, until somebody's place or budget changes: every request asks for them."""
    _found: dict[tuple[str, ...], tuple[Account, ...]] = field(default_factory=dict)
    """By chain, as long."""

    def place(self, id: str, parent: str | None, budget: Budget, project: str | None = None) -> None:
        """Make an account or change it; what it spent stays. One that is above requests under way counts them."""
        account = self.accounts.get(id)
        fresh = account is None
        if account is None:
            account = self.accounts[id] = Account(id)
        account.parent, account.project = parent, project
        if account.budget != budget:
            account.limit(budget)
            self._count_days(account)
        self._look_again()
        if fresh and not of_process(id):
            self._cover(account)

    def _look_again(self) -> None:
        self._chains.clear()
        self._limited.clear()
        self._found.clear()

    def _count_days(self, account: Account) -> None:
        """Begin to count what an account has promised today, or stop."""
        if account.budget.day is None:
            account.today = None
        elif account.today is None:
            account.today = Today(self.day)
            for reservation in self.reservations.values():
                if reservation.day == self.day and account.id in reservation.chain:
                    account.today.reserved.add(reservation.promised)

    def _cover(self, account: Account) -> None:
        """Requests under way count for an account that is new above them."""
        for number, reservation in self.reservations.items():
            if account.id in self.chain(reservation.process):
                chain = (*reservation.chain, account.id)
                self.reservations[number] = msgspec.structs.replace(reservation, chain=chain)
                account.under_way += 1
                account.reserved.add(reservation.promised)
                today = account.day_of(reservation.day)
                if today is not None:
                    today.reserved.add(reservation.promised)

    def turn(self, day: int) -> None:
        """Another day has begun: nothing of it is used, but for requests that began on it, where it was left."""
        if day == self.day:
            return
        self.day = day
        for account in self.accounts.values():
            if account.today is not None:
                account.today = None
                self._count_days(account)

    def prune(self, keep: set[str]) -> set[str]:
        """Drop all accounts but `keep`, what is above them and what requests under way count on; returns the ids."""
        needed = {id for process in keep for id in self.chain(process)}
        for reservation in self.reservations.values():
            needed.update(reservation.chain)
        dropped = self.accounts.keys() - needed
        for id in dropped:
            del self.accounts[id]
        self._look_again()
        return dropped

    def forget(self, ids: set[str]) -> None:
        """Drop these accounts for good: requests under way settle on what is left of their chains."""
        for number, reservation in self.reservations.items():
            chain = tuple(id for id in reservation.chain if id not in ids)
            self.reservations[number] = msgspec.structs.replace(reservation, chain=chain)
        for id in ids:
            self.accounts.pop(id, None)
        self._look_again()

    def chain(self, process: str) -> tuple[str, ...]:
        """All accounts that a process counts for: itself and its ancestors, nearest first; then, where they have an
        account, the projects that these are of, and the user."""
        known = self._chains.get(process)
        if known is not None:
            return known
        line = self.line(process)
        projects = dict.fromkeys(account.project for account in self._those(line) if account.project is not None)
        found = (*line, *(id for id in (*projects, USER) if id in self.accounts))
        self._chains[process] = found
        return found

    def line(self, process: str) -> tuple[str, ...]:
        """A process and its ancestors, nearest first."""
        line: dict[str, None] = {}
        next_id: str | None = process
        while next_id is not None and next_id not in line:
            line[next_id] = None
            account = self.accounts.get(next_id)
            next_id = account.parent if account else None
        return tuple(line)

    def limited(self, process: str) -> tuple[Account, ...]:
        """The accounts of its chain that have a budget, nearest first."""
        known = self._limited.get(process)
        if known is None:
            limited = (account for account in self._those(self.chain(process)) if account.limits)
            known = self._limited[process] = tuple(limited)
        return known

    def left(self, process: str, price: Price = FREE) -> int | None:
        """Tokens that the tightest budget above the process still has unpromised, money by the dearer token, and what
        one request may hold; None without a budget that limits them."""
        lefts = []
        dearest = max(price.input, price.output)
        for account in self.limited(process):
            if account.budget.context is not None:
                lefts.append(account.budget.context)
            for what, rest in account.left():
                if what != "pusd":
                    if what != "requests":
                        lefts.append(rest)
                elif dearest:
                    lefts.append(rest // dearest)
        return max(0, min(lefts)) if lefts else None

    def spent(self, process: str) -> tuple[Account, What, bool] | None:
        """A budget above the process of which nothing is left, in what, and whether that is of a day: for what
        reserves nothing."""
        for account in self.limited(process):
            for limits, spent, _, _, daily in account.counted():
                for what, most in limits.summed():
                    if getattr(spent, what) >= most:
                        return account, what, daily
        return None

    def ask(self, claim: Claim) -> None:
        self.claims[claim.number] = claim

    def release(self, number: int) -> None:
        """The request goes on with another claim, or not at all: what was reserved for it was not used."""
        reservation = self.reservations.pop(number, None)
        if reservation is not None:
            self._take_back(reservation)

    def withdraw(self, number: int) -> None:
        """The request is not wanted any more and has not been granted."""
        self.claims.pop(number, None)

    def resume(self, reservation: Reservation) -> None:
        """What was promised before a crash is so again, until it is settled."""
        self.reservations[reservation.number] = reservation
        self._promise(reservation)

    def settle(self, number: int, used: Amounts) -> Settlement:
        """Release what the request reserved and count what it used."""
        reservation = self.reservations.pop(number)
        before: dict[str, dict[tuple[What, bool], int]] = {}
        if used.beyond(reservation.promised):
            before = {account.id: account.above() for account in self._those(reservation.chain) if account.limits}
        self._take_back(reservation)
        passed = self.spend(reservation.chain, used, reservation.day)
        return Settlement(passed, [over for id, above in before.items() for over in self._over(id, above)])

    def _over(self, id: str, before: dict[tuple[What, bool], int]) -> Iterator[Over]:
        account = self.accounts[id]
        for (what, daily), above in account.above().items():
            by = max(0, above) - max(0, before[what, daily])
            if by > 0:
                limits = account.budget.day if daily else account.budget
                yield Over(account, what, daily, getattr(limits, what), by)

    def spend(self, chain: tuple[str, ...], used: Amounts, day: int | None = None) -> list[Passed]:
        """Count what was not reserved, or is not any more, for that day (None: this one). Returns what has just
        passed 80 %."""
        passed: list[Passed] = []
        day = self.day if day is None else day
        for account in self._those(chain):
            account.spent.add(used)
            today = account.today
            if today is not None and today.day == day:
                today.spent.add(used)
            if account.limits:
                passed += account.passed()
        return passed

    def grant(self, claim: Claim, now_s: float = 0.0) -> bool:
        """Grant a claim at once, without asking: where nobody waits whom it might pass, and so much fits as it takes
        without waiting."""
        if self.claims or claim.grace is not None:
            return False
        decision = self._decide(claim, self.chain(claim.process), set(), now_s)
        if not isinstance(decision, Granted):
            return False
        self._grant(claim, decision, now_s)
        return True

    def advance(self, now_s: float = 0.0) -> list[Decision]:
        """Grant what can go now, in the order of asking; tell every claim whose state changed."""
        decisions: list[Decision] = []
        if not self.claims:
            return decisions
        taken: set[str] = set()  # accounts that an earlier claim waits for
        for claim in list(self.claims.values()):
            chain = self.chain(claim.grace or claim.process)
            if claim.grace is not None:
                decision = self._within_grace(claim, chain, self.accounts.get(claim.grace))
            else:
                decision = self._decide(claim, chain, taken, now_s)
            match decision:
                case Granted():
                    del self.claims[claim.number]
                    self._grant(claim, decision, now_s)
                    decisions.append(decision)
                case Held():
                    if claim.state != "held" or claim.owner != decision.owner:
                        decisions.append(decision)
                    claim.state, claim.owner = "held", decision.owner
                case Waiting():
                    if claim.state != "waiting":
                        decisions.append(decision)
                    claim.state, claim.owner = "waiting", None
        return decisions

    def next_s(self, now_s: float) -> float | None:
        """When a minute is over for a claim that waits for that; None: no claim does."""
        ids = {id for claim in self.claims.values() if claim.state == "waiting" for id in self.chain(claim.process)}
        frees = [account.rate_free_s(now_s) for id in ids if (account := self.accounts.get(id)) is not None]
        return min((free for free in frees if free is not None), default=None)

    def _decide(self, claim: Claim, chain: tuple[str, ...], taken: set[str], now_s: float) -> Decision:
        room = best = claim.wish  # output that fits now; that would fit if every request under way used nothing
        short: list[str] = []
        waits = False
        for account in self.limited(claim.process):
            budget = account.budget
            fits = claim.room(account, promised=True)
            could = fits if fits >= claim.wish else claim.room(account, promised=False)
            if could < claim.floor or budget.concurrent == 0 or budget.per_minute == 0:
                return Held(claim.number, account.id)
            busy = budget.concurrent is not None and account.under_way >= budget.concurrent
            busy = busy or (not claim.again and account.rate_free_s(now_s) is not None)
            if busy or fits < min(claim.least, could):
                short.append(account.id)
            waits = waits or busy or account.id in taken
            room, best = min(room, fits), min(best, could)
        if waits or (room < claim.least and room < best):
            taken.update(short)
            return Waiting(claim.number)
        return Granted(claim.number, room, chain)

    def _within_grace(self, claim: Claim, chain: tuple[str, ...], grace: Account | None) -> Decision:
        """For a last message: its grace decides, and not what budgets above have left; only so many at a time go."""
        if grace is None:  # it is being forgotten with its process
            return Waiting(claim.number)
        could, fits = claim.room(grace, promised=False), claim.room(grace, promised=True)
        if could < claim.floor:
            return Held(claim.number, grace.id)
        most = [(account, account.budget.concurrent) for account in self.limited(claim.process)]
        busy = any(concurrent and account.under_way >= concurrent for account, concurrent in most)
        if busy or fits < min(claim.least, could):
            return Waiting(claim.number)
        return Granted(claim.number, fits, chain)

    def _grant(self, claim: Claim, granted: Granted, now_s: float) -> None:
        lowered_by = None
        if granted.output < claim.wish:
            those = self.limited(claim.process) if claim.grace is None else self._those((claim.grace,))
            rooms = {account.id: claim.room(account, promised=True) for account in those}
            lowered_by = min(rooms, key=rooms.__getitem__)
        reservation = Reservation(
            claim.number, claim.process, granted.chain, claim.amounts(granted.output), self.day, lowered_by
        )
        self.reservations[claim.number] = reservation
        self._promise(reservation)
        for account in self.limited(claim.process):
            if account.budget.per_minute is not None and not claim.again:
                account.begun_s.append(now_s)

    def _promise(self, reservation: Reservation) -> None:
        for account in self._those(reservation.chain):
            account.reserved.add(reservation.promised)
            account.under_way += 1
            today = account.today
            if today is not None and today.day == reservation.day:
                today.reserved.add(reservation.promised)

    def _take_back(self, reservation: Reservation) -> None:
        for account in self._those(reservation.chain):
            account.reserved.take(reservation.promised)
            account.under_way -= 1
            today = account.today
            if today is not None and today.day == reservation.day:
                today.reserved.take(reservation.promised)

    def _those(self, chain: tuple[str, ...]) -> tuple[Account, ...]:
        """The accounts of a chain that are still there."""
        known = self._found.get(chain)
        if known is None:
            accounts = self.accounts
            known = self._found[chain] = tuple([accounts[id] for id in chain if id in accounts])
        return known
