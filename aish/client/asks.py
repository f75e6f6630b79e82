"""What each method of the Python client asks of the daemon, and what it makes of the answers. Pure generators: they
yield calls, are sent the replies, and return what the method returns. Drivers carry the calls, blocking or not."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, TypeVar

import msgspec

from aish.client import launch, wish
from aish.client.connection import expect
from aish.client.stranger import start_ticks
from aish.errors import TimedOutError, UnavailableError, UsageError
from aish.model.exit import Exit
from aish.model.signal_number import signal_number
from aish.wire import budget
from aish.wire import message as m
from aish.wire import reply as r
from aish.wire.message import Message
from aish.wire.spec import SpecPart

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from aish.client.wish import Word
    from aish.wire.part import ExitPart, Finding, KeyPart, ProcessPart, RunPart, UsageRow
    from aish.wire.reply import Reply
    from aish.wire.spec import LaunchPart, LimitPart

T = TypeVar("T")
R = TypeVar("R", bound=Message)


class Call(NamedTuple):
    """A request, with the descriptors that go with it."""

    message: Message
    fds: Sequence[int] = ()


Asks: TypeAlias = "Generator[Call, Reply, T]"


class Named(Protocol):
    """A handle of a process."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...


class Descriptor(Protocol):
    """An open file, a socket, an end of a pipe."""

    def fileno(self) -> int: ...


Target: TypeAlias = "str | Named"
"""A process: its handle, its id or its name."""
Passed: TypeAlias = "int | Descriptor"


def ask(expected: type[R], message: Message, fds: Sequence[int] = ()) -> Asks[R]:
    """One question and its answer. Raises InternalError where it is of another type."""
    return expect(expected, (yield Call(message, fds)))


def signal_of(number: int | str) -> int:
    """Raises UsageError."""
    return signal_number(number) if isinstance(number, str) else int(number)


def name_of(target: Target) -> str:
    return target if isinstance(target, str) else target.id


# --- processes begin --------------------------------------------------------------------------------------------


def spawn(
    command: Sequence[Word] | SpecPart,
    env: Mapping[str, str] | None,
    fds: Mapping[int, Passed] | None,
    rename: bool | None,
    window: tuple[int, int] | None,
    fields: Mapping[str, Any],
) -> Asks[r.Started]:
    """Raises UsageError, and UnavailableError where it could not be started."""
    part = wish.spec(command, fields)
    if part.argv[:1] and part.argv[0].startswith(b"@"):
        raise UsageError(
            f"{part.argv[0].decode(errors='replace')} is an agent or a model, not a program",
            hint='aish.agents.stub.resolve("@NAME", ["WORD"]) makes the SpecPart that spawn takes in place of words',
        )
    passed = {number: given if isinstance(given, int) else given.fileno() for number, given in (fds or {}).items()}
    request = m.Spawn(
        token=secrets.token_hex(16),
        spec=part,
        launch=surroundings(env),
        targets=list(passed),
        rename=part.name is None if rename is None else rename,
        window=window,
    )
    return _begun((yield from ask(r.Started, request, list(passed.values()))))


def serve(model: str, env: Mapping[str, str] | None, fields: Mapping[str, Any]) -> Asks[r.Started]:
    """Raises UsageError, and UnavailableError where it could not be started."""
    part = wish.spec(SpecPart(argv=[], restart="on-failure"), fields)
    request = m.Serve(
        model=model, vram_bytes=part.vram_bytes, launch=surroundings(env), spec=part if fields else None
    )
    return _begun((yield from ask(r.Started, request)))


def adopt(
    pid: int,
    name: str | None,
    labels: Mapping[str, str] | None,
    limits: LimitPart | None,
    stop_signal: int,
    grace_s: float,
) -> Asks[r.Started]:
    """Raises NotFoundError."""
    request = m.Adopt(
        token=secrets.token_hex(16),
        pid=pid,
        start_ticks=start_ticks(pid),
        name=name,
        labels=dict(labels or {}),
        limits=limits,
        stop_signal=int(stop_signal),
        grace_s=grace_s,
    )
    return (yield from ask(r.Started, request))


def _begun(started: r.Started) -> r.Started:
    if started.state == "failed":
        raise UnavailableError(
            f"{started.name} ({started.id}): {started.reason or 'it did not start'}", hint=f"aish logs {started.id}"
        )
    return started


def surroundings(env: Mapping[str, str] | None) -> LaunchPart:
    return launch.capture(None if env is None else dict(env))


# --- processes end ----------------------------------------------------------------------------------------------


def wait(target: Target, timeout_s: float | None) -> Asks[Exit]:
    """Raises TimedOutError."""
    waited = yield from ask(r.Waited, m.Wait(target=name_of(target), timeout_s=timeout_s))
    if waited.timed_out:
        raise _late([waited.id], "has not ended", timeout_s)
    return exit_of(waited.exit)


def wait_all(targets: Sequence[Target], timeout_s: float | None) -> Asks[list[Exit]]:
    """Raises TimedOutError."""
    if not targets:
        return []
    request = m.WaitMany(targets=[name_of(target) for target in targets], timeout_s=timeout_s)
    found = yield from ask(r.WaitedMany, request)
    if found.timed_out:
        raise _late([f"{len(targets) - len(found.waited)} of {len(targets)}"], "have not ended", timeout_s)
    return [exit_of(waited.exit) for waited in found.waited]


def wait_any(targets: Sequence[Target], timeout_s: float | None) -> Asks[tuple[str, str, Exit]]:
    """Id, name and end of the first. Raises TimedOutError, UsageError."""
    if not targets:
        raise UsageError("none of no processes ends", hint="name one or more")
    request = m.WaitMany(targets=[name_of(target) for target in targets], any=True, timeout_s=timeout_s)
    found = yield from ask(r.WaitedMany, request)
    if found.timed_out or not found.waited:
        raise _late([f"none of {len(targets)}"], "has ended", timeout_s)
    first = found.waited[0]
    names = [target.name for target in targets if not isinstance(target, str) and target.id == first.id]
    name = names[0] if names else (yield from process(first.id)).name
    return first.id, name, exit_of(first.exit)


def wait_ready(target: Target, timeout_s: float | None, give_up: bool) -> Asks[None]:
    """Raises TimedOutError, UnavailableError where it ended before, or is waited for in vain."""
    request = m.Wait(target=name_of(target), until="ready", timeout_s=timeout_s, give_up=give_up)
    waited = yield from ask(r.Waited, request)
    if waited.hopeless is not None:
        raise UnavailableError(f"{waited.id} will not get ready: {waited.hopeless}", hint=f"aish logs {waited.id}")
    if waited.timed_out:
        raise _late([waited.id], f"is {waited.state}, not ready", timeout_s)
    if waited.exit is not None:
        raise UnavailableError(
            f"{waited.id} ended before it was ready: {told(exit_of(waited.exit))}", hint=f"aish logs {waited.id}"
        )


def stop(targets: Sequence[Target], grace_s: float | None) -> Asks[list[Exit]]:
    """All are asked before the first is waited for."""
    asked = []
    for target in targets:
        asked.append((yield from ask(r.Done, m.Stop(target=name_of(target), grace_s=grace_s))))
    ends = []
    for target, told in zip(targets, asked, strict=True):
        waited = yield from ask(r.Waited, m.Wait(target=name_of(target), restarts=told.restarts))
        ends.append(exit_of(waited.exit))
    return ends


def _late(ids: Sequence[str], what: str, timeout_s: float | None) -> TimedOutError:
    return TimedOutError(
        f"{', '.join(ids)} {what} after {timeout_s or 0:g} s", hint="it goes on; wait again, or stop it"
    )


def exit_of(part: ExitPart | None) -> Exit:
    return Exit(None, None) if part is None else Exit(part.code, part.signal, part.reason)


def told(end: Exit) -> str:
    """How it ended, in a few words."""
    how = f"exit {end.code}" if end.code is not None else f"signal {end.signal}" if end.signal else "status unknown"
    return f"{how} ({end.reason})" if end.reason else how


# --- processes change -------------------------------------------------------------------------------------------


def changed(message: Message) -> Asks[bool]:
    """False where it was so already."""
    return (yield from ask(r.Done, message)).changed


def start(target: Target, env: Mapping[str, str] | None) -> Asks[bool]:
    return (yield from changed(m.Start(target=name_of(target), launch=surroundings(env))))


def restart(
    target: Target, env: Mapping[str, str] | None, keep_env: bool, grace_s: float | None, spec: SpecPart | None
) -> Asks[bool]:
    """Raises UsageError."""
    if keep_env and env is not None:
        raise UsageError("both env and keep_env", hint="one of them")
    here = None if keep_env else surroundings(env)
    return (yield from changed(m.Restart(target=name_of(target), launch=here, grace_s=grace_s, spec=spec)))


def limit(target: Target, changes: Mapping[str, str | float | None]) -> Asks[bool]:
    """Raises UsageError."""
    typed = {name: str(value) for name, value in changes.items() if value is not None}
    if not typed:
        raise UsageError("no limit is named", hint='such as tokens="+50k"; "none" lifts one')
    budgeted = {name: typed.pop(name) for name in budget.WORDS if name in typed}
    request = m.Limit(target=name_of(target), budget=budgeted)
    return (yield from changed(msgspec.structs.replace(request, **typed)))


# --- looking ----------------------------------------------------------------------------------------------------


def snapshot(
    everything: bool, labels: Mapping[str, str | None] | None, ended_since_s: float | None = None
) -> m.Snapshot:
    return m.Snapshot(all=everything, labels=dict(labels or {}), ended_since_s=ended_since_s)


def processes(wanted: m.Snapshot) -> Asks[list[ProcessPart]]:
    return (yield from ask(r.View, wanted)).processes


def history(target: Target, last: int) -> Asks[list[RunPart]]:
    return (yield from ask(r.Runs, m.History(target=name_of(target), last=last))).runs


def process(target: Target) -> Asks[ProcessPart]:
    return (yield from ask(r.Inspected, m.Inspect(target=name_of(target)))).process


def keys() -> Asks[list[KeyPart]]:
    return (yield from ask(r.Keys, m.KeyList())).keys


def usage(by: str, since_s: float | None) -> Asks[list[UsageRow]]:
    return (yield from ask(r.UsageTable, m.UsageQuery(by=by, since_s=since_s))).rows


def doctor() -> Asks[list[Finding]]:
    return (yield from ask(r.Findings, m.Doctor())).findings
