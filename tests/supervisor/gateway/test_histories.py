"""Responses that go on from earlier ones: what the vendor has stored of these is reserved, too."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import openai
import pytest

from aish.errors import InputError
from aish.supervisor.gateway.dialects.responses import head, through
from aish.supervisor.gateway.histories import UNKNOWN_TOKENS, Histories
from aish.supervisor.gateway.records import MAX_AGE_S, Records
from aish.wire.link import Exceeded
from aish.wire.spec import BudgetPart, PricePart

from .provider import Running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .conftest import World

LONG = "word " * 2000
SHORT = 700
"""More than is reserved for a short request with 20 tokens of output, and far fewer than LONG has."""


@pytest.fixture
def vendor(world: World) -> Iterator[World]:
    """A world with a server that stores responses."""
    world.start()
    server = Running()
    proxy = server.url.removesuffix("/v1")
    route: dict[str, Any] = {"upstream_name": "sim", "proxy": proxy, "price": PricePart()}
    world.daemon.model("p2", "gpt", "http://api.openai.com/v1", **route)
    world.daemon.ready("p2")
    try:
        yield world
    finally:
        world.gateway.stop()
        server.stop()


def sdk(world: World, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{world.gateway.url}/v1", api_key=key, max_retries=0, timeout=60)


def ask(client: openai.OpenAI, words: str, *, stream: bool = False, after: str | None = None) -> Any:
    more: dict[str, Any] = {} if after is None else {"previous_response_id": after}
    asked = client.responses.create(model="gpt", input=words, max_output_tokens=20, stream=stream, **more)
    return list(asked)[-1].response if stream else asked


@pytest.mark.parametrize("stream", [False, True])
def test_what_goes_on_never_goes_above_a_budget(vendor: World, *, stream: bool) -> None:
    """It was reserved by its few bytes, and took all that had been said before."""
    _, free = vendor.agent()
    first = ask(sdk(vendor, free), LONG + "say 3", stream=stream)
    used = first.usage.input_tokens + first.usage.output_tokens
    assert used > 2000
    id, key = vendor.agent()
    vendor.daemon.change(id, budget=BudgetPart(hard=True), budget_tokens=used + SHORT)
    second = ask(sdk(vendor, key), "say 3", stream=stream, after=first.id)
    assert second.usage.input_tokens > used
    with pytest.raises(openai.RateLimitError) as refused:
        ask(sdk(vendor, key), "say 3", stream=stream, after=second.id)
    assert refused.value.code == "insufficient_quota"
    settled = vendor.daemon.settled(id, 1).tokens
    assert settled.input + settled.output <= used + SHORT
    assert not vendor.daemon.events(Exceeded)


def test_it_is_known_after_kill_9_and_what_was_made_elsewhere_is_not(vendor: World) -> None:
    by, free = vendor.agent()
    first = ask(sdk(vendor, free), LONG + "say 3")
    vendor.daemon.settled(by, 1)
    vendor.gateway.kill()
    vendor.gateway.start()
    vendor.daemon.ready("p2")
    id, key = vendor.agent()
    vendor.daemon.change(id, budget=BudgetPart(hard=True), budget_tokens=20_000)
    assert ask(sdk(vendor, key), "say 3", after=first.id).usage.input_tokens > 2000
    with pytest.raises(openai.RateLimitError):
        ask(sdk(vendor, key), "say 3", after="resp_of_another_machine")


def test_the_most_that_is_stored(tmp_path: Path) -> None:
    records = Records(str(tmp_path / "gateway.db"))

    async def learn() -> None:
        histories = Histories(records)
        histories.learn(("resp_1", "conv_1"), 100)
        histories.learn(("", "x" * 201), 5)
        assert histories.tokens(("resp_1",), None) == 100  # before it is written
        await asyncio.sleep(0)

    asyncio.run(learn())
    histories = Histories(records)
    assert histories.tokens(("resp_1",), None) == 100
    assert histories.tokens(("conv_1",), 60) == 60
    assert histories.tokens(("resp_2",), None) == UNKNOWN_TOKENS
    assert histories.tokens(("resp_2",), 8192) == 8192
    assert histories.tokens(("", "x" * 201), 10) == 20
    with records.transaction():
        records.put_history("resp_0", 1, 5.0)
    records.prune(MAX_AGE_S + 10)
    assert (records.history("resp_0"), records.history("resp_1")) == (None, 100)
    records.close()


@pytest.mark.parametrize(
    ("more", "ids"),
    [
        (b"", ()),
        (b',"previous_response_id":"resp_1"', ("resp_1",)),
        (b',"previous_response_id":null,"conversation":null', ()),
        (b',"conversation":"conv_1"', ("conv_1",)),
        (b',"conversation":{"id":"conv_1"}', ("conv_1",)),
    ],
)
def test_what_a_request_goes_on_from(more: bytes, ids: tuple[str, ...]) -> None:
    assert head.parse(head.RESPONSES, b'{"model":"m","input":"x"' + more + b"}").goes_on == ids


def test_what_is_no_id_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        head.parse(head.RESPONSES, b'{"model":"m","input":"x","previous_response_id":7}')
    assert caught.value.field == "previous_response_id"


def test_under_which_a_response_is_stored() -> None:
    body = b'{"id":"resp_1","conversation":{"id":"conv_1"},"output":[],"usage":null}'
    assert through.read(body, "m").stored == ("resp_1", "conv_1")
    assert through.read(b'{"id":"resp_1","conversation":"conv_1","output":[]}', "m").stored == ("resp_1", "conv_1")
    assert through.read(b'{"conversation":null,"output":[]}', "m").stored == ()
