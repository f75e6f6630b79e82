"""Out through a proxy of the person's own, with real sockets: what it is asked, what is made of its answers, and that
no program gets round the list of hosts by it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from aish.supervisor.egress import relay, through
from aish.supervisor.egress.guests import Guests
from aish.supervisor.egress.server import Server
from aish.supervisor.egress.way import Ways
from aish.wire.egress import Guest
from tests.supervisor.gateway.authority import signed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path


DEADLINE_S = 60.0
END = b"\r\n\r\n"


class Corp:
    """A proxy of the person's: writes down all that it is told, answers what `says` is, then what a site would."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.rests: list[bytes] = []
        self.says = b"HTTP/1.1 200 Connection established\r\nVia: corp\r\n\r\n"

    async def start(self, secure: ssl.SSLContext | None = None) -> str:
        self.server = await asyncio.start_server(self._visit, "127.0.0.1", 0, ssl=secure)
        return f"http{'s' if secure else ''}://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"

    async def _visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            self.heads.append(await reader.readuntil(END))
            tunnel = self.heads[-1].startswith(b"CONNECT ")
            writer.write(self.says if tunnel else b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\npage")
            if not tunnel and not writer.can_write_eof():  # by TLS
                writer.close()
            elif not tunnel:
                writer.write_eof()
            data = await reader.read()
            self.rests.append(data)
            if tunnel:
                writer.write(b"got " + data)
            writer.close()


class World:
    def __init__(self, root: Path) -> None:
        self.root, self.corp = root, Corp()
        self.guests = Guests(lambda message: True)

    async def start(self, environ: dict[str, str] | None = None, secure: ssl.SSLContext | None = None) -> None:
        url = await self.corp.start(secure)
        file = str(self.root / "config.toml")
        self.server = Server(self.guests, ways=Ways(file, environ or {"HTTPS_PROXY": url, "HTTP_PROXY": url}))
        sock = socket.create_server(("127.0.0.1", 0))
        sock.setblocking(False)
        self.listener = await self.server.listen("p1", sock)
        self.port = self.listener.sockets[0].getsockname()[1]
        self.guests.told(Guest(id="p1", hosts=["localhost:1"], built_in=True, asks=False, word="w"))

    async def said(self, text: bytes, then: bytes = b"") -> bytes:
        """All that is answered; `then` is said behind the answer's head."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(text)
        async with asyncio.timeout(DEADLINE_S):
            first = b""
            if then:
                first = await reader.readuntil(END)
                writer.write(then)
            writer.write_eof()
            found = first + await reader.read()
        writer.close()
        return found

    async def close(self) -> None:
        self.listener.close()
        self.corp.server.close()
        await self.server.close()


def run(
    root: Path,
    body: Callable[[World], Awaitable[Any]],
    environ: dict[str, str] | None = None,
    secure: ssl.SSLContext | None = None,
) -> None:
    async def go() -> None:
        world = World(root)
        await world.start(environ, secure)
        try:
            await body(world)
        finally:
            await world.close()

    asyncio.run(go())


def test_a_tunnel_is_asked_for_and_its_name_resolved_there(tmp_path: Path) -> None:
    async def body(world: World) -> None:
        answer = await world.said(b"CONNECT pypi.org:443 HTTP/1.1\r\nX: 1\r\n\r\n", then=b"hello")
        assert answer == b"HTTP/1.1 200 Connection established\r\n\r\ngot hello"
        assert world.corp.heads == [b"CONNECT pypi.org:443 HTTP/1.1\r\nHost: pypi.org:443\r\n\r\n"]

    run(tmp_path, body)


@pytest.fixture
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ssl.SSLContext]:
    """With what a proxy listens whose authority the system trusts."""
    authority, context = signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    through._trusted.cache_clear()
    yield context
    through._trusted.cache_clear()


def test_one_by_tls_is_asked_in_the_same_way(tmp_path: Path, secure: ssl.SSLContext) -> None:
    async def body(world: World) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(b"CONNECT pypi.org:443 HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(DEADLINE_S):
            assert await reader.readuntil(END) == b"HTTP/1.1 200 Connection established\r\n\r\n"
            writer.transport.abort()
            answer = await world.said(b"GET http://deb.debian.org/x HTTP/1.1\r\n\r\n", then=b"more")
        assert answer.endswith(b"\r\n\r\npage")
        assert [head.split(b"\r\n")[0] for head in world.corp.heads] == [
            b"CONNECT pypi.org:443 HTTP/1.1",
            b"GET http://deb.debian.org/x HTTP/1.1",
        ]

    run(tmp_path, body, secure=secure)


def test_by_tls_a_tunnel_that_its_client_has_left_does_not_stay(
    tmp_path: Path, secure: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TLS has no word for the end of one direction: each stayed for a quarter of an hour, and at 256 of them the
    program was refused all others."""
    monkeypatch.setattr(relay, "LAST_S", 0.05)

    async def body(world: World) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(b"CONNECT pypi.org:443 HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(DEADLINE_S):
            await reader.readuntil(END)
            writer.write_eof()
            assert await reader.read() == b""
            while not world.corp.rests:
                await asyncio.sleep(0.005)

    run(tmp_path, body, secure=secure)


def test_one_by_tls_that_nobody_trusts_is_told(
    tmp_path: Path, secure: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")

    async def body(world: World) -> None:
        answer = (await world.said(b"CONNECT pypi.org:443 HTTP/1.1\r\n\r\n")).decode()
        assert answer.startswith("HTTP/1.1 502 "), answer
        assert "cannot be reached: " in answer
        assert "certificate" in answer
        assert world.corp.heads == []

    run(tmp_path, body, secure=secure)


def test_what_may_not_be_reached_is_not_asked_for_there_either(tmp_path: Path) -> None:
    async def body(world: World) -> None:
        for place in (b"evil.example:443", b"169.254.169.254:80"):
            assert b" 403 " in await world.said(b"CONNECT " + place + b" HTTP/1.1\r\n\r\n")
        assert b" 502 " in await world.said(b"CONNECT localhost:1 HTTP/1.1\r\n\r\n"), "this machine's own"
        assert world.corp.heads == []

    run(tmp_path, body)


def test_plain_http_is_asked_for_by_its_url_and_nothing_behind_it_passes(tmp_path: Path) -> None:
    """A second request on the connection would be read there, as one to any host."""

    async def body(world: World) -> None:
        text = b"GET http://deb.debian.org/x?y HTTP/1.1\r\nAccept: */*\r\n\r\n"
        more = b"GET http://169.254.169.254/ HTTP/1.1\r\nHost: a\r\n\r\n"
        answer = await world.said(text + more, then=more)
        assert answer.endswith(b"\r\n\r\npage")
        (head,) = world.corp.heads
        assert head.startswith(b"GET http://deb.debian.org/x?y HTTP/1.1\r\nHost: deb.debian.org\r\n")
        assert b"Connection: close\r\n" in head
        assert b"169.254" not in head
        while not world.corp.rests:
            await asyncio.sleep(0.005)
        assert world.corp.rests == [b""]

    run(tmp_path, body)


def test_with_a_body_it_goes_through_a_tunnel_where_it_is_that_host_s(tmp_path: Path) -> None:
    async def body(world: World) -> None:
        text = b"POST http://pypi.org/ HTTP/1.1\r\nContent-Length: 2\r\n\r\nab"
        answer = await world.said(text)
        assert answer.startswith(b"got POST / HTTP/1.1\r\nHost: pypi.org\r\n")
        assert answer.endswith(b"\r\n\r\nab")
        assert world.corp.heads == [b"CONNECT pypi.org:80 HTTP/1.1\r\nHost: pypi.org:80\r\n\r\n"]

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("says", "told"),
    [
        (b"HTTP/1.1 403 Forbidden by policy\r\n\r\n", "does not let it through: 403 Forbidden by policy"),
        (b"HTTP/1.1 407 Proxy\r\nProxy-Authenticate: Basic\r\n\r\n", "wants a user and a password: key_file"),
        (b"HTTP/1.1 503\r\n\r\n", "does not let it through: 503"),
        (b"SSH-2.0-x\r\n\r\n", "answers something else than HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000, "has broken off before its answer"),
    ],
)
def test_what_it_answers_else_is_told_and_is_no_407_of_ours(tmp_path: Path, says: bytes, told: str) -> None:
    """A 407 would have the program send the password that it has for us."""

    async def body(world: World) -> None:
        world.corp.says = says
        answer = (await world.said(b"CONNECT pypi.org:443 HTTP/1.1\r\n\r\n")).decode()
        assert answer.startswith("HTTP/1.1 502 "), answer
        assert told in answer

    run(tmp_path, body)


def test_one_that_is_not_there_is_told_without_its_password(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]

    async def body(world: World) -> None:
        answer = (await world.said(b"CONNECT pypi.org:443 HTTP/1.1\r\n\r\n")).decode()
        assert answer.startswith("HTTP/1.1 502 ")
        assert f"the proxy http://127.0.0.1:{port} cannot be reached" in answer
        assert "s3cret" not in answer

    run(tmp_path, body, {"HTTPS_PROXY": f"http://me:s3cret@127.0.0.1:{port}"})


def test_its_password_goes_to_it_and_that_of_the_program_does_not(tmp_path: Path) -> None:
    async def body(world: World) -> None:
        port = world.corp.server.sockets[0].getsockname()[1]
        said = f'[egress]\nproxy = "http://127.0.0.1:{port}"\nkey_file = "key"\n'
        (tmp_path / "config.toml").write_text(said)
        (tmp_path / "key").write_text("me:s3cret\n")
        (tmp_path / "key").chmod(0o600)
        own = b"Proxy-Authorization: Basic cDE6dw==\r\n"  # p1:w
        for line in (b"CONNECT pypi.org:443", b"GET http://pypi.org/"):
            answer = await world.said(line + b" HTTP/1.1\r\n" + own + b"\r\n")
            assert b"200" in answer
            assert b"bWU6czNjcmV0" not in answer
        for head in world.corp.heads:
            assert b"Proxy-Authorization: Basic bWU6czNjcmV0\r\n" in head
            assert b"cDE6dw==" not in head
        assert len(world.corp.heads) == 2

    run(tmp_path, body)
