"""One request at a time to an OpenAI-compatible address over http.client, as a stream that can be interrupted.

While it waits, the socket is watched together with stdout: if the answer's reader leaves, DownstreamError ends the
request at once, and closing the socket tells the gateway to stop the model. There is no timeout of its own: a
request that the gateway holds (a pause, a budget) may wait for hours; the agent's `wall` is how long it may run.
"""

from __future__ import annotations

import http.client
import json
import select
import socket
import time

from aish.agents import chat, failure, sse
from aish.agents.stdin import wait
from aish.errors import NotFoundError, UnavailableError, UpstreamError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
    from email.message import Message
    from typing import Any, Final

    from aish.agents.chat import Delta

CONNECT_TIMEOUT_S: Final = 10.0
ERROR_BYTES_MAX: Final = 64 << 10
WHOLE_BYTES_MAX: Final = 16 << 20
_PIECE_BYTES: Final = 1 << 16
_LOOKS_S: Final = (0.5, 1.5, 4.0)
LOOK_EVERY_S: Final = 5.0
LOOK_TIMEOUT_S: Final = 1.0
AT_ONCE: Final = "is paused"
PATIENCE_S: Final = 1.5
"""Before that only what a person did is worth a line: everything else may be over in a moment."""


class CutError(Exception):
    """The connection ended before the answer began: safe to ask again."""


class Counted:
    """How many tokens a text has for a model; `context_tokens` None: unknown. Not `exact`: an upper estimate."""

    __slots__ = ("context_tokens", "exact", "tokens")

    def __init__(self, tokens: int, exact: bool, context_tokens: int | None) -> None:
        self.tokens = tokens
        self.exact = exact
        self.context_tokens = context_tokens


class Watched(socket.socket):
    """A socket whose reads wait for data or the loss of stdout's reader."""

    out_fd: int
    silent: Callable[[float], None] | None
    """Called now and then while nothing comes, with the seconds since it does not."""

    def recv_into(self, *arguments: Any) -> int:
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        poll.register(self.out_fd, 0)
        began_s, looks = time.monotonic(), 0
        while not wait(poll, self.out_fd, began_s + _look_s(looks) if self.silent else None):
            looks += 1
            if self.silent is not None:
                self.silent(time.monotonic() - began_s)
        return super().recv_into(*arguments)


def _look_s(looks: int) -> float:
    """When to find out why nothing comes: soon, and then ever more rarely."""
    return _LOOKS_S[looks] if looks < len(_LOOKS_S) else _LOOKS_S[-1] + LOOK_EVERY_S * (looks - len(_LOOKS_S) + 1)


class Budget:
    """What an answer was limited by: `tokens` in all (None: it is of something else) of the account `owner` (None:
    the agent itself)."""

    __slots__ = ("owner", "tokens")

    def __init__(self, tokens: str | None, owner: str | None) -> None:
        self.tokens = tokens
        self.owner = owner


class Upstream:
    """The address that the environment names."""

    def __init__(
        self,
        base_url: str,
        key: str | None,
        *,
        out_fd: int,
        note: Callable[[str], None] | None = None,
    ) -> None:
        """`note` is told why the gateway lets a request wait. Raises UsageError when `base_url` is not
        http://HOST[:PORT][/PATH]."""
        self.host, self.port, self.path = _address(base_url)
        self.key = key
        self.out_fd = out_fd
        self.budget: Budget | None = None
        """That of the latest answer, where it was made shorter by one."""
        self._note = note
        self._noted = ""

    def count(self, model: str, text: str) -> Counted:
        """Ask how many tokens `text` has; where nobody can tell, a third of its bytes. Raises AishError."""
        body = json.dumps({"model": model, "text": text}).encode()
        try:
            reply = self._whole("/aish/tokens", body, model)
        except NotFoundError:
            return Counted(estimate(text), False, None)
        tokens, context = reply.get("tokens"), reply.get("context_tokens")
        if not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 0:
            return Counted(estimate(text), False, context if isinstance(context, int) else None)
        known = isinstance(context, int) and not isinstance(context, bool) and context > 0
        return Counted(tokens, reply.get("exact") is True, context if known else None)

    def stream(self, body: bytes, model: str) -> Generator[Delta, None, None]:
        """The chunks of a chat answer, until the model has finished. Asks once more if the connection is cut before
        its first word. Raises UnavailableError where the answer is cut later, and the errors of `failure`."""
        try:
            yield from self._stream(body, model)
        except CutError:
            try:
                yield from self._stream(body, model)
            except CutError as error:
                raise UnavailableError(
                    f"the gateway hung up twice without an answer: {error}", hint="`aish doctor` tells its state"
                ) from error

    def _stream(self, body: bytes, model: str) -> Generator[Delta, None, None]:
        connection = self._connect()
        began = finished = False
        response: http.client.HTTPResponse | None = None
        try:
            response = self._ask(connection, "/chat/completions", body)
            if not 200 <= response.status < 300:
                raise failure.from_response(response.status, _read(response, ERROR_BYTES_MAX), model)
            self.budget = budget_of(response.headers)
            if "json" in response.headers.get_content_type():
                yield chat.read_chunk(_read(response, WHOLE_BYTES_MAX).decode("utf-8", "replace"))
                return
            decoder = sse.Decoder()
            while piece := _piece(response):
                for data in decoder.feed(piece):
                    if data.strip() == chat.DONE:
                        return
                    delta = chat.read_chunk(data)
                    began = began or bool(delta.text)  # before that nothing is shown: it can be asked for again
                    finished = finished or delta.finish is not None
                    yield delta
            raise EOFError("the stream ended")
        except (http.client.HTTPException, OSError, EOFError) as error:
            if finished:
                return  # all text is there; only the usage or the end mark is missing
            if not began:
                raise CutError(_words(error)) from error
            raise UnavailableError(
                f"the answer was cut off: the gateway went away ({_words(error)})",
                hint="ask again; `aish doctor` tells its state, `aish logs gateway` its last words",
            ) from error
        finally:
            if response is not None:
                response.close()  # it holds the socket open beside the connection
            connection.close()

    def _whole(self, path: str, body: bytes, model: str) -> dict[str, Any]:
        """A JSON answer. Asks once more if the connection is cut."""
        for last in (False, True):
            connection = self._connect()
            try:
                response = self._ask(connection, path, body)
                content = _read(response, ERROR_BYTES_MAX)
            except (http.client.HTTPException, OSError) as error:
                if last:
                    raise UnavailableError(
                        f"the gateway hung up: {_words(error)}", hint="see `aish doctor`"
                    ) from error
                continue
            finally:
                connection.close()
            if not 200 <= response.status < 300:
                raise failure.from_response(response.status, content, model)
            try:
                value = json.loads(content)
            except (ValueError, RecursionError) as error:
                raise UpstreamError("the gateway's answer is not JSON", hint="see `aish doctor`") from error
            return value if isinstance(value, dict) else {}
        raise AssertionError("the second turn returns or raises")

    def _connect(self) -> http.client.HTTPConnection:
        try:
            plain = socket.create_connection((self.host, self.port), CONNECT_TIMEOUT_S)
        except OSError as error:
            raise UnavailableError(
                f"no gateway at {self.host}:{self.port}: {_words(error)}",
                hint="`aish doctor` tells why; the next `aish` command starts it again",
            ) from error
        plain.settimeout(None)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        watched = Watched(fileno=plain.detach())
        watched.out_fd = self.out_fd
        watched.silent = self._silent if self._note is not None else None
        connection = http.client.HTTPConnection(self.host, self.port)
        connection.sock = watched
        return connection

    def _silent(self, waited_s: float) -> None:
        """Nothing comes: tell why, each reason once. A courtesy: no error of it is one."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=LOOK_TIMEOUT_S)
        try:
            connection.request("GET", self.path + "/aish/waits", headers=self._authorization())
            response = connection.getresponse()
            value = json.loads(response.read(ERROR_BYTES_MAX)) if response.status == 200 else None
        except (http.client.HTTPException, OSError, ValueError, RecursionError):
            return
        finally:
            connection.close()
        why = value.get("waits") if isinstance(value, dict) else None
        if not isinstance(why, str) or not why or why == self._noted or self._note is None:
            return
        if waited_s >= PATIENCE_S or AT_ONCE in why:
            self._noted = why
            self._note(why)

    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    def _ask(self, connection: http.client.HTTPConnection, path: str, body: bytes) -> http.client.HTTPResponse:
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream, application/json"}
        headers |= self._authorization()
        try:
            connection.request("POST", self.path + path, body, headers)
        except (BrokenPipeError, ConnectionResetError):
            pass  # a server may refuse before it has read everything: its answer is still there to be read
        return connection.getresponse()


def budget_of(headers: Mapping[str, str] | Message) -> Budget | None:
    """What limited an answer, by the headers that the gateway sends with it."""
    if headers.get("x-aish-limited-by") != "budget":
        return None
    tokens = headers.get("x-aish-budget", "")
    known = tokens.isascii() and tokens.isdecimal() and len(tokens) < 20
    return Budget(f"{int(tokens):,}" if known else None, headers.get("x-aish-budget-of"))


def estimate(text: str) -> int:
    """An upper estimate where no tokenizer can be asked: a third of the bytes (English has four a token)."""
    return len(text.encode("utf-8", "replace")) // 3 + 1


def _piece(response: http.client.HTTPResponse) -> bytes:
    """What has arrived; empty at the proper end. http.client tells a short body only by its length."""
    piece = response.read1(_PIECE_BYTES)
    if not piece and response.length:
        raise http.client.IncompleteRead(piece, response.length)
    return piece


def _read(response: http.client.HTTPResponse, bytes_max: int) -> bytes:
    content = bytearray()
    while len(content) < bytes_max and (piece := response.read1(_PIECE_BYTES)):
        content += piece
    return bytes(content[:bytes_max])


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, http.client.IncompleteRead):
        return "the connection ended in mid-sentence"
    return str(error) or type(error).__name__


def _address(base_url: str) -> tuple[str, int, str]:
    scheme, _, rest = base_url.partition("://")
    authority, _, path = rest.partition("/")
    host, colon, port = authority.rpartition(":")
    if not colon or authority.endswith("]"):
        host, port = authority, "80"
    host = host.strip("[]")
    if scheme != "http" or not host or "@" in host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UsageError(
            f"OPENAI_BASE_URL is {base_url!r}: expected http://HOST:PORT/v1",
            hint="agents talk to the gateway of aish, which talks to providers; `aish env` prints its address",
        )
    return host, int(port), ("/" + path).rstrip("/")
