"""The pure ledger: never above a budget, sums right, nobody starved, whatever the order of what happens."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from aish.supervisor.gateway.budget import Claim, Granted, Held, Ledger, Waiting

PROCESSES = ("p1", "p2", "p3", "p4", "p5")
PARENTS = {"p1": None, "p2": "p1", "p3": "p2", "p4": "p1", "p5": None}


def ledger(**budgets: int | None) -> Ledger:
    made = Ledger()
    for id in PROCESSES:
        made.place(id, PARENTS[id], budgets.get(id))
    return made


def claim(number: int, process: str, prompt: int = 10, wish: int = 10, **more: int) -> Claim:
    return Claim(number, process, prompt, wish, more.pop("least", wish), **more)


def test_without_a_budget_everything_is_granted() -> None:
    made = ledger()
    made.ask(claim(1, "p5", wish=10**9))
    assert made.advance() == [Granted(1, 10**9, ("p5",))]
    assert made.left("p5") is None


def test_a_budget_counts_for_everything_below_it() -> None:
    made = ledger(p1=100)
    made.ask(claim(1, "p3"))
    assert made.advance() == [Granted(1, 10, ("p3", "p2", "p1"))]
    assert made.left("p4") == 80, "a sibling sees what is promised"
    assert made.settle(1, 15) == []
    assert [made.accounts[id].spent for id in ("p1", "p2", "p3", "p4")] == [15, 15, 15, 0]
    assert made.left("p4") == 85


def test_it_waits_while_others_may_give_back_and_goes_when_they_did() -> None:
    made = ledger(p1=50)
    made.ask(claim(1, "p2", 10, 30))
    made.ask(claim(2, "p4", 10, 30))
    assert made.advance() == [Granted(1, 30, ("p2", "p1")), Waiting(2)]
    assert made.advance() == [], "a state is told once"
    made.settle(1, 10)
    assert made.advance() == [Granted(2, 30, ("p4", "p1"))]


def test_the_output_is_lowered_to_what_is_left_when_nobody_can_give_back() -> None:
    made = ledger(p1=50)
    made.ask(claim(1, "p2", 10, 1000))
    assert made.advance() == [Granted(1, 40, ("p2", "p1"))]


def test_a_request_without_a_limit_goes_with_its_least_instead_of_waiting() -> None:
    made = ledger(p1=100)
    made.ask(claim(1, "p2", 10, 20))
    made.ask(claim(2, "p2", 10, 4000, least=50))
    made.ask(claim(3, "p2", 10, 4000, least=50))
    assert made.advance() == [Granted(1, 20, ("p2", "p1")), Granted(2, 60, ("p2", "p1")), Waiting(3)]


def test_it_is_held_when_nothing_is_left_and_goes_when_the_budget_is_raised() -> None:
    made = ledger(p1=20)
    made.ask(claim(1, "p3", 20, 10))
    assert made.advance() == [Held(1, "p1")]
    made.place("p1", None, 21)
    assert made.advance() == [Granted(1, 1, ("p3", "p2", "p1"))]


def test_the_nearest_spent_budget_holds() -> None:
    made = ledger(p1=5, p2=5)
    made.ask(claim(1, "p3"))
    assert made.advance() == [Held(1, "p2")]
    made.place("p2", "p1", None)
    assert made.advance() == [Held(1, "p1")], "another owner is told"


def test_a_later_claim_does_not_overtake_one_that_waits() -> None:
    made = ledger(p1=100)
    made.ask(claim(1, "p2", 10, 60))
    made.ask(claim(2, "p4", 10, 60))  # waits
    made.ask(claim(3, "p2", 5, 5))  # would fit
    assert made.advance() == [Granted(1, 60, ("p2", "p1")), Waiting(2), Waiting(3)]
    made.ask(claim(4, "p5", 5, 5))
    assert made.advance() == [Granted(4, 5, ("p5",))], "another tree goes on"
    made.settle(1, 20)
    assert made.advance() == [Granted(2, 60, ("p4", "p1")), Granted(3, 5, ("p2", "p1"))]


def test_a_held_claim_does_not_keep_smaller_ones() -> None:
    made = ledger(p1=100)
    made.ask(claim(1, "p2", 200, 10))
    made.ask(claim(2, "p4", 10, 10))
    assert made.advance() == [Held(1, "p1"), Granted(2, 10, ("p4", "p1"))]


def test_a_sibling_s_own_small_budget_does_not_block_the_tree() -> None:
    made = ledger(p1=10_000, p2=50)
    made.ask(claim(1, "p2", 10, 30))
    made.ask(claim(2, "p2", 10, 30))
    made.ask(claim(3, "p4", 10, 30))
    assert made.advance() == [Granted(1, 30, ("p2", "p1")), Waiting(2), Granted(3, 30, ("p4", "p1"))]


def test_several_answers_need_a_token_each() -> None:
    made = ledger(p1=15)
    made.ask(claim(1, "p1", 10, 60, copies=6))
    assert made.advance() == [Held(1, "p1")]
    made.place("p1", None, 16)
    assert made.advance() == [Granted(1, 6, ("p1",))]


def test_an_embedding_needs_room_for_its_prompt_only() -> None:
    made = ledger(p1=10)
    made.ask(claim(1, "p1", 10, 0))
    assert made.advance() == [Granted(1, 0, ("p1",))]
    made.ask(claim(2, "p1", 1, 0))
    assert made.advance() == [Waiting(2)], "the first may use less than it reserved"
    made.settle(1, 10)
    assert made.advance() == [Held(2, "p1")]


def test_eighty_percent_warns_once_for_each_budget() -> None:
    made = ledger(p1=100)
    assert made.spend(("p2", "p1"), 79) == []
    assert [account.id for account in made.spend(("p2", "p1"), 1)] == ["p1"]
    assert made.spend(("p1",), 10) == []
    made.place("p1", None, 1000)
    assert made.spend(("p1",), 10) == []
    assert [account.id for account in made.spend(("p1",), 700)] == ["p1"]


def test_a_dropped_account_waits_for_its_requests_and_a_ring_of_parents_ends() -> None:
    made = ledger(p1=100)
    made.ask(claim(1, "p3"))
    made.advance()
    assert made.prune({"p5"}) == {"p4"}, "p3 has a request under way, which counts on all above it"
    made.settle(1, 5)
    assert made.prune({"p5", "p2"}) == {"p3"}, "p1 is ended, and above one that lives"
    assert made.prune({"p5"}) == {"p1", "p2"}
    made.place("p1", "p5", 10)
    made.place("p5", "p1", 10)
    assert made.chain("p1") == ("p1", "p5")


def test_accounts_of_an_old_table_are_left_by_requests_under_way() -> None:
    made = ledger(p1=100)
    made.ask(claim(1, "p3"))
    made.advance()
    made.forget(set(PROCESSES))
    made.place("p1", None, 100)
    made.settle(1, 20)
    assert (made.accounts["p1"].spent, made.accounts["p1"].reserved) == (0, 0)


class Interleaved(RuleBasedStateMachine):
    """Any order of asking, settling, giving up, raising, lowering and crashing."""

    under_way = Bundle("under_way")

    def __init__(self) -> None:
        super().__init__()
        self.ledger = ledger()
        self.number = 0
        self.used: dict[str, int] = dict.fromkeys(PROCESSES, 0)
        self.lowered: set[str] = set()
        self.granted: dict[int, Granted] = {}

    def advance(self) -> None:
        for decision in self.ledger.advance():
            if isinstance(decision, Granted):
                self.granted[decision.number] = decision

    @rule(id=st.sampled_from(PROCESSES), budget=st.none() | st.integers(0, 300))
    def limit(self, id: str, budget: int | None) -> None:
        account = self.ledger.accounts[id]
        if budget is not None and budget < account.spent + account.reserved:
            self.lowered.add(id)  # below what is spent already: it may be above until it is raised again
        else:
            self.lowered.discard(id)
        self.ledger.place(id, PARENTS[id], budget)
        self.advance()

    @rule(
        target=under_way,
        process=st.sampled_from(PROCESSES),
        prompt=st.integers(0, 60),
        wish=st.integers(0, 120),
        part=st.integers(0, 120),
        copies=st.integers(1, 3),
    )
    def ask(self, process: str, prompt: int, wish: int, part: int, copies: int) -> int:
        self.number += 1
        self.ledger.ask(Claim(self.number, process, prompt, wish, min(part, wish), copies))
        self.advance()
        return self.number

    @rule(number=consumes(under_way), share=st.floats(0, 1))
    def end(self, number: int, share: float) -> None:
        """The answer is there, or the client hung up: some part of what was reserved is used."""
        if number in self.granted:
            reservation = self.ledger.reservations[number]
            tokens = int(reservation.total * share)
            for id in reservation.chain:
                self.used[id] += tokens
            self.ledger.settle(number, tokens)
        else:
            self.ledger.withdraw(number)
        self.advance()

    @rule()
    def crash(self) -> None:
        """kill -9: accounts and reservations come from the records, claims die with their connections; what was
        under way counts in full."""
        saved = self.ledger
        self.ledger = Ledger()
        for account in saved.accounts.values():
            self.ledger.place(account.id, account.parent, account.budget)
            self.ledger.accounts[account.id].spent = account.spent
        for reservation in saved.reservations.values():
            self.ledger.spend(reservation.chain, reservation.total)
            for id in reservation.chain:
                self.used[id] += reservation.total
        self.granted.clear()

    @invariant()
    def never_above_a_budget(self) -> None:
        for id, account in self.ledger.accounts.items():
            if account.budget is not None and id not in self.lowered:
                assert account.spent + account.reserved <= account.budget, id

    @invariant()
    def sums_are_right(self) -> None:
        for id, account in self.ledger.accounts.items():
            assert account.spent == self.used[id]
            reservations = self.ledger.reservations.values()
            assert account.reserved == sum(r.total for r in reservations if id in r.chain)

    @invariant()
    def nobody_waits_for_nothing(self) -> None:
        """Whoever waits waits for a request under way; whoever is held would not fit even if all gave back."""
        for waiting in self.ledger.claims.values():
            chain = self.ledger.chain(waiting.process)
            budgets = [a for a in map(self.ledger.accounts.__getitem__, chain) if a.budget is not None]
            assert budgets
            if waiting.state == "held":
                assert any(a.budget - a.spent - waiting.prompt < waiting.floor for a in budgets)  # type: ignore[operator]
            else:
                assert waiting.state == "waiting"
                trees = {"p5"} if waiting.process == "p5" else {"p1", "p2", "p3", "p4"}
                assert any(r.process in trees for r in self.ledger.reservations.values())


Interleaved.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestInterleaved = Interleaved.TestCase


@settings(max_examples=40, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 60))
def test_everybody_gets_a_turn_once_there_is_enough(random_source: random.Random, count: int) -> None:
    """Requests of random sizes against a budget for half of them; raised step by step, all of them go, in order."""
    made = ledger(p1=1)
    for number in range(count):
        made.ask(claim(number, random_source.choice(PROCESSES[:4]), random_source.randint(1, 50), 10))
    going: list[int] = []
    done = 0
    for _ in range(20 * count):
        going += [d.number for d in made.advance() if isinstance(d, Granted)]
        if going:
            reservation = made.reservations[going[0]]
            made.settle(going.pop(0), random_source.randint(0, reservation.total))
            done += 1
        elif made.claims:
            made.place("p1", None, (made.accounts["p1"].budget or 0) + 40)
        else:
            break
    assert done == count
