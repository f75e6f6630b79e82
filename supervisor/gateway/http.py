"""The listening side: where that is, the paths of all dialects with and without /v1, and our own few.

    POST /v1/chat/completions  /v1/completions  /v1/embeddings  /v1/responses      OpenAI's
    POST /openai/deployments/{id}/chat/completions  /completions  /embeddings      OpenAI's, as Azure has them;
                                                                                   so is all of OpenAI's below /openai
    POST /v1/messages          /v1/messages/count_tokens                           Anthropic's
    POST /api/chat  /api/generate  /api/embed  /api/embeddings  /api/show           Ollama's
    POST /v1beta/models/{id}:generateContent  :streamGenerateContent  :countTokens  Gemini's
    GET  /api/tags  /api/ps  /api/version
    GET  /v1/models            /v1/models/{id}                      in the client's own shape
    POST /v1/aish/tokens       {model, text} -> {tokens, exact, context_tokens}
    GET  /v1/aish/usage        what the calling key has used
    GET  /v1/aish/waits        {waits}: why its requests wait, for the person who does
    GET  /health               no key needed

Web pages must not reach it: a Host that is not ours (DNS rebinding: aish.supervisor.gateway.hosts) and any Origin are
refused.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

import msgspec
from multidict import istr

from aish.errors import AishError, InputError, RefusedError
from aish.supervisor.gateway.allowance import part_of
from aish.supervisor.gateway.dialects import azure, openai
from aish.supervisor.gateway.dialects.call import checked_name
from aish.supervisor.gateway.dialects.crossing import cross
from aish.supervisor.gateway.dialects.gemini import dialect as gemini
from aish.supervisor.gateway.dialects.openai import STORED
from aish.supervisor.gateway.dialects.paths import (
    COUNTED,
    GEMINI_KEY,
    LISTS,
    OLLAMA,
    OLLAMA_PREFIX,
    OLLAMA_VERSION,
    OPENAI,
    RUNNING,
    SERVED,
    SHOW,
    spoken,
)
from aish.supervisor.gateway.hosts import Hosts
from aish.supervisor.gateway.keys import Caller, Keys
from aish.supervisor.gateway.log import log, place
from aish.supervisor.gateway.meter import Board, estimate_prompt
from aish.supervisor.gateway.models import Models
from aish.supervisor.gateway.outbox import Outbox
from aish.supervisor.gateway.proxy import Proxy, refusal
from aish.supervisor.gateway.spending import Spending
from aish.supervisor.gateway.upstream import Upstreams
from aish.supervisor.gateway.visitor import Visitor
from aish.supervisor.gateway.web import Answer, Request, Response
from aish.wire import budget as budgets
from aish.wire.listeners import Listeners

if TYPE_CHECKING:
    import socket

    from aish.supervisor.gateway.dialects.dialect import Dialect
    from aish.supervisor.gateway.routes import Server

BODY_S: Final = 60.0
IDLE_S: Final = 60.0  # a connection without a (whole) request head
DOOR_BACKLOG: Final = 256
LAST_WORDS_S: Final = 0.1
"""For answers that are on their way when the gateway ends."""
MAX_QUERY_CHARS: Final = 2048
_HOST, _ORIGIN = istr("Host"), istr("Origin")
ESTIMATED: Final = "x-aish-estimated"
"""With a count of tokens that the server could not tell."""


class Web:
    """The HTTP server. `start` takes bound sockets; `hosts`: what they are called."""

    def __init__(
        self,
        *,
        keys: Keys,
        models: Models,
        proxy: Proxy,
        spending: Spending,
        upstreams: Upstreams,
        board: Board,
        outbox: Outbox | None = None,
        hosts: Hosts | None = None,
        body_s: float = BODY_S,
        idle_s: float = IDLE_S,
    ) -> None:
        self._keys = keys
        self._models = models
        self._proxy = proxy
        self._spending = spending
        self._upstreams = upstreams
        self._board = board
        self._outbox = outbox or Outbox()
        self.hosts = hosts or Hosts()
        self._body_s = body_s
        self._idle_s = idle_s
        self._visitors: set[Visitor] = set()
        self._gone = asyncio.Event()
        """Nobody is connected."""
        self._servers: list[asyncio.Server] = []
        self.doors = Listeners(self._listen, partial(log, "door"))
        """Inside of sandboxes: who comes there is that process."""

    async def start(self, *socks: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._servers = [await loop.create_server(self._visit, sock=sock, backlog=1024) for sock in socks]

    async def _listen(self, process: str, sock: socket.socket) -> asyncio.Server:
        visit = partial(self._visit, process)
        return await asyncio.get_running_loop().create_server(visit, sock=sock, backlog=DOOR_BACKLOG)

    def _visit(self, process: str | None = None) -> Visitor:
        """`process`: whose door it was."""
        visitor = Visitor(partial(self._handle, process), _malformed, self._left, self._idle_s, self._outbox)
        self._visitors.add(visitor)
        self._gone.clear()
        return visitor

    def _left(self, visitor: Visitor) -> None:
        self._visitors.discard(visitor)
        if not self._visitors:
            self._gone.set()

    async def close(self, grace_s: float) -> None:
        """Accept nothing new, let requests under way finish within the grace, then cut them."""
        if not self._servers:
            return
        for server in self._servers:
            server.close()
        self.doors.close()
        for visitor in list(self._visitors):
            visitor.end()
        await self._proxy.drained(grace_s)
        if self._visitors:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS_S):
                    await self._gone.wait()
        for visitor in list(self._visitors):
            visitor.cut()
        await self._proxy.drained(1.0)  # those that were cut come to their end

    # --- one request --------------------------------------------------------------------------------------------

    async def _handle(self, process: str | None, request: Request) -> Answer:
        try:
            return await self._answer(process, request)
        except AishError as error:
            status, data = openai.failure(error)
            data = spoken(_path(request), request.headers).error(status, data)
            return Response(status=status, body=data)
        except Exception as error:  # noqa: BLE001  the edge of the process: recorded, and the client gets to know
            log("fault", place(error))
            data = openai.error_body("the gateway failed; its log says where", "server_error", "internal")
            return Response(status=500, body=data)

    async def _answer(self, process: str | None, request: Request) -> Answer:
        refused = self._foreign(request)
        if refused is not None:
            return refused
        path = _path(request)
        if path == "/health":
            return Response(body=b'{"status":"ok"}')
        if path == "/":  # what Ollama's clients ask before anything else
            return Response(b"the gateway of aish is running\n", content_type="text/plain; charset=utf-8")
        if path.startswith(gemini.PREFIX):
            _take_key(request)
        try:
            caller = self._keys.known(request.headers) if process is None else None
            if caller is None:
                caller = await self._caller(process, request)
        except RefusedError as error:
            return refusal(spoken(path, request.headers), error, 401)
        if request.method == "POST":
            dialect = SERVED.get(path)
            if dialect is not None:
                body = request.whole() if request.complete else await self._body(request)
                return await self._proxy.serve(request, caller, dialect, path, body)
            return await self._post(request, caller, path)
        if request.method in ("GET", "HEAD"):  # the visitor leaves the body out
            return self._get(request, caller, path)
        return _no_such(request)

    def _foreign(self, request: Request) -> Response | None:
        """Refuses what comes from a web page."""
        hosts = request.headers.getall(_HOST, ())
        if len(hosts) != 1 or not self.hosts.admit(hosts[0]):
            hint = "a name of this machine is admitted by `hosts` below [gateway] in config.toml"
            error = RefusedError("this Host is none that the gateway answers to, such as 127.0.0.1", hint=hint)
            return refusal(OPENAI, error, 403)
        if _ORIGIN in request.headers:
            error = RefusedError("requests of web pages are refused", hint="no Origin header is allowed")
            return refusal(OPENAI, error, 403)
        return None

    async def _caller(self, process: str | None, request: Request) -> Caller:
        """Raises RefusedError."""
        if process is not None:
            return await self._keys.behind(process, request.headers)
        return await self._keys.caller(request.headers)

    async def _post(self, request: Request, caller: Caller, path: str) -> Answer:
        named = gemini.spoken(path, request.query)
        if named is not None and named.endpoint == gemini.COUNT:
            return await self._count(caller, named, request, path)
        at = named or azure.deployed(path)
        if at is not None:
            return await self._proxy.serve(request, caller, at, at.endpoint, await self._body(request))
        if path in COUNTED:
            return await self._count(caller, COUNTED[path], request, path)
        if path == SHOW:
            return self._show(await self._body(request))
        if path == "/aish/tokens":
            return await self._tokens(caller, await self._body(request))
        return _no_such(request)

    def _get(self, request: Request, caller: Caller, path: str) -> Answer:
        dialect = spoken(path, request.headers)
        path = path.removeprefix(gemini.PREFIX)
        if path in LISTS:
            listed = self._models.listed()
            if path == RUNNING:
                listed = [model for model in listed if model.state != STORED]
            return Response(body=dialect.models(listed))
        if path.startswith("/models/"):
            model = self._models.one(path.removeprefix("/models/"))
            return Response(body=dialect.model(model))
        if path == "/api/version":
            return Response(body=msgspec.json.encode({"version": OLLAMA_VERSION}))
        if path == "/aish/usage":
            return self._usage(caller)
        if path == "/aish/waits":
            data = {"waits": self._proxy.waits(caller.account)}
            return Response(body=msgspec.json.encode(data))
        return _no_such(request)

    async def _body(self, request: Request) -> bytes:
        """The whole body. Raises LimitError above the bound, InputError when it does not come."""
        if request.complete:
            return request.whole()
        try:
            async with asyncio.timeout(self._body_s):
                return await request.read()
        except TimeoutError:
            raise InputError(f"the body did not come within {self._body_s:g} s") from None

    def _show(self, body: bytes) -> Answer:
        """One model, by Ollama's way of asking."""
        try:
            asked = msgspec.json.decode(body, type=_ShowRequest)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise InputError(f"expected {{model}}: {error}") from None
        model = self._models.one(checked_name(asked.model or asked.name))
        return Response(body=OLLAMA.model(model))

    # --- our own ------------------------------------------------------------------------------------------------

    async def _tokens(self, caller: Caller, body: bytes) -> Answer:
        """How many tokens a text has for a model."""
        try:
            asked = msgspec.json.decode(body, type=_TokensRequest)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise InputError(f"expected {{model, text}}: {error}") from None
        try:
            server = await self._ready(caller, checked_name(asked.model))
        except RefusedError as error:
            return refusal(OPENAI, error, 401)
        exact = await self._upstreams.count_text(server, asked.text)
        tokens = exact if exact is not None else len(asked.text.encode(errors="replace"))
        data = {"tokens": tokens, "exact": exact is not None, "context_tokens": server.context}
        return Response(body=msgspec.json.encode(data))

    async def _count(self, caller: Caller, dialect: Dialect, request: Request, path: str) -> Answer:
        """How many input tokens a request has: exact where the server can tell, else likely, which is said."""
        call = dialect.parse(path, await self._body(request))
        try:
            server = await self._ready(caller, call.model)
        except RefusedError as error:
            return refusal(dialect, error, 401)
        call = cross(call, dialect, server).call
        exact = await self._upstreams.count(server, call, request.headers)
        tokens = exact if exact is not None else estimate_prompt(call.prompt_bytes)
        headers = {} if exact is not None else {ESTIMATED: "true"}
        return Response(body=dialect.counted(tokens), headers=headers)

    async def _ready(self, caller: Caller, model: str) -> Server:
        """A ready server, for a question that costs nothing. Raises RefusedError once the caller has ended, and
        what Models.ready raises."""
        number = self._spending.number()
        live = self._board.begin(number, caller.account, model)
        try:
            alive = partial(self._keys.alive, caller.account)
            return await self._models.ready(model, caller.account, live, alive, awake=False)
        finally:
            self._board.end(number)

    def _usage(self, caller: Caller) -> Answer:
        """The caller's own usage; `left_tokens` is what the tightest budget above it leaves now."""
        tokens = self._spending.tokens(caller.account)
        account = self._spending.ledger.accounts.get(caller.account)
        data = {
            "id": caller.account,
            "name": caller.name,
            "input_tokens": tokens.input,
            "output_tokens": tokens.output,
            "estimated_tokens": tokens.estimated,
            "requests": tokens.requests,
            "cached_tokens": tokens.cached,
            "reasoning_tokens": tokens.reasoning,
            "cost_usd": tokens.cost_usd,
            "budget_tokens": account.budget.tokens if account else None,
            "budget": budgets.told(part_of(account.budget)) if account else {},
            "left_tokens": self._spending.ledger.left(caller.account),
        }
        return Response(body=msgspec.json.encode(data))


class _TokensRequest(msgspec.Struct):
    text: str
    model: str = ""


class _ShowRequest(msgspec.Struct):
    model: str = ""
    name: str = ""
    """Its earlier name."""


def _malformed(why: str) -> Response:
    """To bytes that are no HTTP, in the shape that most clients know."""
    words = " ".join(why.split())[:200]
    return Response(
        openai.error_body(f"not an HTTP request: {words}", "invalid_request_error", "bad_request"), status=400
    )


_MOSTLY: Final = {"/v1" + path: path for path in SERVED if not path.startswith(OLLAMA_PREFIX)}
"""What `_path` makes of what clients mostly ask for."""


def _path(request: Request) -> str:
    """Without /v1: some clients leave it out; Azure's have theirs below /openai."""
    if request.path in _MOSTLY:
        return _MOSTLY[request.path]
    path = request.path.rstrip("/") or "/"
    return path if path.startswith(gemini.PREFIX) else azure.below(path).removeprefix("/v1")


def _take_key(request: Request) -> None:
    """Gemini's clients may have their key in the query."""
    if GEMINI_KEY not in request.headers:
        for name, value in parse_qsl(request.query[:MAX_QUERY_CHARS]):
            if name == "key":
                request.headers[GEMINI_KEY] = value


def _no_such(request: Request) -> Response:
    dialect = spoken(_path(request), request.headers)
    known = [path if path.startswith("/api/") else "/v1" + path for path in (*SERVED, *COUNTED, "/models")]
    if request.path in known:
        right = "GET, HEAD" if request.path == "/v1/models" else "POST"
        body = openai.error_body(f"{request.path} takes {right}, not {request.method}", "invalid_request_error", None)
        return Response(status=405, body=dialect.error(405, body), headers={"Allow": right})
    message = f"no such path: {request.method} {request.path} (there are {', '.join(known)})"
    body = openai.error_body(message, "invalid_request_error", "not_found")
    return Response(status=404, body=dialect.error(404, body))
