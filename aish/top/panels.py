"""The lines around devices and table: heading, figures, alerts, detail, keys, help. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aish.top import amount
from aish.top.bars import spark
from aish.top.history import tokens_per_s
from aish.top.style import BAD, CHOSEN, FAINT, NOTE, PLAIN, TITLE, WARN, Span
from aish.top.table import doing
from aish.top.text import clean, clip, columns, decoded, left

if TYPE_CHECKING:
    from aish.top.style import Line
    from aish.top.ui import Ui
    from aish.wire.part import ProcessPart
    from aish.wire.reply import View

KEYS: Final = (
    ("q", "quit"),
    ("p", "pause/cont"),
    ("k", "kill"),
    ("a", "answer"),
    ("/", "filter"),
    ("< >", "sort"),
    ("spc", "freeze"),
    ("?", "help"),
)
HELP: Final = (
    ("q", "quit; Ctrl-C does it too"),
    ("up, down", "select a process: also Ctrl-P, Ctrl-N, page up, page down, home, end"),
    ("p", "pause the selected process, or let it go on"),
    ("k", "kill it: asks, then its stop signal, then SIGKILL after its grace"),
    ("c", "cancel the turn that it is at; an agent goes on with its mail"),
    ("a", "answer what agents ask: the selected one, else all, oldest first"),
    ("/", "show only what matches in name, state, model or command; Esc ends"),
    ("<  >", "sort by tree, cpu, rss, vram, tokens, age, name or state"),
    ("space", "freeze the display; processes go on"),
    ("Ctrl-L", "draw everything again"),
    ("Ctrl-Z", "suspend; fg comes back"),
    ("", ""),
    ("VRAM/QUOTA!", "95% of the quota is used; the watchdog ends what exceeds it"),
    ("TOKENS!", "90% of the budget is spent; what exceeds it is held until raised"),
    ("GPU →p12", "uses model p12 over the gateway; no memory of its own there"),
    ("grey, light", "held by programs that aish did not start; promised but not taken"),
    ("-", "unknown or does not apply: never 0"),
)
_HELP_KEYS: Final = 13


def header(view: View, ui: Ui, width: int) -> Line:
    pieces = [
        (1, Span("aish top", TITLE)),
        (4, Span(clip(clean(view.host), 20))),
        (3, Span(amount.clock(view.time_s, ui.utc_offset_s))),
        (2, _link(view, ui)),
        (5, Span(f"CPU {amount.whole(view.cpu_percent, '%')}")),
        (6, Span(f"MEM {amount.of(view.memory_used_bytes, view.memory_total_bytes)}")),
    ]
    if len(ui.history.cpu_percent) > 1:
        pieces.insert(5, (9, Span(spark(ui.history.cpu_percent, 16, 100.0, ascii_only=ui.ascii_only), FAINT)))
    if view.alerts:
        count = len(view.alerts)
        pieces.append((7, Span(f"{count} ALERT{'S' if count > 1 else ''}", BAD)))
    if ui.sort != "tree":
        pieces.append((8, Span(f"by {ui.sort}", NOTE)))
    return _fit(pieces, width, Span("? help", FAINT) if ui.interactive else Span(""))


def _link(view: View, ui: Ui) -> Span:
    """Whether what is shown is of now, and if not, how old it is."""
    old_s = None if ui.now_s is None else max(ui.now_s - view.time_s, 0.0)
    if ui.link == "reconnecting":
        return Span(f"RECONNECTING {amount.age(old_s)}", BAD)
    if ui.paused:
        return Span(f"FROZEN {amount.age(old_s)}", WARN)
    if old_s is not None and old_s > 3 * ui.every_s + 1:
        return Span(f"STALE {amount.age(old_s)}", WARN)
    return Span(f"LIVE {ui.every_s:.1f}s" if ui.interactive else "ONCE", NOTE)


def figures(view: View, ui: Ui, width: int) -> list[Line]:
    """Tokens per second, now and before; tokens in all; the queue. Nothing where none of it is known."""
    pieces: list[tuple[int, Span]] = []
    rate = tokens_per_s(view)
    if rate is not None or any(value is not None for value in ui.history.tokens_per_s):
        pieces.append((1, Span(f"tok/s {amount.count(rate)}")))
        if len(ui.history.tokens_per_s) > 1:
            line = spark(ui.history.tokens_per_s, min(width // 4, 40), ascii_only=ui.ascii_only)
            pieces.append((3, Span(line, NOTE)))
    totals = _totals(view)
    if totals is not None:
        pieces.append((4, Span(f"in {amount.count(totals[0])}  out {amount.count(totals[1])}")))
    if view.queue:
        needed_bytes = sum(entry.vram_bytes * entry.gpu_count for entry in view.queue)
        pieces.append((2, Span(f"queue {len(view.queue)} waiting {amount.size(needed_bytes)}", WARN)))
        first = view.queue[0]
        pieces.append((5, Span(clip(f"{clean(first.name)}: {clean(first.reason)}", 60), FAINT)))
    return [_fit(pieces, width)] if pieces else []


def _totals(view: View) -> tuple[int, int] | None:
    """Tokens in and out of all models; where no model tells, of everything else."""
    for of_models in (True, False):
        known = [p.tokens for p in view.processes if p.tokens is not None and (p.kind == "model") is of_models]
        if known:
            return sum(tokens.input for tokens in known), sum(tokens.output for tokens in known)
    return None


def alerts(view: View, width: int) -> list[Line]:
    """One line: as many as fit, and how many more there are."""
    spans: list[Span] = []
    used = 0
    for at, alert in enumerate(view.alerts):
        text = ("   " if at else "") + f"! {clean(alert)}"
        others = len(view.alerts) - at - 1
        room = width - used - (6 if others else 0)
        if at and columns(text) > room:
            spans.append(Span(f"  +{others + 1}", WARN))
            break
        spans.append(Span(clip(text, room), BAD))
        used += min(columns(text), room)
    return [tuple(spans)] if spans else []


def detail(process: ProcessPart, width: int) -> list[Line]:
    """The selected process: who it is and what it used; why it is as it is, and its command."""
    facts = [clean(process.name), clean(process.id), clean(process.state)]
    if process.holds:
        facts.append("held by " + ", ".join(clean(hold) for hold in process.holds))
    if process.pid is not None:
        facts.append(f"pid {process.pid}")
    if process.cpu_seconds is not None:
        facts.append(f"cpu {process.cpu_seconds:.1f}s")
    if process.tokens is not None:
        tokens = process.tokens
        facts.append(f"in {amount.count(tokens.input)} out {amount.count(tokens.output)}")
        facts.append(f"requests {tokens.requests}")
        if tokens.estimated:
            facts.append(f"estimated {amount.count(tokens.estimated)}")
    if process.model:
        facts.append(f"model {clean(process.model)}")
    if process.restarts:
        facts.append(f"restarts {process.restarts}")
    why, command = doing(process), " ".join(decoded(word) for word in process.argv)
    second = command if command.endswith(why) else f"{why}   {command}"
    return [
        (Span("─" * width, FAINT),),
        (Span(clip(" " + "  ".join(facts), width)),),
        (Span(clip(" " + second, width), FAINT),),
    ]


def last(ui: Ui, width: int) -> Line:
    """The keys, or what the screen has to ask or say instead."""
    if ui.confirm is not None:
        text = f" stop {clean(ui.confirm.name)} ({clean(ui.confirm.target)})? its stop signal, then SIGKILL  y/n"
        return (Span(left(text, width), CHOSEN),)
    if ui.editing:
        return (Span(left(f" filter: {clean(ui.filter)}_", width), CHOSEN),)
    if ui.message:
        return (Span(clip(f" {clean(ui.message)}", width), BAD if ui.trouble else NOTE),)
    pieces = [(at, Span(f"{key} {what}")) for at, (key, what) in enumerate(KEYS, 2)]
    if ui.filter:
        pieces.insert(0, (1, Span(clip(f"/{clean(ui.filter)}", 24), WARN)))
    return (Span(" "), *_fit(pieces, width - 1))


def helping(width: int) -> list[Line]:
    return [
        (
            Span(" " + keys + " " * (_HELP_KEYS - columns(keys)), TITLE),
            Span(clip(what, max(width - _HELP_KEYS - 1, 0)), PLAIN),
        )
        for keys, what in HELP
    ]


def empty(ui: Ui, width: int) -> list[Line]:
    text = "nothing is supervised; `aish spawn -- COMMAND` starts something"
    if ui.filter:
        text = "nothing matches the filter"
    return [(), (Span(clip(" " + text, width), FAINT),)]


def _fit(pieces: list[tuple[int, Span]], width: int, ending: Span | None = None) -> Line:
    """As many pieces as fit, the highest numbers dropped first; the ending at the right edge if it fits."""
    kept: set[int] = set()
    used = 0
    for at in sorted(range(len(pieces)), key=lambda at: pieces[at][0]):
        if not pieces[at][1].text:
            continue
        needed = columns(pieces[at][1].text) + (2 if kept else 0)
        if used + needed > width:
            break
        kept.add(at)
        used += needed
    spans: list[Span] = []
    for at, (_, span) in enumerate(pieces):
        if at in kept:
            spans += [Span("  "), span] if spans else [span]
    if ending is not None and width - used - columns(ending.text) >= 2:
        spans += [Span(" " * (width - used - columns(ending.text))), ending]
    return tuple(spans)
