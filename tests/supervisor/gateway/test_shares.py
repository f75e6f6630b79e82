"""Fair shares of the time of places, pure: a simulated pool under requests of any length, number and niceness."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aish.supervisor.gateway.shares import AGE, LEVEL, Shares, Turn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ACCOUNTS = tuple("abcdefgh")


@dataclass
class Pool:
    """So many places; `lasts` says how long a turn of an account takes, `above` who is above it."""

    places: int
    lasts: Callable[[str], float]
    nice: dict[str, int] = field(default_factory=dict)
    above: dict[str, str] = field(default_factory=dict)
    now_s: float = 0.0
    given_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Time at places that ended turns had, by account."""
    went: list[tuple[str, int]] = field(default_factory=list)
    """Account and number of each turn, as they went."""
    number: int = 0

    def __post_init__(self) -> None:
        self.shares = Shares(lambda id: self.nice.get(id, 0))
        self.accounts: dict[int, str] = {}
        self.at_work: list[tuple[float, int, float, Turn]] = []

    def chain(self, account: str) -> tuple[str, ...]:
        above = self.above.get(account)
        return (account, *(self.chain(above) if above is not None else ()))

    def ask(self, account: str, count: int = 1) -> list[Turn]:
        turns = []
        for _ in range(count):
            self.number += 1
            turns.append(Turn(self.number))
            self.accounts[self.number] = account
            self.shares.join(turns[-1], self.chain(account), self.now_s)
        return turns

    def fill(self) -> None:
        """Every free place to the next."""
        while len(self.at_work) < self.places and (turn := next(self.shares.order(self.now_s), None)):
            self.shares.begin(turn, self.now_s)
            account = self.accounts[turn.number]
            self.went.append((account, turn.number))
            heappush(self.at_work, (self.now_s + self.lasts(account), turn.number, self.now_s, turn))

    def step(self) -> str:
        """Until the next turn ends: whose it was."""
        self.fill()
        self.now_s, number, began_s, turn = heappop(self.at_work)
        account = self.accounts[number]
        self.given_s[account] += self.now_s - began_s
        self.shares.end(turn, self.now_s)
        self.fill()
        return account

    def saturate(self, accounts: dict[str, int], steps: int) -> None:
        """All of them have as many requests waiting, all the time."""
        for account, count in accounts.items():
            self.ask(account, count)
        for _ in range(steps):
            self.ask(self.step())


def lengths(seed: int, spans: dict[str, tuple[float, float]]) -> Callable[[str], float]:
    rolls = random.Random(seed)
    return lambda account: rolls.uniform(*spans.get(account, (1.0, 1.0)))


def sizes(most_s: float = 8.0) -> st.SearchStrategy[tuple[float, float]]:
    return st.tuples(st.floats(0.01, most_s), st.floats(0.01, most_s)).map(lambda pair: (min(pair), max(pair)))


# --- shares ---------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    places=st.integers(1, 6),
    niceness=st.lists(st.integers(-5, 5), min_size=2, max_size=5),
    spans=st.lists(sizes(), min_size=5, max_size=5),
    seed=st.integers(0, 1000),
)
def test_shares_of_time_are_as_the_weights_whatever_the_lengths(
    places: int, niceness: list[int], spans: list[tuple[float, float]], seed: int
) -> None:
    """Between two that wait all the time, time by weight differs by no more than a few of their longest turns."""
    accounts = ACCOUNTS[: len(niceness)]
    pool = Pool(
        places, lengths(seed, dict(zip(accounts, spans, strict=False))), dict(zip(accounts, niceness, strict=True))
    )
    pool.saturate(dict.fromkeys(accounts, places + 1), 600)
    weights = {account: LEVEL ** -pool.nice[account] for account in accounts}
    longest = {account: spans[place][1] for place, account in enumerate(accounts)}
    for one in accounts:
        for other in accounts:
            apart = abs(pool.given_s[one] / weights[one] - pool.given_s[other] / weights[other])
            assert apart <= 2 * (places + 1) * (longest[one] / weights[one] + longest[other] / weights[other])


def test_a_process_that_starts_many_has_the_share_of_one() -> None:
    """Budgets and rights go down the tree; so does the time of places, or a fan-out would take all of it."""
    above = {f"child{number}": "a" for number in range(40)}
    pool = Pool(2, lambda account: 1.0, above=above)
    pool.saturate({"a": 2, "b": 3, **dict.fromkeys(above, 2)}, 2000)
    tree = sum(pool.given_s[account] for account in ("a", *above))
    assert tree == pytest.approx(pool.given_s["b"], rel=0.02)
    within = [pool.given_s[account] for account in ("a", *above)]
    assert max(within) - min(within) <= 3, "and below it all are equal, its own requests among them"


def test_who_was_idle_is_owed_nothing() -> None:
    pool = Pool(1, lambda account: 1.0)
    pool.saturate({"a": 2}, 500)
    del pool.went[:]
    pool.ask("b", 100)
    for _ in range(40):
        pool.ask(pool.step())
    names = [account for account, _ in pool.went]
    assert names.count("b") <= names.count("a") + 2


def test_who_had_much_while_nobody_else_wanted_owes_nothing() -> None:
    pool = Pool(1, lambda account: 1.0)
    pool.saturate({"a": 2}, 500)
    pool.ask("b", 50)
    del pool.went[:]
    for _ in range(30):
        pool.ask(pool.step())
    names = [account for account, _ in pool.went]
    assert abs(names.count("a") - names.count("b")) <= 1


def test_who_comes_begins_where_a_turn_that_goes_on_is_by_then() -> None:
    """Else who came last would be given all that the first had while nobody else was there."""
    lasts = iter([600.0])
    pool = Pool(2, lambda account: next(lasts, 10.0))
    pool.ask("a", 12)
    pool.places = 1
    pool.fill()
    pool.now_s, pool.places = 590.0, 2
    pool.ask("b", 12)
    for _ in range(12):
        pool.step()
    names = [account for account, _ in pool.went]
    assert 4 <= names[1:13].count("a") <= 8, names


def test_a_turn_that_lasts_is_charged_while_it_does() -> None:
    """Else `a` would get the second place too, since nothing of its first turn is known to be long."""
    pool = Pool(2, lambda account: 100.0 if account == "a" else 1.0)
    pool.ask("b", 20)
    pool.ask("a", 2)
    for _ in range(18):
        pool.step()
    assert [account for account, _ in pool.went] == ["b", "a", *["b"] * 18]


def test_a_niceness_that_is_changed_counts_at_once_and_for_what_is_owed() -> None:
    pool = Pool(1, lambda account: 10.0, {"a": 19})
    pool.saturate({"a": 2, "b": 2}, 40)
    pool.nice["a"] = 0
    del pool.went[:]
    for _ in range(8):
        pool.ask(pool.step())
    names = [account for account, _ in pool.went]
    assert names.count("a") >= 3, names


# --- order ----------------------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(data=st.data(), places=st.integers(1, 4), seed=st.integers(0, 1000))
def test_first_come_first_served_within_a_process_and_nobody_is_forgotten(
    data: st.DataObject, places: int, seed: int
) -> None:
    """Joining, leaving and ending in any order; places are never free while somebody waits."""
    above = {"b": "a", "c": "b", "d": "a", "f": "e"}
    nice = {account: data.draw(st.integers(-20, 19)) for account in ACCOUNTS}
    pool = Pool(places, lengths(seed, dict.fromkeys(ACCOUNTS, (0.0, 5.0))), nice, above)
    waiting: dict[int, Turn] = {}
    for _ in range(data.draw(st.integers(1, 60))):
        match data.draw(st.sampled_from(("ask", "step", "withdraw"))):
            case "ask":
                for turn in pool.ask(data.draw(st.sampled_from(ACCOUNTS)), data.draw(st.integers(1, 4))):
                    waiting[turn.number] = turn
                pool.fill()
            case "step" if pool.at_work:
                pool.step()
            case "withdraw" if waiting:
                number = data.draw(st.sampled_from(sorted(waiting)))
                pool.shares.withdraw(waiting.pop(number))
        for _, number in pool.went:
            waiting.pop(number, None)
        assert pool.shares.waiting == len(waiting)
        assert [
            turn.number for turn in sorted(pool.shares.order(pool.now_s), key=lambda turn: turn.number)
        ] == sorted(waiting)
        assert not waiting or len(pool.at_work) == places
    while pool.at_work:
        pool.step()
    for account in ACCOUNTS:
        numbers = [number for who, number in pool.went if who == account]
        assert numbers == sorted(numbers)
    assert pool.shares.waiting == 0
    assert not pool.shares.root.below, "nothing is kept of a pool where nobody is"


def test_the_order_that_is_told_is_the_one_that_comes() -> None:
    """While turns last as long as they were taken to."""
    pool = Pool(1, lambda account: 1.0, {"a": 5, "c": -3}, {"d": "c", "e": "c"})
    pool.ask("b")
    pool.fill()
    for account in "aabbbcccddeee":
        pool.ask(account)
    told = [turn.number for turn in pool.shares.order(pool.now_s)]
    del pool.went[:]
    while pool.at_work:
        pool.step()
    assert [number for _, number in pool.went] == told


# --- ageing ---------------------------------------------------------------------------------------------------------


def waits(pool: Pool, steps: int) -> Iterator[tuple[str, float]]:
    """How much time others had between two turns of an account, all waiting all the time."""
    since: dict[str, float] = {}
    for _ in range(steps):
        begun = len(pool.went)
        pool.ask(pool.step())
        for account, _ in pool.went[begun:]:
            yield account, sum(pool.given_s.values()) - since.get(account, 0.0)
            since[account] = sum(pool.given_s.values())


@settings(max_examples=40, deadline=None)
@given(
    places=st.integers(1, 4),
    niceness=st.lists(st.integers(-20, 19), min_size=2, max_size=6),
    spans=st.lists(sizes(), min_size=6, max_size=6),
    seed=st.integers(0, 1000),
)
def test_nobody_starves_whatever_the_niceness(
    places: int, niceness: list[int], spans: list[tuple[float, float]], seed: int
) -> None:
    """The bound that shares.py states, with the turns that go on and those that are late too."""
    accounts = ACCOUNTS[: len(niceness)]
    longest = dict(zip(accounts, (most for _, most in spans), strict=False))
    pool = Pool(
        places, lengths(seed, dict(zip(accounts, spans, strict=False))), dict(zip(accounts, niceness, strict=True))
    )
    for account in accounts:
        pool.ask(account, places + 1)
    for account, waited_s in waits(pool, 800):
        others = 2 * (places + len(accounts)) * max(longest.values())
        assert waited_s <= AGE * len(accounts) * max(longest[account], 1.0) + others
    assert {account for account, _ in pool.went} == set(accounts)


def test_the_nicest_has_a_sixteenth_of_an_equal_share_beside_the_rudest() -> None:
    """By the weights alone it would be one part in 5,900."""
    pool = Pool(1, lambda account: 1.0, {"a": 19, "b": -20})
    pool.saturate({"a": 2, "b": 2}, 3200)
    assert pool.given_s["a"] == pytest.approx(3200 / (2 * AGE), rel=0.05)


def test_what_is_late_does_not_set_the_time_of_the_others() -> None:
    """A turn that was given for its age lies far ahead in virtual time: who comes anew must not begin there."""
    pool = Pool(1, lambda account: 1.0, {"a": 19, "b": -10})
    pool.saturate({"a": 2, "b": 2}, 200)
    pool.ask("c", 50)
    del pool.went[:]
    for _ in range(40):
        pool.ask(pool.step())
    names = [account for account, _ in pool.went]
    assert names.index("c") < 20
    pool.nice["c"] = -10
    del pool.went[:]
    for _ in range(40):
        pool.ask(pool.step())
    names = [account for account, _ in pool.went]
    assert abs(names.count("c") - names.count("b")) <= 3


def test_shares_of_who_is_gone_do_not_pile_up() -> None:
    """Ten thousand processes, each with one request, while one has always some."""
    pool = Pool(1, lambda account: 1.0)
    pool.ask("a", 6000)
    most = 0
    for number in range(5_000):
        pool.ask(f"p{number}")
        pool.step()
        pool.step()
        most = max(most, len(pool.shares.root.below))
    assert most <= 200
