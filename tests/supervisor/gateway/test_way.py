"""Through a proxy, and to servers whose certificate an authority of the user's own has signed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from aish.supervisor.gateway.routes import Server
from aish.supervisor.gateway.upstream import Upstreams
from aish.supervisor.gateway.way import proxy_of
from aish.wire.link import Readiness

from .authority import Proxy, signed, strict
from .upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .conftest import World


@pytest.fixture
def far(shared: World) -> Iterator[Upstream]:
    """Not started."""
    made = Upstream("127.0.0.1:0")
    yield made
    if "p50" in shared.daemon.members:
        shared.daemon.change("p50", alive=False)
    if made.route:
        made.stop()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    made = Proxy()
    yield made
    made.close()


def test_an_authority_of_one_s_own(shared: World, far: Upstream) -> None:
    """Also one that is renewed in its file while the gateway runs."""
    file, far.tls = signed(shared.root)
    good = file.read_bytes()
    far.start()
    shared.daemon.model("p50", "far", far.route)
    event = shared.daemon.event(Readiness, lambda e: e.id == "p50" and "certificate" in e.text)
    assert "is not accepted" in event.text
    file.write_text("nothing")
    shared.daemon.model("p50", "far", far.route, ca_file=str(file))
    shared.daemon.event(Readiness, lambda e: e.id == "p50" and "has no certificates in PEM" in e.text)
    file.write_bytes(good)
    shared.daemon.ready("p50")
    assert shared.gateway.chat(shared.agent()[1], "say 1", model="far")[0] == 200


@pytest.mark.parametrize("tls", [False, True])
def test_through_a_proxy(shared: World, far: Upstream, proxy: Proxy, *, tls: bool) -> None:
    more = {}
    if tls:
        file, far.tls = signed(shared.root)
        more = {"ca_file": str(file)}
    far.start()
    shared.daemon.model("p50", "far", far.route, proxy=proxy.url, **more)
    shared.daemon.ready("p50")
    asked = len(proxy.asked)
    status, body, _ = shared.gateway.chat(shared.agent()[1], "say 2", model="far")
    assert (status, body["choices"][0]["message"]["content"]) == (200, "w w ")
    place = far.route.partition("://")[2].partition("/")[0]
    if tls:
        assert f"CONNECT {place} HTTP/1.1" in proxy.asked
    else:
        assert proxy.asked[asked:] == [f"POST {far.route}/chat/completions HTTP/1.1"]


def test_the_system_s_authorities_count_for_an_https_proxy_before_an_http_server(
    tmp_path: Path, far: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were not known until some https server had been asked."""
    root, tls = signed(tmp_path)
    strict(monkeypatch, root)
    far.start()
    before = Proxy(tls)

    async def models() -> object:
        upstreams = Upstreams()
        try:
            return await upstreams.ask(Server("p50", "far", far.route, proxy=before.url), "/models")
        finally:
            await upstreams.close()

    try:
        assert asyncio.run(models())
    finally:
        before.close()
    assert before.asked == [f"GET {far.route}/models HTTP/1.1"]


def test_a_proxy_that_refuses_and_one_that_is_not_there(shared: World, far: Upstream, proxy: Proxy) -> None:
    file, far.tls = signed(shared.root)
    far.start()
    proxy.refuses = "407 Proxy Authentication Required"
    shared.daemon.model("p50", "far", far.route, proxy=proxy.url, ca_file=str(file))
    shared.daemon.event(Readiness, lambda e: e.id == "p50" and "the proxy before far answered 407" in e.text)
    proxy.refuses = ""  # as one that does not find the host: nobody can tell who it was
    shared.daemon.event(Readiness, lambda e: e.id == "p50" and "its server or the proxy before it closed" in e.text)
    proxy.refuses = None
    shared.daemon.ready("p50")
    shared.daemon.model("p50", "far", far.route, proxy="http://127.0.0.1:1", ca_file=str(file))
    shared.daemon.event(
        Readiness, lambda e: e.id == "p50" and "the proxy before far cannot be reached: Connection refused" in e.text
    )


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://api.example.com/v1", "http://user:word@p:1"),
        ("http://api.example.com/v1", "http://q:2"),
        ("https://inner.example.org/v1", None),
        ("https://127.0.0.1:8000/v1", None),
        ("http://localhost:8000/v1", None),
        ("unix:/x", None),
        ("http://[::1/v1", None),
    ],
)
def test_the_environment_s(monkeypatch: pytest.MonkeyPatch, url: str, found: str | None) -> None:
    monkeypatch.setenv("https_proxy", "http://user:word@p:1")
    monkeypatch.setenv("http_proxy", "http://q:2")
    monkeypatch.setenv("no_proxy", ".example.org")
    assert proxy_of(Server("p1", "far", url)) == found
    monkeypatch.setenv("https_proxy", "socks5://p:1")
    monkeypatch.delenv("http_proxy")
    assert proxy_of(Server("p1", "far", url)) is None
    assert proxy_of(Server("p1", "far", url, proxy="http://own:3")) == "http://own:3"
