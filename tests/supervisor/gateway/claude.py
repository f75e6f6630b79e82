"""A scripted server of Anthropic's dialect: the same scripts as upstream.py's, as far as it has them.

say, pace, gate, never, cut, status, after, drop, overloaded, mid, think, call, cached, refuse, notjson, echo
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

from .upstream import Script, Upstream, abort

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

KEY = "sk-ant-a-real-key-of-the-user"
LOGIN = "Bearer sk-ant-oat-a-subscription"


class Claude(Upstream):
    logins: tuple[str, ...] = (LOGIN,)

    def _routes(self, app: web.Application) -> None:
        app.router.add_post("/v1/messages", self._chat)
        app.router.add_post("/v1/messages/count_tokens", self._counted)

    async def _counted(self, request: web.Request) -> web.Response:
        body = await request.json()
        self._saw(request, body)
        return web.json_response({"input_tokens": read_tokens(body)})

    async def _answer(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if "max_tokens" not in body or "anthropic-version" not in request.headers:
            return failed(400, "max_tokens and anthropic-version are required")
        shown = (request.headers.get("x-api-key"), request.headers.get("Authorization"))
        if shown not in ((KEY, None), *((None, login) for login in self.logins)):
            return failed(401, "invalid x-api-key")
        script = self._script(last_text(body))
        if script.has("gate"):
            assert self._gate is not None
            await self._gate.wait()
        if script.has("never"):
            await asyncio.Event().wait()
        said = f"what is {shown[0] or shown[1]}?" if script.has("echo") else "scripted"
        if script.has("status"):
            return failed(int(script.number("status")), said, script.number("after"))
        if script.has("drop"):
            abort(request)
            await asyncio.Event().wait()
        if script.has("echo"):
            return failed(400, said)
        if script.has("notjson"):
            return web.Response(text="<html>", content_type="text/html", status=502)
        if body.get("stream"):
            return await self._streamed(request, body, script)
        for _ in range(planned(body, script)[0]):
            await asyncio.sleep(script.number("pace"))
        tokens, why = planned(body, script)
        self._count(read_tokens(body), tokens)
        return web.json_response(
            {
                "id": "msg_inner",
                "type": "message",
                "role": "assistant",
                "model": "inner",
                "content": blocks(tokens, script),
                "stop_reason": why,
                "stop_sequence": None,
                "usage": usage(body, tokens, script),
            },
            headers={"request-id": "req_1"},
        )

    async def _streamed(self, request: web.Request, body: dict[str, Any], script: Script) -> web.StreamResponse:
        reply = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await reply.prepare(request)
        tokens, why = planned(body, script)

        async def send(kind: str, **fields: Any) -> None:
            data = json.dumps({"type": kind, **fields})
            await reply.write(f"event: {kind}\ndata: {data}\n\n".encode())

        if script.has("overloaded"):
            await send("error", error={"type": "overloaded_error", "message": "Overloaded"})
            return reply
        start = {"id": "msg_inner", "type": "message", "role": "assistant", "model": "inner", "content": []}
        start |= {"stop_reason": None, "stop_sequence": None, "usage": usage(body, 1, script)}
        await send("message_start", message=start)
        await send("ping")
        made = 0
        for index, block in enumerate(blocks(tokens, script)):
            made = await self._block(send, index, block, script, made)
            if made < 0:
                self._count(read_tokens(body), -made)
                abort(request)
                return reply
        if script.has("mid"):
            await send("error", error={"type": "overloaded_error", "message": "Overloaded"})
            return reply
        self._count(read_tokens(body), tokens)
        await send(
            "message_delta", delta={"stop_reason": why, "stop_sequence": None}, usage={"output_tokens": tokens}
        )
        await send("message_stop")
        return reply

    async def _block(
        self, send: Callable[..., Awaitable[None]], index: int, block: dict[str, Any], script: Script, made: int
    ) -> int:
        """How many pieces there are by now; below 0 where the connection is to be cut."""
        empty = {"text": "", "thinking": "", "input": {}}
        shown = {name: empty.get(name, value) for name, value in block.items()}
        await send("content_block_start", index=index, content_block=shown)
        kind = {"text": "text_delta", "thinking": "thinking_delta", "tool_use": "input_json_delta"}[block["type"]]
        field = {"text": "text", "thinking": "thinking", "tool_use": "partial_json"}[block["type"]]
        whole = json.dumps(block["input"]) if block["type"] == "tool_use" else block[field]
        for piece in pieces(whole):
            if script.has("cut") and made == script.number("cut"):
                return -made
            await asyncio.sleep(script.number("pace"))
            await send("content_block_delta", index=index, delta={"type": kind, field: piece})
            made += 1
        await send("content_block_stop", index=index)
        return made


def pieces(text: str) -> list[str]:
    return [f"{word} " for word in text.split()]


def last_text(body: dict[str, Any]) -> str:
    content = body["messages"][-1]["content"]
    if isinstance(content, str):
        return content
    return " ".join(block.get("text", "") for block in content)


def read_tokens(body: dict[str, Any]) -> int:
    """A word is a token here."""
    return len(json.dumps(body["messages"]).split()) + len(json.dumps(body.get("system", "")).split())


def planned(body: dict[str, Any], script: Script) -> tuple[int, str]:
    wanted = int(script.number("say", 3))
    if body["max_tokens"] < wanted:
        return body["max_tokens"], "max_tokens"
    if script.called():
        return wanted, "tool_use"
    return wanted, "refusal" if script.has("refuse") else "end_turn"


def blocks(tokens: int, script: Script) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if script.has("think"):
        thought = "".join(f"t{number} " for number in range(int(script.number("think"))))
        found.append({"type": "thinking", "thinking": thought, "signature": "signed"})
    found.append({"type": "text", "text": "w " * tokens})
    for number, (name, given) in enumerate(script.called()):
        found.append({"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": json.loads(given)})
    return found


def usage(body: dict[str, Any], tokens: int, script: Script) -> dict[str, Any]:
    cached = int(script.number("cached"))
    told: dict[str, Any] = {
        "input_tokens": read_tokens(body) - cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached,
        "output_tokens": tokens,
    }
    if script.has("think"):
        told["output_tokens_details"] = {"thinking_tokens": int(script.number("think"))}
    return told


def failed(status: int, message: str, after_s: float = 0) -> web.Response:
    kinds = {400: "invalid_request_error", 401: "authentication_error", 429: "rate_limit_error"}
    kinds[529] = "overloaded_error"
    error = {"type": kinds.get(status, "api_error"), "message": message}
    return web.json_response(
        {"type": "error", "error": error, "request_id": "req_1"},
        status=status,
        headers={"retry-after": f"{after_s:g}"},
    )
