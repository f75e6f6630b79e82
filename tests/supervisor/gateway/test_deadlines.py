"""Every wait has an end: servers that never answer, clients that do not read or send, models that do not start."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aish.supervisor.gateway import gateway as wiring
from aish.supervisor.gateway import proxy
from aish.supervisor.gateway.gateway import Gateway
from aish.supervisor.gateway.records import Records
from aish.wire.message import KeyList

from .conftest import GatewayProcess, World
from .test_faults import Client, chat

if TYPE_CHECKING:
    from collections.abc import Iterator

DEADLINE_S = 60.0


class GatewayThread(GatewayProcess):
    """The same gateway in a thread, with short deadlines."""

    def start(self) -> GatewayThread:
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._main()), daemon=True)
        self._thread.start()
        assert self._up.wait(DEADLINE_S)
        return self

    async def _main(self) -> None:
        self._stopping = asyncio.Event()
        made = Gateway(
            secret=(self.state / "secret").read_bytes(),
            records=Records(str(self.state / "gateway.db")),
            daemon_socket=str(self.root / "run" / "aish" / "daemon.sock"),
            base_url=self.url,
            failed=self._stopping.set,
            ready_s=0.3,
            idle_s=0.3,
            idle_check_s=0.1,
        )
        self.made = made
        made.web._body_s = 0.3
        await made.start(self.listener.dup())
        self._up.set()
        await self._stopping.wait()
        await made.close()

    def stop(self) -> int:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(DEADLINE_S)
            assert not self._thread.is_alive()
            self._loop.close()
        return 0


@pytest.fixture(scope="module")
def hasty() -> Iterator[World]:
    root = Path(tempfile.mkdtemp(prefix="aish-g-", dir="/tmp"))
    patch = pytest.MonkeyPatch()
    patch.setattr(proxy, "SLOW_CLIENT_S", 0.3)
    patch.setattr(wiring, "UPKEEP_S", 0.05)
    made = World(root)
    made.gateway.listener.close()
    made.gateway = GatewayThread(root)
    try:
        yield made.start()
    finally:
        made.stop()
        patch.undo()
        shutil.rmtree(root, ignore_errors=True)


def test_a_server_that_never_answers_is_a_504(hasty: World) -> None:
    id, key = hasty.agent()
    status, body, _ = hasty.gateway.chat(key, "never", max_tokens=5)
    assert (status, body["error"]["type"]) == (504, "upstream_error")
    assert "does not answer" in body["error"]["message"]
    tokens = hasty.daemon.settled(id, 1).tokens
    assert tokens.estimated == tokens.input + tokens.output, "it may have worked all the time"


def test_a_stream_that_stops_is_told_and_ended(hasty: World) -> None:
    id, key = hasty.agent()
    client = Client(hasty, key, chat("say 5 pace 3", stream=True))
    data = client.read_until(b"0\r\n\r\n")
    assert b"stopped in the middle" in data
    hasty.daemon.settled(id, 1)
    (row,) = hasty.gateway.rows(f"process = '{id}'")
    assert row["status"] == 504


def test_a_client_that_reads_nothing_is_cut_and_its_slot_is_free(hasty: World) -> None:
    id, key = hasty.agent()
    aborted = hasty.upstream.aborted
    client = Client(hasty, key, chat(f"say 3000000 flood huge {8 << 20}", stream=True))
    hasty.upstream.wait_for(lambda server: server.aborted > aborted)
    hasty.daemon.settled(id, 1)
    (row,) = hasty.gateway.rows(f"process = '{id}'")
    assert row["status"] == 499
    client.hang_up()


def test_a_client_that_a_person_paused_is_not_slow(hasty: World) -> None:
    id, key = hasty.agent()
    client = Client(hasty, key, chat(f"say 3000000 flood huge {8 << 20}", stream=True))
    client.read_until(b"200 OK")
    hasty.daemon.change(id, held=True)
    other, slow = hasty.agent()
    Client(hasty, slow, chat(f"say 3000000 flood huge {8 << 20}", stream=True))
    hasty.daemon.settled(other, 1)  # one that began later was cut meanwhile
    assert not hasty.daemon.events_of(id), "the paused one was not"
    hasty.daemon.change(id, held=False)
    hasty.daemon.settled(id, 1)
    client.hang_up()


def test_a_body_that_does_not_come_is_a_400(hasty: World) -> None:
    _, key = hasty.agent()
    with socket.create_connection(("127.0.0.1", hasty.gateway.port), timeout=DEADLINE_S) as raw:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
        raw.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        reply = raw.recv(65536)
    assert reply.startswith(b"HTTP/1.1 400")
    assert "did not come within" in json.loads(reply.partition(b"\r\n\r\n")[2])["error"]["message"]


def test_a_stored_model_that_nobody_starts_is_a_503(hasty: World) -> None:
    hasty.daemon.stored = ["cold"]
    links = hasty.daemon.links
    hasty.daemon.stop()
    hasty.daemon.start()
    hasty.daemon.wait_for(lambda daemon: daemon.links > links)
    status, body, _ = hasty.gateway.chat(hasty.agent()[1], "say 1", model="cold")
    assert (status, body["error"]["code"]) == (503, "unavailable")
    assert "did not get ready within 0.3 s" in body["error"]["message"]


def test_an_idle_server_that_dies_is_noticed(hasty: World) -> None:
    from aish.wire.link import Readiness

    from .upstream import Upstream

    another = Upstream("127.0.0.1:0").start()
    hasty.daemon.model("p20", "mortal", another.route)
    hasty.daemon.ready("p20")
    another.stop()
    event = hasty.daemon.event(Readiness, lambda e: e.id == "p20" and e.ready == "unknown")
    assert event.text.startswith("no answer: ")
    hasty.daemon.change("p20", alive=False)


def test_a_full_disk_refuses_requests_clearly_and_the_daemon_s_word_still_counts(hasty: World) -> None:
    assert isinstance(hasty.gateway, GatewayThread)
    records, loop = hasty.gateway.made.records, hasty.gateway._loop
    id, key = hasty.agent()
    assert hasty.gateway.chat(key, "say 1")[0] == 200

    def limit(pages: str) -> None:
        asyncio.run_coroutine_threadsafe(execute(f"PRAGMA max_page_count = {pages}"), loop).result(DEADLINE_S)

    async def execute(statement: str) -> None:
        records._db.execute(statement)

    def refused() -> bool:
        status, body, _ = hasty.gateway.chat(key, "say 1")
        if status == 503:
            assert "the disk is full" in body["error"]["message"]
            assert "free some space" in body["error"]["message"]
        return status == 503

    limit("1")  # SQLite takes it as: not one page more than there are
    try:
        assert any(refused() for _ in range(500)), "the pages at hand were filled"
        hasty.daemon.change(id, name="renamed" * 2000, held=True)
        hasty.daemon.change(id, name="renamed", alive=False)
        hasty.daemon.ask(KeyList())
        assert hasty.gateway.chat(key, "say 1")[0] == 401
    finally:
        limit("1000000000")
    assert hasty.gateway.chat(hasty.agent()[1], "say 1")[0] == 200
