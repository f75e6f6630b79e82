"""Budgets, pure: reserve an upper bound before a request is sent, settle with the server's own figure afterwards.

A budget counts for a process and everything below it, so a claim must fit every ancestor that has one. With
`spent` settled and `reserved` promised to requests under way, an account always keeps

    spent + reserved <= budget

as long as servers stay within what was reserved (they do where prompt tokens are counted exactly and the output is
limited). A claim is

    granted   its prompt and its wished output fit; or only part of the output fits and waiting could not make it more
    waiting   it would fit once requests under way release what they reserved
    held      not even one token of output fits whatever is released: only a raised budget helps

Claims are served first come, first served: a waiting claim keeps later ones from the accounts that it waits for. A
held claim keeps nobody (others may use the rest that is too small for it), and is the first to go when the budget is
raised.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

WARN_PERCENT: Final = 80
MOST_BUDGET_TOKENS: Final = 1 << 60
"""With what is spent beside it, it still fits the records."""

State = Literal["new", "waiting", "held"]


@dataclass(slots=True)
class Account:
    """What one process and everything below it may spend, has spent, and has promised; in tokens."""

    id: str
    parent: str | None = None
    budget: int | None = None
    spent: int = 0
    reserved: int = 0
    warned_at: int | None = None
    """The budget at which the 80 % warning was given: a raised one warns again."""


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
    state: State = "new"
    owner: str | None = None
    """The account that holds it, while held."""

    @property
    def floor(self) -> int:
        return min(self.copies, self.wish)


@dataclass(slots=True, frozen=True)
class Reservation:
    """Tokens promised to a request under way, on the accounts that were above its process when it began."""

    number: int
    process: str
    chain: tuple[str, ...]
    prompt: int
    output: int

    @property
    def total(self) -> int:
        return self.prompt + self.output


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

    def place(self, id: str, parent: str | None, budget: int | None) -> None:
        """Make an account or change its parent and budget; what it spent stays."""
        account = self.accounts.get(id)
        if account is None:
            self.accounts[id] = Account(id, parent, budget)
        else:
            account.parent = parent
            account.budget = budget

    def prune(self, keep: set[str]) -> set[str]:
        """Drop all accounts but `keep`, what is above them and what requests under way count on; returns the ids."""
        needed = {id for process in keep for id in self.chain(process)}
        for reservation in self.reservations.values():
            needed.update(reservation.chain)
        dropped = self.accounts.keys() - needed
        for id in dropped:
            del self.accounts[id]
        return dropped

    def forget(self, ids: set[str]) -> None:
        """Drop these accounts for good: requests under way settle on what is left of their chains."""
        for number, reservation in self.reservations.items():
            chain = tuple(id for id in reservation.chain if id not in ids)
            self.reservations[number] = Reservation(
                number, reservation.process, chain, reservation.prompt, reservation.output
            )
        for id in ids:
            self.accounts.pop(id, None)

    def chain(self, process: str) -> tuple[str, ...]:
        """The process and its ancestors, nearest first."""
        chain: list[str] = []
        next_id: str | None = process
        while next_id is not None and next_id not in chain:
            chain.append(next_id)
            account = self.accounts.get(next_id)
            next_id = account.parent if account else None
        return tuple(chain)

    def left(self, process: str) -> int | None:
        """Tokens that the tightest budget above the process still has unpromised; None without a budget."""
        lefts = [budget - account.spent - account.reserved for account, budget in self._limited(self.chain(process))]
        return max(0, min(lefts)) if lefts else None

    def tightest(self, process: str) -> Account | None:
        """The account above the process with the least left; None without a budget."""
        limited = self._limited(self.chain(process))
        return min(limited, key=lambda pair: pair[1] - pair[0].spent - pair[0].reserved, default=(None, 0))[0]

    def ask(self, claim: Claim) -> None:
        self.claims[claim.number] = claim

    def withdraw(self, number: int) -> None:
        """The request is not wanted any more and has not been granted."""
        self.claims.pop(number, None)

    def settle(self, number: int, tokens: int) -> list[Account]:
        """Release what the request reserved and count what it used. Returns accounts that just passed 80 %."""
        reservation = self.reservations.pop(number)
        self._reserve(reservation, -reservation.total)
        return self.spend(reservation.chain, tokens)

    def spend(self, chain: Iterable[str], tokens: int) -> list[Account]:
        """Count tokens that were not reserved. Returns accounts that just passed 80 %."""
        passed = []
        for id in chain:
            account = self.accounts.get(id)
            if account is None:
                continue
            account.spent += tokens
            if (
                account.budget is not None
                and account.warned_at != account.budget
                and account.spent * 100 >= account.budget * WARN_PERCENT
            ):
                account.warned_at = account.budget
                passed.append(account)
        return passed

    def advance(self) -> list[Decision]:
        """Grant what can go now, in the order of asking; tell every claim whose state changed."""
        decisions: list[Decision] = []
        taken: set[str] = set()  # accounts that an earlier claim waits for
        for claim in list(self.claims.values()):
            chain = self.chain(claim.process)
            decision = self._decide(claim, chain, taken)
            match decision:
                case Granted():
                    del self.claims[claim.number]
                    reservation = Reservation(claim.number, claim.process, chain, claim.prompt, decision.output)
                    self.reservations[claim.number] = reservation
                    self._reserve(reservation, reservation.total)
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

    def _decide(self, claim: Claim, chain: tuple[str, ...], taken: set[str]) -> Decision:
        room: int | None = None  # output that fits now
        best: int | None = None  # output that would fit if every request under way used nothing
        short: list[str] = []
        behind = False
        for account, budget in self._limited(chain):
            could = budget - account.spent - claim.prompt
            if could < claim.floor:
                return Held(claim.number, account.id)
            fits = could - account.reserved
            if fits < claim.least:
                short.append(account.id)
            behind = behind or account.id in taken
            room = fits if room is None else min(room, fits)
            best = could if best is None else min(best, could)
        if room is None or best is None:
            return Granted(claim.number, claim.wish, chain)
        if behind or (room < claim.least and room < best):
            taken.update(short)
            return Waiting(claim.number)
        return Granted(claim.number, min(claim.wish, room), chain)

    def _limited(self, chain: tuple[str, ...]) -> Iterable[tuple[Account, int]]:
        for id in chain:
            account = self.accounts.get(id)
            if account is not None and account.budget is not None:
                yield account, account.budget

    def _reserve(self, reservation: Reservation, tokens: int) -> None:
        for id in reservation.chain:
            account = self.accounts.get(id)
            if account is not None:
                account.reserved += tokens
