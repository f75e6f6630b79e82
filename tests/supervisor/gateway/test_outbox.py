"""What is written in one turn of the loop: in order, together, and never after the end of its transport."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import wraps

import pytest

from aish.supervisor.gateway.outbox import LARGE_BYTES, Outbox


def _in_a_loop(test: Callable[[Written], Awaitable[None]]) -> Callable[[Written], None]:
    async def play(written: Written) -> None:
        await test(written)

    @wraps(test)
    def run(written: Written) -> None:
        asyncio.run(play(written))

    return run


class _Transport(asyncio.WriteTransport):
    def __init__(self, written: Written) -> None:
        super().__init__()
        self.written, self.closing = written, False

    def writelines(self, list_of_data: Sequence[bytes]) -> None:  # type: ignore[override]
        self.written.append((self, b"".join(list_of_data)))

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append((self, bytes(data)))

    def is_closing(self) -> bool:
        return self.closing


Written = list[tuple[_Transport, bytes]]


@pytest.fixture
def written() -> Written:
    return []


@_in_a_loop
async def test_one_request_alone_waits_for_nobody(written: Written) -> None:
    outbox, transport = Outbox(), _Transport(written)
    outbox.under_way = 1
    outbox.put(transport, (b"a", b"b"))
    assert written == [(transport, b"ab")]


@_in_a_loop
async def test_several_are_written_together_at_the_end_of_the_turn(written: Written) -> None:
    outbox, a, b = Outbox(), _Transport(written), _Transport(written)
    outbox.under_way = 2
    outbox.put(a, (b"1",))
    outbox.put(b, (b"2",))
    outbox.under_way = 1  # what comes later does not go before what waits
    outbox.put(a, (b"3",))
    assert not written
    assert outbox.holds(a)
    assert outbox.holds(b)
    await asyncio.sleep(0)
    assert written == [(a, b"13"), (b, b"2")]
    assert not outbox.holds(a)


@_in_a_loop
async def test_the_commit_comes_first(written: Written) -> None:
    seen: list[int] = []
    outbox, transport = Outbox(lambda: seen.append(len(written))), _Transport(written)
    outbox.under_way = 2
    outbox.put(transport, (b"1",))
    await asyncio.sleep(0)
    assert seen == [0]
    assert len(written) == 1


@_in_a_loop
async def test_what_is_large_goes_at_once_and_in_order(written: Written) -> None:
    outbox, transport = Outbox(), _Transport(written)
    outbox.under_way = 2
    large = b"x" * (LARGE_BYTES + 1)
    outbox.put(transport, (b"1",))
    outbox.put(transport, (large,))
    assert written == [(transport, b"1"), (transport, large)]
    await asyncio.sleep(0)
    assert len(written) == 2


@_in_a_loop
async def test_release_writes_what_there_is_for_one(written: Written) -> None:
    outbox, a, b = Outbox(), _Transport(written), _Transport(written)
    outbox.under_way = 2
    outbox.put(a, (b"1",))
    outbox.put(b, (b"2",))
    outbox.release(b)
    assert written == [(b, b"2")]
    outbox.flush()
    assert written == [(b, b"2"), (a, b"1")]


@_in_a_loop
async def test_a_closed_transport_is_written_nothing(written: Written) -> None:
    outbox, transport = Outbox(), _Transport(written)
    outbox.under_way = 2
    outbox.put(transport, (b"1",))
    transport.closing = True
    await asyncio.sleep(0)
    assert not written
