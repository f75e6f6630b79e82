"""The tools that start, write to and end processes."""

from __future__ import annotations

import asyncio
import os
import secrets
from typing import TYPE_CHECKING, Any, Final

from aish.client.log_page import PageWanted, page
from aish.errors import ConflictError, NotFoundError, RefusedError, TimedOutError, UsageError
from aish.model import kind as kinds
from aish.model import state
from aish.model.moment import parse_duration_s
from aish.model.size import parse_bytes
from aish.tools import results as r
from aish.tools import scope
from aish.tools.arguments import MOST_LINES, MOST_WAIT_S, Spawn
from aish.tools.desk import bare
from aish.wire import budget
from aish.wire.spec import LimitPart, laid_over

if TYPE_CHECKING:
    from aish.client import AsyncProcess
    from aish.tools import arguments as a
    from aish.tools.desk import Call
    from aish.wire.part import ProcessPart
    from aish.wire.spec import SpecPart

_OURS: Final = (scope.CLIENT, scope.FOLDER)


async def spawn(call: Call, wanted: a.Spawn) -> r.Started:
    process = await _spawned(call, wanted)
    found = await process.inspect()
    return r.Started(
        id=process.id,
        name=process.name,
        state=found.process.state,
        reason=found.process.reason,
        unheld=found.unheld,
    )


async def _spawned(call: Call, wanted: a.Spawn) -> AsyncProcess:
    fields = _fields(call, wanted)
    command: list[str] | SpecPart = wanted.command
    if wanted.command[0].startswith("@"):
        folder = fields["cwd"]
        command = await asyncio.to_thread(_resolved, wanted.command[0], wanted.command[1:], wanted.model, folder)
        fields |= {
            name: laid_over(fields[name], getattr(command, name)) for name in ("limits", "budget") if name in fields
        }
    elif wanted.model is not None:
        raise UsageError("model is for @NAME", hint="a program asks for its model itself, at OPENAI_BASE_URL")
    process = await call.aish.spawn(command, env=call.environ, rename=wanted.name is None, **fields)
    call.desk.started.append(process.id)
    return process


def _resolved(word: str, words: list[str], model: str | None, folder: str) -> SpecPart:
    from aish.agents import stub

    return stub.resolve(word, words, model, cwd=folder)


def _fields(call: Call, wanted: a.Spawn) -> dict[str, Any]:
    """What is said of it beside its words. Raises UsageError."""
    labels = dict(wanted.labels or {})
    taken = [name for name in _OURS if name in labels]
    if taken:
        raise UsageError(f"labels: {taken[0]} is set by these tools", hint="choose another word")
    asked = budget.parse(wanted.budget, "budget") if wanted.budget else budget.Asked(None, None)
    timeout_s = parse_duration_s(wanted.timeout) if wanted.timeout else None
    if timeout_s is not None and asked.wall_s is not None:
        raise UsageError("timeout and wall of the budget are the same", hint="one of them")
    said: dict[str, Any] = {
        "name": wanted.name,
        "budget_tokens": asked.tokens,
        "budget": asked.part,
        "limits": LimitPart(memory_bytes=parse_bytes(wanted.memory)) if wanted.memory else None,
        "vram_bytes": wanted.vram,
        "run_timeout_s": timeout_s if timeout_s is not None else asked.wall_s,
    }
    # What is not said is not passed: an agent file has limits of its own.
    said = {name: value for name, value in said.items() if value is not None}
    return said | {
        "labels": labels | call.labels,
        "cwd": os.path.abspath(os.path.join(call.desk.folder, os.path.expanduser(wanted.cwd or "."))),
    }


# --- words to agents --------------------------------------------------------------------------------------------


async def send(call: Call, wanted: a.Send) -> r.Sent:
    number = await _sent(call, "send", wanted.agent, wanted.text)
    return r.Sent(number=number, to=bare(wanted.agent))


async def _sent(call: Call, what: str, agent: str, text: str) -> int:
    """Raises NotFoundError and ConflictError where nobody is there who reads it."""
    if await call.desk.scope() == scope.OWN:
        row = await call.row(agent)
        if row.kind == kinds.AGENT and row.lifecycle not in state.ENDED:
            await call.check(what, row)
    return await call.aish.send(bare(agent), text, token=secrets.token_hex(16))


async def ask(call: Call, wanted: a.Ask) -> r.Answer:
    """Of one that runs as a message; one that does not is run for the question."""
    try:
        number = await _sent(call, "send", wanted.agent, wanted.text)
    except (NotFoundError, ConflictError) as error:
        return await _asked_once(call, wanted, error)
    with call.telling(wanted.agent, wanted.timeout_s):
        try:
            part = await call.aish.response(number, timeout_s=wanted.timeout_s)
        except TimedOutError:
            return r.Answer(over=False, number=number)
    answer = None if part.answer is None else r.shortened(part.answer, r.ANSWER_CHARS)
    return r.Answer(over=True, number=number, answer=answer, status=part.status)


async def _asked_once(call: Call, wanted: a.Ask, why_not: NotFoundError | ConflictError) -> r.Answer:
    """Raises `why_not` where there is no such agent either."""
    try:
        process = await _spawned(call, Spawn(command=["@" + bare(wanted.agent), wanted.text]))
    except NotFoundError:
        raise why_not from None
    with call.telling(process.id, wanted.timeout_s):
        try:
            end = await process.wait(timeout_s=wanted.timeout_s)
        except TimedOutError:
            return r.Answer(over=False, id=process.id)
    written = await call.aish.carry(page(PageWanted(process.id, MOST_LINES, streams=("stdout",))))
    text = "\n".join(r.log_text(line) for line in written.lines)
    return r.Answer(over=True, id=process.id, answer=text, status=end.shell_status)


# --- ends -------------------------------------------------------------------------------------------------------


async def cancel(call: Call, wanted: a.Cancel) -> r.Cancelled:
    row = await _controlled(call, "cancel", wanted.agent)
    changed = await call.aish.cancel(row.id)
    return r.Cancelled(cancelled=changed, process=await call.shown(await call.row(row.id)))


async def stop(call: Call, wanted: a.Stop) -> r.Ended:
    """A grace may be longer than a client waits: then the answer is that it is stopping."""
    row = await _controlled(call, "stop", wanted.process)
    with call.telling(row.id, MOST_WAIT_S):
        try:
            async with asyncio.timeout(MOST_WAIT_S):
                await call.aish.stop(row.id, grace_s=wanted.grace_s)
        except TimeoutError:
            pass
    return r.Ended(process=await call.shown(await call.row(row.id)))


async def signal(call: Call, wanted: a.Signal) -> r.Ended:
    row = await _controlled(call, "signal", wanted.process)
    await call.aish.signal(wanted.signal, row.id)
    return r.Ended(process=await call.shown(await call.row(row.id)))


async def _controlled(call: Call, what: str, target: str) -> ProcessPart:
    """By its id from here on: a name may be another's a moment later. Raises RefusedError."""
    row = await call.row(target)
    welcome = await call.desk.welcome()
    if row.id == welcome.caller and what in ("stop", "cancel"):
        raise RefusedError("that is the process that you run in", hint="end your own work instead")
    await call.check(what, row)
    return row
