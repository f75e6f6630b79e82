"""`aish run` at a terminal, and `aish attach`: the process has a pty of its own, and this terminal shows it.

The holder drains the pty into the process's log, so nobody's absence can stall it; we show the log as it grows, write
what is typed straight to the pty's master, and tell it our window's size.
"""

from __future__ import annotations

import os
import secrets
import sys
from typing import TYPE_CHECKING

from aish.client import follow
from aish.client.connection import Client, connect
from aish.client.hotkeys import Hotkeys
from aish.client.screen import Screen
from aish.client.scrollback import scrollback
from aish.client.seat import Seat
from aish.client.session import Session, lost
from aish.client.stage import not_started
from aish.config import settings
from aish.errors import AishError, ConflictError, InternalError
from aish.model import keys, state
from aish.report import clean, report
from aish.wire.message import Inspect, Inspected, LogFiles, Logs, Spawn, Started, Wait

if TYPE_CHECKING:
    from aish.wire.part import ExitPart
    from aish.wire.spec import LaunchPart, SpecPart

FALLBACK_ROWS = 24


def run(spec: SpecPart, launch: LaunchPart, *, rename: bool = True) -> ExitPart | None:
    """Spawn on a pty, attached to this terminal (descriptors 0 and 1), until it ends; None: detached from.

    `rename`: a name that is taken gets a number. Raises the errors of `aish.client.connect` and what the daemon
    answers. The terminal's modes are restored.
    """
    hotkeys = Hotkeys(keys.parse(settings.load().detach))
    with connect(program="run") as client:
        started = _started(client, Spawn(token=secrets.token_hex(16), spec=spec, launch=launch, rename=rename))
        if started.state == "failed":
            return not_started("aish run", started)
        if started.state == "queued":
            _say(f"{started.name} ({started.id}) is queued: {started.reason}")
        try:
            log = _log(client, started.id)
        except KeyboardInterrupt:
            report("aish run", AishError(f"{started.name} stays queued", hint=f"end it: aish stop {started.id}"))
            raise
        seat = Seat(client, started.id, write=True)
        try:
            _take(seat)
            end = Session(started.name, seat, follow.Tail(log), Screen(), hotkeys).run()
        finally:
            seat.close()
            os.close(log)
    if end is None:
        _say_detached(started.name, started.id)
    return end


def attach(target: str, *, write: bool = True, take: bool = False, lines: int | None = None) -> ExitPart | None:
    """Attach this terminal to a process that has one, after the last `lines` lines of its output (None: as many as
    fit), until it ends; None: detached from. Raises ConflictError (it has ended, or has no terminal) and as `run`."""
    detach = settings.load().detach
    hotkeys = Hotkeys(keys.parse(detach))
    with connect(start=False, program="attach") as client:
        found = client.ask(Inspected, Inspect(target=target))
        name, id_ = found.process.name, found.process.id
        if found.process.state == "queued":
            _say(f"{name} ({id_}) is queued: {found.process.reason}")
        log = _log(client, id_)
        seat = Seat(client, id_, write=write, take=take)
        try:
            _take(seat)
            if seat.end is not None:
                raise ConflictError(f"{name} ({id_}) has ended", hint=f"`aish logs {id_}` shows what it wrote")
            _greet(f"{name} ({id_})", seat, detach, wanted=write)
            if state.USER in found.process.holds:
                _say(f"it is paused: `aish cont {name}` lets it go on")
            back = scrollback(log, rows() if lines is None else lines)
            session = Session(name, seat, follow.Tail(log, back.offset), back.screen, hotkeys)
            end = session.run(back.shown, redraw=True)
        finally:
            seat.close()
            os.close(log)
    if end is None:
        _say_detached(name, id_)
    return end


def rows() -> int:
    """Of our terminal."""
    try:
        return os.get_terminal_size(1).lines or FALLBACK_ROWS
    except OSError:
        return FALLBACK_ROWS


def _greet(called: str, seat: Seat, detach: str, *, wanted: bool) -> None:
    leave = "" if detach == "none" else f"; {detach} detaches"
    if seat.master is not None:
        _say(called + leave)
    elif wanted:
        _say(f"{called}: {lost(seat.lease)} (--take takes it over){leave or '; ctrl-c leaves'}")
    else:
        _say(f"{called}, read-only; ctrl-c detaches")


def _say(text: str) -> None:
    print(f"aish: {clean(text)}", file=sys.stderr, flush=True)


def _say_detached(name: str, process: str) -> None:
    print(f"detached from {clean(name)} ({process}); aish attach {clean(name)}", file=sys.stderr, flush=True)


def _started(client: Client, request: Spawn) -> Started:
    try:
        return client.ask(Started, request)
    except KeyboardInterrupt:
        report("aish run", AishError("it may still start", hint="`aish ps` shows whether it has"))
        raise


def _take(seat: Seat) -> None:
    """Wait until we are at its terminal, or until it has ended."""
    seat.ask()
    while not seat.arrived():
        pass


def _log(client: Client, process: str) -> int:
    """The log of its terminal, which is there when it runs: waits until then."""
    client.request(Wait(target=process, until="ready"))
    reply, fds = client.request_with_fds(Logs(target=process))
    if not isinstance(reply, LogFiles) or not fds:
        raise InternalError(f"the daemon answered {type(reply).__name__} without a descriptor")
    for fd in fds[1:]:
        os.close(fd)
    return fds[0]
