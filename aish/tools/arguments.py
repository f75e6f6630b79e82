"""What each tool takes. The descriptions are read by models: they are the tool's manual."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

MOST_WAIT_S: Final = 50.0
"""Clients give a call up after 60 s, where nothing else is said: a wait must have answered before."""
MOST_LINES: Final = 2000
MOST_ROWS: Final = 200
TEXT_CHARS: Final = 200_000
_WORD_CHARS: Final = 100_000

Target = Annotated[
    str,
    Meta(description="A process or agent: its id (p12) or its name, as ps shows them.", min_length=1, max_length=200),
]
Seconds = Annotated[
    float,
    Meta(
        description="How many seconds to wait at most. When they are over the answer tells how things stand, and "
        "nothing is stopped: call again to go on waiting.",
        ge=0,
        le=MOST_WAIT_S,
    ),
]


class Arguments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of a tool."""


class Spawn(Arguments, frozen=True, kw_only=True):
    command: Annotated[
        list[Annotated[str, Meta(max_length=_WORD_CHARS)]],
        Meta(
            description='The command as a list of words: ["npm", "run", "dev"]. No shell reads it; for a shell line '
            'write ["sh", "-c", "make && ./run"]. An agent or a model is ["@NAME", "the task in words"]; an agent '
            "without words goes on and takes messages (send, ask).",
            min_length=1,
            max_length=1000,
        ),
    ]
    name: (
        Annotated[str, Meta(description="How ps calls it; unique among what lives.", min_length=1, max_length=64)]
        | None
    ) = None
    cwd: Annotated[str, Meta(description="Its folder. Not given: the one you are in.", max_length=4096)] | None = None
    budget: (
        Annotated[
            str,
            Meta(
                description="What it and its children may ask of models: 200k (tokens), or tokens=200k,usd=5,rpm=30. "
                "It can only be made narrower than your own; nobody but the person can raise it later.",
                max_length=200,
            ),
        ]
        | None
    ) = None
    memory: Annotated[str, Meta(description="Memory of its whole tree, such as 16G.", max_length=20)] | None = None
    vram: (
        Annotated[
            str,
            Meta(description="GPU memory per device, such as 8G: it is queued until that is free.", max_length=20),
        ]
        | None
    ) = None
    timeout: (
        Annotated[str, Meta(description="For how long it may run: 90s, 10m, 2h; then it is ended.", max_length=20)]
        | None
    ) = None
    model: (
        Annotated[str, Meta(description="The model that an agent is to use; only with @NAME.", max_length=200)] | None
    ) = None
    labels: (
        Annotated[
            dict[str, str], Meta(description='Labels by which ps finds it, such as {"task": "build"}.', max_length=16)
        ]
        | None
    ) = None


class Ps(Arguments, frozen=True, kw_only=True):
    all: Annotated[bool, Meta(description="Ended processes, too.")] = False
    mine: Annotated[bool, Meta(description="Only what this client has started, and what that has started.")] = False
    labels: (
        Annotated[dict[str, str], Meta(description="Only those that have all of these labels.", max_length=16)] | None
    ) = None


class One(Arguments, frozen=True, kw_only=True):
    process: Target


class Wait(Arguments, frozen=True, kw_only=True):
    processes: Annotated[
        list[Target], Meta(description='Ids or names: ["p12"], ["build", "tests"].', min_length=1, max_length=50)
    ]
    until: Annotated[
        Literal["ended", "ready"],
        Meta(description="ended, or ready: its readiness probe, or its model, has answered."),
    ] = "ended"
    any: Annotated[bool, Meta(description="Until the first of them has ended, instead of all. Not with ready.")] = (
        False
    )
    timeout_s: Seconds = 45.0


class Logs(Arguments, frozen=True, kw_only=True):
    process: Target
    last: Annotated[
        int, Meta(description="So many lines: the last ones, or with after the next ones.", ge=1, le=MOST_LINES)
    ] = 100
    after: (
        Annotated[
            str,
            Meta(description="The after of an earlier answer: only what was written since.", max_length=40),
        ]
        | None
    ) = None
    stream: Annotated[
        Literal["both", "stdout", "stderr"], Meta(description="Of a process with a terminal all is stdout.")
    ] = "both"
    grep: (
        Annotated[str, Meta(description="Only lines in which this regular expression is found.", max_length=500)]
        | None
    ) = None


class Send(Arguments, frozen=True, kw_only=True):
    agent: Target
    text: Annotated[str, Meta(description="The message.", min_length=1, max_length=TEXT_CHARS)]


class Ask(Arguments, frozen=True, kw_only=True):
    agent: Target
    text: Annotated[str, Meta(description="The question or task.", min_length=1, max_length=TEXT_CHARS)]
    timeout_s: Seconds = 45.0


class Mail(Arguments, frozen=True, kw_only=True):
    number: Annotated[int, Meta(description="Of one message (7 or m7 is 7): waits for its answer.", ge=1)] | None = (
        None
    )
    agent: Annotated[str, Meta(description="Only messages to this agent.", max_length=200)] | None = None
    last: Annotated[int, Meta(description="So many at most, the newest.", ge=1, le=100)] = 20
    timeout_s: Seconds = 0.0


class Cancel(Arguments, frozen=True, kw_only=True):
    agent: Target


class Stop(Arguments, frozen=True, kw_only=True):
    process: Target
    grace_s: (
        Annotated[
            float,
            Meta(
                description="Seconds from its stop signal to SIGKILL; 0: at once. Not given: its own.", ge=0, le=3600
            ),
        ]
        | None
    ) = None


class Signal(Arguments, frozen=True, kw_only=True):
    process: Target
    signal: Annotated[
        str,
        Meta(description="INT, HUP, USR1 … The turn of an agent ends by cancel.", pattern="^[A-Z0-9+]{1,12}$"),
    ]


class Usage(Arguments, frozen=True, kw_only=True):
    by: Annotated[
        Literal["process", "model", "agent", "day", "project"], Meta(description="What the sums are of.")
    ] = "process"
    since: (
        Annotated[str, Meta(description="Only the last 30m, 2h, 7d. Not given: all that is recorded.", max_length=20)]
        | None
    ) = None


class Models(Arguments, frozen=True, kw_only=True):
    cwd: (
        Annotated[
            str,
            Meta(
                description="The folder from which agent files are looked for. Not given: the one you are in.",
                max_length=4096,
            ),
        ]
        | None
    ) = None
