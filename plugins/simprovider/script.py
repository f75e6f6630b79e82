"""What a request asks of the simulated provider: the words of its prompt. Pure.

say N       N words of answer (3), cut by the request's output limit
think N     N words of reasoning before them
call TOOL   a call of that tool behind them; may stand several times; a JSON object may follow: its arguments
pace S      so many seconds before each piece
fault NAME  one of aish.plugins.simprovider.faults
first N     that fault only befalls the first N requests of these words
"""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass
from typing import Any, Final

Body = dict[str, Any]
_CALL: Final = re.compile(r"(?<!\S)call\s+(\S+)(\s+(?=\{))?")
_decode: Final = json.JSONDecoder().raw_decode


@dataclass(slots=True, frozen=True)
class Script:
    text: str
    say: int = 3
    think: int = 0
    calls: tuple[tuple[str, str | None], ...] = ()
    """(tool, its arguments as JSON where the words have them)."""
    pace_s: float = 0.0
    fault: str = ""
    first: int | None = None


def read(text: str) -> Script:
    """Whatever a prompt says: words that mean nothing here are words, and a number that is none is the usual one."""
    plain, calls = _calls(text)
    told = dict(itertools.pairwise(plain.split()))
    first = _number(told.get("first"), -1.0)
    return Script(
        text,
        int(_number(told.get("say"), 3.0)),
        int(_number(told.get("think"), 0.0)),
        calls,
        _number(told.get("pace"), 0.0),
        told.get("fault", ""),
        None if first < 0 else int(first),
    )


def _calls(text: str) -> tuple[str, tuple[tuple[str, str | None], ...]]:
    """The text without the arguments of calls, which are no words of the script, and the calls. What is no JSON
    object is words."""
    plain, calls, at = [], [], 0
    while found := _CALL.search(text, at):
        given, end = None, found.end(1)
        if found[2]:
            try:
                value, end = _decode(text, found.end())
                given = json.dumps(value)
            except (ValueError, RecursionError):
                pass
        calls.append((found[1], given))
        plain += [text[at : found.end(1)], " "]
        at = end
    return "".join([*plain, text[at:]]), tuple(calls)


def _number(text: str | None, otherwise: float) -> float:
    if text is None or len(text) > 9 or not (text.isascii() and text.replace(".", "", 1).isdecimal()):
        return otherwise
    return float(text)


def prompt(body: Body) -> str:
    """The last words of a request in any of the dialects, less what its client tells the model behind them."""
    for field in ("messages", "input", "prompt"):
        if field in body:
            return _last(_asked(body[field]))
    return ""


def _asked(value: object) -> object:
    if not isinstance(value, list):
        return value
    behind = ({"role": "system"}, {"role": "developer"})
    return [entry for entry in value if not isinstance(entry, dict) or {"role": entry.get("role")} not in behind]


def _last(value: object) -> str:
    """Of a text, of the last entry of a list, of the content of a message, of the text of a part."""
    match value:
        case str():
            return value
        case [*_, last]:
            return _last(last)
        case {"content": inner} | {"text": inner} | {"output": inner}:
            return _last(inner)
        case _:
            return ""


def words(body: Body) -> int:
    """A word is a token here: those of the whole request, and one for each message."""
    return sum(_words(body.get(field)) for field in ("system", "instructions", "messages", "input", "prompt"))


def _words(value: object) -> int:
    match value:
        case str():
            return len(value.split())
        case list():
            return sum(map(_words, value))
        case {"role": _, "content": inner}:
            return 1 + _words(inner)
        case {"text": inner} | {"content": inner} | {"output": inner}:
            return _words(inner)
        case _:
            return 0


def turn(body: Body) -> int:
    """How many entries the conversation has."""
    return max((len(body[field]) for field in ("messages", "input") if isinstance(body.get(field), list)), default=0)


def limit(body: Body) -> int | None:
    """Tokens of output that the request allows."""
    names = ("max_tokens", "max_completion_tokens", "max_output_tokens", "n_predict")
    told = [body[name] for name in names if isinstance(body.get(name), int) and body[name] > 0]
    return min(told) if told else None
