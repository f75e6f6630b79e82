"""What a request asks of the simulated provider: the words of its prompt. Pure.

say N       N words of answer (3), cut by the request's output limit
think N     N words of reasoning before them
call TOOL   a call of that tool behind them; may stand several times
pace S      so many seconds before each piece
fault NAME  one of aish.plugins.simprovider.faults
first N     that fault only befalls the first N requests of these words
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

Body = dict[str, Any]


@dataclass(slots=True, frozen=True)
class Script:
    text: str
    say: int = 3
    think: int = 0
    calls: tuple[str, ...] = ()
    pace_s: float = 0.0
    fault: str = ""
    first: int | None = None


def read(text: str) -> Script:
    """Whatever a prompt says: words that mean nothing here are words, and a number that is none is the usual one."""
    words = text.split()
    told = dict(itertools.pairwise(words))
    calls = tuple(after for word, after in itertools.pairwise(words) if word == "call")
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


def _number(text: str | None, otherwise: float) -> float:
    if text is None or len(text) > 9 or not (text.isascii() and text.replace(".", "", 1).isdecimal()):
        return otherwise
    return float(text)


def prompt(body: Body) -> str:
    """The last words of a request in any of the dialects."""
    for field in ("messages", "input", "prompt"):
        if field in body:
            return _last(body[field])
    return ""


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


def limit(body: Body) -> int | None:
    """Tokens of output that the request allows."""
    names = ("max_tokens", "max_completion_tokens", "max_output_tokens", "n_predict")
    told = [body[name] for name in names if isinstance(body.get(name), int) and body[name] > 0]
    return min(told) if told else None
