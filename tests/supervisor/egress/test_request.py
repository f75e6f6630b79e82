"""The head of a request to the proxy: read in one way, or refused."""

from __future__ import annotations

import base64

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aish.supervisor.egress.refused import RefusedError
from aish.supervisor.egress.request import FIELDS_MOST, Wanted, read


def basic(text: str) -> bytes:
    return b"Proxy-Authorization: Basic " + base64.b64encode(text.encode())


def test_a_tunnel() -> None:
    head = b"CONNECT Example.org:443 HTTP/1.1\r\nHost: other.org:443\r\n" + basic("p1:word")
    assert read(head) == Wanted("example.org", 443, None, ("p1", "word"))
    assert read(b"CONNECT [2001:DB8::1]:8443 HTTP/1.0") == Wanted("2001:db8::1", 8443, None, None)


def test_a_plain_request_is_for_the_host_of_its_url_alone() -> None:
    """Another one in its Host would be asked for at the same server."""
    head = (
        b"POST http://Example.org/a?b HTTP/1.1\r\nHost: secret.internal\r\nProxy-Connection: keep-alive\r\n"
        b"Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nContent-Length: 3\r\nAccept: */*\r\n" + basic("p1:word")
    )
    found = read(head)
    assert (found.host, found.port, found.user) == ("example.org", 80, ("p1", "word"))
    assert found.head == (
        b"POST /a?b HTTP/1.1\r\nHost: example.org\r\nContent-Length: 3\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("target", "line"),
    [
        (b"http://a.org", b"GET / HTTP/1.1\r\nHost: a.org\r\n"),
        (b"HTTP://a.org:8080?q", b"GET /?q HTTP/1.1\r\nHost: a.org:8080\r\n"),
        (b"http://[::1]:81/x", b"GET /x HTTP/1.1\r\nHost: [::1]:81\r\n"),
        (b"http://a.org//b@c", b"GET //b@c HTTP/1.1\r\nHost: a.org\r\n"),
    ],
)
def test_urls(target: bytes, line: bytes) -> None:
    assert (read(b"GET " + target + b" HTTP/1.1").head or b"").startswith(line)


@pytest.mark.parametrize(
    "head",
    [
        *(b"", b"GET", b"GET / HTTP/1.1", b"GET / HTTP/2", b"CONNECT a.org:443", b"CONNECT a.org HTTP/1.1"),
        *(b"CONNECT allowed.org@evil.org:443 HTTP/1.1", b"CONNECT a.org:443/x HTTP/1.1", b"CONNECT :443 HTTP/1.1"),
        *(b"CONNECT a.org:443:443 HTTP/1.1", b"CONNECT a.org:00000443 HTTP/1.1", b"CONNECT [::1:443 HTTP/1.1"),
        *(b"CONNECT 0x7f.1:80 HTTP/1.1", b"CONNECT 127.1:80 HTTP/1.1", b"CONNECT [fe80::1%25lo]:80 HTTP/1.1"),
        *(b"CONNECT a.org:443 HTTP/1.1\r\n folded: x", b"CONNECT a.org:443 HTTP/1.1\r\nA : x"),
        *(b"CONNECT a.org:443 HTTP/1.1\nHost: b.org", b"CONNECT a.org:443 HTTP/1.1\r\nA: x\ny"),
        *(b"CONNECT  a.org:443 HTTP/1.1", b"CONNECT a\0.org:443 HTTP/1.1", "CONNECT bü.org:443 HTTP/1.1".encode()),
        *(b"GET http://allowed.org@evil.org/ HTTP/1.1", b"GET http://user:pw@a.org/ HTTP/1.1"),
        *(b"GET https://a.org/ HTTP/1.1", b"GET ftp://a.org/ HTTP/1.1", b"GET http:///x HTTP/1.1"),
        *(b"GET http://a.org\\@b.org/ HTTP/1.1", b"GET http://a.org/#x HTTP/1.1", b"OPTIONS * HTTP/1.1"),
        b"POST http://a.org/ HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4",
        b"POST http://a.org/ HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked",
        b"CONNECT a.org:443 HTTP/1.1\r\nProxy-Authorization: Bearer x",
        b"CONNECT a.org:443 HTTP/1.1\r\nProxy-Authorization: Basic !!!",
        b"CONNECT a.org:443 HTTP/1.1\r\n" + basic("no colon"),
        b"CONNECT a.org:443 HTTP/1.1\r\n" + basic("a:b") + b"\r\n" + basic("c:d"),
        b"CONNECT a.org:443 HTTP/1.1" + b"\r\nA: b" * (FIELDS_MOST + 1),
    ],
)
def test_what_could_mean_something_else_is_refused(head: bytes) -> None:
    with pytest.raises(RefusedError):
        read(head)


def test_a_length_is_not_dropped_because_it_is_said_to_be_of_the_connection() -> None:
    """Its body would be another request."""
    head = b"POST http://a.org/ HTTP/1.1\r\nConnection: content-length\r\nContent-Length: 3"
    assert b"Content-Length: 3\r\n" in (read(head).head or b"")


_words = st.sampled_from(
    [
        b"CONNECT",
        b"GET",
        b" ",
        b"http://",
        b"a.org",
        b":443",
        b" HTTP/1.1",
        b"\r\n",
        b"\n",
        b"Host",
        b": ",
        b"@",
        b"[",
    ]
)


@given(st.lists(_words | st.binary(max_size=8), max_size=24).map(b"".join))
@example(b"GET http://a.org/ HTTP/1.1\r\nA:\xff\xfe")
def test_any_bytes_are_read_or_refused(head: bytes) -> None:
    refused = None
    try:
        found = read(head)
    except RefusedError as error:
        refused = error
    if refused is not None:
        assert 400 <= refused.status < 500
        assert refused.answer().count(b"\r\n\r\n") == 1
        return
    assert found.host
    assert 0 < found.port < 65536
    if found.head is not None:
        assert found.head.count(b"\r\n\r\n") == 1
        assert found.head.endswith(b"\r\n\r\n")
        first, second, *_ = found.head.split(b"\r\n")
        assert first.split(b" ")[1].startswith(b"/")
        assert second.lower().startswith(b"host: ")


def test_why_is_in_the_first_line_as_pip_shows_no_more() -> None:
    said = RefusedError(403, "ex\r\nample.org: ü").answer()
    assert said.startswith(b"HTTP/1.1 403 ex??ample.org: ?\r\n")
