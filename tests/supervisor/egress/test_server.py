"""The proxy with real sockets: what passes, what is refused, and that nobody holds it up."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
from typing import TYPE_CHECKING, Any

import pytest

from aish.supervisor.egress import address, guests, relay, request, server, tally
from aish.supervisor.egress.guests import Guests
from aish.supervisor.egress.server import Server
from aish.supervisor.egress.way import Ways
from aish.wire.egress import FromEgress, Guest, Left, MayReach, Passed, Reach
from aish.wire.egress import Guests as Told

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

DEADLINE_S = 60.0


class Proxy:
    """`port` is everybody's, `door` that of p1; `site` is a server that answers what it got, then ends."""

    def __init__(self) -> None:
        self.asked: list[MayReach] = []
        self.passed: list[Passed] = []
        self.away = False
        self.guests = Guests(self.told)
        self.server = Server(self.guests, head_s=1.0, ways=Ways("/nowhere/config.toml", {}))
        self.got: list[bytes] = []

    def told(self, message: FromEgress) -> bool:
        """What a daemon is told, which hears nothing while it is `away`."""
        if self.away:
            return False
        if isinstance(message, Passed):
            self.passed.append(message)
        else:
            self.asked.append(message)
        return True

    async def start(self) -> None:
        self.listeners = []
        for process in (None, "p1"):
            sock = socket.create_server(("127.0.0.1", 0))
            sock.setblocking(False)
            self.listeners.append(await self.server.listen(process, sock))
        self.port, self.door = (each.sockets[0].getsockname()[1] for each in self.listeners)
        self.site = await asyncio.start_server(self._site, "127.0.0.1", 0)
        self.site_port = self.site.sockets[0].getsockname()[1]

    async def _site(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            data = await reader.read()
            self.got.append(data)
            writer.write(b"got " + data)
            writer.close()

    async def close(self) -> None:
        for each in (*self.listeners, self.site):
            each.close()
        await self.server.close()

    def guest(self, id_: str = "p1", *hosts: str, asks: bool = True, built_in: bool = True) -> None:
        self.guests.told(Guest(id=id_, hosts=list(hosts), built_in=built_in, asks=asks, word=f"word-{id_}"))

    async def connect(
        self, port: int, head: str, user: str = ""
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        known = f"Proxy-Authorization: Basic {base64.b64encode(user.encode()).decode()}\r\n" if user else ""
        writer.write(f"{head} HTTP/1.1\r\n{known}\r\n".encode())
        return reader, writer

    async def said(self, port: int, head: str, user: str = "", *, waits: bool = False) -> str:
        """All that it answers to a client that has said all; `waits`: its own end comes after the answer's head."""
        reader, writer = await self.connect(port, head, user)
        first = b""
        if waits:
            async with asyncio.timeout(DEADLINE_S):
                first = await reader.readuntil(b"\r\n\r\n")
        writer.write_eof()
        async with asyncio.timeout(DEADLINE_S):
            found = (first + await reader.read()).decode("latin-1")
        writer.close()
        return found

    async def answer(self, allowed: bool = True, why: str = "") -> MayReach:
        async with asyncio.timeout(DEADLINE_S):
            while not self.asked:
                await asyncio.sleep(0.005)
        asked = self.asked.pop(0)
        self.guests.told(Reach(number=asked.number, allowed=allowed, why=why))
        return asked


def run(body: Callable[[Proxy], Awaitable[Any]]) -> Any:
    async def go() -> Any:
        proxy = Proxy()
        await proxy.start()
        try:
            return await body(proxy)
        finally:
            await proxy.close()

    return asyncio.run(go())


@pytest.fixture
def anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """All names are this machine's, and that is public."""

    async def resolved(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    monkeypatch.setattr(address, "resolved", resolved)
    monkeypatch.setattr(address, "is_public", lambda text: True)
    monkeypatch.setattr(address, "is_own", lambda text: False)


# --- what passes ----------------------------------------------------------------------------------------------------


def test_a_tunnel_passes_all_bytes_and_each_end_by_itself() -> None:
    async def body(proxy: Proxy) -> None:
        place = f"localhost:{proxy.site_port}"
        proxy.guest("p1", place)
        reader, writer = await proxy.connect(proxy.door, f"CONNECT {place}")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 200 Connection established\r\n\r\n"
        data = bytes(range(256)) * 4096
        writer.write(data)
        writer.write_eof()  # the answer comes all the same
        assert await reader.read() == b"got " + data
        writer.close()
        proxy.guests.told(Left(id="p1"))  # told at once then: it is looked at when it has ended
        (passed,) = proxy.passed
        assert passed == Passed(
            process="p1",
            host="localhost",
            port=proxy.site_port,
            connections=1,
            sent_bytes=len(data),
            received_bytes=4 + len(data),
        )

    run(body)


def test_what_passed_is_told_once_and_kept_while_the_daemon_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that was killed left the bytes of that moment uncounted; one that came back had them twice."""
    monkeypatch.setattr(tally, "EVERY_S", 0.01)

    async def body(proxy: Proxy) -> None:
        place = f"localhost:{proxy.site_port}"
        proxy.guest("p1", place)
        proxy.away = True
        for _ in range(2):
            await proxy.said(proxy.door, f"CONNECT {place}", waits=True)
        assert proxy.passed == []
        proxy.away = False
        async with asyncio.timeout(DEADLINE_S):
            while not proxy.passed:
                await asyncio.sleep(0.005)
        proxy.guests.tally.flush()
        (passed,) = proxy.passed
        assert (passed.connections, passed.sent_bytes, passed.received_bytes) == (2, 0, 8)

    run(body)


def test_plain_http_is_passed_on_to_the_host_of_its_url() -> None:
    async def body(proxy: Proxy) -> None:
        place = f"localhost:{proxy.site_port}"
        proxy.guest("p1", place)
        answer = await proxy.said(proxy.door, f"GET http://{place}/x")
        assert answer.startswith(f"got GET /x HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n\r\n")

    run(body)


def test_a_host_of_the_list_needs_no_question(anywhere: None) -> None:
    async def body(proxy: Proxy) -> None:
        proxy.guest("p1", f"*.example.org:{proxy.site_port}")
        assert "got" in await proxy.said(proxy.door, f"CONNECT a.example.org:{proxy.site_port}")
        assert proxy.asked == []

    run(body)


# --- who ------------------------------------------------------------------------------------------------------------


def test_who_has_no_door_says_who_he_is_with_his_own_word() -> None:
    async def body(proxy: Proxy) -> list[str]:
        place = f"CONNECT localhost:{proxy.site_port}"
        proxy.guest("p1", f"localhost:{proxy.site_port}")
        proxy.guest("p2", f"localhost:{proxy.site_port}")
        users = ("p2:word-p2", "", "p2:word-p1", "p2:", "p2", "p1:word-p2")
        return [(await proxy.said(proxy.port, place, user))[9:12] for user in users]

    assert run(body) == ["200", "407", "407", "407", "407", "407"]


def test_at_a_door_another_s_word_is_refused_and_none_is_needed() -> None:
    async def body(proxy: Proxy) -> list[str]:
        place = f"CONNECT localhost:{proxy.site_port}"
        proxy.guest("p1", f"localhost:{proxy.site_port}")
        proxy.guest("p2", f"localhost:{proxy.site_port}")
        return [(await proxy.said(proxy.door, place, user))[9:12] for user in ("", "p1:word-p1", "p2:word-p2")]

    assert run(body) == ["200", "200", "407"]


def test_the_word_about_a_process_may_come_after_it() -> None:
    async def body(proxy: Proxy) -> str:
        place = f"localhost:{proxy.site_port}"
        asked = asyncio.ensure_future(proxy.said(proxy.door, f"CONNECT {place}"))
        await asyncio.sleep(0)
        proxy.guest("p1", place)
        return str(await asked)

    assert run(body).startswith("HTTP/1.1 200 ")


def test_who_is_not_known_is_refused_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guests, "APPEAR_S", 0.05)

    async def body(proxy: Proxy) -> str:
        return await proxy.said(proxy.door, "CONNECT pypi.org:443")

    assert run(body).startswith("HTTP/1.1 407 ")


# --- questions ------------------------------------------------------------------------------------------------------


def test_a_host_that_asks_goes_on_when_it_is_allowed_and_many_wait_for_one_answer(anywhere: None) -> None:
    async def body(proxy: Proxy) -> None:
        proxy.guest("p1")
        place = f"evil.example:{proxy.site_port}"
        waiting = [asyncio.ensure_future(proxy.said(proxy.door, f"CONNECT {place}", waits=True)) for _ in range(8)]
        asked = await proxy.answer()
        assert (asked.process, asked.host, asked.port) == ("p1", "evil.example", proxy.site_port)
        assert all(answer.startswith("HTTP/1.1 200 ") for answer in await asyncio.gather(*waiting))
        assert proxy.asked == []

    run(body)


def test_a_client_that_waits_may_say_its_first_words_before_the_answer(anywhere: None) -> None:
    async def body(proxy: Proxy) -> None:
        proxy.guest("p1")
        reader, writer = await proxy.connect(proxy.door, f"CONNECT evil.example:{proxy.site_port}")
        writer.write(b"early ")
        await proxy.answer()
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"late")
        writer.write_eof()
        assert await reader.read() == b"got early late"
        writer.close()

    run(body)


def test_what_is_denied_is_refused_with_the_reason() -> None:
    async def body(proxy: Proxy) -> str:
        proxy.guest("p1")
        waiting = asyncio.ensure_future(proxy.said(proxy.door, "CONNECT evil.example:443", waits=True))
        await proxy.answer(allowed=False, why="not today")
        return str(await waiting)

    assert run(body).startswith("HTTP/1.1 403 evil.example:443 is not allowed: not today\r\n")


def test_what_a_person_allows_is_no_leave_to_go_inside() -> None:
    """He said yes to a name, which leads to this network."""

    async def body(proxy: Proxy) -> str:
        proxy.guest("p1")
        head = f"CONNECT localhost:{proxy.site_port}"
        waiting = asyncio.ensure_future(proxy.said(proxy.door, head, waits=True))
        await proxy.answer()
        return str(await waiting)

    assert "which is not a public address" in run(body).partition("\r\n")[0]


def test_who_may_not_ask_is_refused_at_once() -> None:
    async def body(proxy: Proxy) -> str:
        proxy.guest("p1", "a.org", asks=False, built_in=False)
        return await proxy.said(proxy.door, "CONNECT pypi.org:443")

    assert run(body).startswith("HTTP/1.1 403 pypi.org:443 is not among the hosts of this sandbox")


def test_questions_are_few_and_asked_again_of_another_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guests, "ASKS_MOST", 2)

    async def body(proxy: Proxy) -> str:
        proxy.guest("p1")
        for name in ("a.example", "b.example"):
            await proxy.connect(proxy.door, f"CONNECT {name}:443")
        while len(proxy.asked) < 2:
            await asyncio.sleep(0.005)
        refused = await proxy.said(proxy.door, "CONNECT c.example:443")
        before = list(proxy.asked)
        proxy.guests.told(Told(guests=[proxy.guests._guests["p1"].said]))
        assert proxy.asked == [*before, *before]
        return refused

    assert "2 questions wait" in run(body)


def test_an_end_is_an_answer_to_all_who_wait() -> None:
    async def body(proxy: Proxy) -> str:
        proxy.guest("p1")
        reader, _ = await proxy.connect(proxy.door, "CONNECT a.example:443")
        while not proxy.asked:
            await asyncio.sleep(0.005)
        proxy.guests.told(Left(id="p1"))
        return (await reader.read()).decode()

    assert run(body).startswith("HTTP/1.1 403 ")


# --- nobody holds it up ---------------------------------------------------------------------------------------------


def test_a_head_that_does_not_end_is_refused_or_cut() -> None:
    async def body(proxy: Proxy) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.door)
        writer.write(b"CONNECT " + b"a" * (2 * request.HEAD_BYTES + 2))
        assert (await reader.read()).startswith(b"HTTP/1.1 431 ")
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.door)
        writer.write(b"CONNECT a.org:443 HTTP/1.1\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""  # after a second
        writer.close()

    run(body)


def test_connections_of_one_process_are_bounded_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CONNECTIONS_MOST", 2)

    async def body(proxy: Proxy) -> None:
        place = f"localhost:{proxy.site_port}"
        proxy.guest("p1", place)
        open_ = [await proxy.connect(proxy.door, f"CONNECT {place}") for _ in range(2)]
        for reader, _ in open_:
            await reader.readuntil(b"\r\n\r\n")
        assert (await proxy.said(proxy.door, f"CONNECT {place}")).startswith("HTTP/1.1 429 ")
        for reader, writer in open_:
            writer.write_eof()
            await reader.read()
            writer.close()
        assert "got" in await proxy.said(proxy.door, f"CONNECT {place}")

    run(body)


def test_a_reader_that_is_slow_slows_down_the_writer_and_nobody_s_memory() -> None:
    async def body(proxy: Proxy) -> None:
        stuck = asyncio.Event()

        async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await stuck.wait()
            writer.close()

        site = await asyncio.start_server(slow, "127.0.0.1", 0, limit=1024)
        place = f"localhost:{site.sockets[0].getsockname()[1]}"
        proxy.guest("p1", place)
        reader, writer = await proxy.connect(proxy.door, f"CONNECT {place}")
        await reader.readuntil(b"\r\n\r\n")
        sent = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                while sent < 1 << 30:
                    writer.write(b"x" * (1 << 20))
                    sent += 1 << 20
                    await writer.drain()
        assert sent < 256 << 20
        stuck.set()
        site.close()
        writer.transport.abort()

    run(body)


def test_a_silent_tunnel_ends() -> None:
    async def body(proxy: Proxy) -> None:
        a, b = socket.socketpair()
        c, d = socket.socketpair()
        one = await asyncio.open_connection(sock=b)
        other = await asyncio.open_connection(sock=c)
        await relay.relay(one, other, lambda sent, received: None, idle_s=0.05)
        loop = asyncio.get_running_loop()
        for end in (a, d):
            end.setblocking(False)
            assert await loop.sock_recv(end, 1) == b""
        a.close()
        d.close()

    run(body)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.1"])
def test_nobody_is_asked_for_an_address_that_no_answer_opens(host: str) -> None:
    async def body(proxy: Proxy) -> tuple[str, list[MayReach]]:
        proxy.guest("p1")
        return await proxy.said(proxy.door, f"CONNECT {host}:443"), proxy.asked

    said, asked = run(body)
    assert said.startswith("HTTP/1.1 403 ")
    assert "not a public address" in said
    assert asked == []


def test_who_says_nothing_at_its_door_holds_up_nobody_else(anywhere: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The room for those that have not said what they want was one for all sandboxes."""
    monkeypatch.setattr(server, "STRANGERS_MOST", 2)

    async def body(proxy: Proxy) -> None:
        proxy.guest("p2", f"a.test:{proxy.site_port}")
        silent = [await asyncio.open_connection("127.0.0.1", proxy.door) for _ in range(2)]
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.door)
        assert b" 503 " in await reader.readline()
        said = await proxy.said(proxy.port, f"CONNECT a.test:{proxy.site_port}", "p2:word-p2", waits=True)
        assert " 200 " in said
        for _, each in (*silent, (reader, writer)):
            each.close()

    run(body)


def test_a_flood_at_a_door_is_cut_and_holds_up_nobody_else(anywhere: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are refused are told so, and were counted nowhere: the descriptors of all sandboxes ran out."""
    monkeypatch.setattr(server, "VISITS_MOST", 3)

    async def body(proxy: Proxy) -> None:
        proxy.guest("p2", f"a.test:{proxy.site_port}")
        silent = [await asyncio.open_connection("127.0.0.1", proxy.door) for _ in range(3)]
        reader, _ = await asyncio.open_connection("127.0.0.1", proxy.door)
        async with asyncio.timeout(DEADLINE_S):
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
        said = await proxy.said(proxy.port, f"CONNECT a.test:{proxy.site_port}", "p2:word-p2", waits=True)
        assert " 200 " in said
        for _, each in silent:
            each.close()

    run(body)


def test_names_that_do_not_answer_hold_up_their_process_alone(
    anywhere: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that asked for as many as may be looked up at a time kept all others out."""
    monkeypatch.setattr(server, "DIALS_MOST", 3)
    monkeypatch.setattr(guests, "DIALS_MOST", 2)

    async def body(proxy: Proxy) -> None:
        begun, never = asyncio.Semaphore(0), asyncio.Event()

        async def resolved(host: str, port: int) -> list[str]:
            if host == "slow.test":
                begun.release()
                await never.wait()
            return ["127.0.0.1"]

        monkeypatch.setattr(address, "resolved", resolved)
        proxy.guest("p1", "slow.test")
        proxy.guest("p2", f"a.test:{proxy.site_port}")
        slow = [await proxy.connect(proxy.door, "CONNECT slow.test:443") for _ in range(4)]
        async with asyncio.timeout(DEADLINE_S):
            for _ in range(2):
                await begun.acquire()
        said = await proxy.said(proxy.port, f"CONNECT a.test:{proxy.site_port}", "p2:word-p2", waits=True)
        assert " 200 " in said
        for _, writer in slow:
            writer.close()

    run(body)
