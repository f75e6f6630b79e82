"""An answer of the simulated provider before it has a dialect: words, calls, figures; and its events. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Final, Literal

from aish.plugins.simprovider import script as scripts
from aish.plugins.simprovider.script import Body, Script

MODEL: Final = "sim"
Kind = Literal["begin", "content", "why", "usage", "end", "other"]


@dataclass(slots=True)
class Event:
    """One event of a stream. `data` is JSON, or bytes that go out as they are; `name` is for the field `event`."""

    kind: Kind
    data: object
    name: str | None = None


@dataclass(slots=True)
class Said:
    """`input` and `output` are what the server tells of the tokens: numbers, or whatever a fault makes of them. `cut`
    says that the request's limit ended the answer."""

    words: list[str]
    thoughts: list[str] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    """(tool, its arguments as JSON)."""
    input: object = 0
    output: object = 0
    cut: bool = False
    model: str = MODEL
    told: bool = True
    """Whether the server says how many tokens there were."""
    id: str = "sim"
    """By which a later response goes on from this one."""
    turn: int = 0
    """How long the conversation is: ids of calls and messages are no others' of it."""

    @property
    def text(self) -> str:
        return "".join(self.words)

    @property
    def thought(self) -> str:
        return "".join(self.thoughts)


def answer(script: Script, body: Body) -> Said:
    """What the script says, within the request's limit: of reasoning first, then of words."""
    most = scripts.limit(body)
    wanted = script.think + script.say
    made = wanted if most is None else min(wanted, most)
    thoughts = [f"t{number} " for number in range(min(script.think, made))]
    words = [f"w{number} " for number in range(made - len(thoughts))]
    words = [script.json] if script.json else words
    cut = made < wanted
    calls = [(tool, given or json.dumps({"place": number})) for number, (tool, given) in enumerate(script.calls)]
    model = body.get("model")
    return Said(
        words,
        thoughts,
        [] if cut else calls,
        scripts.words(body),
        made,
        cut,
        model if isinstance(model, str) and model else MODEL,
        turn=scripts.turn(body),
    )
