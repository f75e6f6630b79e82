"""Budgets, pure: reserve an upper bound before a request is sent, settle with the server's own figure afterwards.

A budget counts for a process and everything below it, so a claim must fit every ancestor that has one, in everything
that it limits: tokens, those of input and of output, money, requests. With `spent` settled and `reserved` promised to
requests under way, an account always keeps, of each of them,

    spent + reserved <= budget

as long as servers stay within what was reserved (they do where prompt tokens are counted exactly and the output is
limited). A claim is

    granted   its prompt and its wished output fit; or only part of the output fits and waiting could not make it more
    waiting   it would fit once requests under way release what they reserved, or end, or a minute is over
    held      not even one token of output fits whatever is released: only a raised budget helps

Claims are served first come, first served: a waiting claim keeps later ones from the accounts that it waits for. A
held claim keeps nobody (others may use the rest that is too small for it), and is the first to go when the budget is
raised.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, Literal

WARN_PERCENT: Final = 80
MOST_BUDGET: Final = 1 << 62
"""Of tokens, requests, or picodollars (4.6 million dollars): with what is spent beside it, it fits the records."""
PICO: Final = 10**12
MINUTE_S: Final = 60.0

State = Literal["new", "waiting", "held"]
What = Literal["tokens", "input", "output", "pusd", "requests"]
SUMMED: Final[tuple[What, ...]] = ("tokens", "input", "output", "pusd", "requests")


@dataclass(slots=True)
class Amounts:
    """What requests take. `pusd` are picodollars: prices of tokens are whole numbers of them."""

    tokens: int = 0
    input: int = 0
    output: int = 0
    pusd: int = 0
    requests: int = 0

    def add(self, other: Amounts) -> None:
        self.tokens += other.tokens
        self.input += other.input
        self.output += other.output
        self.pusd += other.pusd
        self.requests += other.requests

    def take(self, other: Amounts) -> None:
        """Away."""
        self.tokens -= other.tokens
        self.input -= other.input
        self.output -= other.output
        self.pusd -= other.pusd
        self.requests -= other.requests

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(
            self.tokens + other.tokens,
            self.input + other.input,
            self.output + other.output,
            self.pusd + other.pusd,
            self.requests + other.requests,
        )


@dataclass(slots=True, frozen=True)
class Price:
    """Picodollars for a token."""

    input: int = 0
    output: int = 0


FREE: Final = Price()


LIMITED: Final = (*SUMMED, "per_minute", "concurrent", "context")


@dataclass(slots=True, frozen=True)
class Budget:
    """None: no limit. `per_minute` and `concurrent` are of requests, `context` of the tokens of one. A hard one
    refuses what a soft one holds."""

    tokens: int | None = None
    input: int | None = None
    output: int | None = None
    pusd: int | None = None
    requests: int | None = None
    per_minute: int | None = None
    concurrent: int | None = None
    context: int | None = None
    hard: bool = False

    @property
    def limits(self) -> bool:
        return any(getattr(self, name) is not None for name in LIMITED)

    def summed(self) -> Iterator[tuple[What, int]]:
        """What of the sums is limited, and to how much."""
        for name in SUMMED:
            most: int | None = getattr(self, name)
            if most is not None:
                yield name, most


NONE: Final = Budget()


@dataclass(slots=True)
class Account:
    """What one process and everything below it may spend, has spent, and has promised."""

    id: str
    parent: str | None = None
    budget: Budget = NONE
    spent: Amounts = field(default_factory=Amounts)
    reserved: Amounts = field(default_factory=Amounts)
    under_way: int = 0
    begun_s: deque[float] = field(default_factory=deque)
    """When requests of the last minute went, while that is limited."""
    warned: dict[What, int] = field(default_factory=dict)
    """Of what the 80 % warning was given, and at which budget: a raised one warns again."""

    def rate_free_s(self, now_s: float) -> float | None:
        """When the next request may go by the limit of a minute; None: now."""
        most = self.budget.per_minute
        if most is None:
            return None
        while self.begun_s and self.begun_s[0] <= now_s - MINUTE_S:
            self.begun_s.popleft()
        return self.begun_s[-most] + MINUTE_S if len(self.begun_s) >= most > 0 else None


@dataclass(slots=True)
class Claim:
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
    state: State = "new"
    owner: str | None = None
    """The account that holds it, while held."""

    @property
    def floor(self) -> int:
        return min(self.copies, self.wish)

    def amounts(self, output: int) -> Amounts:
        """The most that it takes with so much output."""
        pusd = self.prompt * self.price.input + output * self.price.output
        return Amounts(self.prompt + output, self.prompt, output, pusd, 1)

    def room(self, budget: Budget, used: Amounts) -> int:
        """The output that a budget allows it after what is used; below 0 where not even the prompt fits."""
        room = self.wish
        if budget.tokens is not None:
            room = min(room, budget.tokens - used.tokens - self.prompt)
        if budget.input is not None and budget.input - used.input < self.prompt:
            room = min(room, -1)
        if budget.output is not None:
            room = min(room, budget.output - used.output)
        if budget.pusd is not None:
            rest = budget.pusd - used.pusd - self.prompt * self.price.input
            if rest < 0:
                room = min(room, -1)
            elif self.price.output:
                room = min(room, rest // self.price.output)
        if budget.requests is not None and budget.requests <= used.requests:
            room = min(room, -1)
        if budget.context is not None:
            room = min(room, (budget.context - -(-self.prompt // self.copies)) * self.copies)
        return room


@dataclass(slots=True, frozen=True)
class Reservation:
    """Promised to a request under way, on the accounts that were above its process when it began."""

    number: int
    process: str
    chain: tuple[str, ...]
    promised: Amounts
    lowered_by: str | None = None
    """The account that allows no more output than it got."""

    @property
    def output(self) -> int:
        return self.promised.output


@dataclass(slots=True, frozen=True)
class Granted:
    number: int
    output: int
    chain: tuple[str, ...]


@dataclass(slots=True, frozen=True)
class Waiting:
    number: int


@dataclass(slots=True, frozen=True)
class Held:
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
    _chains: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _limited: dict[str, tuple[Account, ...]] = field(default_factory=dict)
    """Both by process, until somebody's place or budget changes: every request asks for them."""

    def place(self, id: str, parent: str | None, budget: Budget) -> None:
        """Make an account or change its parent and budget; what it spent stays."""
        account = self.accounts.get(id)
        if account is None:
            self.accounts[id] = Account(id, parent, budget)
        else:
            account.parent = parent
            account.budget = budget
        self._look_again()

    def _look_again(self) -> None:
        self._chains.clear()
        self._limited.clear()

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
            self.reservations[number] = replace(reservation, chain=chain)
        for id in ids:
            self.accounts.pop(id, None)
        self._look_again()

    def chain(self, process: str) -> tuple[str, ...]:
        """The process and its ancestors, nearest first."""
        known = self._chains.get(process)
        if known is not None:
            return known
        chain: list[str] = []
        next_id: str | None = process
        while next_id is not None and next_id not in chain:
            chain.append(next_id)
            account = self.accounts.get(next_id)
            next_id = account.parent if account else None
        found = self._chains[process] = tuple(chain)
        return found

    def limited(self, process: str) -> tuple[Account, ...]:
        """The accounts of its chain that have a budget, nearest first."""
        known = self._limited.get(process)
        if known is not None:
            return known
        accounts = [account for id in self.chain(process) if (account := self.accounts.get(id)) is not None]
        found = self._limited[process] = tuple(account for account in accounts if account.budget.limits)
        return found

    def left(self, process: str, price: Price = FREE) -> int | None:
        """Tokens that the tightest budget above the process still has unpromised, money by the dearer token, and what
        one request may hold; None without a budget that limits them."""
        lefts = []
        for account in self.limited(process):
            used = account.spent + account.reserved
            lefts += [] if account.budget.context is None else [account.budget.context]
            for what, most in account.budget.summed():
                rest = most - getattr(used, what)
                if what == "pusd":
                    dearest = max(price.input, price.output)
                    lefts += [rest // dearest] if dearest else []
                elif what != "requests":
                    lefts.append(rest)
        return max(0, min(lefts)) if lefts else None

    def ask(self, claim: Claim) -> None:
        self.claims[claim.number] = claim

    def withdraw(self, number: int) -> None:
        """The request is not wanted any more and has not been granted."""
        self.claims.pop(number, None)

    def settle(self, number: int, used: Amounts) -> list[tuple[Account, What]]:
        """Release what the request reserved and count what it used. Returns what has just passed 80 %, and whose."""
        reservation = self.reservations.pop(number)
        self._release(reservation)
        return self.spend(reservation.chain, used)

    def spend(self, chain: Iterable[str], used: Amounts) -> list[tuple[Account, What]]:
        """Count what was not reserved. Returns what has just passed 80 %, and whose."""
        passed: list[tuple[Account, What]] = []
        for id in chain:
            account = self.accounts.get(id)
            if account is None:
                continue
            account.spent.add(used)
            for what, most in account.budget.summed():
                if account.warned.get(what) != most and getattr(account.spent, what) * 100 >= most * WARN_PERCENT:
                    account.warned[what] = most
                    passed.append((account, what))
        return passed

    def advance(self, now_s: float = 0.0) -> list[Decision]:
        """Grant what can go now, in the order of asking; tell every claim whose state changed."""
        decisions: list[Decision] = []
        if not self.claims:
            return decisions
        taken: set[str] = set()  # accounts that an earlier claim waits for
        for claim in list(self.claims.values()):
            chain = self.chain(claim.process)
            decision = self._decide(claim, chain, taken, now_s)
            match decision:
                case Granted():
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
            could = claim.room(budget, account.spent)
            if could < claim.floor or budget.concurrent == 0 or budget.per_minute == 0:
                return Held(claim.number, account.id)
            fits = claim.room(budget, account.spent + account.reserved)
            busy = budget.concurrent is not None and account.under_way >= budget.concurrent
            busy = busy or account.rate_free_s(now_s) is not None
            if busy or fits < min(claim.least, could):
                short.append(account.id)
            waits = waits or busy or account.id in taken
            room, best = min(room, fits), min(best, could)
        if waits or (room < claim.least and room < best):
            taken.update(short)
            return Waiting(claim.number)
        return Granted(claim.number, room, chain)

    def _grant(self, claim: Claim, granted: Granted, now_s: float) -> None:
        del self.claims[claim.number]
        lowered_by = None
        if granted.output < claim.wish:
            rooms = {
                account.id: claim.room(account.budget, account.spent + account.reserved)
                for account in self.limited(claim.process)
            }
            lowered_by = min(rooms, key=rooms.__getitem__)
        reservation = Reservation(
            claim.number, claim.process, granted.chain, claim.amounts(granted.output), lowered_by
        )
        self.reservations[claim.number] = reservation
        for id in reservation.chain:
            account = self.accounts.get(id)
            if account is not None:
                account.reserved.add(reservation.promised)
                account.under_way += 1
        for account in self.limited(claim.process):
            if account.budget.per_minute is not None:
                account.begun_s.append(now_s)

    def _release(self, reservation: Reservation) -> None:
        for id in reservation.chain:
            account = self.accounts.get(id)
            if account is not None:
                account.reserved.take(reservation.promised)
                account.under_way -= 1
