"""`fetch` reaches the hosts of its list, out on the internet, and nothing in here, by whatever way."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from aish.plugins.builtin import fetch as module
from aish.plugins.builtin import hosts
from aish.plugins.builtin.declined import DeclinedError
from aish.plugins.builtin.fetch import Fetch
from aish.plugins.builtin.page import words_of
from aish.supervisor.egress.guests import Guests
from aish.supervisor.egress.server import Server
from aish.wire.egress import FromEgress, Guest, MayReach, Reach
from tests.supervisor.gateway.authority import signed, strict


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://other.org/", "not among the hosts"),
        ("https://notexample.org/", "not among the hosts"),
        ("https://example.org.evil.org/", "not among the hosts"),
        ("https://a.b.org@evil.org/", "password"),
        ("ftp://example.org/", "only http"),
        ("file:///etc/passwd", "only http"),
        ("https://example.org:22/", "port 22"),
        ("http://example.org:443/", "port 443"),
        ("https://", "only http"),
        ("https://example.org/\r\nX: y", "no URL"),
        ("https://[::1", "no URL"),
        ("https://example.org/" + "a" * 5000, "no URL"),
        ("", "only http"),
    ],
)
def test_what_is_not_asked(url: str, told: str) -> None:
    with pytest.raises(DeclinedError, match=told):
        hosts.checked(url, ("example.org", "*.b.org"))


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/", "http://[::1]/", "http://169.254.169.254/latest", "http://10.0.0.1/"]
)
def test_addresses_in_here_are_not_asked_even_where_all_hosts_are(url: str) -> None:
    with pytest.raises(DeclinedError, match="not a public address"):
        hosts.checked(url, ("*",))


@pytest.mark.parametrize("url", ["http://2130706433/", "http://0x7f.1/", "http://localhost/", "http://127.1/"])
def test_other_ways_to_write_an_address_are_names_that_lead_nowhere(url: str) -> None:
    with pytest.raises(DeclinedError):
        asyncio.run(Fetch(("*",)).fetch(url))


def test_hosts_are_whole_labels() -> None:
    assert hosts.host_allowed("Docs.Python.org.", ("*.python.org",))
    assert not hosts.host_allowed("python.org", ("*.python.org",))
    assert not hosts.host_allowed("evilpython.org", ("*.python.org", "python.org"))


class Way:
    """A sandbox's, whose proxy is a real one."""

    offline = False

    def __init__(self, proxy: str) -> None:
        self.proxy = proxy


async def _by_proxy(url: str, *, asks: bool) -> tuple[str, list[str]]:
    """What the tool says of it where nobody allows it, and which hosts a person was asked for."""
    asked: list[str] = []

    def ask(question: FromEgress) -> None:
        assert isinstance(question, MayReach), "nothing was reached"
        asked.append(question.host)
        guests.told(Reach(number=question.number, allowed=False, why="no"))

    guests = Guests(lambda message: bool(loop.call_soon(ask, message)))
    loop = asyncio.get_running_loop()
    guests.told(Guest(id="p1", hosts=[], built_in=True, asks=asks, word="w"))
    server = Server(guests)
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    listener = await server.listen(None, sock)

    async def lookup(host: str, port: int) -> list[str]:
        raise AssertionError(f"{host}:{port} was resolved outside of the sandbox")

    way = Way(f"http://p1:w@127.0.0.1:{sock.getsockname()[1]}")
    try:
        said = await Fetch(("*",), lookup, way).fetch(url)  # type: ignore[arg-type]
    except DeclinedError as error:
        said = str(error)
    listener.close()
    await server.close()
    return said, asked


@pytest.mark.parametrize("url", ["http://a.example/", "https://a.example/", "http://127.0.0.1/"])
def test_in_a_sandbox_its_proxy_says_which_hosts_there_are(url: str) -> None:
    """A sandbox `dev` without hosts of its own let `fetch` ask all that the agent's file names."""
    said, asked = asyncio.run(_by_proxy(url, asks=False))
    assert "is not among the hosts of this sandbox" in said
    assert asked == []
    assert "w@" not in said


def test_in_a_sandbox_a_person_is_asked_as_for_its_commands() -> None:
    said, asked = asyncio.run(_by_proxy("https://a.example/", asks=True))
    assert "a.example:443 is not allowed: no" in said
    assert asked == ["a.example"]


class Web:
    """A server here that plays one out there: names are looked up as the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.addresses: Callable[[str], list[str]] = lambda host: ["127.0.0.1"]
        self.lookups: list[str] = []
        self.seen: list[str] = []
        self.replies: dict[str, Callable[[], web.Response]] = {}
        monkeypatch.setattr(module, "is_public", lambda address: address == "127.0.0.1")

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(f"{request.host}{request.path}")
        return self.replies[request.path]()

    def fetch(
        self,
        path: str,
        monkeypatch: pytest.MonkeyPatch,
        allowed: tuple[str, ...] = ("a.test",),
        tls: ssl.SSLContext | None = None,
    ) -> str:
        async def go() -> str:
            app = web.Application()
            app.router.add_route("*", "/{tail:.*}", self._answer)
            runner = web.AppRunner(app)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
            await site.start()
            port = runner.addresses[0][1]
            scheme = "http" if tls is None else "https"
            monkeypatch.setattr(hosts, "_PORTS", {"http": 80, "https": 443, scheme: port})

            async def lookup(host: str, _: int) -> list[str]:
                self.lookups.append(host)
                return self.addresses(host)

            self.replies.setdefault("/away", lambda: web.Response(status=302, headers={"Location": self.away(port)}))
            try:
                return await Fetch(allowed, lookup).fetch(f"{scheme}://a.test:{port}{path}")
            finally:
                await runner.cleanup()

        return asyncio.run(go())

    away: Any = staticmethod(lambda port: f"http://other.test:{port}/there")


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Web:
    return Web(monkeypatch)


def test_a_page_is_its_words(site: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    page = "<title>T</title><script>x()</script><p>One &amp; two<p>three"
    site.replies["/p"] = lambda: web.Response(text=page, content_type="text/html")
    assert site.fetch("/p", monkeypatch) == "T\nOne & two\nthree"


def test_a_page_of_a_server_whose_authority_python_finds_too_plain(
    site: Web, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """From Python 3.13 on nothing was fetched where a company looks into TLS, though its models could be asked."""
    root, tls = signed(tmp_path)
    strict(monkeypatch, root)
    module._trusted.cache_clear()
    site.replies["/p"] = lambda: web.Response(text="words")
    try:
        assert site.fetch("/p", monkeypatch, tls=tls) == "words"
    finally:
        module._trusted.cache_clear()


def test_a_redirect_to_another_host_is_checked_as_if_it_was_asked_for(
    site: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DeclinedError, match=r"other\.test is not among"):
        site.fetch("/away", monkeypatch)
    assert len(site.seen) == 1
    site.away = lambda port: "http://169.254.169.254/latest"
    site.replies.clear()
    with pytest.raises(DeclinedError):
        site.fetch("/away", monkeypatch, ("*",))
    assert len(site.seen) == 2


def test_a_name_that_leads_inside_is_not_asked(site: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    for addresses in (["10.0.0.1"], ["127.0.0.1", "10.0.0.1"], []):
        site.addresses = lambda host, addresses=addresses: addresses  # type: ignore[misc]
        with pytest.raises(DeclinedError, match="does not lead to a public address"):
            site.fetch("/p", monkeypatch)
    assert site.seen == []


def test_the_address_that_was_checked_is_the_one_that_is_asked(site: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the name leads out when it is checked, and in here when it is connected to."""
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    site.addresses = lambda host: next(answers)
    site.replies["/p"] = lambda: web.Response(text="out there")
    assert site.fetch("/p", monkeypatch) == "out there"
    assert site.lookups == ["a.test"], "looked up once for the check and the connection"


def test_what_is_fetched_is_text_and_bounded(site: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    site.replies["/big"] = lambda: web.Response(body=b"x" * (module.BYTES_MAX + 5), content_type="text/plain")
    assert site.fetch("/big", monkeypatch).endswith("[cut at 2,097,152 bytes]")
    site.replies["/png"] = lambda: web.Response(body=b"x", content_type="image/png")
    with pytest.raises(DeclinedError, match="no text"):
        site.fetch("/png", monkeypatch)
    site.replies["/odd"] = lambda: web.Response(body=b"\xff", headers={"Content-Type": "text/plain; charset=no-such"})
    assert site.fetch("/odd", monkeypatch) == "\ufffd"
    site.replies["/gone"] = lambda: web.Response(status=404, text="not here")
    assert site.fetch("/gone", monkeypatch) == "[HTTP status 404]\nnot here"
    site.replies["/loop"] = lambda: web.Response(status=302, headers={"Location": "/loop"})
    with pytest.raises(DeclinedError, match="redirects"):
        site.fetch("/loop", monkeypatch)


@pytest.mark.parametrize(
    "url", ["http://a.test\\\\@127.0.0.1/", "http://a.test\\\\.evil.org/", "http://127.0.0.1\\\\@a.test/"]
)
def test_what_two_readers_take_for_different_hosts_is_not_asked(url: str) -> None:
    with pytest.raises(DeclinedError):
        asyncio.run(Fetch(("a.test", "*.a.test")).fetch(url))


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("<", ""),
        ("a < b", "a"),
        ("<script>x()</script >y", "y"),
        ("<SCRIPT>x('<p>')</Script>y", "y"),
        ("<style>", ""),
        ("a<!-- <p> -->b", "ab"),
        ("<!--", ""),
        ("&#xffffffff;&amp;&lt;p&gt;", "\ufffd&<p>"),
        ("<title>T</title><p>a</p><br/>b<div>c", "T\na\nb\nc"),
    ],
)
def test_broken_pages_are_read(page: str, words: str) -> None:
    assert words_of(page) == words


@pytest.mark.parametrize("piece", ["<", "<!", "<!--", "<![", "<a ", "</", "<script", "&#", "<a b='", "<svg>"])
def test_a_page_that_is_made_to_take_long_does_not(piece: str) -> None:
    began = time.process_time()
    words_of(piece * (module.BYTES_MAX // len(piece)))
    assert time.process_time() - began < 20.0
