"""What each method of the Python client asks of the daemon, and what it makes of the answers. Pure generators: they
yield calls, are sent the replies, and return what the method returns. Drivers carry the calls, blocking or not."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import msgspec

from aish.client import choice, launch, log_answers, standstill, wish
from aish.client import log_stats as stats
from aish.client.call import Files, ask
from aish.client.choice import chosen, name_of
from aish.client.stranger import start_ticks
from aish.errors import AishError, TimedOutError, UnavailableError, UsageError
from aish.model.exit import Exit
from aish.model.signal_number import signal_number
from aish.wire import budget
from aish.wire import message as m
from aish.wire import reply as r
from aish.wire.spec import SpecPart

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aish.client.call import Asks
    from aish.client.choice import Labels, Target
    from aish.client.log_stats import LogStats
    from aish.client.wish import Word
    from aish.wire.message import Message
    from aish.wire.part import (
        ExitPart,
        Finding,
        KeyPart,
        ProcessPart,
        RequestPart,
        RunPart,
        UsageRow,
        WindowPart,
        WindowRulePart,
    )
    from aish.wire.spec import LaunchPart, LimitPart


class Descriptor(Protocol):
    """An open file, a socket, an end of a pipe."""

    def fileno(self) -> int: ...


Passed: TypeAlias = "int | Descriptor"
_LONG_S = 1.0
"""Who waits for less only looks."""


def signal_of(number: int | str) -> int:
    """Raises UsageError."""
    return signal_number(number) if isinstance(number, str) else int(number)


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
    if started.came_to_nothing:
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


def wait_all(targets: Sequence[Target], labels: Labels | None, timeout_s: float | None) -> Asks[list[Exit]]:
    """Raises TimedOutError, and as `chosen`."""
    wanted = yield from chosen(targets, labels, ended=None)
    if not wanted:
        return []
    found = yield from ask(r.WaitedMany, m.WaitMany(targets=wanted, timeout_s=timeout_s))
    if found.timed_out:
        raise _late([f"{len(wanted) - len(found.waited)} of {len(wanted)}"], "have not ended", timeout_s)
    return [exit_of(waited.exit) for waited in found.waited]


def wait_any(
    targets: Sequence[Target], labels: Labels | None, timeout_s: float | None
) -> Asks[tuple[str, str, Exit]]:
    """Id, name and end of the first. Raises TimedOutError, UsageError, and as `chosen`."""
    wanted = yield from chosen(targets, labels, ended=None)
    if not wanted:
        raise UsageError("none of no processes ends", hint="name one or more")
    found = yield from ask(r.WaitedMany, m.WaitMany(targets=wanted, any=True, timeout_s=timeout_s))
    if found.timed_out or not found.waited:
        raise _late([f"none of {len(wanted)}"], "has ended", timeout_s)
    first = found.waited[0]
    names = [target.name for target in targets if not isinstance(target, str) and target.id == first.id]
    name = names[0] if names else (yield from process(first.id)).name
    return first.id, name, exit_of(first.exit)


def wait_ready(
    targets: Sequence[Target], labels: Labels | None, timeout_s: float | None, give_up: bool
) -> Asks[None]:
    """One after the other: the time is for all of them. Raises TimedOutError, UnavailableError where one ended
    before, or is waited for in vain, and as `chosen`."""
    begun_s = time.monotonic()
    for target in (yield from chosen(targets, labels)):
        left_s = None if timeout_s is None else max(0.0, timeout_s - (time.monotonic() - begun_s))
        request = m.Wait(target=target, until="ready", timeout_s=left_s, give_up=give_up)
        waited = yield from ask(r.Waited, request)
        if waited.hopeless is not None:
            raise UnavailableError(
                f"{waited.id} will not get ready: {waited.hopeless}", hint=f"aish logs {waited.id}"
            )
        if waited.timed_out:
            raise _late([waited.id], f"is {waited.state}, not ready", timeout_s)
        if waited.exit is not None:
            raise UnavailableError(
                f"{waited.id} ended before it was ready: {told(exit_of(waited.exit))}", hint=f"aish logs {waited.id}"
            )


def stop(
    targets: Sequence[Target], labels: Labels | None, grace_s: float | None, tree: bool = False
) -> Asks[list[Exit]]:
    """All are asked before the first is waited for. Raises as `each`."""
    return (yield from _ended(lambda target: m.Stop(target=target, grace_s=grace_s), targets, labels, tree=tree))


def _ended(
    request: Callable[[str], Message], targets: Sequence[Target], labels: Labels | None, *, tree: bool = False
) -> Asks[list[Exit]]:
    asked: list[tuple[str, r.Done]] = []
    refused: list[AishError] = []
    for target in (yield from chosen(targets, labels, tree=tree)):
        try:
            asked.append((target, (yield from ask(r.Done, request(target)))))
        except AishError as error:
            refused.append(error)
    ends = []
    for target, done in asked:
        waited = yield from ask(r.Waited, m.Wait(target=target, restarts=done.restarts))
        ends.append(exit_of(waited.exit))
    raise_first(refused)
    return ends


def wrapup(
    targets: Sequence[Target], labels: Labels | None, grace: str, within_s: float, message: str | None
) -> Asks[list[Exit]]:
    """All are asked before the first is waited for. Raises as `each`."""
    return (
        yield from _ended(
            lambda target: m.Wrapup(target=target, grace=grace, within_s=within_s, message=message), targets, labels
        )
    )


def each(
    request: Callable[[str], Message],
    targets: Sequence[Target],
    labels: Labels | None,
    *,
    ended: bool | None = False,
    tree: bool = False,
) -> Asks[bool]:
    """False where it was so already with all of them. All are tried: then the first refusal is raised, which has the
    others as its notes. Raises also as `chosen`."""
    changed_one = False
    refused: list[AishError] = []
    for target in (yield from chosen(targets, labels, ended=ended, tree=tree)):
        try:
            changed_one |= yield from changed(request(target))
        except AishError as error:
            refused.append(error)
    raise_first(refused)
    return changed_one


def raise_first(refused: Sequence[AishError]) -> None:
    """Raises the first of them, if there is one, with the others as its notes."""
    if refused:
        for other in refused[1:]:
            refused[0].add_note(f"and {other}")
        raise refused[0]


def _late(ids: Sequence[str], what: str, timeout_s: float | None) -> TimedOutError:
    """A time that stood still counts, too; who waits in vain is told of it, unless he only looked."""
    why = standstill.why() if (timeout_s or 0.0) >= _LONG_S else None
    message = f"{', '.join(ids)} {what} after {timeout_s or 0:g} s" + (f"; {why}" if why is not None else "")
    return TimedOutError(message, hint="it goes on; wait again, or stop it")


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


def start(targets: Sequence[Target], labels: Labels | None, env: Mapping[str, str] | None) -> Asks[bool]:
    here = surroundings(env)
    return (yield from each(lambda target: m.Start(target=target, launch=here), targets, labels, ended=True))


def restart(
    targets: Sequence[Target],
    labels: Labels | None,
    env: Mapping[str, str] | None,
    keep_env: bool,
    grace_s: float | None,
    spec: SpecPart | None,
) -> Asks[bool]:
    """Raises UsageError."""
    if keep_env and env is not None:
        raise UsageError("both env and keep_env", hint="one of them")
    here = None if keep_env else surroundings(env)

    def request(target: str) -> m.Restart:
        return m.Restart(target=target, launch=here, grace_s=grace_s, spec=spec)

    return (yield from each(request, targets, labels))


def limit(target: Target, changes: Mapping[str, str | float | None]) -> Asks[bool]:
    """Raises UsageError."""
    typed = dict(budget.one(name, str(value)) for name, value in changes.items() if value is not None)
    if not typed:
        raise UsageError("no limit is named", hint='such as tokens="+50k"; "none" lifts one')
    budgeted = {name: typed.pop(name) for name in list(typed) if name not in m.Limit.__struct_fields__}
    unknown = [name for name in budgeted if name not in budget.WORDS]
    if unknown:
        raise UsageError(f"no such limit: {unknown[0][:40]}", hint=", ".join(budget.WORDS))
    request = m.Limit(target=name_of(target), budget=budgeted)
    return (yield from changed(msgspec.structs.replace(request, **typed)))


# --- looking ----------------------------------------------------------------------------------------------------


def snapshot(
    everything: bool, labels: Mapping[str, str | None] | None, ended_since_s: float | None = None
) -> m.Snapshot:
    return m.Snapshot(all=everything, labels=dict(labels or {}), ended_since_s=ended_since_s)


def processes(wanted: m.Snapshot) -> Asks[list[ProcessPart]]:
    return (yield from ask(r.View, wanted)).processes


def log_stats(targets: Sequence[Target], labels: Labels | None, kind: str | None) -> Asks[list[LogStats]]:
    """Raises UsageError, NotFoundError."""
    choice.check_kind(kind, "kind")
    found = []
    for target, name in (yield from choice.logged(targets, labels, kind)):
        reply, fds = yield Files(m.Logs(target=target, index=True))
        files, log = log_answers.reader(reply, fds)
        try:
            counted = stats.counted(files.id, files.name or name or target, log, time.time(), mixed=files.ordered)
            found.append((yield from counted))
        finally:
            log.close()
    return found


def history(target: Target, last: int) -> Asks[list[RunPart]]:
    return (yield from ask(r.Runs, m.History(target=name_of(target), last=last))).runs


def process(target: Target) -> Asks[ProcessPart]:
    return (yield from ask(r.Inspected, m.Inspect(target=name_of(target)))).process


def keys() -> Asks[list[KeyPart]]:
    return (yield from ask(r.Keys, m.KeyList())).keys


def budgets(target: Target) -> Asks[r.Budgets]:
    return (yield from ask(r.Budgets, m.BudgetQuery(target=name_of(target))))


def usage(by: str, since_s: float | None) -> Asks[list[UsageRow]]:
    return (yield from ask(r.UsageTable, m.UsageQuery(by=by, since_s=since_s))).rows


def requests(wanted: m.RequestsQuery) -> Asks[list[RequestPart]]:
    return (yield from ask(r.RequestList, wanted)).requests


def request_text(number: int) -> Asks[r.RequestText]:
    return (yield from ask(r.RequestText, m.TextQuery(number=number)))


def texts(target: Target | None, keep: bool) -> Asks[list[str]]:
    wanted = m.KeepText(target=None if target is None else name_of(target), keep=keep)
    return (yield from ask(r.TextsKept, wanted)).accounts


def windows() -> Asks[list[WindowPart]]:
    return (yield from ask(r.Windows, m.WindowList())).windows


def window_rules() -> Asks[list[WindowRulePart]]:
    return (yield from ask(r.Windows, m.WindowList())).rules


def doctor() -> Asks[list[Finding]]:
    return (yield from ask(r.Findings, m.Doctor())).findings
