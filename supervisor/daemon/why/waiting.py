"""Rules about what does not run yet, or is on its way: each tells one cause, or None. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aish.model import state
from aish.model.size import format_bytes
from aish.supervisor.daemon import needs
from aish.supervisor.daemon.parking import lets_go
from aish.supervisor.daemon.why.evidence import (
    GPU,
    TABLE,
    Cause,
    Device,
    Evidence,
    Fact,
    Holder,
    fact,
    listed,
    span,
    who,
)
from aish.wire import window

if TYPE_CHECKING:
    from aish.supervisor.daemon.row import Row
    from aish.wire.spec import NeedPart

CHAIN_MOST: Final = 16
NAMED_MOST: Final = 3


def need(e: Evidence) -> Cause | None:
    """It waits for another process; the chain is followed to what holds up all of it."""
    if e.row.lifecycle != state.QUEUED:
        return None
    unmet = _unmet(e, e.row)
    if not unmet:
        return None
    first, other, _ = unmet[0]
    waits = [f"{wanted.name}, which {lack}" for wanted, _, lack in unmet[:NAMED_MOST]]
    sentences = [f"It waits for {'; and for '.join(waits)}."]
    facts = [Fact(f"{wanted.name} {lack}", TABLE) for wanted, _, lack in unmet]
    if other is None:
        sentences.append(f"Nothing of the name {first.name} is supervised: it goes on when that is started.")
    else:
        more, found = _root(e, other, {e.row.id})
        sentences += more
        facts += found
    if first.timeout_s is not None:
        sentences.append(f"After {span(first.timeout_s)} of waiting it fails.")
    return Cause("need", 90, tuple(sentences), tuple(facts))


def _unmet(e: Evidence, row: Row) -> list[tuple[NeedPart, Row | None, str]]:
    found = []
    for wanted in row.spec.needs:
        other = e.others.get(wanted.name)
        why = needs.lacks(wanted, other)
        if why is not None:
            found.append((wanted, other, why))
    return found


def _root(e: Evidence, row: Row, seen: set[str]) -> tuple[list[str], list[Fact]]:
    """What holds up `row`, by way of what holds up that."""
    sentences: list[str] = []
    facts: list[Fact] = []
    for _ in range(CHAIN_MOST):
        if row.id in seen:
            return [*sentences, f"They wait for each other: {row.name} cannot start before itself."], facts
        seen.add(row.id)
        unmet = _unmet(e, row) if row.lifecycle == state.QUEUED else []
        if not unmet:
            break
        wanted, other, why = unmet[0]
        sentences.append(f"{row.name} itself waits for {wanted.name}, which {why}.")
        facts.append(Fact(f"{who(row)} is queued: needs {wanted.name}", TABLE))
        if other is None:
            return [*sentences, f"Nothing of the name {wanted.name} is supervised: that is where it begins."], facts
        row = other
    facts.append(
        Fact(f"{who(row)} is {row.lifecycle}" + (f": {row.reason}" if row.reason else ""), TABLE, row.started_s)
    )
    if row.lifecycle == state.QUEUED and row.spec.vram_bytes is not None:
        more, found = _rooms(e, row.name, row.spec.vram_bytes, row.spec.gpu_count)
        return sentences + more, facts + found
    if row.reason:
        sentences.append(f"What is known of {row.name}: {row.reason}.")
    elif row.lifecycle == state.RUNNING:
        sentences.append(f"{row.name} has been running for {e.ago(row.started_s)}; `aish why {row.name}` tells more.")
    return sentences, facts


def gpu(e: Evidence) -> Cause | None:
    """It waits for memory on GPUs."""
    row = e.row
    if row.lifecycle != state.QUEUED or row.spec.vram_bytes is None or _unmet(e, row):
        return None
    sentences, facts = _rooms(e, "It", row.spec.vram_bytes, row.spec.gpu_count)
    if row.reason:
        facts.append(Fact(row.reason, GPU))
    return Cause("gpu", 90, tuple(sentences), tuple(facts))


def _rooms(e: Evidence, subject: str, vram_bytes: int, count: int) -> tuple[list[str], list[Fact]]:
    """Who has the memory that it wants, on the device where least is missing."""
    many = f"{count} GPUs" if count > 1 else "a GPU"
    if not e.devices:
        return [f"{subject} wants {format_bytes(vram_bytes)} of {many}, and no driver has named one yet."], []
    best = max(e.devices, key=lambda device: (device.trouble is None, device.free_bytes or 0))
    free = format_bytes(max(0, best.free_bytes)) if best.free_bytes is not None else "an unknown part"
    first = f"{subject} wants {format_bytes(vram_bytes)} of {many}; GPU {best.index} has {free} of"
    sentences = [f"{first} {format_bytes(best.memory_bytes)} free."]
    holders = [f"{holder.name} has {format_bytes(holder.bytes)}" for holder in _largest(best.promised)]
    holders += [
        f"{holder.name}, which aish did not start, uses {format_bytes(holder.bytes)}"
        for holder in _largest(best.strangers)
    ]
    if holders:
        sentences.append(f"There {listed(holders)}.")
    if best.trouble is not None:
        sentences.append(f"Nothing new goes to GPU {best.index}: {best.trouble}.")
    return sentences, [line for device in e.devices for line in _device(device)]


def _largest(holders: tuple[Holder, ...]) -> list[Holder]:
    return sorted(holders, key=lambda holder: -(holder.bytes or 0))[:NAMED_MOST]


def _device(device: Device) -> list[Fact]:
    free = "unknown" if device.free_bytes is None else format_bytes(max(0, device.free_bytes))
    lines = [Fact(f"GPU {device.index}: {free} of {format_bytes(device.memory_bytes)} free", GPU)]
    lines += [
        Fact(f"GPU {device.index}: {holder.name} {what} {format_bytes(holder.bytes)}", GPU)
        for holders, what in ((device.promised, "has"), (device.strangers, "(a stranger) uses"))
        for holder in holders
    ]
    return lines


def behind(e: Evidence) -> Cause | None:
    """Others are before it in the queue for GPUs."""
    if e.row.lifecycle != state.QUEUED or not e.ahead:
        return None
    named = listed(
        [*e.ahead[:NAMED_MOST], *([f"{len(e.ahead) - NAMED_MOST} more"] if len(e.ahead) > NAMED_MOST else [])]
    )
    text = (
        f"{named} {'is' if len(e.ahead) == 1 else 'are'} before it in the queue, which is first come, first served."
    )
    return Cause("behind", 60, (text,), tuple(Fact(f"before it in the queue: {name}", TABLE) for name in e.ahead))


def scheduled(e: Evidence) -> Cause | None:
    """It runs by the clock."""
    plan = e.row.spec.schedule
    if plan is None or e.row.lifecycle not in (state.SCHEDULED, *state.ENDED):
        return None
    zone = f" ({plan.timezone})" if plan.timezone else ""
    when = f" next in {span(e.next_run_s - e.now_s)}" if e.next_run_s is not None else ""
    weight = 88 if e.row.lifecycle == state.SCHEDULED else 40
    return Cause(
        "scheduled", weight, (f"It is started by its schedule `{plan.cron}`{zone}{',' if when else ''}{when}.",)
    )


def queued(e: Evidence) -> Cause | None:
    """It waits for something that no other rule knows."""
    if e.row.lifecycle != state.QUEUED or not e.row.reason:
        return None
    return Cause("queued", 45, (f"It waits: {e.row.reason}.",), (Fact(e.row.reason, TABLE),))


def starting(e: Evidence) -> Cause | None:
    if e.row.lifecycle != state.STARTING:
        return None
    if e.row.reason:  # the holder is silent, or the disk takes nothing
        return Cause("starting", 70, (f"It waits: {e.row.reason}.",), (Fact(e.row.reason, TABLE),))
    text = (
        "Its hook before the start has to end with 0 first."
        if e.row.spec.before
        else "The holder is asked to run it."
    )
    return Cause("starting", 70, (text,))


def stopping(e: Evidence) -> Cause | None:
    """It is being ended, and has not ended yet."""
    row = e.row
    if row.lifecycle != state.STOPPING:
        return None
    event = e.last("killed", "stopping")
    by = f" by {row.ended_by}" if row.ended_by else ""
    why = f" ({row.stop_reason}: {row.reason})" if row.reason and row.stop_reason else ""
    sentences = [f"It was asked to end{by}{why} and has not done so yet."]
    if e.kill_in_s is not None:
        sentences.append(f"SIGKILL follows in {span(e.kill_in_s)}.")
    elif event is not None and event.kind == "killed":
        sentences.append("It was sent SIGKILL: what does not end then hangs in the kernel.")
    return Cause("stopping", 90, tuple(sentences), (fact(event),) if event is not None else ())


def parked(e: Evidence) -> Cause | None:
    """It has ended until a usage window has room for it, or is just ending for that."""
    row = e.row
    if not row.parking or row.barred is None:
        return None
    barred, name = row.barred, window.name(row.barred.owner)
    begins = f"in {span(max(0.0, barred.until_s - e.now_s))}" if barred.until_s is not None else None
    sentences = [f"What is said of it: {window.spent(barred.owner, barred.what, barred.used, barred.budget, None)}."]
    if barred.stranded:
        sentences.append(
            f"The machine was started anew since, and nobody has its environment: `aish start {row.name}`."
        )
    else:
        when = f"{begins} at the latest" if begins is not None else f"when {name} has room; nobody knows when that is"
        cont = f"; `aish cont {row.name}` lets it go on now" if lets_go(barred) else ""
        sentences.append(f"It goes on by itself {when}{cont}.")
    event = e.last("parked", "parking")
    return Cause("parked", 92, tuple(sentences), (fact(event),) if event is not None else ())


def backoff(e: Evidence) -> Cause | None:
    """It is between two runs."""
    row = e.row
    if row.lifecycle != state.BACKOFF:
        return None
    again = f"in {span(e.restart_in_s)}" if e.restart_in_s is not None else "soon"
    text = f"Its restart policy ({row.spec.restart}) starts it again {again}, which is restart {row.restarts + 1}."
    return Cause("backoff", 70, (text,))
