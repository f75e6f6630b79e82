"""The head of a request to the proxy: CONNECT, or plain HTTP to a whole URL. Pure, bounded, and strict: what could be
read in two ways is refused."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final, NamedTuple

from aish.sandbox import hosts
from aish.supervisor.egress.refused import RefusedError

HEAD_BYTES: Final = 32 << 10
FIELDS_MOST: Final = 200
END: Final = b"\r\n\r\n"
_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_LINE: Final = re.compile(rb"(" + _TOKEN + rb") ([!-~]+) HTTP/1\.([01])")
_FIELD: Final = re.compile(rb"(" + _TOKEN + rb"):[ \t]*([\t -~\x80-\xff]*)")
_URL: Final = re.compile(r"http://([^/?#]*)([^#]*)", re.IGNORECASE)
_HOPS: Final = frozenset({"connection", "proxy-connection", "proxy-authorization", "keep-alive", "upgrade", "host"})
"""Fields that are for us, or that we say ourselves."""


class Wanted(NamedTuple):
    """`host` as aish.sandbox.hosts has it. `head` is what its server gets; None: nothing, it is a tunnel. `user`:
    who says it asks, with its password. `more`: its head says that something follows it."""

    host: str
    port: int
    head: bytes | None
    user: tuple[str, str] | None
    more: bool = True


def read(head: bytes) -> Wanted:
    """`head`: up to and without END. Raises RefusedError."""
    first, *rest = head.split(b"\r\n")
    line = _LINE.fullmatch(first)
    if line is None:
        raise RefusedError(400, "that is no request to a proxy")
    fields = _fields(rest)
    method, target, version = line[1].decode(), line[2].decode(), line[3].decode()
    user = _user(fields)
    if method == "CONNECT":
        host, port = _place(target)
        if port is None:
            raise RefusedError(400, "CONNECT needs a port: HOST:443")
        return Wanted(host, port, None, user)
    return _plain(method, target, version, fields, user)


Fields = list[tuple[str, bytes]]


def _fields(lines: list[bytes]) -> Fields:
    if len(lines) > FIELDS_MOST:
        raise RefusedError(431, f"more than {FIELDS_MOST} fields")
    found = []
    for line in lines:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise RefusedError(400, "a line of the head that is no field")
        found.append((field[1].decode(), field[2].strip(b" \t")))
    return found


def _plain(method: str, target: str, version: str, fields: Fields, user: tuple[str, str] | None) -> Wanted:
    url = _URL.fullmatch(target)
    if url is None:
        secure = target.lower().startswith("https:")
        raise RefusedError(
            400, "https is asked for by CONNECT" if secure else "this is a proxy: it takes http:// URLs"
        )
    host, port = _place(url[1])
    names = [name.lower() for name, _ in fields]
    lengths = names.count("content-length") + names.count("transfer-encoding")
    if lengths > 1:
        raise RefusedError(400, "more than one length")
    dropped = _HOPS | {
        word.strip().lower() for name, value in fields if name.lower() == "connection" for word in _words(value)
    }
    dropped -= {"content-length", "transfer-encoding"}  # else its body would be another request
    path = url[2] if url[2].startswith("/") else f"/{url[2]}"
    own = [f"{method} {path} HTTP/1.{version}", f"Host: {authority(host, None if port == 80 else port)}"]
    kept = [name.encode() + b": " + value for name, value in fields if name.lower() not in dropped]
    # One request a connection: what follows it would be for whichever host it says.
    lines = [*(text.encode("ascii") for text in own), *kept, b"Connection: close"]
    return Wanted(host, port or 80, b"\r\n".join(lines) + END, user, more=lengths > 0)


def authority(host: str, port: int | None) -> str:
    """As URLs have it."""
    shown = f"[{host}]" if ":" in host else host
    return shown if port is None else f"{shown}:{port}"


def _words(value: bytes) -> list[str]:
    return value.decode("latin-1").split(",")


def _place(authority: str) -> tuple[str, int | None]:
    """Raises RefusedError."""
    if "@" in authority:
        raise RefusedError(400, "a user in the name of a host")
    try:
        name, port = hosts.split(authority)
        return hosts.named(name), port
    except ValueError as error:
        raise RefusedError(400, f"no host: {error}") from None


def _user(fields: Fields) -> tuple[str, str] | None:
    """Raises RefusedError."""
    said = [value for name, value in fields if name.lower() == "proxy-authorization"]
    if not said:
        return None
    scheme, _, rest = said[0].partition(b" ")
    try:
        if len(said) > 1 or scheme.lower() != b"basic":
            raise ValueError
        name, colon, word = base64.b64decode(rest.strip(), validate=True).decode("ascii").partition(":")
    except (ValueError, binascii.Error):
        raise RefusedError(407, "its Proxy-Authorization cannot be read") from None
    if not colon:
        raise RefusedError(407, "its Proxy-Authorization has no password")
    return name, word
