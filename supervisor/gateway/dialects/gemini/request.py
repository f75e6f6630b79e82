"""A request for content as a chat in OpenAI's dialect. Pure.

    systemInstruction             a message of role system, the first
    text                          text
    inlineData                    image_url, as a data: address; what is no image is refused
    functionCall, -Response       tool_calls, messages of role tool; results without an id go by name and order
    functionDeclarations          functions
    functionCallingConfig         auto, required, none, a function
    generationConfig              limits, sampling, stop; responseSchema as a json_schema
    thoughts, thinkingConfig      left out, with safetySettings and labels

Names are Gemini's own or, as its REST examples have some, with underscores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from aish.errors import InputError
from aish.supervisor.gateway.dialects import call as calls
from aish.supervisor.gateway.dialects import openai
from aish.supervisor.gateway.dialects.gemini import schema

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.supervisor.gateway.dialects.call import Call

_NONE: Final = msgspec.Raw(b"null")
_CHOICES: Final = {"AUTO": "auto", "VALIDATED": "auto", "ANY": "required", "NONE": "none"}
_JSON: Final = "application/json"
_TEXTS: Final = ("", "text/plain")

_encode: Final = msgspec.json.Encoder().encode


class Data(msgspec.Struct):
    data: str
    mimeType: str = ""  # noqa: N815  the names of the wire
    mime_type: str = ""


class Called(msgspec.Struct):
    name: str
    id: str | None = None
    args: msgspec.Raw = msgspec.Raw(b"{}")


class Result(msgspec.Struct):
    name: str
    id: str | None = None
    response: msgspec.Raw = msgspec.Raw(b"{}")


class Part(msgspec.Struct):
    text: str | None = None
    thought: bool | None = None
    inlineData: Data | None = None  # noqa: N815
    inline_data: Data | None = None
    functionCall: Called | None = None  # noqa: N815
    function_call: Called | None = None
    functionResponse: Result | None = None  # noqa: N815
    function_response: Result | None = None

    @property
    def image(self) -> Data | None:
        return self.inlineData or self.inline_data

    @property
    def call(self) -> Called | None:
        return self.functionCall or self.function_call

    @property
    def result(self) -> Result | None:
        return self.functionResponse or self.function_response


class Content(msgspec.Struct):
    parts: list[Part] = []
    role: str | None = None


class Function(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: object = None
    parametersJsonSchema: msgspec.Raw = _NONE  # noqa: N815


class Tool(msgspec.Struct):
    functionDeclarations: list[Function] | None = None  # noqa: N815
    function_declarations: list[Function] | None = None


class CallingConfig(msgspec.Struct):
    mode: str = "AUTO"
    allowedFunctionNames: list[str] | None = None  # noqa: N815


class ToolConfig(msgspec.Struct):
    functionCallingConfig: CallingConfig | None = None  # noqa: N815
    function_calling_config: CallingConfig | None = None


class Config(msgspec.Struct, rename="camel"):
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | float | None = None
    stop_sequences: list[str] | None = None
    candidate_count: int | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    response_mime_type: str | None = None
    response_schema: object = None
    response_json_schema: msgspec.Raw = _NONE
    response_modalities: list[str] | None = None
    response_logprobs: bool | None = None


class Request(msgspec.Struct):
    contents: list[Content] = []
    systemInstruction: Content | None = None  # noqa: N815
    system_instruction: Content | None = None
    tools: list[msgspec.Raw] | None = None
    toolConfig: ToolConfig | None = None  # noqa: N815
    tool_config: ToolConfig | None = None
    generationConfig: Config | None = None  # noqa: N815
    generation_config: Config | None = None
    cachedContent: str | None = None  # noqa: N815


class _Count(msgspec.Struct):
    generateContentRequest: Request | None = None  # noqa: N815


_request: Final = msgspec.json.Decoder(Request)
_count: Final = msgspec.json.Decoder(_Count)
_tool: Final = msgspec.json.Decoder(Tool)
_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def content(model: str, body: bytes, *, stream: bool) -> Call:
    """Raises InputError with the field at fault."""
    calls.check_room(body)
    try:
        return _chat(model, _request.decode(body), stream=stream)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InputError(f"the request cannot be read: {error}") from None


def counted(model: str, body: bytes) -> Call:
    """A request whose tokens are to be counted. Raises InputError."""
    calls.check_room(body)
    try:
        inner = _count.decode(body).generateContentRequest
        return _chat(model, inner or _request.decode(body), stream=False)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InputError(f"the request cannot be read: {error}") from None


def _chat(model: str, asked: Request, *, stream: bool) -> Call:
    if not asked.contents:
        raise InputError("contents: at least one", field="contents")
    if asked.cachedContent:
        raise InputError("cachedContent: nothing is stored here: send the whole contents", field="cachedContent")
    config = asked.generationConfig or asked.generation_config or Config()
    fields: dict[str, object] = {"model": model, "messages": _messages(asked), **_configured(config)}
    functions, left_out = _functions(asked.tools or [])
    if functions:
        fields |= _chosen(functions, asked.toolConfig or asked.tool_config)
    if stream:
        fields["stream"], fields["stream_options"] = True, {"include_usage": True}
    chat = calls.parse(openai.CHAT, _encode({name: value for name, value in fields.items() if value is not None}))
    chat.left_out = left_out
    return chat


# --- what was said --------------------------------------------------------------------------------------------------


class _Calls:
    """The calls of a conversation: those without an id get one by their order."""

    def __init__(self) -> None:
        self._made = 0
        self._waiting: list[tuple[str, str]] = []
        """Those whose result has not come: (name, id)."""

    def make(self, called: Called) -> str:
        id_ = called.id or f"call_{self._made}_{called.name}"
        self._made += 1
        self._waiting.append((called.name, id_))
        return id_

    def answered(self, result: Result, place: str) -> str:
        for waiting in self._waiting:
            if waiting[1] == result.id or (result.id is None and waiting[0] == result.name):
                self._waiting.remove(waiting)
                return waiting[1]
        raise InputError(f"{place}: a result of a function that was not called", field=place)


def _messages(asked: Request) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    system = asked.systemInstruction or asked.system_instruction
    if system is not None:
        found.append({"role": "system", "content": _text(system.parts, "systemInstruction")})
    made = _Calls()
    for number, said in enumerate(asked.contents):
        place = f"contents[{number}]"
        match said.role:
            case None | "user" | "function":
                found += _of_user(said.parts, made, place)
            case "model":
                found.append(_of_model(said.parts, made, place))
            case _:
                raise InputError(f"{place}: no such role: {said.role[:40]!r}", field=place)
    return found


def _of_user(parts: Sequence[Part], made: _Calls, place: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    said: list[dict[str, object]] = []
    for part in parts:
        if part.result is not None:
            answer = bytes(part.result.response).decode()
            found.append({"role": "tool", "tool_call_id": made.answered(part.result, place), "content": answer})
        elif part.image is not None:
            said.append(_image(part.image, place))
        else:
            said.append({"type": "text", "text": _words(part, place)})
    if not said:
        return found
    if all(part["type"] == "text" for part in said):
        return [*found, {"role": "user", "content": "\n".join(str(part["text"]) for part in said)}]
    return [*found, {"role": "user", "content": said}]


def _of_model(parts: Sequence[Part], made: _Calls, place: str) -> dict[str, object]:
    message: dict[str, object] = {"role": "assistant", "content": None}
    words = [_words(part, place) for part in parts if part.call is None and not part.thought]
    if words:
        message["content"] = "".join(words)
    called = [part.call for part in parts if part.call is not None]
    if called:
        message["tool_calls"] = [
            {
                "id": made.make(call),
                "type": "function",
                "function": {"name": call.name, "arguments": bytes(call.args).decode()},
            }
            for call in called
        ]
    return message


def _text(parts: Sequence[Part], place: str) -> str:
    return "\n".join(_words(part, place) for part in parts if not part.thought)


def _words(part: Part, place: str) -> str:
    if part.text is None:
        raise InputError(f"{place}: a part of this kind cannot be translated for this model's server", field=place)
    return part.text


def _image(data: Data, place: str) -> dict[str, object]:
    kind = data.mimeType or data.mime_type
    if not kind.startswith("image/"):
        raise InputError(f"{place}: {kind[:60]!r} cannot be translated: images can", field=place)
    return {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{data.data}"}}


# --- how it is to be answered ---------------------------------------------------------------------------------------


def _configured(config: Config) -> dict[str, object]:
    if (config.candidate_count or 1) != 1:
        raise InputError("candidateCount: one answer is given here", field="generationConfig.candidateCount")
    if config.response_logprobs:
        raise InputError("responseLogprobs: none are told here", field="generationConfig.responseLogprobs")
    if any(kind.upper() != "TEXT" for kind in config.response_modalities or ()):
        raise InputError("responseModalities: only TEXT", field="generationConfig.responseModalities")
    return {
        "max_tokens": config.max_output_tokens or None,
        "temperature": config.temperature,
        "top_p": config.top_p,
        "top_k": None if config.top_k is None else int(config.top_k),
        "stop": config.stop_sequences or None,
        "seed": config.seed,
        "presence_penalty": config.presence_penalty,
        "frequency_penalty": config.frequency_penalty,
        "response_format": _format(config),
    }


def _format(config: Config) -> dict[str, object] | None:
    kind = config.response_mime_type or ""
    if kind in _TEXTS:
        return None
    if kind != _JSON:
        raise InputError(f"responseMimeType: {kind[:60]!r} cannot be translated", field="generationConfig")
    wanted: object = None
    if config.response_json_schema != _NONE:
        wanted = config.response_json_schema
    elif config.response_schema is not None:
        wanted = schema.converted(config.response_schema)
    if wanted is None:
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": wanted, "strict": True}}


def _functions(tools: list[msgspec.Raw]) -> tuple[list[dict[str, object]], tuple[str, ...]]:
    """Functions, and the names of tools that only Gemini's own servers have: refused where there is nothing else."""
    found: list[dict[str, object]] = []
    others: dict[str, None] = {}
    for raw in tools:
        told = _tool.decode(raw)
        found += map(_function, told.functionDeclarations or told.function_declarations or ())
        others |= dict.fromkeys(name for name in _fields.decode(raw) if name not in Tool.__struct_fields__)
    if others and not found:
        raise InputError(f"tools: only Gemini's own servers have {', '.join(others)[:200]}", field="tools")
    return found, tuple(others)


def _function(function: Function) -> dict[str, object]:
    told: dict[str, object] = {"name": function.name, "parameters": {"type": "object", "properties": {}}}
    if function.description is not None:
        told["description"] = function.description
    if function.parametersJsonSchema != _NONE:
        told["parameters"] = function.parametersJsonSchema
    elif function.parameters is not None:
        told["parameters"] = schema.converted(function.parameters)
    return {"type": "function", "function": told}


def _chosen(functions: list[dict[str, object]], config: ToolConfig | None) -> dict[str, object]:
    """Of some allowed ones nothing else can be called; a single one is named."""
    calling = (config.functionCallingConfig or config.function_calling_config) if config is not None else None
    if calling is None:
        return {"tools": functions}
    choice: object = _CHOICES.get(calling.mode.upper())
    if choice is None:
        raise InputError(f"toolConfig: no such mode: {calling.mode[:40]!r}", field="toolConfig")
    allowed = calling.allowedFunctionNames
    if allowed and choice == "required":
        functions = [function for function in functions if _name(function) in allowed]
        if not functions:
            raise InputError("toolConfig: none of the allowed functions is declared", field="toolConfig")
        if len(functions) == 1:
            choice = {"type": "function", "function": {"name": _name(functions[0])}}
    return {"tools": functions, "tool_choice": choice}


def _name(function: dict[str, object]) -> object:
    inner = function["function"]
    assert isinstance(inner, dict)
    return inner["name"]
