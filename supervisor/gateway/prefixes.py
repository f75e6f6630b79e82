"""Which server has seen the beginning of a prompt before, so that its cache may hold it. Pure and bounded.

A prompt has a mark behind each message of the conversation: a digest of everything up to there. What stands before
the first one (tools, instructions, a system prompt) is part of every digest and has no mark: all agents of a kind
share it, and would all go to the one server that saw it first. Text without messages has a mark every BLOCK_BYTES.

The gateway does not know what a server has forgotten since: a mark is a likely hit, and costs nothing if it is none.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Final

import msgspec

from aish.supervisor.gateway.dialects.call import Call
from aish.supervisor.gateway.dialects.entries import entries
from aish.supervisor.gateway.dialects.openai import EMBEDDINGS
from aish.supervisor.gateway.routes import Server

LEAST_BYTES: Final = 1024
"""What is shorter is read anew sooner than it is worth waiting for: some 250 tokens."""
BLOCK_BYTES: Final = 2048
MOST_BYTES: Final = 4 << 20
MOST_MESSAGES: Final = 4096
MOST_MARKS: Final = 4096
"""That are remembered of a server: a hundred long conversations, in less than a megabyte."""
_HEAD: Final = ("tools", "functions", "system", "instructions", "response_format", "text")
_TALK: Final = ("messages", "input")
_SHARED: Final = ("system", "developer")
_CACHE_MARK: Final = re.compile(rb',?\s*"cache_control"\s*:\s*\{[^{}]*\}')
"""Clients move it on from message to message, and it changes nothing of the prompt."""
_DIGEST_BYTES: Final = 12

_items: Final = msgspec.json.Decoder(list[msgspec.Raw])


class _Message(msgspec.Struct):
    role: str = ""


_message: Final = msgspec.json.Decoder(_Message)


def marks(call: Call) -> tuple[bytes, ...]:
    """Of the prompt of a request as its client sent it, the shortest beginning first."""
    if call.endpoint == EMBEDDINGS:
        return ()
    parts = _parts(call.fields)
    digest, size_bytes, found = blake2b(digest_size=_DIGEST_BYTES), 0, []
    for part, counts in parts:
        size_bytes += len(part)
        if size_bytes > MOST_BYTES:
            break
        digest.update(part)
        if counts and size_bytes >= LEAST_BYTES:
            found.append(digest.copy().digest())
    return tuple(found)


def _parts(fields: Mapping[str, msgspec.Raw]) -> Iterator[tuple[bytes, bool]]:
    """The prompt piece by piece, and whether there is a mark behind it."""
    for name in _HEAD:
        if name in fields:
            yield _plain(bytes(fields[name])), False
    for name in _TALK:
        raw = fields.get(name)
        if raw is not None and memoryview(raw)[0] == ord("["):
            yield from _messages(raw)
            return
    raw = fields.get("prompt")
    text = memoryview(raw if raw is not None else fields.get("input", msgspec.Raw(b"")))
    for start in range(0, len(text) - BLOCK_BYTES + 1, BLOCK_BYTES):
        yield bytes(text[start : start + BLOCK_BYTES]), True


def _messages(raw: msgspec.Raw) -> Iterator[tuple[bytes, bool]]:
    if entries(memoryview(raw), MOST_MESSAGES) is None:
        return
    try:
        items = [bytes(item) for item in _items.decode(raw)]
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return
    shared = True
    for item in items:
        shared = shared and _role(item) in _SHARED
        yield _plain(item), not shared


def _role(item: bytes) -> str:
    try:
        return _message.decode(item).role
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return ""


def _plain(item: bytes) -> bytes:
    return _CACHE_MARK.sub(b"", item) if b'"cache_control"' in item else item


class Prefixes:
    """What each server has seen lately."""

    def __init__(self) -> None:
        self._seen: dict[Server, OrderedDict[bytes, None]] = {}

    def put(self, server: Server, marks: Sequence[bytes]) -> None:
        """The server is sent a prompt with these marks."""
        seen = self._seen.setdefault(server, OrderedDict())
        for mark in marks[-MOST_MARKS:]:
            seen[mark] = None
            seen.move_to_end(mark)
        while len(seen) > MOST_MARKS:
            seen.popitem(last=False)

    def homes(self, servers: Sequence[Server], marks: Sequence[bytes]) -> frozenset[Server]:
        """Those of the servers that have seen most of the prompt; none, where none has seen anything of it."""
        longest, homes = 0, set[Server]()
        for server in servers:
            length = self._length(server, marks)
            if length > longest:
                longest, homes = length, set()
            if length and length == longest:
                homes.add(server)
        return frozenset(homes)

    def _length(self, server: Server, marks: Sequence[bytes]) -> int:
        """How many of the marks it has seen: the last of them that it knows tells."""
        seen = self._seen.get(server)
        if seen is None:
            return 0
        return next((length for length in range(len(marks), 0, -1) if marks[length - 1] in seen), 0)

    def forget(self, server: Server) -> None:
        self._seen.pop(server, None)
