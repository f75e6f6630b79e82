"""Budgets through the whole gateway: held, lowered, released, shared down the tree; never above."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from aish.wire.link import ActivityNote, Hold, Release, Warn
from aish.wire.message import KeyList, KeyNew, KeyRevoke, Limit, RequestsQuery
from aish.wire.reply import Done
from tests.deadline import until

from .test_faults import Client, chat

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import World

DEADLINE_S = 60.0


class Call(threading.Thread):
    """A request in a thread of its own."""

    def __init__(
        self,
        world: World,
        key: str,
        text: str,
        call: Callable[[], tuple[int, dict[str, object], dict[str, str]]] | None = None,
        **fields: object,
    ) -> None:
        super().__init__(daemon=True)
        self._call = call or (lambda: world.gateway.chat(key, text, **fields))
        self.answer: tuple[int, dict[str, object], dict[str, str]] | None = None
        self.start()

    def run(self) -> None:
        self.answer = self._call()

    def done(self) -> tuple[int, dict[str, object], dict[str, str]]:
        self.join(DEADLINE_S)
        assert self.answer is not None, "still waits"
        return self.answer


def test_what_the_requests_of_a_key_do_is_told_with_it(shared: World) -> None:
    """A key is no process: that it was held by its budget stood nowhere, and its program seemed to hang."""
    key = shared.daemon.ask(KeyNew(name="seen", budget_tokens=20)).key

    def doing() -> str:
        (part,) = [each for each in shared.daemon.ask(KeyList()).keys if each.name == "seen"]
        return str(part.doing)

    assert shared.gateway.chat(key, "say 17 ", max_tokens=17)[0] == 200
    assert doing() == ""
    call = Call(shared, key, "gate say 2", max_tokens=2)
    until("it is told", lambda: doing() == "over budget: 20 tokens")
    assert shared.daemon.ask(Limit(target="key:seen", tokens="40")) == Done(changed=True)
    until("it is let go", lambda: doing() == "1 request")
    shared.upstream.open_gate()
    assert call.done()[0] == 200
    shared.upstream.close_gate()


def test_a_spent_budget_holds_and_a_raised_one_releases(shared: World) -> None:
    id, key = shared.agent(budget=20)
    assert shared.gateway.chat(key, "say 17 ", max_tokens=17)[0] == 200  # 3 + 17
    warn = shared.daemon.event(Warn, lambda e: e.id == id)
    assert (warn.used, warn.budget) == (20, 20)
    call = Call(shared, key, "say 5")
    hold = shared.daemon.event(Hold, lambda e: e.id == id)
    assert (hold.owner, hold.used, hold.budget) == (id, 20, 20)
    note = shared.daemon.event(ActivityNote, lambda e: e.id == id and e.doing == "over budget: 20 tokens")
    assert note.activity == "queued"
    assert call.answer is None
    shared.daemon.change(id, budget_tokens=40)
    release = shared.daemon.event(Release, lambda e: e.id == id)
    assert release.number > hold.number
    assert release.raised
    assert call.done()[0] == 200
    assert shared.daemon.settled(id, 2).tokens.output == 22


def test_max_tokens_is_lowered_to_what_is_left_and_the_header_says_so(shared: World) -> None:
    id, key = shared.agent(budget=13)
    status, body, headers = shared.gateway.chat(key, "say 50", max_tokens=50)
    assert status == 200
    assert headers["x-aish-max-tokens-lowered"] == "10"
    assert (headers["x-aish-limited-by"], headers["x-aish-budget"]) == ("budget", "13")
    assert "x-aish-budget-of" not in headers
    assert body["choices"][0]["finish_reason"] == "length"
    tokens = shared.daemon.settled(id, 1).tokens
    assert tokens.input + tokens.output == 13, "all of it, and not one more"


def test_a_stream_says_which_budget_above_it_made_it_shorter(shared: World) -> None:
    top, _ = shared.agent(budget=13)
    _, key = shared.agent(parent=top, budget=5000)
    client = Client(shared, key, chat("say 50", stream=True))
    head = client.read_until(b"\r\n\r\n").lower()
    for line in (b"x-aish-limited-by: budget", b"x-aish-budget: 13", b"x-aish-budget-of: " + top.encode()):
        assert line in head
    client.hang_up()
    headers = shared.gateway.chat(shared.agent(budget=100)[1], "say 3", max_tokens=3)[2]
    assert "x-aish-limited-by" not in headers, "it had what it asked for"


def test_a_request_without_a_limit_gets_one_from_the_budget(shared: World) -> None:
    id, key = shared.agent(budget=33)
    _, _, headers = shared.gateway.chat(key, "say 500")
    assert headers["x-aish-max-tokens-lowered"] == "30"
    assert shared.daemon.settled(id, 1).tokens.output == 30


def test_every_way_to_ask_for_output_is_lowered(shared: World) -> None:
    """llama.cpp prefers n_predict over max_tokens: a limit must hold in all of them."""
    for fields in ({"max_completion_tokens": 90}, {"n_predict": 90, "max_tokens": 2}, {"n_predict": -1}):
        id, key = shared.agent(budget=13)
        shared.gateway.chat(key, "say 50", **fields)
        assert shared.daemon.settled(id, 1).tokens.output <= 10, fields
        sent = shared.upstream.requests[-1]
        assert all(0 < sent[name] <= 10 for name in fields), sent


def test_a_budget_is_shared_down_the_tree(shared: World) -> None:
    top, _ = shared.agent(budget=30)
    middle, _ = shared.agent(parent=top)
    leaf, key = shared.agent(parent=middle)
    sibling, other = shared.agent(parent=top)
    shared.gateway.chat(key, "say 27", max_tokens=27)
    call = Call(shared, other, "say 1")
    hold = shared.daemon.event(Hold, lambda e: e.id == sibling)
    assert (hold.owner, hold.used) == (top, 30)
    shared.daemon.change(top, budget_tokens=None)
    assert call.done()[0] == 200
    assert shared.daemon.settled(leaf, 1).tokens.output == 27


def test_the_budget_of_an_ended_parent_still_counts_after_a_restart_of_both(world: World) -> None:
    """The daemon's Sync leaves out who has ended: a child must not escape its tree's budget by that."""
    world.start()
    top, _ = world.agent(budget=30)
    middle, _ = world.agent(parent=top)
    leaf, key = world.agent(parent=middle)
    assert world.gateway.chat(key, "say 17", max_tokens=17)[0] == 200
    world.daemon.change(middle, alive=False)
    world.daemon.change(top, alive=False)
    world.daemon.stop()
    del world.daemon.members[middle], world.daemon.members[top]
    world.daemon.start()
    world.gateway.kill()
    world.gateway.start()
    assert world.gateway.chat(key, "say 50", max_tokens=50)[2]["x-aish-max-tokens-lowered"] == "7"
    assert world.daemon.settled(leaf, 2).tokens.output == 24


def test_hanging_up_while_held_releases(shared: World) -> None:
    id, key = shared.agent(budget=1)
    client = Client(shared, key, chat("say 1"))
    shared.daemon.event(Hold, lambda e: e.id == id)
    client.hang_up()
    assert not shared.daemon.event(Release, lambda e: e.id == id).raised, "nobody raised anything"
    assert shared.daemon.settled(id, 1).tokens.input == 0, "nothing was sent, nothing is billed"


def test_a_process_that_ends_while_held_is_told_so(shared: World) -> None:
    id, key = shared.agent(budget=1)
    call = Call(shared, key, "say 1")
    shared.daemon.event(Hold, lambda e: e.id == id)
    shared.daemon.change(id, alive=False)
    status, body, _ = call.done()
    assert status == 401
    assert "has ended" in str(body)


def test_a_revoked_key_that_is_held_is_told_so(shared: World) -> None:
    made = shared.daemon.ask(KeyNew(name="held-one", budget_tokens=2))
    call = Call(shared, made.key, "say 1")
    shared.daemon.ask(KeyRevoke(name="held-one"))
    status, body, _ = call.done()
    assert status == 401
    assert "revoked" in str(body)


def test_a_key_that_is_revoked_under_way_is_answered_once_more(shared: World) -> None:
    made = shared.daemon.ask(KeyNew(name="leaving"))
    call = Call(shared, made.key, "gate say 3")
    shared.upstream.wait_for(lambda upstream: "gate say 3" in str(upstream.requests[-1:]))
    shared.daemon.ask(KeyRevoke(name="leaving"))
    shared.upstream.open_gate()
    assert call.done()[0] == 200
    shared.upstream.close_gate()
    assert shared.gateway.chat(made.key, "say 1")[0] == 401
    told = shared.daemon.ask(RequestsQuery(who=["key:leaving"]))
    assert [(part.status, part.output, part.estimated) for part in told.requests] == [(200, 3, False)]


def test_a_paused_process_waits_and_one_that_is_continued_goes_on(shared: World) -> None:
    id, key = shared.agent(held=True)
    call = Call(shared, key, "say 1")
    shared.daemon.event(ActivityNote, lambda e: e.id == id and e.doing == "paused")
    assert call.answer is None
    shared.daemon.change(id, held=False)
    assert call.done()[0] == 200


def test_a_hundred_requests_against_a_budget_for_fifty(shared: World) -> None:
    """Never above; the first fifty go; nobody starves once the budget is raised."""
    each = 3 + 5
    id, key = shared.agent(budget=50 * each)
    before = (shared.upstream.input, shared.upstream.output)
    with ThreadPoolExecutor(100) as pool:
        answers = [pool.submit(shared.gateway.chat, key, "say 5", max_tokens=5) for _ in range(100)]
        shared.daemon.event(Hold, lambda e: e.id == id)
        settled = shared.daemon.settled(id, 50).tokens
        assert settled.input + settled.output == 50 * each
        assert sum(answer.done() for answer in answers) <= 50
        shared.daemon.change(id, budget_tokens=100 * each)
        statuses = [answer.result(DEADLINE_S)[0] for answer in answers]
    assert statuses == [200] * 100
    tokens = shared.daemon.settled(id, 100).tokens
    assert (tokens.input, tokens.output, tokens.estimated) == (300, 500, 0)
    used = (shared.upstream.input - before[0], shared.upstream.output - before[1])
    assert used == (300, 500), "the server's own count is ours"


def test_two_hundred_requests_of_a_tree_some_of_which_hang_up(shared: World) -> None:
    """What the server generated for this tree never exceeds the budget, with clients that leave at any time."""
    top, _ = shared.agent(budget=1000)
    keys = [shared.agent(parent=top)[1] for _ in range(4)]
    before = shared.upstream.input + shared.upstream.output

    def one(number: int) -> int:
        key = keys[number % 4]
        if number % 3:
            return shared.gateway.chat(key, "say 8 pace 0.001", max_tokens=8)[0]
        client = Client(shared, key, chat("say 30 pace 0.002", stream=True, max_tokens=30))
        client.read_until(b'"content": "w "' if number % 2 else b"HTTP/1.1 200")
        client.hang_up()
        return 499

    with ThreadPoolExecutor(24) as pool:
        futures = [pool.submit(one, number) for number in range(200)]
        shared.daemon.event(Hold, lambda e: e.owner == top)
        used = shared.upstream.input + shared.upstream.output - before
        assert used <= 1000
        shared.daemon.change(top, budget_tokens=None)
        statuses = {future.result(60) for future in futures}
    assert statuses == {200, 499}


def test_a_budget_holds_for_many_texts_to_embed(shared: World) -> None:
    """Each text may fill the context: the bound of one is not the bound of thirty."""
    texts = ["w " * 401] * 30
    id, key = shared.agent(budget=4200)
    before = shared.upstream.input
    call = Embedding(shared, key, texts)
    hold = shared.daemon.event(Hold, lambda e: e.id == id)
    assert (hold.used, hold.budget) == (0, 4200)
    assert shared.upstream.input == before
    shared.daemon.change(id, budget_tokens=12_030)
    assert call.done()[0] == 200
    tokens = shared.daemon.settled(id, 1).tokens
    assert (tokens.input, tokens.output, tokens.estimated) == (12_030, 0, 0), "counted to the token: it just fits"


def test_many_texts_that_fit_a_budget_are_embedded(shared: World) -> None:
    id, key = shared.agent(budget=300)
    assert Embedding(shared, key, ["one two three"] * 100).done()[0] == 200
    assert shared.daemon.settled(id, 1).tokens.input == 300


def test_texts_of_an_embedding_that_was_given_up_are_settled_once(shared: World) -> None:
    shared.upstream.close_gate()
    id, key = shared.agent(budget=1000)
    client = Client(shared, key, {"model": "small", "input": ["gate", "a b c", "d"]}, "/v1/embeddings")
    shared.upstream.wait_for(lambda server: any(r.get("input") == ["gate", "a b c", "d"] for r in server.requests))
    client.hang_up()
    tokens = shared.daemon.settled(id, 1).tokens
    assert (tokens.input, tokens.output, tokens.estimated) == (5, 0, 5)
    shared.upstream.open_gate()


class Embedding(Call):
    def __init__(self, world: World, key: str, texts: list[str]) -> None:
        body = {"model": "small", "input": texts}
        super().__init__(world, key, "", call=lambda: world.gateway.call("/v1/embeddings", body, key))
