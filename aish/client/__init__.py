"""aish for programs: what a Python program uses is `Aish` (blocking) and `AsyncAish` (asyncio).

from aish.client import Aish
with Aish() as aish:
    print(aish.spawn(["sleep", "1"]).wait())

`connect` is what lies below, and what the verbs use: one connection, and the messages of aish.wire.message. Loading
this loads no more than that; the rest comes when it is named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aish.client.connection import Client, connect

if TYPE_CHECKING:
    from aish.client.aio import AsyncAish
    from aish.client.aio_process import AsyncProcess
    from aish.client.blocking import Aish
    from aish.client.log_answers import LogLine
    from aish.client.log_stats import LogStats
    from aish.client.process import Process
    from aish.model.exit import Exit
    from aish.wire.spec import (
        GroupPart,
        LimitPart,
        NeedPart,
        ProbePart,
        RestartPart,
        SchedulePart,
        SecretPart,
        SocketPart,
        SpecPart,
    )

__all__ = [
    "Aish",
    "AsyncAish",
    "AsyncProcess",
    "Client",
    "Exit",
    "GroupPart",
    "LimitPart",
    "LogLine",
    "LogStats",
    "NeedPart",
    "ProbePart",
    "Process",
    "RestartPart",
    "SchedulePart",
    "SecretPart",
    "SocketPart",
    "SpecPart",
    "connect",
]
_HOMES = {
    "Aish": "aish.client.blocking",
    "AsyncAish": "aish.client.aio",
    "AsyncProcess": "aish.client.aio_process",
    "Exit": "aish.model.exit",
    "LogLine": "aish.client.log_answers",
    "LogStats": "aish.client.log_stats",
    "Process": "aish.client.process",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES.get(name, "aish.wire.spec")), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
