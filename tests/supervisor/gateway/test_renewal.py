"""kill -9 at the moment in which the redo log has become long and the next file takes its place."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from aish.supervisor.gateway.redo import LONG_BYTES
from aish.supervisor.gateway.row import Row
from aish.wire.link import Member

from . import recorded, storm
from .storm import Storm

if TYPE_CHECKING:
    from .conftest import World

NAME_BYTES = 512 << 10
"""It stands in what begins and in what ends: two requests make the log long."""
REQUESTS_EACH = 24
"""For each kill: then there are more renewals than kills."""
LATER_S = (0.004, 0.02, 0.06, 0.12)
DEADLINE_S = 60.0
DIES = """
import os, signal
from aish.supervisor.gateway.redo import RedoLog

begin = RedoLog.renew

def renew(log, entries):
    begin(log, entries)
    os.kill(os.getpid(), signal.SIGKILL)

RedoLog.renew = renew
"""
"""A gateway with this as its sitecustomize.py dies between the next file's birth and the transaction that names it:
from outside that moment is caught by luck."""


class Killer:
    """kill -9 of the gateway so many seconds after the next file of its redo log has its name; or when all clients
    have their answers: then there comes none."""

    def __init__(self, world: World, clients: Storm, delay_s: float) -> None:
        self._world, self._clients, self._delay_s = world, clients, delay_s
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        newest, clients = generation(self._world), self._clients
        while generation(self._world) == newest and len(clients.answers) < clients.requests:
            pass  # at that very moment: whoever sleeps comes too late
        until_s = time.monotonic() + self._delay_s
        while time.monotonic() < until_s:
            pass
        self._world.gateway.kill()

    def wait(self) -> None:
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()


def generation(world: World) -> int:
    """Of the newest file."""
    names = [name for name in os.listdir(world.gateway.state) if name.startswith("gateway.db-redo-")]
    return max(int(name.rpartition("-")[2]) for name in names)


def taken(world: World) -> int:
    """What is settled or reserved, by the gateway's files alone."""
    path, which = world.gateway.state / "gateway.db", "dialect != 'probe' AND bytes_in > 90"
    rows = [Row.of(tuple(row)) for row in recorded.ended(path, which)]
    rows += [row for row in recorded.left(path).under_way.values() if row.bytes_in > 90]
    assert len({row.number for row in rows}) == len(rows), "a request stands there twice"
    return sum(row.input + row.output for row in rows)


@pytest.mark.parametrize(
    ("seed", "kills"),
    [(1, 3), pytest.param(2, 8, marks=pytest.mark.slow), pytest.param(3, 8, marks=pytest.mark.slow)],
)
def test_a_kill_while_one_file_takes_the_place_of_another_loses_and_doubles_nothing(
    world: World, seed: int, kills: int
) -> None:
    """Between the file's birth, the transaction that names it, and the death of the one before: nothing showed in a
    real gateway that what was under way went along, and that what had ended was not settled once more."""
    order, requests = random.Random(seed), kills * REQUESTS_EACH
    enough = 10 * requests * storm.TOKENS
    (world.root / "sitecustomize.py").write_text(DIES)
    world.gateway.environ["PYTHONPATH"] = str(world.root)
    world.start()
    top, _ = world.agent(budget=enough)
    ids = [f"p{number}" for number in range(901, 905)]
    for id in ids:
        world.daemon.put(Member(id=id, name=id[-1] * NAME_BYTES, kind="agent", parent=top))
    clients = Storm(world.gateway.port, [world.daemon.key(id) for id in ids], "small", requests)
    try:
        for number in range(kills):
            if number == 0:
                assert world.gateway.ended() == -signal.SIGKILL
                assert recorded.position(world.gateway.state / "gateway.db").generation < generation(world)
                del world.gateway.environ["PYTHONPATH"]
            else:
                Killer(world, clients, order.choice(LATER_S) if number % 2 else 0.0).wait()
            assert world.upstream.work <= taken(world) <= enough
            world.gateway.start()
        clients.wait_for(lambda storm: len(storm.answers) == requests)
        assert set(clients.answers.values()) == {200}
    finally:
        clients.close()
    used = {id: world.gateway.call("/v1/aish/usage", key=world.daemon.key(id))[1] for id in ids}
    assert world.gateway.stop() == 0
    assert world.upstream.work <= taken(world)
    for id, told in used.items():
        rows = world.gateway.rows(f"process = '{id}'")
        assert told["requests"] == len(rows)
        assert told["input_tokens"] + told["output_tokens"] == sum(row["input"] + row["output"] for row in rows)
    assert generation(world) > kills / 2, "it was seldom renewed"
    assert (world.gateway.state / f"gateway.db-redo-{generation(world)}").stat().st_size < 2 * LONG_BYTES
