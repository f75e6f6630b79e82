"""From evidence to a paragraph: all rules, ranked, and what they go by. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import structs

from aish.supervisor.daemon.ring import SPAN_S
from aish.supervisor.daemon.why import ends, running, waiting
from aish.supervisor.daemon.why.evidence import LOG, Cause, Evidence, Fact, fact, signal_name, span, who
from aish.wire.part import CausePart, EventPart, EvidencePart
from aish.wire.reply import Explained

if TYPE_CHECKING:
    from collections.abc import Callable

    Rule = Callable[[Evidence], Cause | None]

RULES: Final[tuple[Rule, ...]] = (
    waiting.need,
    waiting.gpu,
    waiting.behind,
    waiting.scheduled,
    waiting.queued,
    waiting.starting,
    waiting.stopping,
    waiting.backoff,
    waiting.parked,
    ends.crash_loop,
    ends.not_started,
    ends.hook,
    ends.secret,
    ends.hook_after,
    ends.check,
    ends.needs_failed,
    ends.unhealthy,
    ends.timeout,
    ends.wrapped_up,
    ends.with_group,
    ends.with_parent,
    ends.concluded,
    ends.handed_back,
    ends.quota,
    ends.own_oom,
    ends.too_many,
    ends.forks,
    ends.stopped,
    ends.signalled,
    ends.killed,
    ends.fault,
    ends.from_outside,
    ends.parent_ended,
    ends.lost,
    ends.code,
    ends.success,
    ends.last_words,
    running.paused,
    running.wrapping_up,
    running.over_budget,
    running.reserved,
    running.out_of_memory,
    running.operator,
    running.not_ready,
    running.resting,
    running.checking,
    running.waits_for_model,
    running.throttled,
    running.forks,
    running.machine_busy,
    running.restarted,
    running.warned,
    running.fine,
    running.cost,
)
SENTENCES_MOST: Final = 5
ALSO: Final = 50
"""A second cause of that weight is told, too."""
EVENTS_SHOWN: Final = 8
FACTS_MOST: Final = 40
_END_RULES: Final = frozenset(
    (
        "crash-loop",
        "start",
        "hook",
        "check",
        "needs",
        "start-timeout",
        "watchdog",
        "probe",
        "run-timeout",
        "wrapup",
        "vram",
    )
    + ("own-oom", "machine-oom", "memory-pressure", "stopped", "signalled", "outside", "fault", "parent-ended")
    + ("secret", "pids", "lost", "gpu-memory", "traceback", "status", "done", "group", "with-parent", "concluded")
)
"""Several of them about one end are alternatives: the best one is told."""
_BY_THE_MACHINE: Final = frozenset(("fine", "throttled", "machine-busy"))


def explain(e: Evidence) -> Explained:
    """The answer to `aish why`."""
    found = (rule(e) for rule in RULES)
    causes = sorted((_of_now(e, cause) for cause in found if cause is not None), key=lambda cause: -cause.weight)
    last = _last_run(e)
    told = _told(e, causes, last)
    causes += [last] if last is not None else []
    return Explained(
        id=e.row.id,
        name=e.row.name,
        state=e.word,
        paragraph=" ".join(told),
        evidence=_evidence(e, causes),
        causes=[CausePart(rule=cause.rule, weight=cause.weight) for cause in causes],
        knows_from_s=e.knows_from_s,
    )


def _of_now(e: Evidence, cause: Cause) -> Cause:
    """What is about the run before says so, and counts for less; after a long run for next to nothing."""
    end = e.end
    if end is None or not end.earlier or cause.rule not in _END_RULES:
        return cause
    recent = end.at_s is None or e.now_s - end.at_s < running.RECENT_RUN_S
    first, *rest = cause.sentences
    first = f"The run before this one: {first[0].lower()}{first[1:]}"
    return structs.replace(cause, weight=min(cause.weight, 85 if recent else 20), sentences=(first, *rest))


def _last_run(e: Evidence) -> Cause | None:
    """Why it was between two runs when it was stopped: how the last one ended, and the best reason for that."""
    run = e.last_run
    if run is None:
        return None
    found = [cause for rule in RULES if (cause := rule(run)) is not None and cause.rule in _END_RULES]
    how = f"Its last run ended {_ending(run)}"
    if not found:
        return Cause("last-words", 20, (f"{how}.", *ends.last_line(run)))
    best = max(found, key=lambda cause: cause.weight)
    first, *rest = best.sentences
    return structs.replace(
        best, weight=min(best.weight, 85), sentences=(f"{how}: {first[0].lower()}{first[1:]}", *rest)
    )


def _told(e: Evidence, causes: list[Cause], last: Cause | None) -> list[str]:
    """Two to five sentences."""
    sentences = [_opening(e)]
    main = [cause for cause in causes if cause.rule != "cost"]
    if not main:
        sentences.append("Nothing recorded explains it.")
    ended, seen = False, " ".join(sentences)
    for place, cause in enumerate(main):
        extra = cause.rule == "last-words" and not any(line.startswith(ends.LAST_LINE) for line in sentences)
        if place and cause.weight < ALSO and not extra:
            continue
        if cause.rule in _END_RULES and ended:
            continue
        ended = ended or cause.rule in _END_RULES
        for sentence in cause.sentences:
            if sentence not in seen and len(sentences) < SENTENCES_MOST:
                sentences.append(sentence)
                seen = " ".join(sentences)
    if last is not None:
        sentences += last.sentences[: SENTENCES_MOST - len(sentences)]
    cost = next((cause for cause in causes if cause.rule == "cost"), None)
    if cost is not None and len(sentences) < SENTENCES_MOST:
        sentences += cost.sentences
    late = _late(e, main[0].rule if main else None)
    if late is not None and len(sentences) < SENTENCES_MOST:
        sentences.append(late)
    return sentences


def _opening(e: Evidence) -> str:
    row = e.row
    match row.lifecycle:
        case "scheduled":
            last = f": its last run ended {_ending(e)}" if e.end is not None else " for the first time"
            return f"{who(row)} waits to be started{last}."
        case "queued":
            return f"{who(row)} has been queued for {e.ago(_wanted_s(e))}."
        case "starting":
            return f"{who(row)} is being started."
        case "running":
            held = ", and is held" if row.holds else ""
            return f"{who(row)} has been running for {e.ago(row.started_s)}{held}."
        case "stopping":
            return f"{who(row)} is being stopped."
        case "backoff":
            return f"{who(row)} is between two runs: the last one ended {_ending(e)}."
        case "parked":
            return f"{who(row)} has been parked for {e.ago(row.ended_s)}: its processes have ended for a while."
        case "exited" | "failed" | "lost":
            return f"{who(row)} {'failed' if row.lifecycle == 'failed' else 'ended'} {_ending(e)}."


def _wanted_s(e: Evidence) -> float:
    event = e.last("created", "wanted", "ended")
    return event.time_s if event is not None else e.row.created_s


def _ending(e: Evidence) -> str:
    """`12 s ago with status 1, after it had run for 3 min`."""
    end = e.end
    if end is None:
        return "at a time that is not known"
    if end.unseen:
        return f"{e.ago(end.at_s)} ago or before: then it was found gone"
    how = f" with status {end.exit.code}" if end.exit.code is not None else ""
    if end.exit.signal is not None:
        how = f" by {signal_name(end.exit.signal)}"
    ran = f", after it had run for {span(end.ran_s)}" if end.ran_s is not None else ""
    return f"{e.ago(end.at_s)} ago{how}{ran}"


def _late(e: Evidence, rule: str | None) -> str | None:
    """That the machine was not looked at long enough to tell."""
    if rule not in _BY_THE_MACHINE or e.knows_from_s is None or e.now_s - e.knows_from_s >= SPAN_S:
        return None
    return f"What the machine looked like is known only of the last {span(e.now_s - e.knows_from_s)}."


def _said_s(e: Evidence, began: EventPart | None) -> float:
    """Where its last words stand: at its end, but after its start, of which the supervisor may hear later."""
    e = e.last_run or e
    if e.end is None or e.end.at_s is None:
        return e.now_s
    return e.end.at_s if e.end.earlier or began is None else max(e.end.at_s, began.time_s)


def _evidence(e: Evidence, causes: list[Cause]) -> list[EvidencePart]:
    """Each line once, by time: its last words just before its end, what stands in a table now at the end."""
    found: dict[Fact, None] = {}
    for cause in causes:
        found |= dict.fromkeys(cause.facts)
    found |= dict.fromkeys(fact(event) for event in e.events[-EVENTS_SHOWN:])
    began = e.last("started")
    start, said_s = (fact(began) if began is not None else None), _said_s(e, began)

    def place(line: Fact) -> tuple[float, int]:
        if line.source == LOG and line.time_s is None:
            return said_s, 1
        return e.now_s if line.time_s is None else line.time_s, 0 if line == start else 2

    lines = sorted(list(found)[:FACTS_MOST], key=place)
    return [
        EvidencePart(
            time_s=line.time_s if line.time_s is not None or line.source == LOG else e.now_s,
            text=line.text,
            source=line.source,
        )
        for line in lines
    ]
