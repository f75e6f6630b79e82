"""The way to model servers: HTTP over a Unix socket or TCP, with the server's real key where it has one.

    unix:PATH                  base http://localhost/v1 on that socket
    http(s)://HOST[:PORT]/v1   base as it is

The key goes into one request header.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine, Mapping
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
from multidict import CIMultiDict, MultiMapping

from aish.errors import StorageError, UpstreamError
from aish.model.dialect import ANTHROPIC, CLIENT
from aish.supervisor.gateway.broken import (
    FAILURES,
    BrokenError,
    CertificateError,
    ClosedError,
    CutError,
    LostError,
    NotHttpError,
    ProxyAnsweredError,
    ProxyLostError,
    TlsError,
)
from aish.supervisor.gateway.dialects import openai
from aish.supervisor.gateway.dialects.anthropic import head
from aish.supervisor.gateway.dialects.call import Call, render
from aish.supervisor.gateway.dialects.headers import along
from aish.supervisor.gateway.failure import UntakenError
from aish.supervisor.gateway.fields import lines
from aish.supervisor.gateway.outbox import Outbox
from aish.supervisor.gateway.pool import AGAIN_S, Address, Pool, address
from aish.supervisor.gateway.provider_key import ProviderKeys, Scrub
from aish.supervisor.gateway.reply import Reply
from aish.supervisor.gateway.routes import LLAMACPP, Server
from aish.supervisor.gateway.way import Ways, proxy_of

if TYPE_CHECKING:
    from types import ModuleType

    from aish.supervisor.gateway.remote import Remote

IDLE_S: Final = 600.0  # between two reads, the first byte of an answer included: a long prompt on a small machine
ASK_S: Final = 10.0
REFUSES_KEY: Final = (401, 403)
MAX_REPLY_BYTES: Final = 256 << 20
MAX_ERROR_BYTES: Final = 64 << 10
_DEFAULTS: Final = {
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "Content-Type": "application/json",
    "User-Agent": "aish-gateway",
}
_COUNTED: Final = ("messages", "system", "tools", "tool_choice", "thinking", "output_config")
"""What a count of tokens may be asked about."""
_CLOSED: Final = (ClosedError, LostError, ConnectionResetError, BrokenPipeError)


class NoServerError(UpstreamError):
    """There is something else at that address: asking again does not help."""


class Upstreams:
    """Connections to all servers. Every method raises UpstreamError when the server cannot be talked to.

    `heard` is told the head of every answer to `post`: the server, the headers that it was sent, and its own."""

    def __init__(
        self,
        *,
        idle_s: float = IDLE_S,
        heard: Callable[[Server, Mapping[str, str], Mapping[str, str]], None] = lambda server, sent, told: None,
        outbox: Outbox | None = None,
    ) -> None:
        self._heard = heard
        self._idle_s = idle_s
        self._pool = Pool(idle_s, outbox)
        self._remote: Remote | None = None
        """For the servers that the pool has no address for; made for the first of them."""
        self._addresses: dict[str, Address | None] = {}
        """By URL; None for those that take more than a plain connection."""
        self._keys = ProviderKeys()
        self._ways = Ways()

    async def close(self) -> None:
        self._pool.close()
        if self._remote is not None:
            await self._remote.close()

    def forget(self, server: Server) -> None:
        """The server is gone: what is kept for it, too."""
        where = self._addresses.pop(server.url, None)
        if where is not None:
            self._pool.forget(where)

    async def post(self, server: Server, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> Reply:
        """Send a request below the base; returns once the head of the reply is here. The caller closes the reply."""
        started_s = time.monotonic()
        try:
            reply = await self._send(server, "POST", base(server) + path, body, headers)
        except FAILURES as error:
            raise _unanswered(server, error, time.monotonic() - started_s) from error
        if reply.status in REFUSES_KEY:
            self._keys.refused(server)
        self._heard(server, headers or {}, reply.headers)
        return reply

    def _send(
        self, server: Server, method: str, url: str, body: bytes | None, given: Mapping[str, str] | None
    ) -> Coroutine[None, None, Reply]:
        """A kept connection that the server closed at the same moment is replaced by a fresh one, once. Raises one of
        FAILURES."""
        where = self._address(server)
        if where is None:
            return self._send_remote(server, method, url, body, self._headers(server, given))
        keep = _keeps(server) and not where.path
        return self._pool.send(where, method, _target(url), self._lines(server, given), body, keep=keep)

    async def _send_remote(
        self, server: Server, method: str, url: str, body: bytes | None, sent: CIMultiDict[str]
    ) -> Reply:
        remote, options, keep = await self._loaded(), await self._ways.options(server), _keeps(server)
        started_s = time.monotonic()
        try:
            return await remote.send(method, url, body, sent, options, keep=keep)
        except (ClosedError, ConnectionResetError, BrokenPipeError):
            if not keep or time.monotonic() - started_s > AGAIN_S:
                raise
        return await remote.send(method, url, body, sent, options, keep=False)

    async def _loaded(self) -> Remote:
        """In a thread, so that nobody else's answer waits for it."""
        if self._remote is not None:
            return self._remote
        try:
            return self._opened(await asyncio.to_thread(import_module, "aish.supervisor.gateway.remote"))
        except ImportError as error:
            raise UpstreamError(
                f"what asks servers elsewhere cannot be loaded: {error}",
                hint="was aish, or its packages, changed meanwhile? `aish shutdown` and start again",
            ) from error

    def _opened(self, module: ModuleType) -> Remote:
        if self._remote is None:  # else another request was first
            self._remote = module.Remote(self._idle_s)
        return self._remote

    def _address(self, server: Server) -> Address | None:
        """Where a plain connection leads to the server; None: there is TLS, a proxy, or a URL of another kind."""
        if server.proxy is not None:
            return None
        try:
            return self._addresses[server.url]
        except KeyError:
            found = address(server.url) if proxy_of(server) is None else None
            self._addresses[server.url] = found
            return found

    async def ask(
        self,
        server: Server,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        *,
        root: bool = False,
    ) -> object:
        """A small question, JSON in and out: below the base, or below the server's root. GET without a body.

        Raises UpstreamError also on a status that is not 200 and on a reply that is not JSON.
        """
        return _decoded(await self._asked(server, path, body, headers, root=root), object, path)

    async def _asked(
        self, server: Server, path: str, body: object, headers: Mapping[str, str] | None = None, *, root: bool
    ) -> bytes:
        url = (base(server).removesuffix("/v1") if root else base(server)) + path
        data = None if body is None else msgspec.json.encode(body)
        try:
            await self.prepare(server)
            async with asyncio.timeout(ASK_S):
                method = "GET" if data is None else "POST"
                reply = await self._send(server, method, url, data, headers)
                try:
                    told = await read_bounded(reply, MAX_REPLY_BYTES, server)
                finally:
                    reply.close()
            if reply.status != 200:
                raise UpstreamError(f"{path} answered {reply.status}", status=reply.status)
            return told
        except StorageError as error:  # of its key
            raise UpstreamError(str(error)) from error
        except TimeoutError as error:
            raise UpstreamError(f"the server of {server.name} does not answer {path}", status=504) from error
        except FAILURES as error:
            raise _unreached(server, error) from error

    async def slot(self, server: Server, place: int, action: str, name: str) -> None:
        """ "save" one of a llama.cpp's server's slots to a file of its folder, or "restore" it."""
        await self.ask(server, f"/slots/{place}?action={action}", {"filename": name}, root=True)

    # --- tokens -------------------------------------------------------------------------------------------------

    async def count_text(self, server: Server, text: str) -> int | None:
        """Exact tokens of a text. None where the server cannot tell."""
        return await self._tokens(server, text, whole=False) if server.engine == LLAMACPP else None

    async def _tokens(self, server: Server, content: object, *, whole: bool) -> int | None:
        """Of a text, or of several one after the other; `whole`: as a prompt of its own."""
        try:
            body = {"content": content, "add_special": whole}
            told = _decoded(await self._asked(server, "/tokenize", body, root=True), _Tokens, "/tokenize")
        except UpstreamError:
            return None
        return _numbers(bytes(told.tokens))

    async def prompt_tokens(self, server: Server, chat: bytes) -> list[int]:
        """Of the body of a chat, as its server (llama.cpp) reads it."""
        path = "/apply-template"
        told = _decoded(await self._asked(server, path, msgspec.Raw(chat), root=True), _Prompt, path)
        body = {"content": told.prompt, "add_special": True, "parse_special": True}
        return _decoded(await self._asked(server, "/tokenize", body, root=True), _TokenList, "/tokenize").tokens

    async def count(self, server: Server, call: Call, given: MultiMapping[str]) -> int | None:
        """Exact input tokens of a request, in all its answers. None where the server cannot tell.

        `given`: the request's headers.
        """
        if server.dialect == ANTHROPIC:
            return await self._count_messages(server, call, along(given, server))
        if server.engine != LLAMACPP or call.parts:
            return None
        if call.endpoint == openai.CHAT:
            try:
                body = msgspec.Raw(render(call, server.told_name, None))
                answer = await self.ask(server, openai.CHAT + "/input_tokens", body)
            except UpstreamError:
                return None
            tokens = answer.get("input_tokens") if isinstance(answer, dict) else None
            if not isinstance(tokens, int) or not 0 <= tokens <= openai.MOST_TOKENS:
                return None
            return tokens * call.copies
        tokens = await self._count_prompts(server, call.asked)
        return None if tokens is None else tokens * max(1, call.copies // call.prompts)

    async def _count_messages(self, server: Server, call: Call, headers: Mapping[str, str]) -> int | None:
        """Anthropic's servers count for nothing, but not what others translate."""
        if call.dialect != ANTHROPIC:
            return None
        fields = {name: value for name, value in call.fields.items() if name in _COUNTED}
        fields["model"] = msgspec.Raw(msgspec.json.encode(server.known_as(call.model)))
        try:
            answer = await self.ask(server, head.COUNT, fields, headers)
        except UpstreamError:
            return None
        tokens = answer.get("input_tokens") if isinstance(answer, dict) else None
        return tokens if isinstance(tokens, int) and 0 <= tokens <= openai.MOST_TOKENS else None

    async def _count_prompts(self, server: Server, prompts: msgspec.Raw) -> int | None:
        """A text, texts, tokens, or lists of tokens; where they are mixed it cannot be told which belong together."""
        raw = bytes(prompts)
        texts = 1
        if raw.startswith(b"["):
            if not any(mark in raw for mark in (b'"', b"{")):
                return _numbers(raw)
            try:
                texts = len(msgspec.json.decode(raw, type=list[str]))
            except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
                return None
        elif not raw.startswith(b'"'):
            return None
        tokens = await self._tokens(server, prompts, whole=True)
        if tokens is None or texts == 1:
            return tokens
        own = await self._tokens(server, "", whole=True)  # what each prompt has around it; counted once so far
        return None if own is None else tokens + own * (texts - 1)

    # --- keys ---------------------------------------------------------------------------------------------------

    async def prepare(self, server: Server) -> None:
        """Have its real key and authorities at hand, before `scrub` and `post`. Raises StorageError."""
        if server.key is not None:
            await self._keys.fetch(server)
        if server.ca_file is not None:
            await self._ways.prepare(server)

    def scrub(self, server: Server) -> Scrub:
        """Takes the server's real key out of what it sends. Raises StorageError."""
        return self._keys.scrub(server)

    def _headers(self, server: Server, given: Mapping[str, str] | None) -> CIMultiDict[str]:
        return _headers(server.dialect, self._keys.key(server), given or {})

    def _lines(self, server: Server, given: Mapping[str, str] | None) -> str:
        """The same, as it is written. Mostly the same again; but a client's own login is kept nowhere."""
        if server.login == CLIENT:
            return lines(self._headers(server, given))
        return _known_lines(server.dialect, self._keys.key(server), tuple(given.items()) if given else ())


def _headers(dialect: str, key: str | None, given: Mapping[str, str]) -> CIMultiDict[str]:
    sent = CIMultiDict(_DEFAULTS)
    if dialect == ANTHROPIC:
        sent["anthropic-version"] = head.VERSION
    sent.update(given)
    if key is not None and dialect == ANTHROPIC:
        sent["x-api-key"] = key
    elif key is not None:
        sent["Authorization"] = f"Bearer {key}"
    return sent


@lru_cache(maxsize=64)
def _known_lines(dialect: str, key: str | None, given: tuple[tuple[str, str], ...]) -> str:
    return lines(_headers(dialect, key, dict(given)))


@lru_cache(maxsize=256)
def _target(url: str) -> str:
    """What the server is asked for."""
    return "/" + url.split("/", 3)[3]


def _keeps(server: Server) -> bool:
    """Whether a connection is kept for the next request. llama.cpp's server gives every open one a thread of its own,
    the idle ones too, and lets new ones wait for seconds behind them: there one per request is the fast way."""
    return server.engine != LLAMACPP


class _Tokens(msgspec.Struct):
    tokens: msgspec.Raw


class _TokenList(msgspec.Struct):
    tokens: list[int]


class _Prompt(msgspec.Struct):
    prompt: str


_Shape = TypeVar("_Shape")


def _decoded(data: bytes, shape: type[_Shape], path: str) -> _Shape:
    try:
        return msgspec.json.decode(data, type=shape)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise UpstreamError(f"{path} answered with malformed JSON") from error


def _numbers(raw: bytes) -> int:
    """How many numbers are in an array, or in an array of arrays none of which is empty: millions, maybe."""
    return raw.count(b",") + 1 if any(byte in raw for byte in b"0123456789") else 0


def base(server: Server) -> str:
    """The URL that a dialect's paths follow. Anthropic's clients write theirs without /v1."""
    url = "http://localhost/v1" if server.url.startswith("unix:") else server.url.rstrip("/")
    return f"{url}/v1" if server.dialect == ANTHROPIC and not url.endswith("/v1") else url


async def read_bounded(response: Reply, bound_bytes: int, server: Server) -> bytes:
    """The whole body. Raises UpstreamError above the bound or when it is cut."""
    whole = response.rest()
    if whole is not None and len(whole) <= bound_bytes:
        return whole
    parts = [] if whole is None else [whole]
    size_bytes = sum(map(len, parts))
    while size_bytes <= bound_bytes and (data := await read_some(response, server)):
        size_bytes += len(data)
        parts.append(data)
    if size_bytes > bound_bytes:
        raise UpstreamError(f"the server of {server.name} sent more than {bound_bytes} bytes")
    return b"".join(parts)


async def read_some(response: Reply, server: Server) -> bytes:
    """What there is of the body, b'' at its end. Raises UpstreamError when it is cut or nothing comes any more."""
    try:
        return await response.read()
    except CutError as error:
        raise UpstreamError(
            f"the server of {server.name} closed the connection in the middle of its reply"
        ) from error
    except TimeoutError as error:
        raise UpstreamError(f"the server of {server.name} stopped in the middle of its reply", status=504) from error
    except FAILURES as error:
        raise _unreached(server, error) from error


def _unanswered(server: Server, error: BaseException, seconds: float) -> UpstreamError:
    """An UntakenError where it is sure that the server did not take the request, or so soon that it cannot have."""
    told = _unreached(server, error)
    if (isinstance(error, BrokenError) and error.untaken) or (isinstance(error, _CLOSED) and seconds <= AGAIN_S):
        return UntakenError(str(told), status=told.status, hint=told.hint)
    return told


def _unreached(server: Server, error: BaseException) -> UpstreamError:
    name = server.name
    if isinstance(error, TimeoutError):
        return UpstreamError(f"the server of {name} does not answer", status=504)
    if isinstance(error, ClosedError):
        or_proxy = "" if proxy_of(server) is None else " or the proxy before it"
        return UpstreamError(f"the server of {name}{or_proxy} closed the connection without an answer")
    if isinstance(error, ProxyAnsweredError):
        return UpstreamError(f"the proxy before {name} answered {error.status}")
    if isinstance(error, CertificateError):
        why = error.why or "it does not fit"
        return UpstreamError(
            f"the certificate of the server of {name} is not accepted: {why}",
            hint="--ca-file FILE names an authority of your own",
        )
    if isinstance(error, TlsError):
        return UpstreamError(f"the server of {name} does not speak TLS as it should")
    if isinstance(error, ProxyLostError):
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else "its host is not known"
        return UpstreamError(f"the proxy before {name} cannot be reached: {reason}")
    if isinstance(error, LostError | ConnectionError | FileNotFoundError):
        # The text of a connector's error names the address; the reason alone is what a client needs.
        number = error.errno or 0
        reason = os.strerror(number) if number > 0 else "its host is not known" if number else "it broke"
        return UpstreamError(f"the server of {name} cannot be reached: {reason}")
    if isinstance(error, NotHttpError):
        return NoServerError(f"the server of {name} does not answer in HTTP")
    if isinstance(error, ValueError):
        return NoServerError(f"the address of {name} is none that can be connected to")
    return UpstreamError(f"the server of {name} failed: {type(error).__name__}")
