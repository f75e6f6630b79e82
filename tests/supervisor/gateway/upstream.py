"""A scripted model server: real HTTP on a socket of its own, its answers and its faults told by the request itself.

The last message (or prompt) is a script: words separated by spaces.

    say N          answer with N tokens (one event each in a stream), cut by max_tokens as real servers do
    pace S         wait S seconds before each token
    gate           wait until the test opens the gate
    never          never answer
    cut N          close the connection after N events
    status N       answer with that status and an error in OpenAI's shape; `status N text` as plain text
    malformed N    after N events send an event that is not JSON
    notjson        answer with something that is not JSON
    nousage / wrongusage / nodone
    beyond N       the prompt had N tokens more than anybody could know, as with an image
    flood          without any limit
    huge N         one event with N bytes of text
    mid            an error told inside the stream
    echo           an error that repeats the Authorization header
    leak           repeats that header in its answer, in two writes; in a stream also in an error at its end
    fails TEXT     answer with 500 and all the text behind it, as llama.cpp does with some mistakes of clients
    after S        with `status`: the header Retry-After
    drop           close the connection without a word
    overloaded     in a stream: an error as its first event

    crlf           events that end in CR LF
    think N        N tokens of reasoning before the answer, told apart in the usage
    call NAME      after the answer's tokens a call of that tool, in three pieces; may stand several times
    badcall        one whose arguments are no JSON
    hidden N       in a stream: one event for N tokens, as where a character has so many
    cached N       N of the prompt's tokens came from a cache
    refuse         a refusal in place of the answer
    writes N       the first N characters of what the test left in `written`, four in each event; N < 0: all

With `echoes` every request is answered with an error that repeats that header. Each of `faults` is the script of one
request, in place of its own; probes (`hi`) have none.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import ssl
import threading
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable

DEADLINE_S = 60.0


class Script:
    def __init__(self, text: str) -> None:
        self._words = text.split()

    def has(self, word: str) -> bool:
        return word in self._words

    def number(self, word: str, default: float = 0) -> float:
        if word not in self._words:
            return default
        return float(self._words[self._words.index(word) + 1])

    def called(self) -> list[tuple[str, str]]:
        """Tools to call, with their arguments."""
        names = [after for word, after in itertools.pairwise(self._words) if word == "call"]
        bad = [("bad", "{not JSON")] if self.has("badcall") else []
        return [(name, json.dumps({"city": f"Paris {number}"})) for number, name in enumerate(names)] + bad


class Upstream:
    """Runs in a thread. `address` is unix:PATH or 127.0.0.1:PORT (0: any); `route` is what the gateway is told."""

    def __init__(self, address: str, *, llamacpp: bool = False, context: int = 4096, slots: int = 64) -> None:
        self.address = address
        self.llamacpp = llamacpp
        self.context = context
        self.slots = slots
        self.route = ""
        self.tls: ssl.SSLContext | None = None
        self.loading = False
        self.chat = True
        self.broken: tuple[int, str] | None = None
        """Every request for an answer gets this status and text: an error's message, or a page of HTML."""
        self.echoes = self.newer = False
        """`newer`: it refuses max_tokens, as OpenAI's newer models do."""
        self.uncounted = False
        """It fails when it is asked for the tokens of a request."""
        self.drops_tools = False
        """As a template without tools does, and says so."""
        self.written = ""
        self.faults: list[str] = []
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.input = self.output = 0
        self.work = 0
        """Tokens read and made, told or not, probes left out."""
        self.active = self.most_active = self.aborted = 0
        self.changed = threading.Condition()
        self._gate: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._runner: web.AppRunner | None = None
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    # --- for the test -------------------------------------------------------------------------------------------

    def start(self) -> Upstream:
        self._thread.start()
        assert self._up.wait(DEADLINE_S)
        return self

    def stop(self) -> None:
        if self._loop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()

    def open_gate(self) -> None:
        assert self._loop is not None
        assert self._gate is not None
        self._loop.call_soon_threadsafe(self._gate.set)

    def close_gate(self) -> None:
        assert self._gate is not None
        self._gate.clear()

    def wait_for(self, condition: Callable[[Upstream], bool], deadline_s: float = DEADLINE_S) -> None:
        """Wait until something is true of the server."""
        with self.changed:
            assert self.changed.wait_for(lambda: condition(self), deadline_s), "the server did not get there in time"

    # --- the server ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._gate = asyncio.Event()
        app = web.Application(client_max_size=1 << 30)
        self._routes(app)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.2)
        await self._runner.setup()
        if self.address.startswith("unix:"):
            await web.UnixSite(self._runner, self.address.removeprefix("unix:")).start()
            self.route = self.address
        else:
            host, _, port = self.address.partition(":")
            site = web.TCPSite(self._runner, host, int(port), ssl_context=self.tls)
            await site.start()
            self.route = f"http{'s' if self.tls else ''}://{host}:{self._runner.addresses[0][1]}/v1"
        self._up.set()
        await self._stop.wait()
        await self._runner.cleanup()

    def _routes(self, app: web.Application) -> None:
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/completions", self._chat)
        app.router.add_post("/v1/embeddings", self._embeddings)
        app.router.add_get("/v1/models", self._models)
        if self.llamacpp:
            app.router.add_get("/props", self._props)
            app.router.add_get("/health", self._models)
            app.router.add_post("/tokenize", self._tokenize)
            app.router.add_post("/v1/chat/completions/input_tokens", self._input_tokens)

    async def _models(self, _request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "inner", "meta": {"n_ctx": self.context}}]})

    async def _props(self, _request: web.Request) -> web.Response:
        caps = {"supports_tools": not self.drops_tools}
        told = {"total_slots": self.slots, "chat_template": "", "chat_template_caps": caps}
        return web.json_response({"default_generation_settings": {"n_ctx": self.context}, **told})

    async def _tokenize(self, request: web.Request) -> web.Response:
        body = await request.json()
        texts = body["content"] if isinstance(body["content"], list) else [body["content"]]
        return web.json_response({"tokens": list(range(sum(len(text.split()) for text in texts)))})

    async def _input_tokens(self, request: web.Request) -> web.Response:
        if self.uncounted:
            return error(500, "scripted")
        return web.json_response({"input_tokens": prompt_tokens(await request.json())})

    async def _embeddings(self, request: web.Request) -> web.Response:
        body = await request.json()
        if self.echoes:
            return error(400, f"what is {request.headers.get('Authorization')}?")
        if self.broken is not None:
            return self._breaks(request)
        inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
        tokens = sum(len(text.split()) for text in inputs)
        self._saw(request, body)
        if "gate" in inputs:
            assert self._gate is not None
            await self._gate.wait()
        self._count(tokens, 0)
        data = [{"object": "embedding", "index": i, "embedding": [0.5, float(i)]} for i in range(len(inputs))]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return web.json_response({"object": "list", "model": "inner", "data": data, "usage": usage})

    def _breaks(self, request: web.Request) -> web.Response:
        assert self.broken is not None
        with self.changed:
            self.paths.append(request.path)
            self.changed.notify_all()
        status, text = self.broken
        return (
            web.Response(status=status, text=text, content_type="text/html") if "<" in text else error(status, text)
        )

    def _saw(self, request: web.Request, body: dict[str, Any]) -> None:
        with self.changed:
            self.requests.append(body)
            self.headers.append(dict(request.headers))
            self.paths.append(request.path)
            self.changed.notify_all()

    def _script(self, text: str) -> Script:
        with self.changed:
            return Script(self.faults.pop(0) if self.faults and text != "hi" else text)

    def _count(self, input_tokens: int, output_tokens: int) -> None:
        with self.changed:
            self.input += input_tokens
            self.output += output_tokens
            self.changed.notify_all()

    def _works(self, body: dict[str, Any], tokens: int) -> None:
        if "messages" in body and body["messages"][-1]["content"] != "hi":
            with self.changed:
                self.work += tokens
                self.changed.notify_all()

    def _active(self, step: int, aborted: int = 0) -> None:
        with self.changed:
            self.active += step
            self.most_active = max(self.active, self.most_active)
            self.aborted += aborted
            self.changed.notify_all()

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if self.echoes:
            return error(400, f"what is {request.headers.get('Authorization')}?")
        if self.loading:
            return error(503, "Loading model")
        if self.broken is not None:
            return self._breaks(request)
        if self.newer and "max_tokens" in body:
            return error(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        if not self.chat:
            return error(501, "This server does not support chat")
        self._saw(request, body)
        self._active(1)
        try:
            return await self._answer(request, body)
        except (asyncio.CancelledError, ConnectionError):
            self._active(0, 1)
            raise
        finally:
            self._active(-1)

    async def _answer(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        text = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
        if isinstance(text, list):  # with images
            text = " ".join(part.get("text", "") for part in text if isinstance(part, dict))
        script = self._script(text if isinstance(text, str) else "")
        if script.has("gate"):
            assert self._gate is not None
            await self._gate.wait()
        if script.has("never"):
            await asyncio.Event().wait()
        if script.has("status"):
            status = int(script.number("status"))
            after = {"retry-after": f"{script.number('after'):g}"}
            if script.has("text"):
                return web.Response(status=status, text="plain words", headers=after)
            return error(status, "scripted", after)
        if script.has("drop"):
            abort(request)
            await asyncio.Event().wait()
        if script.has("fails"):
            return error(500, str(text).partition("fails ")[2])
        if script.has("echo"):
            return error(400, f"what is {request.headers.get('Authorization')}?")
        if script.has("notjson"):
            return web.Response(text="<html>hello</html>", content_type="application/json")
        if body.get("stream"):
            return await self._stream(request, body, script)
        return await self._whole(request, body, script)

    async def _whole(self, request: web.Request, body: dict[str, Any], script: Script) -> web.StreamResponse:
        tokens, why = planned(body, script, self.context)
        self._works(body, prompt_tokens(body))
        for _ in range(tokens):
            await asyncio.sleep(script.number("pace"))
            self._works(body, 1)
        usage = self._used(prompt_tokens(body), tokens, script)
        said = whole(body, "w " * tokens + leak(request, script))
        add_parts(said, script)
        why = "tool_calls" if script.called() else why
        answer = {
            "id": "c1",
            "object": "chat.completion",
            "created": 1,
            "model": "inner",
            "choices": [{"index": 0, "finish_reason": why, **said}],
            **({"usage": usage} if usage else {}),
        }
        data = json.dumps(answer).encode()
        if script.has("cut"):
            reply = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(data))})
            await reply.prepare(request)
            await reply.write(data[: len(data) // 2])
            abort(request)
            return reply
        return web.Response(body=data, content_type="application/json")

    async def _stream(self, request: web.Request, body: dict[str, Any], script: Script) -> web.StreamResponse:
        end = b"\r\n\r\n" if script.has("crlf") else b"\n\n"
        reply = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await reply.prepare(request)
        tokens, why = planned(body, script, self.context)
        chat = "messages" in body

        async def send(payload: object) -> None:
            data = payload if isinstance(payload, bytes) else b"data: " + json.dumps(payload).encode()
            await reply.write(data + end if data else b"")

        def chunk(choices: list[dict[str, Any]], **more: object) -> dict[str, Any]:
            kind = "chat.completion.chunk" if chat else "text_completion"
            return {"id": "c1", "object": kind, "created": 1, "model": "inner", "choices": choices, **more}

        def delta(text: str) -> list[dict[str, Any]]:
            part = {"delta": {"content": text}} if chat else {"text": text}
            return [{"index": 0, "finish_reason": None, **part}]

        if script.has("overloaded"):
            await send({"error": {"message": "Overloaded", "type": "overloaded_error", "code": None}})
            return reply
        self._works(body, prompt_tokens(body))
        if chat:
            await send(chunk([{"index": 0, "finish_reason": None, "delta": {"role": "assistant", "content": None}}]))
        if script.has("leak"):
            data = b"data: " + json.dumps(chunk(delta(leak(request, script)))).encode() + end
            await reply.write(data[: data.index(b"Bearer") + 20])
            await asyncio.sleep(0.05)  # two reads at the gateway
            await reply.write(data[data.index(b"Bearer") + 20 :])
        for part in self._beside(script):
            await send(chunk([{"index": 0, "finish_reason": None, "delta": part}]))
        if script.has("writes"):
            tokens, why = 0, "stop" if script.number("writes") < 0 else "length"
        if script.has("huge"):
            await send(chunk(delta("h" * int(script.number("huge")))))
        for number in range(tokens):
            if script.has("cut") and number == script.number("cut"):
                self._count(prompt_tokens(body), number)
                abort(request)
                return reply
            if script.has("malformed") and number == script.number("malformed"):
                await send(b"data: {this is not JSON}x")
            if script.has("mid") and number == 2:
                await send({"error": {"message": "scripted", "type": "server_error", "code": 500}})
                return reply
            await asyncio.sleep(script.number("pace"))
            self._works(body, 1)
            hidden = (number + 1) % max(1, script.number("hidden"))
            await send(b"" if hidden else chunk(delta("w "), **self._timings(body, number + 1)))
        for part in called_in_parts(script):
            why = "tool_calls"
            await send(chunk([{"index": 0, "finish_reason": None, "delta": {"tool_calls": [part]}}]))
        last = {"delta": {}} if chat else {"text": ""}
        await send(chunk([{"index": 0, "finish_reason": why, **last}]))
        if script.has("leak"):
            await send({"error": {"message": leak(request, script), "type": "server_error", "code": 500}})
        usage = self._used(prompt_tokens(body), tokens, script)
        if usage and (body.get("stream_options") or {}).get("include_usage"):
            await send(chunk([], usage=usage))
        if not script.has("nodone"):
            await send(b"data: [DONE]")
        return reply

    def _timings(self, body: dict[str, Any], made: int) -> dict[str, Any]:
        """As llama.cpp tells them with every event, if it was asked to."""
        if not self.llamacpp or not body.get("timings_per_token"):
            return {}
        return {"timings": {"cache_n": 1, "prompt_n": prompt_tokens(body) - 1, "predicted_n": made}}

    def _beside(self, script: Script) -> list[dict[str, Any]]:
        """What a stream has before its words."""
        found = [{"reasoning_content": f"t{number} "} for number in range(int(script.number("think")))]
        if script.has("refuse"):
            found.append({"refusal": "no"})
        if script.has("writes"):
            count = int(script.number("writes"))
            text = self.written if count < 0 else self.written[:count]
            found += [{"content": text[start : start + 4]} for start in range(0, len(text), 4)]
        return found

    def _used(self, input_tokens: int, output_tokens: int, script: Script) -> dict[str, object] | None:
        input_tokens += int(script.number("beyond"))
        self._count(input_tokens, output_tokens)
        if script.has("nousage"):
            return None
        if script.has("wrongusage"):
            return {"prompt_tokens": -5, "completion_tokens": "many"}
        total = input_tokens + output_tokens
        usage: dict[str, object] = {"prompt_tokens": input_tokens, "completion_tokens": output_tokens}
        if script.has("cached"):
            usage["prompt_tokens_details"] = {"cached_tokens": int(script.number("cached"))}
        if script.has("think"):
            usage["completion_tokens_details"] = {"reasoning_tokens": int(script.number("think"))}
        return {**usage, "total_tokens": total}


def prompt_tokens(body: dict[str, Any]) -> int:
    """A token is a word here."""
    if "prompt" in body:
        return len(str(body["prompt"]).split())
    return sum(len(str(message["content"]).split()) + 1 for message in body["messages"])


def planned(body: dict[str, Any], script: Script, context: int) -> tuple[int, str]:
    wanted = int(script.number("say", 3))
    limits = [body[name] for name in ("max_tokens", "max_completion_tokens", "n_predict") if body.get(name)]
    if script.has("flood"):
        return wanted, "stop"
    most = min([*limits, context - prompt_tokens(body)])
    return (most, "length") if most < wanted else (wanted, "stop")


def whole(body: dict[str, Any], text: str) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": text}} if "messages" in body else {"text": text}


def add_parts(said: dict[str, Any], script: Script) -> None:
    """What an answer to a chat has beside its text."""
    message = said.get("message", {})
    if script.has("think"):
        message["reasoning_content"] = "".join(f"t{number} " for number in range(int(script.number("think"))))
    if script.has("refuse"):
        message["refusal"], message["content"] = "no", None
    if script.called():
        message["tool_calls"] = [
            {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": given}}
            for number, (name, given) in enumerate(script.called())
        ]


def called_in_parts(script: Script) -> list[dict[str, Any]]:
    found = []
    for number, (name, given) in enumerate(script.called()):
        for place, piece in enumerate((None, given[:4], given[4:])):
            function = {"name": name, "arguments": ""} if piece is None else {"arguments": piece}
            more = {"id": f"call_{number}", "type": "function"} if place == 0 else {}
            found.append({"index": number, **more, "function": function})
    return found


def leak(request: web.Request, script: Script) -> str:
    return f"your {request.headers.get('Authorization')}" if script.has("leak") else ""


def error(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return web.json_response(
        {"error": {"code": status, "message": message, "type": kind}}, status=status, headers=headers
    )


def abort(request: web.Request) -> None:
    with contextlib.suppress(AttributeError):
        request.transport.abort()  # type: ignore[union-attr]
