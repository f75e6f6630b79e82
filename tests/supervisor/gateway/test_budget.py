"""The pure ledger: never above a budget, sums right, nobody starved, whatever the order of what happens."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from aish.supervisor.gateway.account import Today
from aish.supervisor.gateway.amounts import NONE, SUMMED, Amounts, Budget, Most, Price
from aish.supervisor.gateway.budget import Claim, Granted, Held, Ledger, Reservation, Waiting
from aish.wire.account import USER

PROCESSES = ("p1", "p2", "p3", "p4", "p5")
PARENTS = {"p1": None, "p2": "p1", "p3": "p2", "p4": "p1", "p5": None}


def tokens(most: int | None) -> Budget:
    return NONE if most is None else Budget(tokens=most)


def used(count: int) -> Amounts:
    return Amounts(tokens=count)


def ledger(**budgets: int | Budget | None) -> Ledger:
    made = Ledger()
    for id in PROCESSES:
        budget = budgets.get(id)
        made.place(id, PARENTS[id], budget if isinstance(budget, Budget) else tokens(budget))
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
    assert made.settle(1, used(15)).passed == []
    assert [made.accounts[id].spent.tokens for id in ("p1", "p2", "p3", "p4")] == [15, 15, 15, 0]
    assert made.left("p4") == 85


def test_it_waits_while_others_may_give_back_and_goes_when_they_did() -> None:
    made = ledger(p1=50)
    made.ask(claim(1, "p2", 10, 30))
    made.ask(claim(2, "p4", 10, 30))
    assert made.advance() == [Granted(1, 30, ("p2", "p1")), Waiting(2)]
    assert made.advance() == [], "a state is told once"
    made.settle(1, used(10))
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
    made.place("p1", None, tokens(21))
    assert made.advance() == [Granted(1, 1, ("p3", "p2", "p1"))]


def test_the_nearest_spent_budget_holds() -> None:
    made = ledger(p1=5, p2=5)
    made.ask(claim(1, "p3"))
    assert made.advance() == [Held(1, "p2")]
    made.place("p2", "p1", tokens(None))
    assert made.advance() == [Held(1, "p1")], "another owner is told"


def test_a_later_claim_does_not_overtake_one_that_waits() -> None:
    made = ledger(p1=100)
    made.ask(claim(1, "p2", 10, 60))
    made.ask(claim(2, "p4", 10, 60))  # waits
    made.ask(claim(3, "p2", 5, 5))  # would fit
    assert made.advance() == [Granted(1, 60, ("p2", "p1")), Waiting(2), Waiting(3)]
    made.ask(claim(4, "p5", 5, 5))
    assert made.advance() == [Granted(4, 5, ("p5",))], "another tree goes on"
    made.settle(1, used(20))
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
    made.place("p1", None, tokens(16))
    assert made.advance() == [Granted(1, 6, ("p1",))]


def test_an_embedding_needs_room_for_its_prompt_only() -> None:
    made = ledger(p1=10)
    made.ask(claim(1, "p1", 10, 0))
    assert made.advance() == [Granted(1, 0, ("p1",))]
    made.ask(claim(2, "p1", 1, 0))
    assert made.advance() == [Waiting(2)], "the first may use less than it reserved"
    made.settle(1, used(10))
    assert made.advance() == [Held(2, "p1")]


def test_eighty_percent_warns_once_for_each_budget() -> None:
    made = ledger(p1=100)
    assert made.spend(("p2", "p1"), used(79)) == []
    assert [passed.account.id for passed in made.spend(("p2", "p1"), used(1))] == ["p1"]
    assert made.spend(("p1",), used(10)) == []
    made.place("p1", None, tokens(1000))
    assert made.spend(("p1",), used(10)) == []
    assert [passed.account.id for passed in made.spend(("p1",), used(700))] == ["p1"]


def test_a_dropped_account_waits_for_its_requests_and_a_ring_of_parents_ends() -> None:
    made = ledger(p1=100)
    made.ask(claim(1, "p3"))
    made.advance()
    assert made.prune({"p5"}) == {"p4"}, "p3 has a request under way, which counts on all above it"
    made.settle(1, used(5))
    assert made.prune({"p5", "p2"}) == {"p3"}, "p1 is ended, and above one that lives"
    assert made.prune({"p5"}) == {"p1", "p2"}
    made.place("p1", "p5", tokens(10))
    made.place("p5", "p1", tokens(10))
    assert made.chain("p1") == ("p1", "p5")


def test_accounts_of_an_old_table_are_left_by_requests_under_way() -> None:
    made = ledger(p1=100)
    made.ask(claim(1, "p3"))
    made.advance()
    made.forget(set(PROCESSES))
    made.place("p1", None, tokens(100))
    made.settle(1, used(20))
    assert (made.accounts["p1"].spent, made.accounts["p1"].reserved) == (Amounts(), Amounts())


SUMS = {
    "tokens": st.none() | st.integers(0, 300),
    "input": st.none() | st.integers(0, 200),
    "output": st.none() | st.integers(0, 200),
    "pusd": st.none() | st.integers(0, 2000),
    "requests": st.none() | st.integers(0, 10),
}
BUDGETS = st.builds(
    Budget,
    **SUMS,
    concurrent=st.none() | st.integers(0, 3),
    per_minute=st.none() | st.integers(0, 5),
    context=st.none() | st.integers(0, 150),
    day=st.none() | st.builds(Most, **SUMS),
)
PROJECTS = {"p2": "project:/a/aish.toml", "p5": "project:/b/aish.toml"}
ABOVE = (*PROJECTS.values(), USER)
"""Accounts that are there only while something is limited for them."""
GRACE = "wrapup:p3"
EVERYBODY = (*PROCESSES, *ABOVE, GRACE)
LIMITABLE = (*PROCESSES, *ABOVE)


class Interleaved(RuleBasedStateMachine):
    """Any order of asking, settling, giving up, raising, lowering, waiting, new days and crashing."""

    under_way = Bundle("under_way")

    def __init__(self) -> None:
        super().__init__()
        self.ledger = ledger()
        for id in PROCESSES:
            self.ledger.place(id, PARENTS[id], NONE, PROJECTS.get(id))
        self.ledger.turn(1)
        self.number = 0
        self.now_s = 0.0
        self.used: dict[str, Amounts] = {id: Amounts() for id in EVERYBODY}
        self.today: dict[str, Amounts] = {id: Amounts() for id in EVERYBODY}
        self.lowered: set[tuple[str, str, bool]] = set()
        self.told: dict[tuple[str, str, bool], int] = {}
        """By how much budgets are above their limits, as it was told."""
        self.graced: dict[str, Amounts] = {id: Amounts() for id in EVERYBODY}
        """What was granted beyond them, for last messages."""
        self.granted: dict[int, Granted] = {}
        self.begun: dict[str, list[float]] = {id: [] for id in EVERYBODY}

    def advance(self) -> None:
        for decision in self.ledger.advance(self.now_s):
            if isinstance(decision, Granted):
                self.granted[decision.number] = decision
                for id in decision.chain:
                    if decision.chain[0] == GRACE:
                        self.graced[id].add(self.ledger.reservations[decision.number].promised)
                    else:
                        self.begun[id].append(self.now_s)

    def took(self, chain: tuple[str, ...], day: int, amounts: Amounts) -> None:
        for id in chain:
            self.used[id].add(amounts)
            if day == self.ledger.day and self.ledger.accounts[id].today is not None:
                self.today[id].add(amounts)

    def note_lowered(self) -> None:
        """Below what is spent already: above it until it is raised again."""
        for id, account in self.ledger.accounts.items():
            for limits, spent, reserved, _, daily in account.counted():
                over = {(id, what, daily) for what, most in limits.summed() if most < getattr(spent + reserved, what)}
                within = {(id, what, daily) for what, _ in limits.summed()} - over
                self.lowered = self.lowered - within | over

    @rule(id=st.sampled_from(LIMITABLE), budget=st.just(NONE) | BUDGETS)
    def limit(self, id: str, budget: Budget) -> None:
        before = self.ledger.accounts.get(id)
        if before is None or budget.day is None or before.today is None:
            self.today[id] = Amounts()
        self.told = {key: by for key, by in self.told.items() if key[0] != id}  # above another limit, it is lowered
        if id in ABOVE and (before is None or not budget.limits):
            self.used[id] = Amounts()  # it is counted from its first limit on
        if id in ABOVE and not budget.limits:
            self.ledger.forget({id})
            self.advance()
            return
        self.ledger.place(id, PARENTS.get(id), budget, PROJECTS.get(id))
        account = self.ledger.accounts[id]
        self.note_lowered()
        account.begun_s.clear()
        self.begun[id].clear()
        self.advance()

    @rule(
        target=under_way,
        process=st.sampled_from(PROCESSES),
        prompt=st.integers(0, 60),
        wish=st.integers(0, 120),
        part=st.integers(0, 120),
        copies=st.integers(1, 3),
        price=st.builds(Price, st.integers(0, 5), st.integers(0, 20)),
    )
    def ask(self, process: str, prompt: int, wish: int, part: int, copies: int, price: Price) -> int:
        self.number += 1
        self.ledger.ask(Claim(self.number, process, prompt, wish, min(part, wish), copies, price))
        self.advance()
        return self.number

    @rule(number=consumes(under_way), share=st.floats(0, 1))
    def end(self, number: int, share: float) -> None:
        """The answer is there, or the client hung up: some part of what was reserved is used."""
        if number in self.granted:
            reservation = self.ledger.reservations[number]
            took = Amounts(*(int(getattr(reservation.promised, what) * share) for what in SUMMED))
            self.took(reservation.chain, reservation.day, took)
            assert self.ledger.settle(number, took).over == [], "it stayed within its bound"
        else:
            self.ledger.withdraw(number)
        self.advance()

    @rule(number=consumes(under_way), more=st.builds(Amounts, *[st.integers(0, 90)] * 4))
    def end_beyond(self, number: int, more: Amounts) -> None:
        """A remote server's own figures say that it used more than was reserved."""
        if number not in self.granted:
            self.ledger.withdraw(number)
        else:
            reservation = self.ledger.reservations[number]
            took = reservation.promised + more
            above = {id: self.ledger.accounts[id].above() for id in reservation.chain if id in self.ledger.accounts}
            self.took(reservation.chain, reservation.day, took)
            over = self.ledger.settle(number, took).over
            for each in over:
                key = (each.account.id, each.what, each.daily)
                assert each.by <= getattr(more, each.what), "no more than the excess of the request"
                assert each.by == max(0, each.account.above()[key[1:]]) - max(0, above[each.account.id][key[1:]])
                self.told[key] = self.told.get(key, 0) + each.by
            assert len(over) == len({(each.account.id, each.what, each.daily) for each in over}), "each once"
        self.advance()

    @rule(tokens=st.none() | st.integers(0, 60), requests=st.integers(1, 2))
    def wrap_up(self, tokens: int | None, requests: int) -> None:
        """p3 may say a last message; once that is begun its grace stays as it is."""
        if GRACE not in self.ledger.accounts:
            self.ledger.place(GRACE, "p3", Budget(tokens=tokens, requests=requests, hard=True))

    @precondition(lambda self: GRACE in self.ledger.accounts)
    @rule(target=under_way, prompt=st.integers(0, 60), wish=st.integers(0, 60))
    def ask_last(self, prompt: int, wish: int) -> int:
        self.number += 1
        self.ledger.ask(Claim(self.number, "p3", prompt, wish, wish, grace=GRACE))
        self.advance()
        return self.number

    @rule(seconds=st.floats(0, 100))
    def time_passes(self, seconds: float) -> None:
        self.now_s += seconds
        self.advance()

    @rule(days=st.integers(-1, 1))
    def another_day(self, days: int) -> None:
        self.ledger.turn(self.ledger.day + days)
        if days:
            self.today = {id: Amounts() for id in EVERYBODY}
            self.told = {key: by for key, by in self.told.items() if not key[2]}
            self.lowered = {key for key in self.lowered if not key[2]}
            self.note_lowered()  # what began on a day that is gone back to counts there
        self.advance()

    @rule()
    def crash(self) -> None:
        """kill -9: accounts and reservations come from the records, claims die with their connections; what was
        under way counts in full."""
        saved = self.ledger
        self.ledger = Ledger()
        self.ledger.turn(saved.day)
        for account in saved.accounts.values():
            self.ledger.place(account.id, account.parent, account.budget, account.project)
            restored = self.ledger.accounts[account.id]
            restored.spent = account.spent
            if account.today is not None:
                restored.today = Today(account.today.day, account.today.spent, warned=account.today.warned)
            self.begun[account.id].clear()
        for reservation in saved.reservations.values():
            self.ledger.resume(reservation)
        for number, reservation in saved.reservations.items():
            self.took(reservation.chain, reservation.day, reservation.promised)
            assert self.ledger.settle(number, reservation.promised).over == []
        self.granted.clear()

    @invariant()
    def never_above_a_budget(self) -> None:
        for id, account in self.ledger.accounts.items():
            for limits, spent, reserved, _, daily in account.counted():
                for what, most in limits.summed():
                    if (id, what, daily) not in self.lowered:
                        above = getattr(spent + reserved, what) - most
                        told = self.told.get((id, what, daily), 0)
                        assert above <= told + getattr(self.graced[id], what), (id, what)

    @invariant()
    def never_more_at_once_or_in_a_minute(self) -> None:
        for id, account in self.ledger.accounts.items():
            if account.budget.per_minute is not None:
                lately = [at for at in self.begun[id] if at > self.now_s - 60]
                assert len(lately) <= account.budget.per_minute

    @invariant()
    def sums_are_right(self) -> None:
        for id, account in self.ledger.accounts.items():
            assert account.spent == self.used[id]
            counted = [r for r in self.ledger.reservations.values() if id in r.chain]
            assert (account.reserved, account.under_way) == (_total(counted), len(counted))
            assert (account.today is None) == (account.budget.day is None)
            if account.today is not None:
                assert account.today.day == self.ledger.day
                assert account.today.spent == self.today[id]
                assert account.today.reserved == _total([r for r in counted if r.day == self.ledger.day])

    @invariant()
    def nobody_waits_for_nothing(self) -> None:
        """Whoever waits waits for a request under way, or for a minute to be over; whoever is held would not fit even
        if all gave back."""
        for waiting in self.ledger.claims.values():
            if waiting.grace is not None:
                grace = self.ledger.accounts[GRACE]
                if waiting.state == "held":
                    assert waiting.owner == GRACE
                    assert waiting.room(grace, promised=False) < waiting.floor
                else:
                    assert self.ledger.reservations
                continue
            chain = self.ledger.chain(waiting.process)
            limited = [self.ledger.accounts[id] for id in chain if self.ledger.accounts[id].limits]
            assert limited
            if waiting.state == "held":
                assert any(
                    waiting.room(a, promised=False) < waiting.floor or 0 in (a.budget.concurrent, a.budget.per_minute)
                    for a in limited
                )
            else:
                assert waiting.state == "waiting"
                ids = {account.id for account in limited}
                ahead = [c.process for c in self.ledger.claims.values() if c.number < waiting.number]
                for process in ahead:  # who was here before may wait for others
                    ids.update(self.ledger.chain(process))
                under_way = any(ids & set(r.chain) for r in self.ledger.reservations.values())
                assert under_way or self.ledger.next_s(self.now_s) is not None


def _total(reservations: list[Reservation]) -> Amounts:
    total = Amounts()
    for reservation in reservations:
        total.add(reservation.promised)
    return total


Interleaved.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestInterleaved = Interleaved.TestCase


# --- what is limited beside tokens ----------------------------------------------------------------------------------


def test_money_lowers_the_output() -> None:
    made = ledger(p1=Budget(pusd=1000))
    made.ask(Claim(1, "p1", 10, 500, 500, price=Price(10, 90)))
    assert made.advance() == [Granted(1, 10, ("p1",))]
    assert made.reservations[1].promised == Amounts(20, 10, 10, 1000, 1)
    assert made.reservations[1].lowered_by == "p1"
    made.settle(1, Amounts(pusd=500))
    assert made.left("p1", Price(10, 90)) == 5


def test_input_and_output_have_limits_of_their_own() -> None:
    made = ledger(p1=Budget(input=15, output=5))
    made.ask(claim(1, "p2", 10, 10))
    assert made.advance() == [Granted(1, 5, ("p2", "p1"))]
    made.settle(1, Amounts(15, 10, 5))
    made.ask(claim(2, "p2", 3, 3))
    assert made.advance() == [Held(2, "p1")], "no output is left, though input would be"


def test_requests_are_counted() -> None:
    made = ledger(p1=Budget(requests=1))
    made.ask(claim(1, "p1"))
    made.ask(claim(2, "p1"))
    assert made.advance() == [Granted(1, 10, ("p1",)), Waiting(2)], "the first may turn out not to be sent"
    made.settle(1, Amounts(requests=1))
    assert made.advance() == [Held(2, "p1")]


def test_only_so_many_at_once_in_the_order_of_asking() -> None:
    made = ledger(p1=Budget(concurrent=1))
    for number, process in enumerate(("p2", "p4", "p3"), 1):
        made.ask(claim(number, process))
    assert made.advance() == [Granted(1, 10, ("p2", "p1")), Waiting(2), Waiting(3)]
    made.settle(1, used(5))
    assert made.advance() == [Granted(2, 10, ("p4", "p1"))]
    assert made.next_s(0.0) is None, "no time helps"


def test_only_so_many_in_a_minute() -> None:
    made = ledger(p1=Budget(per_minute=2))
    for number in (1, 2, 3):
        made.ask(claim(number, "p1"))
    assert made.advance(100.0) == [Granted(1, 10, ("p1",)), Granted(2, 10, ("p1",)), Waiting(3)]
    made.settle(1, used(1))
    assert made.advance(130.0) == [], "an end does not help"
    assert made.next_s(130.0) == 160.0
    assert made.advance(160.0) == [Granted(3, 10, ("p1",))]


def test_one_request_holds_no_more_than_the_context() -> None:
    made = ledger(p1=Budget(context=30))
    made.ask(claim(1, "p1", 10, 100))
    made.ask(claim(2, "p1", 30, 100))
    made.ask(claim(3, "p1", 20, 100, copies=2))
    assert made.advance() == [Granted(1, 20, ("p1",)), Held(2, "p1"), Granted(3, 40, ("p1",))]


def test_nothing_is_allowed() -> None:
    for budget in (Budget(requests=0), Budget(concurrent=0), Budget(per_minute=0)):
        made = ledger(p1=budget)
        made.ask(claim(1, "p1"))
        assert made.advance() == [Held(1, "p1")]


def test_each_kind_warns_by_itself() -> None:
    made = ledger(p1=Budget(tokens=100, requests=10))
    assert [passed.what for passed in made.spend(("p1",), Amounts(tokens=80, requests=1))] == ["tokens"]
    assert [passed.what for passed in made.spend(("p1",), Amounts(requests=7))] == ["requests"]


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
            made.settle(going.pop(0), used(random_source.randint(0, reservation.promised.tokens)))
            done += 1
        elif made.claims:
            made.place("p1", None, tokens((made.accounts["p1"].budget.tokens or 0) + 40))
        else:
            break
    assert done == count


# --- days, projects, the user ---------------------------------------------------------------------------------------


def test_what_is_limited_in_a_day_is_there_again_on_the_next_and_what_is_in_all_is_not() -> None:
    made = ledger(p1=Budget(tokens=70, day=Most(tokens=30)))
    made.turn(7)
    for number in (1, 2):
        made.ask(claim(number, "p2", 10, 20))
    assert made.advance() == [Granted(1, 20, ("p2", "p1")), Waiting(2)]
    made.settle(1, Amounts(30, 10, 20))
    assert made.advance() == [Held(2, "p1")]
    made.turn(8)
    assert made.advance() == [Granted(2, 20, ("p2", "p1"))]
    made.turn(9)
    made.settle(2, Amounts(30, 10, 20))
    today = made.accounts["p1"].today
    assert today == Today(9), "it counts for the day on which it was let go"
    made.ask(claim(3, "p1", 10, 20))
    assert made.advance() == [Held(3, "p1")], "10 are left of all, and it needs one more"


def test_a_limit_of_a_day_counts_what_is_under_way() -> None:
    made = ledger()
    made.ask(claim(1, "p1", 10, 20))
    made.advance()
    made.place("p1", None, Budget(day=Most(tokens=40)))
    made.ask(claim(2, "p1", 10, 20))
    assert made.advance() == [Waiting(2)]


def test_projects_and_the_user_count_all_that_is_below_them() -> None:
    made = Ledger()
    made.place("p1", None, NONE, "project:/a")
    made.place("p2", "p1", NONE, "project:/b")
    made.place("p3", "p2", NONE, "project:/b")
    made.place("key:k", None, NONE)
    assert made.chain("p3") == ("p3", "p2", "p1"), "who limits nothing costs nothing"
    made.ask(claim(1, "p3", 10, 10))
    made.advance()
    for id in ("project:/a", "project:/b", USER):
        made.place(id, None, Budget(tokens=50))
    assert made.chain("p3") == ("p3", "p2", "p1", "project:/b", "project:/a", USER)
    assert made.line("p3") == ("p3", "p2", "p1")
    assert made.chain("key:k") == ("key:k", USER)
    assert made.accounts[USER].reserved == Amounts(20, 10, 10, 0, 1), "what is under way counts, too"
    made.settle(1, Amounts(15, 10, 5, 0, 1))
    assert [made.accounts[id].spent.tokens for id in ("project:/a", "project:/b", USER)] == [15, 15, 15]
    made.ask(claim(2, "key:k", 10, 40))
    assert made.advance() == [Granted(2, 25, ("key:k", USER))]
    made.forget({USER})
    made.settle(2, Amounts(35, 10, 25, 0, 1))
    assert made.chain("key:k") == ("key:k",)


def test_each_day_warns_by_itself() -> None:
    made = ledger(p1=Budget(day=Most(requests=10)))
    made.turn(1)
    assert [(p.what, p.daily) for p in made.spend(("p1",), Amounts(requests=8))] == [("requests", True)]
    assert made.spend(("p1",), Amounts(requests=1)) == []
    made.turn(2)
    assert made.spend(("p1",), Amounts(requests=7)) == []
    assert [(p.what, p.daily) for p in made.spend(("p1",), Amounts(requests=1))] == [("requests", True)]


# --- beyond the bound -----------------------------------------------------------------------------------------------


def test_what_a_server_uses_beyond_the_bound_is_told_of_each_budget_that_it_leads_above() -> None:
    made = ledger(p1=100, p2=1000)
    made.ask(claim(1, "p3", 10, 60))
    made.ask(claim(2, "p4", 10, 20))
    made.advance()
    settled = made.settle(1, Amounts(90, 10, 80, 0, 1))
    (over,) = settled.over
    assert (over.account.id, over.what, over.daily, over.most, over.by) == ("p1", "tokens", False, 100, 20)
    assert made.settle(2, Amounts(30, 10, 20, 0, 1)).over == [], "the one that stayed within is not to blame"
    assert made.accounts["p1"].spent.tokens == 120


def test_what_stays_below_the_budget_is_not_told() -> None:
    made = ledger(p1=1000)
    made.ask(claim(1, "p1", 10, 60))
    made.advance()
    assert made.settle(1, Amounts(900, 10, 890, 0, 1)).over == []


def test_a_budget_of_a_day_tells_what_is_above_it() -> None:
    made = ledger(p1=Budget(requests=100, day=Most(pusd=500)))
    made.turn(3)
    made.ask(Claim(1, "p1", 10, 20, 20, price=Price(10, 20)))
    made.advance()
    (over,) = made.settle(1, Amounts(30, 10, 20, 700, 1)).over
    assert (over.what, over.daily, over.most, over.by) == ("pusd", True, 500, 200)
