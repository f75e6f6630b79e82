"""What is kept of what passes, while nobody hears it."""

from __future__ import annotations

import asyncio

from aish.supervisor.egress.tally import Tally
from aish.wire.egress import HOSTS_MOST, Passed


def passed(process: str, host: str | None, port: int | None = 443, times: int = 1) -> Passed:
    return Passed(process=process, host=host, port=port, connections=times, sent_bytes=times, received_bytes=times)


def test_hosts_beyond_the_bound_are_one_sum() -> None:
    """A program with `*.its-own.example` named ever new hosts while the daemon was away, and all were kept."""
    heard: list[Passed] = []
    deaf = True

    def tell(each: Passed) -> bool:
        if not deaf:
            heard.append(each)
        return not deaf

    async def body() -> None:
        nonlocal deaf
        tally = Tally(tell)
        for number in range(HOSTS_MOST + 3):
            tally.count(passed("p1", f"h{number}.example"))
        tally.count(passed("p1", "h0.example"))
        tally.count(passed("p2", "h.example"))
        tally.flush()
        tally.flush("p3")
        deaf = False
        tally.flush("p1")
        assert len(heard) == HOSTS_MOST + 1
        assert heard[0] == passed("p1", "h0.example", times=2)
        assert heard[-1] == passed("p1", None, None, times=3)
        heard.clear()
        tally.flush()
        assert heard == [passed("p2", "h.example")]

    asyncio.run(body())
