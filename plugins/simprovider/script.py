"""What a request asks of the simulated provider: the words of its prompt. Pure.

say N       N words of answer (3), cut by the request's output limit
think N     N words of reasoning before them
json {…}    that JSON is the answer, in place of words
call TOOL   a call of that tool behind them; may stand several times
call TOOL {…}   with these arguments; {WORD that is no JSON is what the tool is called with, as it stands
then        what follows is the script of the request that brings the results of these calls
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
_WORD: Final = re.compile(r"\S+")
_JSON: Final = json.JSONDecoder()


@dataclass(slots=True, frozen=True)
class Script:
    text: str
    say: int = 3
    think: int = 0
    json: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    """(tool, its arguments as they are written; empty: whatever)."""
    pace_s: float = 0.0
    fault: str = ""
    first: int | None = None


def read(text: str) -> Script:
    """Whatever a prompt says: words that mean nothing here are words, and a number that is none is the usual one."""
    words, objects = _words_and_objects(text)
    told = dict(itertools.pairwise(words))
    calls = tuple(
        (after, objects.get(place + 2, ""))
        for place, (word, after) in enumerate(itertools.pairwise(words))
        if word == "call"
    )
    answers = [objects.get(place + 1, "") for place, word in enumerate(words) if word == "json"]
    first = _number(told.get("first"), -1.0)
    return Script(
        text,
        int(_number(told.get("say"), 3.0)),
        int(_number(told.get("think"), 0.0)),
        next(filter(None, answers), ""),
        calls,
        _number(told.get("pace"), 0.0),
        told.get("fault", ""),
        None if first < 0 else int(first),
    )


def _words_and_objects(text: str) -> tuple[list[str], dict[int, str]]:
    """The words, and by their place those that begin with a brace: to the end of the JSON, where it is that."""
    words: list[str] = []
    objects: dict[int, str] = {}
    at = 0
    while found := _WORD.search(text, at):
        word, at = found.group(), found.end()
        if word[0] == "{":
            word = _object(text[found.start() :]) or word
            objects[len(words)] = word
            at = found.start() + len(word)
        words.append(word)
    return words, objects


def _object(text: str) -> str:
    try:
        return text[: _JSON.raw_decode(text)[1]]
    except (ValueError, RecursionError):
        return ""


def _number(text: str | None, otherwise: float) -> float:
    if text is None or len(text) > 9 or not (text.isascii() and text.replace(".", "", 1).isdecimal()):
        return otherwise
    return float(text)


def prompt(body: Body) -> str:
    """The last words of a request in any of the dialects; where they are results of a tool and the last words of a
    person have a `then`, the step of these whose turn it is."""
    steps = _steps(body)
    if steps:
        return steps
    for field in ("messages", "input", "prompt"):
        if field in body:
            return _last(_asked(body[field]))
    return ""


def _asked(value: object) -> object:
    if not isinstance(value, list):
        return value
    behind = ({"role": "system"}, {"role": "developer"})
    return [entry for entry in value if not isinstance(entry, dict) or {"role": entry.get("role")} not in behind]


def _steps(body: Body) -> str:
    """Of a chat: each answer since the person's last words was one step of them."""
    messages = body.get("messages")
    if not isinstance(messages, list):
        return ""
    answers = 0
    for message in reversed(messages):
        role = message.get("role") if isinstance(message, dict) else None
        if role == "assistant":
            answers += 1
        elif role == "user" and (steps := _divided(_last(message))):
            return steps[min(answers, len(steps) - 1)]
        elif role == "user":
            return ""
    return ""


def _divided(text: str) -> list[str]:
    """At each word `then`, but not within JSON; empty where there is none."""
    words, _ = _words_and_objects(text)
    if "then" not in words:
        return []
    steps: list[list[str]] = [[]]
    for word in words:
        if word == "then":
            steps.append([])
        else:
            steps[-1].append(word)
    return [" ".join(step) for step in steps]


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
