"""Places and who waits for them, pure: none is free while somebody waits, and a prefix draws to its server."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from aish.supervisor.gateway.places import PASSES, SLACK, Pool, Ticket, spot
from aish.supervisor.gateway.routes import Server


def servers(*places: int | None) -> tuple[Server, ...]:
    return tuple(
        Server(f"p{number}", "small", "unix:/x", ready="yes", slots=slots) for number, slots in enumerate(places)
    )


class Queue:
    """A pool whose requests are of accounts named by a letter; `at_work` are those that have a place."""

    def __init__(self) -> None:
        self.pool = Pool(lambda id: 0)
        self.number = 0
        self.now_s = 0.0
        self.at_work: list[Ticket] = []

    def ask(self, account: str, where: tuple[Server, ...], *homes: Server, **more: Any) -> Ticket:
        self.number += 1
        ticket = Ticket(self.number, servers=where, homes=frozenset(homes), **more)
        self.pool.join(ticket, (account,), self.now_s)
        return ticket

    def advance(self) -> list[Ticket]:
        self.now_s += 1
        given = self.pool.advance(self.now_s)
        self.at_work += given
        return given

    def end(self, ticket: Ticket) -> list[Ticket]:
        self.at_work.remove(ticket)
        self.pool.end(ticket, self.now_s)
        return self.advance()


def test_places_are_given_until_none_is_left_and_then_one_by_one() -> None:
    (server,) = where = servers(2)
    queue = Queue()
    tickets = [queue.ask("a", where) for _ in range(4)]
    assert queue.advance() == tickets[:2]
    assert (server.in_flight, queue.pool.waiting) == (2, 2)
    assert queue.advance() == []
    assert list(queue.pool.order(queue.now_s)) == tickets[2:]
    assert queue.end(tickets[0]) == [tickets[2]]
    queue.pool.withdraw(tickets[3])
    assert queue.end(tickets[1]) == queue.end(tickets[2]) == []
    assert (server.in_flight, queue.pool.idle) == (0, True)


def test_more_places_that_a_server_tells_are_used() -> None:
    (server,) = where = servers(1)
    queue = Queue()
    for _ in range(3):
        queue.ask("a", where)
    assert len(queue.advance()) == 1
    server.concurrent = 3
    assert len(queue.advance()) == 2


def test_who_may_go_to_one_server_only_keeps_nobody_from_the_other() -> None:
    """Asked by its id: it waits for that one, and is passed by those who may go to both."""
    one, other = both = servers(1, 1)
    queue = Queue()
    first = queue.ask("a", (one,))
    queue.advance()
    bound = queue.ask("b", (one,))
    assert queue.advance() == []
    free = queue.ask("c", both)
    assert queue.advance() == [free]
    assert free.server is other
    assert queue.end(first) == [bound]


def test_a_request_goes_home_and_anywhere_without_a_home() -> None:
    one, other = both = servers(2, 2)
    queue = Queue()
    assert [ticket.server for ticket in (queue.ask("a", both, other), *queue.advance())] == [other, other]
    queue.ask("a", both, other)
    (ticket,) = queue.advance()
    assert ticket.server is other, "though the other one has nothing to do"
    queue.ask("a", both, other)
    (ticket,) = queue.advance()
    assert ticket.server is one, "no place at home, and nobody else wants this one"


def test_new_conversations_go_to_one_server_after_the_other() -> None:
    """One at a time, as agents ask: all of them to the first would leave the cache of the second empty."""
    both = servers(2, 2)
    queue = Queue()
    went = []
    for _ in range(4):
        ticket = queue.ask("a", both)
        queue.advance()
        went.append(ticket.server)
        queue.end(ticket)
    assert went == [*both, *both]


def test_who_is_at_home_goes_first_but_passes_nobody_for_ever() -> None:
    one, other = both = servers(1, 1)
    queue = Queue()
    begun = [queue.ask("x", both, one), queue.ask("x", both, other)]
    queue.advance()
    away = queue.ask("a", both, one)
    home = [queue.ask("b", both, other) for _ in range(PASSES + 3)]
    ticket = begun[1]
    for number in range(PASSES):
        assert queue.end(ticket) == [home[number]]
        ticket = home[number]
    assert queue.end(ticket) == [away], "it has been passed often enough"
    assert away.server is other


def test_a_home_with_far_more_to_do_than_others_is_none() -> None:
    one, other = both = servers(None, None)
    one.in_flight = SLACK
    ticket = Ticket(1, servers=both, homes=frozenset({one}))
    assert spot(ticket) == (one, True)
    one.in_flight += 1
    assert spot(ticket) == (other, True)
    other.in_flight = 1
    assert spot(ticket) == (one, True)


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_no_place_is_free_while_somebody_waits_who_may_have_it(data: st.DataObject) -> None:
    """Whatever they hold, wherever they may go, whoever leaves; and the counts of every server are right."""
    where = servers(*data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=3)))
    some = st.lists(st.sampled_from(where), min_size=1, unique=True).map(tuple)
    queue = Queue()
    waiting: list[Ticket] = []
    for _ in range(data.draw(st.integers(1, 50))):
        match data.draw(st.sampled_from(("ask", "end", "withdraw", "move"))):
            case "ask":
                homes = data.draw(st.lists(st.sampled_from(where), unique=True))
                waiting.append(queue.ask(data.draw(st.sampled_from("abc")), data.draw(some), *homes))
            case "end" if queue.at_work:
                queue.end(data.draw(st.sampled_from(queue.at_work)))
            case "withdraw" if waiting:
                queue.pool.withdraw(data.draw(st.sampled_from(waiting)))
            case "move" if waiting:
                queue.pool.move(data.draw(st.sampled_from(waiting)), data.draw(some))
        queue.advance()
        waiting = [ticket for ticket in waiting if ticket.waits]
        assert queue.pool.waiting == len(waiting)
        for server in where:
            assert (
                server.in_flight == sum(ticket.server is server for ticket in queue.at_work) <= (server.places or 0)
            )
            assert not server.has_place or all(server not in ticket.servers for ticket in waiting)
    while queue.at_work:
        queue.end(queue.at_work[0])
    assert queue.pool.idle
