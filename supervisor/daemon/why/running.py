"""Rules about what runs: held, not ready, slow, started again, or simply fine. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aish.model import exit as exits
from aish.model import state
from aish.model.size import format_bytes, format_count
from aish.supervisor.daemon.why.ends import FULL, PRESSURE_PERCENT
from aish.supervisor.daemon.why.evidence import MACHINE, Cause, Evidence, Fact, fact, signal_name, span, who
from aish.wire import account, budget, window

if TYPE_CHECKING:
    from collections.abc import Mapping

CPU_PRESSURE_PERCENT: Final = 40.0
IO_PRESSURE_PERCENT: Final = 40.0
RESTS: Final = "rests for "
RECENT_RUN_S: Final = 3600.0
"""How the run before ended tells of this one for so long."""
_TODAYS: Final = "today's"
RECENT_S: Final = 15.0
"""A sample of that age tells of now."""


def paused(e: Evidence) -> Cause | None:
    if state.USER not in e.row.holds:
        return None
    event = e.last("paused")
    since = f" {e.ago(event.time_s)} ago" if event is not None else ""
    by = e.row.paused_by or "the user"
    text = f"It stands still: {by} paused it{since}, and `aish cont {e.row.name}` lets it go on."
    return Cause("paused", 95, (text,), (fact(event),) if event is not None else ())


def wrapping_up(e: Evidence) -> Cause | None:
    """It is to say a last message."""
    if e.row.wrapup is None:
        return None
    event = e.last("wrapup")
    how = (
        "it has had its last answer, and"
        if e.row.wrapup.said
        else "its next request to a model is asked for that, and"
    )
    text = f"It is being wrapped up by {e.row.wrapup.by}: {how} then it gets its stop signal."
    return Cause("wrapping-up", 96, (text,), (fact(event),) if event is not None else ())


def over_budget(e: Evidence) -> Cause | None:
    """Its requests wait: a budget is spent, its own or one above it."""
    if state.BUDGET not in e.row.holds:
        return None
    event = e.last("held")
    detail = event.detail if event is not None else {}
    if detail.get("what") in window.WHATS:
        return None
    owner = str(detail.get("owner") or e.row.id)
    above = e.others.get(owner)
    word, limit = budget.lacking(detail)
    today = budget.daily(str(detail.get("what", "")))
    whose = f"its own budget{word}{' for today' if today else ''}"
    if owner != e.row.id:
        other = who(above) if above is not None else account.words(owner)
        whose = f"{_TODAYS if today else 'the'} budget{word} of {other}"
    name = above.name if above is not None else account.written(owner) if owner != e.row.id else e.row.name
    sentences = (
        f"{_waits(e)}, since {whose} is spent{_spent(detail)}.",
        f"`aish limit {name} {limit}` lets it go on{', and so does midnight' if today else ''}.",
    )
    return Cause("budget", 95, sentences, (fact(event),) if event is not None else ())


def reserved(e: Evidence) -> Cause | None:
    """What is left of a usage window is for others."""
    event = e.last("held")
    if state.BUDGET not in e.row.holds or event is None or event.detail.get("what") not in window.WHATS:
        return None
    name = window.name(str(event.detail.get("owner")))
    sentences = (
        f"{_waits(e)}: {event.text}.",
        f"It goes on by itself when there is room; `aish window show {name.partition('/')[0]}` shows the rule.",
    )
    return Cause("window", 95, sentences, (fact(event),))


def _waits(e: Evidence) -> str:
    """What a spent budget means for it."""
    return "Its requests to models wait" if e.row.spec.observe is None else "It stands still"


def _spent(detail: Mapping[str, object]) -> str:
    """How much of it is used."""
    what, used, most = str(detail.get("what", "tokens")), detail.get("used"), detail.get("budget")
    what = what.removesuffix("_per_day")
    if not isinstance(used, int | float) or not isinstance(most, int | float):
        return ""
    if what == "usd":
        return f": {budget.shown_usd(used)} of {budget.shown_usd(most)} USD"
    unit = "tokens" if "token" in what else "requests"
    return f": {format_count(int(used))} of {format_count(int(most))} {unit}"


def out_of_memory(e: Evidence) -> Cause | None:
    """Held at its limit of memory."""
    if state.MEMORY not in e.row.holds:
        return None
    told = (e.row.reason or "out of memory").removeprefix("out of memory: ")
    text = f"It stands still at its limit of memory ({told})."
    event = e.last("oom")
    return Cause("held-oom", 95, (text,), (fact(event),) if event is not None else ())


def operator(e: Evidence) -> Cause | None:
    if state.OPERATOR not in e.row.holds:
        return None
    return Cause("held", 90, ("It is held until an operator decides.",))


def not_ready(e: Evidence) -> Cause | None:
    if e.row.lifecycle != state.RUNNING or e.row.ready != state.NO or e.row.cause is not None:
        return None
    told = (e.doing or "").removeprefix("not ready: ")
    sentences = [f"It runs, but is not ready yet{': ' + told if told else ''}."]
    if e.row.spec.start_timeout_s is not None and e.row.started_s is not None:
        left_s = e.row.spec.start_timeout_s - (e.now_s - e.row.started_s)
        sentences.append(f"If it is not within {span(left_s)} more, it is ended.")
    event = e.last("not-ready")
    return Cause("not-ready", 80, tuple(sentences), (fact(event),) if event is not None else ())


def resting(e: Evidence) -> Cause | None:
    """A model that is there, and whose server is not asked for a while."""
    event = e.last("resting", "awake")
    told = e.doing or ""
    if event is None or event.kind != "resting" or not told.startswith(RESTS):
        return None
    text = f"It is ready, but its server is not asked for another {told.removeprefix(RESTS)}."
    return Cause("resting", 85, (text,), (fact(event),))


def checking(e: Evidence) -> Cause | None:
    if not e.row.checking:
        return None
    return Cause("checking", 85, ("It has ended with 0, and the command that decides success is being asked.",))


def waits_for_model(e: Evidence) -> Cause | None:
    if e.activity != state.WAITING or e.row.holds:  # what holds it is the reason, and is told
        return None
    if (e.doing or "").startswith("waits "):
        return Cause("model-queue", 75, (f"Its request {e.doing}.",))
    what = f" ({e.doing})" if e.doing else ""
    return Cause("model-queue", 75, (f"Its request waits for a free place at the model{what}.",))


def throttled(e: Evidence) -> Cause | None:
    """Its limit of cores holds it up."""
    limits = e.row.spec.limits
    counts = [(sample.time_s, sample.throttled[e.row.id]) for sample in e.samples if e.row.id in sample.throttled]
    if limits is None or limits.cpus is None or len(counts) < 2 or counts[-1][1] <= counts[0][1]:
        return None
    count, took_s = counts[-1][1] - counts[0][1], counts[-1][0] - counts[0][0]
    text = (
        f"It is slowed down by its limit of {limits.cpus:g} cores: {count} times in the last {span(took_s)} it had "
        f"used up its share; `aish limit {e.row.name} cpus=+1` raises that."
    )
    facts = tuple(
        Fact(f"throttled {number} times so far", MACHINE, time_s) for time_s, number in (counts[0], counts[-1])
    )
    return Cause("throttled", 70, (text,), facts)


def forks(e: Evidence) -> Cause | None:
    """Its limit of processes keeps it from forking."""
    limits = e.row.spec.limits
    if e.row.lifecycle != state.RUNNING or limits is None or not e.forks_refused:
        return None
    times = "once" if e.forks_refused == 1 else f"{e.forks_refused} times"
    text = (
        f"It is at its limit of {limits.pids} processes and threads, or was: {times} it could not fork; "
        f"`aish limit {e.row.name} pids=+100` raises that."
    )
    return Cause("forks", 70, (text,))


def machine_busy(e: Evidence) -> Cause | None:
    """The machine is short of memory, processors or disk."""
    if e.row.lifecycle not in (state.RUNNING, state.STARTING) or e.row.holds or not e.samples:
        return None
    now = e.samples[-1]
    if e.now_s - now.time_s > RECENT_S:
        return None
    short = []
    if (now.memory_stalled_percent or 0) >= PRESSURE_PERCENT:
        short.append(f"memory ({now.memory_stalled_percent:.0f} % of the time something waited for it)")
    elif now.memory_used_bytes and now.memory_total_bytes and now.memory_used_bytes / now.memory_total_bytes >= FULL:
        short.append(
            f"memory ({format_bytes(now.memory_used_bytes)} of {format_bytes(now.memory_total_bytes)} in use)"
        )
    if (now.cpu_stalled_percent or 0) >= CPU_PRESSURE_PERCENT:
        short.append(f"processors ({now.cpu_stalled_percent:.0f} % of the time something waited for one)")
    if (now.io_stalled_percent or 0) >= IO_PRESSURE_PERCENT:
        short.append(f"disk ({now.io_stalled_percent:.0f} % of the time something waited for it)")
    if not short:
        return None
    text = "The machine is short of " + " and of ".join(short) + ", which slows down everything on it."
    return Cause("machine-busy", 55, (text,), (Fact(", ".join(short), MACHINE, now.time_s),))


def restarted(e: Evidence) -> Cause | None:
    """It runs again: when and how the run before ended, and who wanted this one."""
    row, end = e.row, e.end
    if end is None or not end.earlier or row.lifecycle in (state.SCHEDULED, *state.ENDED) or not row.restarts:
        return None
    times = "once" if row.restarts == 1 else f"{row.restarts} times"
    by = f", the last time by {row.begun_by}" if row.begun_by else ""
    status = f"status {end.exit.code}" if end.exit.code is not None else "an unknown status"
    if end.exit.signal is not None:
        status = signal_name(end.exit.signal)
    why = f" ({end.exit.reason})" if end.exit.reason else ""
    before = f"ended {e.ago(end.at_s)} ago with {status}{why}"
    if end.exit.reason == exits.HANDED_BACK:
        before = f"was handed back by `aish off` {e.ago(end.at_s)} ago"
    text = f"It has been started again {times}{by}; the run before {before}."
    event = e.last("ended", "wanted")
    recent = end.at_s is None or e.now_s - end.at_s < RECENT_RUN_S
    return Cause("restarted", 86 if recent else 25, (text,), (fact(event),) if event is not None else ())


def warned(e: Evidence) -> Cause | None:
    """Something is near a limit, or above it."""
    event = e.last("quota-warned", "warned", "exceeded")
    if event is None or e.row.lifecycle != state.RUNNING or event.time_s < (e.row.started_s or 0):
        return None
    return Cause("near-limit", 50, (f"{event.text[0].upper()}{event.text[1:]}.",), (fact(event),))


def fine(e: Evidence) -> Cause | None:
    row = e.row
    if row.lifecycle != state.RUNNING or row.holds or row.cause is not None or row.checking:
        return None
    if row.ready == state.NO:
        return None
    does = f" and is {e.activity}" if e.activity not in (None, state.WAITING) else ""
    ready = " It is ready." if row.ready == state.YES else ""
    return Cause("fine", 30, (f"It runs{does}, and nothing that is recorded holds it up.{ready}",))


def cost(e: Evidence) -> Cause | None:
    """What it has used so far."""
    parts = []
    if e.cpu_seconds is not None:
        parts.append(f"{e.cpu_seconds:.1f} s of processor time")
    if e.rss_bytes is not None:
        parts.append(f"{format_bytes(e.rss_bytes)} of memory now")
    tokens = e.row.tokens
    if tokens is not None and tokens.requests:
        of = f" of {format_count(e.row.spec.budget_tokens)}" if e.row.spec.budget_tokens is not None else ""
        many = "request" if tokens.requests == 1 else "requests"
        parts.append(f"{format_count(tokens.input + tokens.output)}{of} tokens in {tokens.requests} {many}")
    if not parts:
        return None
    used = "It used" if e.row.ended else "So far it has used"
    return Cause("cost", 10, (f"{used} {', '.join(parts)}.",))
