"""A chat's answer as a response, whole and as a stream. Pure, but for the time that it is given.

    created  in_progress  (output_item.added  …deltas…  output_item.done)…  completed | incomplete | failed

One item is open at a time: reasoning, a message, a call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import msgspec

from aish.errors import UpstreamError
from aish.supervisor.gateway.dialects import chunk, sse
from aish.supervisor.gateway.dialects.ordered import Ordered
from aish.supervisor.gateway.dialects.responses import output
from aish.supervisor.gateway.dialects.responses.output import Called, Fields
from aish.supervisor.gateway.dialects.responses.tools import Names, names
from aish.supervisor.gateway.meter import Stream

if TYPE_CHECKING:
    from aish.supervisor.gateway.dialects.call import Call

Kind = Literal["reasoning", "text", "refusal", "call", "custom"]
_DELTAS: Final = {
    "reasoning": "response.reasoning_text",
    "text": "response.output_text",
    "refusal": "response.refusal",
    "call": "response.function_call_arguments",
}
_FIELDS: Final = {"reasoning": "text", "text": "text", "refusal": "refusal", "call": "arguments"}
_DONE, _UNDONE = "completed", "incomplete"

_encode: Final = msgspec.json.Encoder().encode


def whole(call: Call, body: bytes, created: int) -> bytes:
    """Raises UpstreamError where it is none."""
    event = chunk.read(body, call.model)
    if not event.choices or event.choices[0].message is None:
        raise UpstreamError(f"the server of {call.model} sent an answer without a message")
    choice, said = event.choices[0], event.choices[0].message
    status = _UNDONE if choice.finish_reason == "length" else _DONE
    items: list[Fields] = []
    if said.thought:
        items.append(output.reasoning(output.made_id("rs"), said.thought))
    if said.content or said.refusal or not said.tool_calls:
        part = output.refusal_part(said.refusal) if said.refusal else output.text_part(said.content or "")
        items.append(output.message(output.made_id("msg"), [part], status))
    known = names(call)
    items += [_called(tool, status, known) for tool in said.tool_calls or ()]
    written = sum(len(part) for part in (said.thought, said.content or "", said.refusal or "")) // 4
    begun = output.response(call, output.made_id("resp"), event.model or call.model, created)
    return _encode(output.ended(begun, items, choice.finish_reason, output.usage(event.usage, call, written)))


def _called(tool: chunk.ToolCall, status: str, known: Names) -> Fields:
    function = tool.function or chunk.Function()
    name, arguments = function.name or "", function.arguments or "{}"
    call_id = tool.id or output.made_id("call")
    called = known.told(name)
    if name in known.custom:
        return output.custom_call(output.made_id("ctc"), call_id, called, output.custom_input(arguments), status)
    return output.function_call(output.made_id("fc"), call_id, called, arguments, status)


class _Open:
    """The item that is being told."""

    __slots__ = ("call_id", "called", "id", "kind", "parts", "place")

    def __init__(self, kind: Kind, place: int, call_id: str = "", called: Called = (None, "")) -> None:
        prefix = {"reasoning": "rs", "text": "msg", "refusal": "msg", "call": "fc", "custom": "ctc"}[kind]
        self.kind, self.place, self.call_id, self.called = kind, place, call_id, called
        self.id = output.made_id(prefix)
        self.parts: list[str] = []

    def item(self, status: str) -> Fields:
        text = "".join(self.parts)
        match self.kind:
            case "reasoning":
                return output.reasoning(self.id, text)
            case "text" | "refusal":
                return output.message(self.id, [self.part(text)] if status != "in_progress" else [], status)
            case "call":
                return output.function_call(self.id, self.call_id, self.called, text, status)
            case "custom":
                return output.custom_call(self.id, self.call_id, self.called, output.custom_input(text), status)

    def part(self, text: str) -> Fields:
        match self.kind:
            case "reasoning":
                return {"type": "reasoning_text", "text": text}
            case "refusal":
                return output.refusal_part(text)
            case _:
                return output.text_part(text)


class Events:
    """A Writer."""

    content_type = sse.CONTENT_TYPE

    def __init__(self, call: Call, created: int) -> None:
        self._call = call
        self._model = call.model
        self._created = created
        self._names = names(call)
        self._begun: Fields | None = None
        self._number = 0
        self._open: _Open | None = None
        self._items: list[Fields] = []
        self._calls = Ordered()
        self._called: int | None = None
        """The newest call's place among the calls."""
        self._why: str | None = None
        self._told = chunk.UNSEEN
        self._count = Stream()
        self._over = False
        self._out: list[bytes] = []

    def feed(self, events: bytes) -> bytes:
        for event in events.split(b"\n\n"):
            payload = sse.payload(event) if event else None
            if payload is None:
                if event:
                    self._out.append(b": ping\n\n")
            elif payload == sse.DONE:
                self._end()
            else:
                self._take(payload)
        return self._taken()

    def error(self, body: bytes) -> bytes:
        self._fail(body)
        return self._taken()

    def _fail(self, body: bytes) -> None:
        begun = self._begin()
        self._over = True
        self._out += output.failure(begun, self._number, body)

    def _taken(self) -> bytes:
        out, self._out = b"".join(self._out), []
        return out

    def _take(self, payload: bytes) -> None:
        event = chunk.read(payload, self._model)
        if event.failed:
            self._fail(payload)
            return
        self._model = event.model or self._model
        if event.usage not in (chunk.UNSEEN, chunk.NULL):
            self._told = event.usage
        self._begin()
        for choice in event.choices[:1]:
            self._why = choice.finish_reason or self._why
            if choice.delta is not None:
                self._say(choice.delta)

    def _begin(self) -> Fields:
        if self._begun is None:
            self._begun = output.response(self._call, output.made_id("resp"), self._model, self._created)
            self._tell("response.created", {"response": self._begun})
            self._tell("response.in_progress", {"response": self._begun})
        return self._begun

    def _say(self, said: chunk.Words) -> None:
        if said.thought or said.content or said.refusal:
            self._tell_calls(self._calls.rest())
        if said.thought:
            self._more("reasoning", said.thought)
        if said.content:
            self._more("text", said.content)
        if said.refusal:
            self._more("refusal", said.refusal)
        for tool in said.tool_calls or ():
            self._tell_calls(self._calls.put(tool, self._model))

    def _tell_calls(self, pieces: list[tuple[int, chunk.ToolCall]]) -> None:
        for place, tool in pieces:
            self._call_part(place, tool)

    def _more(self, kind: Literal["reasoning", "text", "refusal"], text: str) -> None:
        if self._open is None or self._open.kind != kind:
            opened = self._start(_Open(kind, len(self._items)))
            part = {"content_index": 0, "part": opened.part("")}
            self._tell("response.content_part.added", {**self._at(opened), **part})
        self._delta(text)

    def _call_part(self, place: int, tool: chunk.ToolCall) -> None:
        function = tool.function or chunk.Function()
        if self._called != place:
            name = function.name or ""
            kind: Kind = "custom" if name in self._names.custom else "call"
            call_id = tool.id or output.made_id("call")
            self._start(_Open(kind, len(self._items), call_id, self._names.told(name)))
            self._called = place
        if function.arguments:
            self._delta(function.arguments)

    def _start(self, opened: _Open) -> _Open:
        self._close()
        opened.place = len(self._items)
        self._open = opened
        self._tell("response.output_item.added", {"output_index": opened.place, "item": opened.item("in_progress")})
        return opened

    def _delta(self, text: str) -> None:
        opened = self._open
        assert opened is not None
        opened.parts.append(text)
        self._count.count(len(text.encode()))
        if opened.kind == "custom":
            return  # its text is in JSON: it is told when it is whole
        content = {} if opened.kind == "call" else {"content_index": 0}
        more: Fields = {"logprobs": []} if opened.kind == "text" else {}
        self._tell(f"{_DELTAS[opened.kind]}.delta", {**self._at(opened), **content, "delta": text, **more})

    def _close(self, status: str = _DONE) -> None:
        if status == _DONE and self._open is not None and self._open.kind == "call" and not self._open.parts:
            self._delta("{}")  # some servers say nothing where there are no arguments, and that is no JSON
        opened, self._open = self._open, None
        if opened is None:
            return
        text, at = "".join(opened.parts), self._at(opened)
        if opened.kind == "custom":
            given = output.custom_input(text)
            self._tell("response.custom_tool_call_input.delta", {**at, "delta": given})
            self._tell("response.custom_tool_call_input.done", {**at, "input": given})
        else:
            content = {} if opened.kind == "call" else {"content_index": 0}
            more: Fields = {"logprobs": []} if opened.kind == "text" else {}
            told = {_FIELDS[opened.kind]: text}
            self._tell(f"{_DELTAS[opened.kind]}.done", {**at, **content, **told, **more})
            if content:
                self._tell("response.content_part.done", {**at, **content, "part": opened.part(text)})
        item = opened.item(status)
        self._items.append(item)
        self._tell("response.output_item.done", {"output_index": opened.place, "item": item})

    def _end(self) -> None:
        if self._over:
            return
        begun = self._begin()
        self._over = True
        self._tell_calls(self._calls.rest())
        self._close(_UNDONE if self._why == "length" else _DONE)
        usage = output.usage(self._told, self._call, self._count.estimate())
        over = output.ended(begun, self._items, self._why, usage)
        self._tell(f"response.{over['status']}", {"response": over})

    def _at(self, opened: _Open) -> Fields:
        return {"item_id": opened.id, "output_index": opened.place}

    def _tell(self, kind: str, fields: Fields) -> None:
        self._out.append(output.event(kind, self._number, fields))
        self._number += 1
