"""Rules about an end, of the process or of its run before this one: each tells one cause, or None. Pure."""

from __future__ import annotations

import signal
from typing import Final

from aish.model import exit as exits
from aish.model import state
from aish.model.size import format_bytes
from aish.supervisor.daemon.why.evidence import (
    LOG,
    MACHINE,
    TABLE,
    Cause,
    End,
    Evidence,
    Fact,
    fact,
    signal_name,
    span,
    who,
)
from aish.wire.part import EventPart

PRESSURE_PERCENT: Final = 10.0
FULL: Final = 0.95
PARENT_S: Final = 5.0
"""So soon after its parent's end an end by a signal is likely to be of it."""
LINES_MOST: Final = 5
LINE_CHARS: Final = 200
FAULTS: Final = {
    signal.SIGSEGV: "used memory that is not its own",
    signal.SIGBUS: "used memory that could not be had (a file that became shorter, or a full disk behind it)",
    signal.SIGABRT: "gave up by itself (abort), mostly because an assertion failed",
    signal.SIGFPE: "divided by zero or the like",
    signal.SIGILL: "came upon an instruction that this processor does not have",
    signal.SIGSYS: "made a system call that is forbidden to it",
    signal.SIGPIPE: "wrote to a pipe that nobody reads any more",
    signal.SIGXCPU: "reached its limit of CPU time (RLIMIT_CPU)",
    signal.SIGXFSZ: "reached its limit of a file's size (RLIMIT_FSIZE)",
}
LAST_LINE: Final = "The last line of its"
_GPU_FULL: Final = ("cuda out of memory", "outofmemoryerror", "cuda error: out of memory", "hip out of memory")
_CODES: Final = {
    126: "A shell's 126 means that the program it wanted was found and could not be run.",
    127: "A shell's 127 means that the program it wanted was not found: a wrong name, or another PATH than expected.",
}


def _words(e: Evidence) -> tuple[Fact, ...]:
    return tuple(Fact(line, LOG) for line in e.log[-LINES_MOST:])


def _given(e: Evidence, reason: str) -> End | None:
    """The end, if the supervisor's word for it is this one."""
    end = e.end
    return end if end is not None and end.exit.reason == reason else None


def _because(end: End, otherwise: str) -> str:
    return (end.reason or otherwise).removesuffix(".")


def crash_loop(e: Evidence) -> Cause | None:
    end = _given(e, exits.CRASH_LOOP)
    if end is None:
        return None
    sentences, facts = [f"It ended again and again: {_because(end, 'too often')}."], _words(e)
    unwell = e.last("unhealthy")
    if unwell is not None and end.began_s is not None and unwell.time_s >= end.began_s:
        sentences.append(f"Its last run was ended for this: {unwell.text.removesuffix('.')}.")
        facts = (fact(unwell), *facts)
    return Cause("crash-loop", 95, tuple(sentences), facts)


def not_started(e: Evidence) -> Cause | None:
    end = _given(e, exits.START)
    if end is None:
        return None
    program = e.row.spec.argv[0].decode(errors="backslashreplace") if e.row.spec.argv else "nothing"
    sentences = (f"It never ran: {_because(end, 'it could not be started')}.", f"The program is {program}.")
    return Cause("start", 95, sentences)


def hook(e: Evidence) -> Cause | None:
    end = _given(e, exits.HOOK)
    if end is None:
        return None
    return Cause(
        "hook", 95, (f"It was not started: {_because(end, 'its hook before the start failed')}.",), _words(e)
    )


def secret(e: Evidence) -> Cause | None:
    """What a command that fetches one wrote to stderr is in the log."""
    end = _given(e, exits.SECRET)
    if end is None:
        return None
    return Cause("secret", 95, (f"It was not started: {_because(end, 'a secret of it cannot be had')}.",), _words(e))


def hook_after(e: Evidence) -> Cause | None:
    event = e.last("hook-failed")
    if event is None:
        return None
    return Cause("hook-after", 30, (f"Its hook failed {event.text}.",), (fact(event),))


def check(e: Evidence) -> Cause | None:
    end = _given(e, exits.CHECK)
    if end is None:
        return None
    return Cause(
        "check", 95, (f"The command that decides success said no: {_because(end, 'its check failed')}.",), _words(e)
    )


def needs_failed(e: Evidence) -> Cause | None:
    end = _given(e, exits.NEEDS)
    if end is None:
        return None
    return Cause("needs", 95, (f"It was given up: {_because(end, 'what it needs did not come')}.",))


def unhealthy(e: Evidence) -> Cause | None:
    """It did not get ready in time, did not answer its probe, or did not say that it lives."""
    end = _given(e, exits.UNHEALTHY)
    event = e.last("unhealthy")
    if end is None and not (event is not None and e.row.cause == exits.UNHEALTHY):
        return None
    text = (event.text if event is not None else None) or (end.reason if end is not None else None) or "no answer"
    rule = "probe"
    if text.startswith("it was not ready within"):
        rule = "start-timeout"
    elif "WATCHDOG" in text:
        rule = "watchdog"
    facts = ((fact(event),) if event is not None else ()) + _words(e)
    return Cause(rule, 95, (f"It did not do its job, and was ended for that: {text.removesuffix('.')}.",), facts)


def timeout(e: Evidence) -> Cause | None:
    end = _given(e, exits.TIMEOUT)
    if end is None:
        return None
    return Cause("run-timeout", 95, (f"It was stopped by its time limit: {_because(end, 'it ran too long')}.",))


def wrapped_up(e: Evidence) -> Cause | None:
    """It was asked for a last message."""
    end, event = _given(e, exits.WRAPUP), e.last("wrapup")
    if end is None:
        return None
    by = f"{end.by} had it wrapped up" if end.by is not None else "It was wrapped up"
    how = f": {end.reason}" if end.reason else ""
    return Cause("wrapup", 95, (f"{by[0].upper()}{by[1:]}{how}.",), _facts(event))


def with_group(e: Evidence) -> Cause | None:
    """Another of its group failed, and took it along."""
    end, event = _given(e, exits.GROUP), e.last("group")
    if end is None:
        return None
    group = e.row.spec.group.name if e.row.spec.group is not None else "-"
    why = f": {event.text.partition(':')[0]}" if event is not None and event.text else ""
    return Cause("group", 95, (f"It was stopped with its group {group}{why}.",), _facts(event))


def with_parent(e: Evidence) -> Cause | None:
    """It belongs to another, which has ended."""
    end = _given(e, exits.PARENT)
    if end is None:
        return None
    name = who(e.parent) if e.parent is not None else e.row.parent or "its parent"
    return Cause("with-parent", 95, (f"It belongs to {name}, and was stopped when that had ended.",))


_SAID: Final = {
    exits.BUDGET: "Its budget did not allow more",
    exits.LIMIT: "It reached a limit",
    exits.REFUSED: "What it wanted to do was not permitted",
    exits.LOOP: "It went round in a circle",
    exits.AUTH: "Its model was asked with a key or a login that is not taken there",
    exits.UPSTREAM: "Its model, or the way there, failed",
}


def concluded(e: Evidence) -> Cause | None:
    """It has told why itself."""
    end = e.end
    text = _SAID.get(end.exit.reason or "") if end is not None else None
    if end is None or text is None:
        return None
    why = f": {end.reason.removesuffix('.')}" if end.reason else ""
    return Cause("concluded", 94, (f"{text}{why}.", "It said so itself."), _words(e))


def handed_back(e: Evidence) -> Cause | None:
    end = _given(e, exits.HANDED_BACK)
    if end is None or end.earlier:  # a new run is supervised; `restarted` tells of the one before
        return None
    return Cause("handed-back", 95, ("`aish off` handed it back: it lives on, or lived on, without a supervisor.",))


def quota(e: Evidence) -> Cause | None:
    """More VRAM than its quota: the watchdog; or a quota that no device can have."""
    end = _given(e, exits.QUOTA)
    if end is None:
        return None
    event = e.last("quota")
    what = "The watchdog ended it" if event is not None else "It was refused"
    return Cause("vram", 95, (f"{what}: {_because(end, 'it used more VRAM than its quota')}.",), _facts(event))


def own_oom(e: Evidence) -> Cause | None:
    """It reached its own limit of memory."""
    end = _given(e, exits.OOM)
    if end is None:
        return None
    sentences = [f"It ran out of memory: {_because(end, 'it reached its limit').removeprefix('out of memory: ')}."]
    if e.row.lifecycle in state.ENDED:
        sentences.append("A higher --memory gives it more.")
    else:
        sentences.append(f"`aish limit {e.row.name} memory=+1G` raises that limit.")
    return Cause("own-oom", 95, tuple(sentences), _facts(e.last("oom")))


def too_many(e: Evidence) -> Cause | None:
    """More processes than its limit, where that is only watched."""
    end = _given(e, exits.PIDS)
    if end is None:
        return None
    text = f"It was ended at its limit of processes: {_because(end, 'it had more than it may')}."
    return Cause("pids", 95, (text,), _facts(e.last("pids")))


def forks(e: Evidence) -> Cause | None:
    """It could not fork any more at its limit of processes: what it made of that is its own status."""
    end, event = e.end, e.last("forks-refused")
    if end is None or end.earlier or event is None or (end.began_s is not None and event.time_s < end.began_s):
        return None
    text = f"{event.text[0].upper()}{event.text[1:]}: a higher --pids gives it more."
    return Cause("forks", 70 if end.exit.code != 0 else 40, (text,), _facts(event))


def stopped(e: Evidence) -> Cause | None:
    """Somebody had it ended, through us."""
    end = e.end
    if end is None or end.exit.reason not in (exits.CANCELLED, exits.RESTARTED):
        return None
    what = "stopped, to be started again," if end.exit.reason == exits.RESTARTED else "stopped"
    killed = e.last("killed", "stopping")
    by = end.by or (killed.detail.get("by") if killed is not None else None)
    between = " before it was started" if end.ran_s is None and end.exit.code is end.exit.signal is None else ""
    between = " while it waited for its next run" if e.last_run is not None else between
    sentences = [f"It was {what} by {by or 'a person or program that is not noted'}{between}."]
    if end.exit.signal == signal.SIGKILL and killed is not None and killed.kind == "killed":
        sentences.append("It was ended by SIGKILL: at once, or because its grace was over.")
    return Cause("stopped", 92, tuple(sentences), _facts(killed))


def signalled(e: Evidence) -> Cause | None:
    """Somebody sent the signal by which it ended, through us."""
    end = e.end
    if end is None or end.exit.signal is None or end.exit.reason is not None or end.by is None:
        return None
    event = e.last("signalled")
    text = f"It was sent {signal_name(end.exit.signal)} by {end.by}."
    return Cause("signalled", 92, (text,), _facts(event))


def killed(e: Evidence) -> Cause | None:
    """SIGKILL that nobody sent through us: by the kernel for want of memory, or by somebody outside."""
    end = e.end
    if end is None or end.exit.signal != signal.SIGKILL or end.exit.reason is not None or end.by is not None:
        return None
    event = e.last("struck")
    detail = event.detail if event is not None else {}
    group, machine = _count(detail.get("group_oom_kills")), _count(detail.get("machine_oom_kills"))
    facts = (*_facts(event), *_memory_facts(e, end))
    if group:
        text = "The kernel ended it because the machine had no memory left: its control group counts that."
        return Cause("machine-oom", 93, (text, "It had not reached a limit of its own."), facts)
    if machine:
        times = "once" if machine == 1 else f"{machine} times"
        text = f"The kernel's out-of-memory killer struck {times} within seconds of that: most likely it was hit."
        return Cause("machine-oom", 85, (text,), facts)
    short = _short_of_memory(detail)
    if short is not None:
        text = (
            f"Nobody sent it SIGKILL through aish; the machine was short of memory then ({short}), which may be why."
        )
        return Cause("memory-pressure", 65, (text,), facts)
    if event is None or detail.get("machine_oom_kills") is None:
        text = "Somebody outside of aish sent it SIGKILL, or the kernel did; nobody looked at the machine then."
        return Cause("outside", 50, (text,), facts)
    text = "Somebody outside of aish sent it SIGKILL: the kernel's out-of-memory killer did not strike then."
    return Cause("outside", 60, (text,), facts)


def _count(value: str | float | None) -> int:
    return int(value) if isinstance(value, (int, float)) else 0


def _short_of_memory(detail: dict[str, str | int | float | None]) -> str | None:
    used, total = detail.get("memory_used_bytes"), detail.get("memory_total_bytes")
    stalled = detail.get("memory_stalled_percent")
    if isinstance(stalled, (int, float)) and stalled >= PRESSURE_PERCENT:
        return f"{stalled:.0f} % of the time something waited for it"
    if isinstance(used, int) and isinstance(total, int) and total and used / total >= FULL:
        return f"{format_bytes(used)} of {format_bytes(total)} in use"
    return None


def _memory_facts(e: Evidence, end: End) -> list[Fact]:
    """The machine's memory around the end, as far as the ring still has it."""
    near = [sample for sample in e.samples if end.at_s is not None and abs(sample.time_s - end.at_s) <= 10]
    return [
        Fact(
            f"memory {format_bytes(sample.memory_used_bytes)} of {format_bytes(sample.memory_total_bytes)} in use"
            + (f", {sample.oom_kills} out-of-memory kills since its start" if sample.oom_kills is not None else ""),
            MACHINE,
            sample.time_s,
        )
        for sample in near[-3:]
    ]


def fault(e: Evidence) -> Cause | None:
    """A signal that a program brings upon itself."""
    end = e.end
    number = end.exit.signal if end is not None else None
    if end is None or number not in FAULTS or end.exit.reason is not None or end.by is not None:
        return None
    text = f"It {FAULTS[signal.Signals(number)]} ({signal_name(number)})."
    return Cause("fault", 85, (text, *last_line(e)), _words(e))


def from_outside(e: Evidence) -> Cause | None:
    """Any other signal, of which we do not know who sent it."""
    end = e.end
    number = end.exit.signal if end is not None else None
    if end is None or number is None or number in FAULTS or number == signal.SIGKILL:
        return None
    if end.exit.reason is not None or end.by is not None:
        return None
    hangup = number == signal.SIGHUP and e.row.spec.pty
    text = (
        "Its terminal was closed."
        if hangup
        else "Nobody sent that signal through aish: somebody outside did, or it did so itself."
    )
    return Cause("outside", 50, (text,))


def parent_ended(e: Evidence) -> Cause | None:
    """It was killed by a signal just after its parent had ended."""
    end, parent = e.end, e.parent
    if end is None or end.exit.signal is None or end.exit.reason is not None or end.by is not None:
        return None
    if parent is None or not parent.ended or parent.ended_s is None or end.at_s is None:
        return None
    after_s = end.at_s - parent.ended_s
    if not -1.0 <= after_s <= PARENT_S:
        return None
    text = f"Its parent, {who(parent)}, ended {span(after_s)} before: most likely that took it along."
    return Cause("parent-ended", 72, (text,), (Fact(f"{who(parent)} {parent.lifecycle}", TABLE, parent.ended_s),))


def lost(e: Evidence) -> Cause | None:
    """Nobody saw how it ended."""
    end = e.end
    if end is None or not end.unseen:
        return None
    if not end.earlier and e.row.lifecycle != state.LOST:
        return None
    text = f"How it ended is not known: {_because(end, 'both of its parents had died, so nobody was told')}."
    return Cause("lost", 90, (text,))


def code(e: Evidence) -> Cause | None:
    """It ended with a status of its own that says that something was wrong."""
    end = e.end
    if end is None or end.exit.code in (None, 0) or end.exit.reason is not None:
        return None
    number = end.exit.code or 0
    if any(word in line.lower() for line in e.log for word in _GPU_FULL):
        text = "Its last words say that the GPU had no memory left for it."
        return Cause("gpu-memory", 90, (text, *last_line(e)), _words(e))
    trace = any(line.startswith("Traceback (most recent call last)") for line in e.log)
    if trace:
        return Cause("traceback", 85, ("A Python exception ended it.", *last_line(e)), _words(e))
    sentences = ["It ended by itself, and its status says that it failed."]
    if number in _CODES:
        sentences = [_CODES[number]]
    elif number > 128 and number - 128 in set(signal.Signals):
        name = signal_name(number - 128)
        sentences = [f"A shell's {number} means that a program it ran was ended by {name}: 128 + {number - 128}."]
    return Cause("status", 60, (*sentences, *last_line(e)), _words(e))


def success(e: Evidence) -> Cause | None:
    end = e.end
    if end is None or end.exit.code != 0 or end.exit.reason not in (None, exits.DONE):
        return None
    return Cause("done", 50 if not end.earlier else 25, ("It ended by itself, with success.",))


def last_line(e: Evidence) -> tuple[str, ...]:
    if not e.log:
        return ()
    line = e.log[-1].strip()
    shown = line if len(line) <= LINE_CHARS else line[: LINE_CHARS - 1] + "…"
    spec = e.row.spec
    where = "terminal" if spec.pty else "log" if spec.log == "ordered" else "stderr"
    return (f'{LAST_LINE} {where} is "{shown}".',)


def last_words(e: Evidence) -> Cause | None:
    """What it said last, where it was not said already."""
    end = e.end
    if end is None or not e.log or end.exit.code == 0 or e.last_run is not None or e.row.parking:
        return None
    return Cause("last-words", 20, last_line(e), _words(e))


def _facts(event: EventPart | None) -> tuple[Fact, ...]:
    return (fact(event),) if event is not None else ()
