"""`aish run` at a terminal, and `aish attach`: the process has a pty of its own, and this terminal shows it.

The holder drains the pty into the process's log, so nobody's absence can stall it; we show the log as it grows, write
what is typed straight to the pty's master, and tell it our window's size.
"""

from __future__ import annotations

import os
import secrets
import sys
from typing import TYPE_CHECKING

from aish.client import follow, holds, needing, raw
from aish.client.connection import Client, connect
from aish.client.hotkeys import Hotkeys
from aish.client.screen import Screen
from aish.client.scrollback import scrollback
from aish.client.seat import Seat
from aish.client.session import Session, lost
from aish.client.stage import PATIENCE_S, begun, let_go, not_started
from aish.config import settings
from aish.errors import AishError, ConflictError, InternalError
from aish.model import keys
from aish.report import clean, report
from aish.wire.message import Inspect, Logs, Spawn
from aish.wire.reply import Inspected, LogFiles, Started

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.wire.part import ExitPart
    from aish.wire.spec import LaunchPart, SpecPart


def run(
    spec: SpecPart,
    launch: LaunchPart,
    *,
    rename: bool = True,
    fds: Sequence[int] = (),
    must_begin: bool = False,
) -> ExitPart | None:
    """Spawn on a pty, attached to this terminal (descriptors 0 and 1), until it ends; None: detached from.

    `rename`: a name that is taken gets a number. `fds`: it gets these, too, above 2; they are closed here. Raises the
    errors of `aish.client.connect` and what the daemon answers; `must_begin` as in `aish.client.stage.run`. The
    terminal's modes are restored.
    """
    hotkeys = Hotkeys(keys.parse(settings.load().detach))
    with connect(program="run") as client:
        token = secrets.token_hex(16)
        request = Spawn(
            token=token,
            spec=spec,
            launch=launch,
            rename=rename,
            targets=list(fds),
            window=_window(),
            patience_s=PATIENCE_S if must_begin else None,
        )
        started = _started(client, request, fds, must_begin=must_begin)
        let_go(fds)
        if started.came_to_nothing:
            return not_started("aish run", started)
        if started.state == "queued":
            _say(f"{started.name} ({started.id}) is queued: {started.reason}")
            for doubt in needing.doubts(client, started, spec):
                _say(doubt)
        seat = Seat(client, started.id, write=True)
        try:
            try:
                log = _take(seat)
            except KeyboardInterrupt:
                hint = f"end it: aish stop {started.id}"
                report("aish run", AishError(f"{started.name} stays queued", hint=hint))
                raise
            try:
                end = Session(started.name, seat, follow.Tail(log), Screen(), hotkeys).run()
            finally:
                os.close(log)
        finally:
            seat.close()
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
        seat = Seat(client, id_, write=write, take=take)
        try:
            log = _take(seat)
            try:
                said = _greeting(found, seat, detach, wanted=write)
                back = scrollback(log, raw.size()[0] if lines is None else lines)
                since = found.events[-1].number if found.events else 0
                session = Session(name, seat, follow.Tail(log, back.offset), back.screen, hotkeys, since=since)
                end = session.run(back.shown, said, redraw=True)
            finally:
                os.close(log)
        finally:
            seat.close()
    if end is None:
        _say_detached(name, id_)
    return end


def _window() -> tuple[int, int] | None:
    """Rows and columns of our terminal; None where nobody knows them."""
    try:
        size = os.get_terminal_size(1)
    except OSError:
        return None
    return (size.lines, size.columns) if size.lines and size.columns else None


def _greeting(found: Inspected, seat: Seat, detach: str, *, wanted: bool) -> list[str]:
    """Who types here is told so now; what is to be said behind the program's output is returned: why keys do nothing.
    Raises ConflictError where there is nothing to see."""
    process = found.process
    called = f"{process.name} ({process.id})"
    leave = "" if detach == "none" else f"; {detach} detaches"
    if seat.end is not None:
        raise ConflictError(f"{called} has ended", hint=f"`aish logs {process.id}` shows what it wrote")
    if seat.master is not None:
        _say(called + leave)
        return holds.now(found)
    if wanted:
        place = f"{called}: {lost(seat.lease)} (--take takes it over){leave or '; ctrl-c leaves'}"
    else:
        place = f"{called}, read-only; ctrl-c detaches"
    return [place, *holds.now(found)]


def _say(text: str) -> None:
    print(f"aish: {clean(text)}", file=sys.stderr, flush=True)


def _say_detached(name: str, process: str) -> None:
    print(f"detached from {clean(name)} ({process}); aish attach {clean(name)}", file=sys.stderr, flush=True)


def _started(client: Client, request: Spawn, fds: Sequence[int], *, must_begin: bool) -> Started:
    try:
        return begun(client, request, fds) if must_begin else client.ask(Started, request, fds)
    except KeyboardInterrupt:
        report("aish run", AishError("it may still start", hint="`aish ps` shows whether it has"))
        raise


def _take(seat: Seat) -> int:
    """Wait until we are at its terminal, or until it has ended; its log, which is there then."""
    seat.ask()
    while not seat.arrived():
        pass
    with connect(program="attach") as control:
        reply, fds = control.request_with_fds(Logs(target=seat.process))
    if not isinstance(reply, LogFiles) or not fds:
        raise InternalError(f"the daemon answered {type(reply).__name__} without a descriptor")
    for fd in fds[1:]:
        os.close(fd)
    return fds[0]
