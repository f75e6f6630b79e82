"""Turns on the whole way: who waits, who goes next and where to, who is told what, and what becomes of places."""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from aish.supervisor.gateway import requests
from aish.supervisor.gateway.turns import ordinal
from aish.wire.link import ActivityNote, Hold
from aish.wire.message import KeyList, KeyNew, KeyRevoke, Limit, RequestsQuery
from aish.wire.reply import Done, KeyMade

from .test_faults import Client
from .test_limits import Call
from .upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import World

LONG = "word " * 400


class Narrow:
    """A model `narrow` with few places, of one server or several."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ids: dict[Upstream, str] = {}

    def add(self, slots: int | None = 1, **route: Any) -> Upstream:
        """`slots` None: nothing of llama.cpp is known of it."""
        server = Upstream("127.0.0.1:0", llamacpp=slots is not None, slots=slots or 64).start()
        self.world._agents += 1
        id = self.ids[server] = f"p{self.world._agents}"
        self.world.daemon.model(id, "narrow", server.route, **{"upstream_name": "narrow", **route})
        self.world.daemon.ready(id)
        return server

    def remove(self, server: Upstream) -> None:
        self.world.daemon.change(self.ids.pop(server), alive=False)
        server.stop()

    def ask(self, key: str, text: str, **fields: object) -> Call:
        return Call(self.world, key, text, model="narrow", **fields)

    def client(self, key: str, text: str, **fields: object) -> Client:
        """One that can hang up."""
        messages = [{"role": "user", "content": text}]
        return Client(self.world, key, {"model": "narrow", "messages": messages, **fields})

    def told(self, id: str, doing: str) -> ActivityNote:
        return self.world.daemon.event(ActivityNote, lambda e: e.id == id and e.doing == doing)

    def queued(self, id: str, of: int) -> None:
        """Until that process waits among so many."""
        self.world.daemon.event(ActivityNote, lambda e: e.id == id and f" of {of} for " in (e.doing or ""))

    def occupy(self, server: Upstream, count: int = 1) -> list[Call]:
        """Requests that keep places until its gate opens."""
        server.close_gate()
        calls = [self.ask(self.world.agent()[1], "gate say 1") for _ in range(count)]
        server.wait_for(lambda server: server.active >= count)
        return calls


@pytest.fixture
def narrow(shared: World) -> Iterator[Narrow]:
    made = Narrow(shared)
    try:
        yield made
    finally:
        for server in list(made.ids):
            server.open_gate()
            made.remove(server)


def texts(server: Upstream) -> list[str]:
    """What it was asked, probes left out."""
    asked = [body["messages"][-1]["content"] for body in server.requests]
    return [text for text in asked if text != "hi"]


# --- who is next ----------------------------------------------------------------------------------------------------


def test_who_waits_is_told_its_place_and_goes_when_it_is_its_turn(narrow: Narrow, shared: World) -> None:
    server = narrow.add()
    narrow.occupy(server)
    (a, one), (b, two), (c, three) = (shared.agent() for _ in range(3))
    first = narrow.ask(one, "say 1 first")
    assert narrow.told(a, "1st of 1 for narrow").activity == "queued"
    second = narrow.client(two, "say 1 second")
    narrow.told(b, "2nd of 2 for narrow")
    third = narrow.ask(three, "say 1 third")
    narrow.told(c, "3rd of 3 for narrow")
    narrow.told(a, "1st of 3 for narrow")
    narrow.told(narrow.ids[server], "1 request, 3 wait")
    why = "waiting for narrow: others are before it"
    assert shared.gateway.call("/v1/aish/waits", key=three)[1] == {"waits": why}
    assert (server.most_active, len(texts(server))) == (1, 1), "nothing waits at the server itself"
    second.hang_up()
    narrow.told(c, "2nd of 2 for narrow")
    server.open_gate()
    assert [call.done()[0] for call in (first, third)] == [200, 200]
    assert texts(server) == ["gate say 1", "say 1 first", "say 1 third"]
    assert shared.daemon.settled(b, 1).tokens.requests == 1
    (row,) = shared.gateway.rows(f"process = '{b}'")
    assert (row["server"], row["input"], row["output"]) == (None, 0, 0), "it was never sent"


def test_a_further_attempt_that_never_has_its_turn_leaves_no_row(narrow: Narrow, shared: World) -> None:
    """There was one of no tokens beside that of the attempt before, and `aish requests` showed two."""
    narrow.occupy(server := narrow.add())
    narrow.add().faults.append("status 504")
    id, key = shared.agent(budget=4000)
    client = narrow.client(key, "say 1 first", max_tokens=10)
    narrow.queued(id, 1)
    later, other_key = shared.agent()
    narrow.remove(next(each for each in narrow.ids if each is not server))
    other = narrow.ask(other_key, "say 1 second")
    narrow.told(later, "2nd of 2 for narrow")
    client.hang_up()
    narrow.told(later, "1st of 1 for narrow")
    server.open_gate()
    assert other.done()[0] == 200
    shared.daemon.settled(later, 1)
    tokens = shared.daemon.settled(id, 1).tokens
    (row,) = requests.query(str(shared.gateway.state / "gateway.db"), RequestsQuery(who=[id])).requests
    assert (row.status, row.input, tokens.requests) == (504, tokens.input, 1)
    usage = shared.gateway.call("/v1/aish/usage", key=key)[1]
    assert usage["left_tokens"] == 4000 - tokens.input - tokens.output


def test_the_niceness_of_a_process_is_its_weight(narrow: Narrow, shared: World) -> None:
    """Nine turns of one beside each of the other, where both wait for all of them."""
    server = narrow.add()
    narrow.occupy(server)
    nice, rude = shared.agent(nice=5), shared.agent(nice=-5)
    last = [narrow.ask(key, f"say 5 pace 0.05 {name}") for name, key in (("nice", nice[1]), ("rude", rude[1])) * 3]
    narrow.queued(nice[0], 6)
    server.open_gate()
    assert {call.done()[0] for call in last} == {200}
    names = [text.split()[-1] for text in texts(server)[1:]]
    assert sorted(names[:2]) == ["nice", "rude"], "both had nothing yet"
    assert names[2:] == ["rude", "rude", "nice", "nice"]


def test_the_niceness_of_a_key_is_its_weight(narrow: Narrow, shared: World) -> None:
    """A key weighed as much as an agent, whatever it was for."""
    server = narrow.add()
    narrow.occupy(server)
    made = shared.daemon.ask(KeyNew(name="nightly", nice=19))
    assert isinstance(made, KeyMade)
    quick, key = shared.agent()
    limit = Limit(target="key:nightly", nice="10")
    assert [shared.daemon.ask(limit) for _ in range(2)] == [Done(), Done(changed=False)]
    assert [part.nice for part in shared.daemon.ask(KeyList()).keys if part.name == "nightly"] == [10]
    calls = [narrow.ask(key, "say 5 pace 0.05 quick") for _ in range(3)]
    narrow.queued(quick, 3)
    calls += [narrow.ask(made.key, "say 5 pace 0.05 nice") for _ in range(3)]
    narrow.queued(quick, 6)
    server.open_gate()
    assert {call.done()[0] for call in calls} == {200}
    assert [text.split()[-1] for text in texts(server)[1:]] == ["quick", "nice", *["quick"] * 2, *["nice"] * 2]
    for wrong in ("20", "x"):
        assert shared.daemon.ask(Limit(target="key:nightly", nice=wrong)).code == "usage"
    assert shared.daemon.ask(KeyNew(name="wrong", nice=-21)).code == "usage"


def test_a_niceness_that_is_changed_counts_for_those_that_wait(narrow: Narrow, shared: World) -> None:
    server = narrow.add()
    narrow.occupy(server)
    (slow, one), (quick, two) = shared.agent(), shared.agent()
    calls = [narrow.ask(one, "say 5 pace 0.05 slow") for _ in range(3)]
    narrow.queued(slow, 3)
    calls += [narrow.ask(two, "say 5 pace 0.05 quick") for _ in range(3)]
    narrow.queued(quick, 6)
    shared.daemon.change(slow, nice=10)
    server.open_gate()
    assert {call.done()[0] for call in calls} == {200}
    assert [text.split()[-1] for text in texts(server)[1:]] == ["slow", *["quick"] * 3, "slow", "slow"]


def test_two_hundred_requests_of_ten_processes_all_end_and_share_alike(narrow: Narrow, shared: World) -> None:
    server = narrow.add(4)
    narrow.occupy(server, 4)
    agents = [shared.agent() for _ in range(10)]
    asked = [agent for agent in agents for _ in range(20)]
    with ThreadPoolExecutor(200) as pool:
        answers = [
            pool.submit(shared.gateway.chat, key, f"say 1 pace 0.02 {id}", model="narrow") for id, key in asked
        ]
        narrow.queued(agents[0][0], 200)
        server.open_gate()
        assert {answer.result(60)[0] for answer in answers} == {200}
    assert server.most_active == 4
    names = [text.split()[-1] for text in texts(server)[4:]]
    assert Counter(names) == dict.fromkeys(dict(agents), 20)
    early = Counter(names[:100])
    assert all(5 <= early[id] <= 15 for id, _ in agents), early


def test_a_process_that_starts_others_gets_no_more_for_it(narrow: Narrow, shared: World) -> None:
    server = narrow.add()
    narrow.occupy(server)
    top, key = shared.agent()
    many = [shared.agent(parent=top)[1] for _ in range(8)]
    calls = [narrow.ask(child, "say 1 pace 0.1 many") for child in many]
    narrow.queued(f"p{shared._agents}", 8)
    alone, key = shared.agent()
    calls += [narrow.ask(key, "say 1 pace 0.1 alone") for _ in range(4)]
    narrow.queued(alone, 12)
    server.open_gate()
    assert {call.done()[0] for call in calls} == {200}
    names = [text.split()[-1] for text in texts(server)[1:]]
    assert Counter(names[:8])["alone"] == 4, names


def test_a_budget_of_a_project_changes_no_shares(narrow: Narrow, shared: World) -> None:
    """Accounts of projects stand above processes where money is counted; a turn is of a process."""
    server = narrow.add()
    narrow.occupy(server)
    many = [shared.agent(project="/demo/aish.toml") for _ in range(3)]
    assert shared.daemon.ask(Limit(target="project:/demo/aish.toml", budget={"tokens/day": "1m"})) == Done()
    alone, key = shared.agent()
    calls = [narrow.ask(one, "say 1 pace 0.2 many") for _, one in many for _ in range(2)]
    narrow.queued(many[-1][0], 6)
    calls += [narrow.ask(key, "say 1 pace 0.2 alone") for _ in range(2)]
    narrow.queued(alone, 8)
    server.open_gate()
    assert {call.done()[0] for call in calls} == {200}
    names = [text.split()[-1] for text in texts(server)[1:]]
    assert Counter(names[:4])["alone"] == 1, "one of four processes, not one of two"


@pytest.mark.parametrize("slots", [None, 8])
def test_a_model_is_sent_no_more_at_a_time_than_its_user_says(
    narrow: Narrow, shared: World, slots: int | None
) -> None:
    server = narrow.add(slots, concurrent=2)
    narrow.occupy(server, 2)
    id, key = shared.agent()
    calls = [narrow.ask(key, "say 1") for _ in range(4)]
    narrow.queued(id, 4)
    server.open_gate()
    assert {call.done()[0] for call in calls} == {200}
    assert server.most_active == 2


def test_where_no_bound_is_known_nobody_waits(narrow: Narrow, shared: World) -> None:
    server = narrow.add(None)
    narrow.occupy(server, 80)


def test_questions_about_a_prompt_take_no_place(narrow: Narrow, shared: World) -> None:
    server = narrow.add()
    narrow.occupy(server)
    _, key = shared.agent()
    body = {"model": "narrow", "max_tokens": 1, "messages": [{"role": "user", "content": "one two"}]}
    assert shared.gateway.call("/v1/messages/count_tokens", body, key)[1] == {"input_tokens": 3}
    assert shared.gateway.call("/v1/aish/tokens", {"model": "narrow", "text": "one two"}, key)[1]["tokens"] == 2


# --- places that become free ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["never", "say 5000 pace 0.01"])
def test_a_client_that_hangs_up_frees_its_place_at_once(narrow: Narrow, shared: World, text: str) -> None:
    server = narrow.add()
    client = narrow.client(shared.agent()[1], text, stream=True)
    server.wait_for(lambda server: server.active == 1)
    id, key = shared.agent()
    call = narrow.ask(key, "say 1")
    narrow.told(id, "1st of 1 for narrow")
    client.hang_up()
    assert call.done()[0] == 200


def test_a_request_that_fails_frees_its_place(narrow: Narrow, shared: World) -> None:
    server = narrow.add()
    narrow.occupy(server)
    (id, key), (_, other) = shared.agent(), shared.agent()
    calls = [narrow.ask(key, text) for text in ("status 400", "notjson", "say 9 cut 2")]
    narrow.queued(id, 3)
    last = narrow.ask(other, "say 1")
    server.open_gate()
    assert [call.done()[0] for call in calls] == [400, 502, 502]
    assert last.done()[0] == 200


def test_many_that_hang_up_while_they_wait_leave_no_trace(narrow: Narrow, shared: World) -> None:
    server = narrow.add(2)
    narrow.occupy(server, 2)
    agents = [shared.agent() for _ in range(4)]
    clients = [narrow.client(key, "say 1 gone") for _, key in agents for _ in range(10)]
    narrow.queued(agents[0][0], 40)
    id, key = shared.agent()
    call = narrow.ask(key, "say 1 stayed")
    for client in clients:
        client.hang_up()
    narrow.told(id, "1st of 1 for narrow")
    server.open_gate()
    assert call.done()[0] == 200
    assert [text for text in texts(server) if not text.startswith("gate")] == ["say 1 stayed"]
    for number, (agent, _) in enumerate(agents):
        assert shared.daemon.settled(agent, 10).tokens.output == 0, number


# --- what happens meanwhile -----------------------------------------------------------------------------------------


def test_who_waits_for_a_budget_keeps_no_place(narrow: Narrow, shared: World) -> None:
    narrow.add()
    id, key = shared.agent(budget=1)
    held = narrow.ask(key, "say 1")
    shared.daemon.event(Hold, lambda e: e.id == id)
    assert narrow.ask(shared.agent()[1], "say 1").done()[0] == 200
    shared.daemon.change(id, budget_tokens=None)
    assert held.done()[0] == 200


def test_a_process_that_is_paused_while_it_waits_is_passed(narrow: Narrow, shared: World) -> None:
    server = narrow.add()
    narrow.occupy(server)
    (paused, one), (other, two) = shared.agent(), shared.agent()
    calls = [narrow.ask(one, "say 1 paused")]
    narrow.queued(paused, 1)
    calls.append(narrow.ask(two, "say 1 other"))
    narrow.told(other, "2nd of 2 for narrow")
    shared.daemon.change(paused, held=True)
    narrow.told(paused, "paused")
    narrow.told(other, "1st of 1 for narrow")
    server.open_gate()
    assert calls[1].done()[0] == 200
    assert calls[0].answer is None
    shared.daemon.change(paused, held=False)
    assert calls[0].done()[0] == 200


def test_a_model_that_is_paused_gives_no_turns(narrow: Narrow, shared: World) -> None:
    server = narrow.add()
    narrow.occupy(server)
    id, key = shared.agent()
    call = narrow.ask(key, "say 1")
    narrow.queued(id, 1)
    shared.daemon.change(narrow.ids[server], held=True)
    narrow.told(id, "narrow is paused")
    server.open_gate()
    server.wait_for(lambda server: server.active == 0)
    assert call.answer is None
    shared.daemon.change(narrow.ids[server], held=False)
    assert call.done()[0] == 200


def test_a_key_that_is_revoked_while_it_waits_is_told_so(narrow: Narrow, shared: World) -> None:
    server = narrow.add()
    narrow.occupy(server)
    made = shared.daemon.ask(KeyNew(name="queued-one"))
    assert isinstance(made, KeyMade)
    (id, key) = shared.agent()
    calls = [narrow.ask(made.key, "say 1"), narrow.ask(key, "say 1")]
    narrow.queued(id, 2)
    shared.daemon.ask(KeyRevoke(name="queued-one"))
    status, body, _ = calls[0].done()
    assert (status, "revoked" in str(body)) == (401, True)
    shared.daemon.change(id, alive=False)
    status, body, _ = calls[1].done()
    assert (status, "has ended" in str(body)) == (401, True)


def test_who_waits_for_a_server_that_goes_goes_to_another(narrow: Narrow, shared: World) -> None:
    """Several servers of one model are one queue."""
    one, other = narrow.add(), narrow.add()
    one.close_gate()
    other.close_gate()
    for _ in range(2):
        narrow.ask(shared.agent()[1], "gate say 1")
    for server in (one, other):
        server.wait_for(lambda server: server.active == 1)
    agents = [shared.agent() for _ in range(3)]
    calls = [narrow.ask(key, "say 1") for _, key in agents]
    for id, _ in agents:
        narrow.queued(id, 3)
    one.open_gate()
    assert {call.done()[0] for call in calls} == {200}
    assert len(texts(one)) == 4, "the other one had no place"
    calls = narrow.occupy(one)
    id, key = shared.agent()
    calls.append(narrow.ask(key, "say 1 late"))
    narrow.told(id, "1st of 1 for narrow")
    narrow.remove(one)
    narrow.told(id, "1st of 1 for narrow")
    other.open_gate()
    assert [call.done()[0] for call in calls] == [200] * len(
        calls
    )  # what was at work at the one that went is tried there
    assert "say 1 late" in texts(other)


def test_who_waits_for_a_server_that_fails_waits_until_it_answers_again(narrow: Narrow, shared: World) -> None:
    """Sent one after the other, all of them would fail before a probe has told that it does not answer."""
    server = narrow.add()
    busy = narrow.client(shared.agent()[1], "never")
    server.wait_for(lambda server: server.active == 1)
    agents = [shared.agent() for _ in range(5)]
    calls = [narrow.ask(agents[0][1], "say 1")]
    narrow.queued(agents[0][0], 1)
    calls += [narrow.ask(key, "say 1") for _, key in agents[1:]]
    for id, _ in agents:
        narrow.queued(id, 5)
    server.loading = True
    busy.hang_up()
    for id, _ in agents[1:]:
        narrow.told(id, "waits for narrow to get ready")
    server.loading = False
    assert [call.done()[0] for call in calls] == [503, 200, 200, 200, 200], "one failed, the others were spared"


def test_who_waits_for_a_model_that_ends_is_told_so(narrow: Narrow, shared: World) -> None:
    server = narrow.add()
    narrow.occupy(server)
    id, key = shared.agent()
    call = narrow.ask(key, "say 1")
    narrow.queued(id, 1)
    shared.daemon.change(narrow.ids[server], alive=False)
    status, body, _ = call.done()
    assert status == 503
    assert "narrow ended while the request waited" in body["error"]["message"]  # type: ignore[index]


# --- prefixes -------------------------------------------------------------------------------------------------------


def test_a_conversation_stays_with_the_server_that_holds_it(narrow: Narrow, shared: World) -> None:
    """Eight with one system prompt, in random order: half of them at each server, and none ever at both."""
    both = [narrow.add(4), narrow.add(4)]
    order = random.Random(7)
    talks = {name: [{"role": "user", "content": f"{LONG} {name} say 1"}] for name in "abcdefgh"}
    key = shared.agent()[1]
    for _ in range(4):
        for name in order.sample(sorted(talks), len(talks)):
            body = {"model": "narrow", "messages": [{"role": "system", "content": LONG}, *talks[name]]}
            assert shared.gateway.call("/v1/chat/completions", body, key)[0] == 200
            talks[name] += [{"role": "assistant", "content": "w"}, {"role": "user", "content": f"{name} say 1"}]
    seen = [{text.split()[-3] for text in texts(server)} for server in both]
    assert [len(names) for names in seen] == [4, 4]
    assert not seen[0] & seen[1]
    assert [len(texts(server)) for server in both] == [16, 16]


def test_a_conversation_whose_server_is_full_goes_to_the_other_at_once(narrow: Narrow, shared: World) -> None:
    one, other = narrow.add(), narrow.add()
    key = shared.agent()[1]

    def ask(text: str) -> int:
        talk = [(LONG + " say 1", "user"), ("w", "assistant"), (text, "user")]
        messages = [{"role": role, "content": words} for words, role in talk]
        return shared.gateway.call("/v1/chat/completions", {"model": "narrow", "messages": messages}, key)[0]

    assert ask("say 1 first") == 200
    home, away = (one, other) if texts(one) else (other, one)
    assert [ask("say 1 second"), ask("say 1 third")] == [200, 200]
    assert texts(home) == ["say 1 first", "say 1 second", "say 1 third"]
    home.close_gate()
    busy = Call(shared, key, "", call=lambda: (ask("gate say 1"), {}, {}))
    home.wait_for(lambda server: server.active == 1)
    assert ask("say 1 fourth") == 200
    assert texts(away) == ["say 1 fourth"]
    home.open_gate()
    assert busy.done()[0] == 200


@pytest.mark.parametrize(
    ("number", "told"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (13, "13th"), (22, "22nd"), (113, "113th")],
)
def test_ordinals(number: int, told: str) -> None:
    assert ordinal(number) == told
