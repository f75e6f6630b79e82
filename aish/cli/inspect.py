"""`aish inspect`: everything about one process; never a key, an environment value or a secret."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from aish.cli import terms
from aish.cli.arguments import Parser, json_option, targets
from aish.cli.output import age, command_line, exit_word, print_json, print_table, usd, when
from aish.client import connect
from aish.client.finding import recorded
from aish.errors import UsageError
from aish.model import dialect, kind
from aish.model import exit as exits
from aish.model.sandbox import DEV
from aish.model.size import format_bytes
from aish.report import clean
from aish.wire import budget, window
from aish.wire.message import History, Inspect
from aish.wire.reply import Inspected, Runs
from aish.wire.spec import FailoverPart, LimitPart, SocketPart
from aish.worktree.naming import LABEL, branch

if TYPE_CHECKING:
    from argparse import Namespace

    from aish.wire.part import ProcessPart, RunPart, TrafficPart

HISTORY = ("RUN", "STARTED", "TOOK", "ENDED", "EXIT", "WHY", "WHO")
_ADDED = ("write", "read", "hide")
MOST_RUNS = 100
"""So many are kept."""


def main(argv: list[str]) -> int:
    parser = Parser("inspect", "Show all that is known about a process.")
    parser.add_argument("--history", action="store_true", help="its runs instead, newest first: how each ended")
    parser.add_argument("-n", "--last", type=int, metavar="N", default=20, help="with --history: so many (20)")
    json_option(parser)
    targets(parser, many=False)
    options = parser.parse_args(argv)
    if options.history:
        return _history(options)
    with connect(start=recorded(), program="inspect") as client:
        found = client.ask(Inspected, Inspect(target=options.target))
    if options.json:
        print_json(found)
    else:
        _show(found)
    return 0


def _history(options: Namespace) -> int:
    if not 0 <= options.last <= MOST_RUNS:
        raise UsageError(f"--last {options.last}: expected 0 to {MOST_RUNS}")
    with connect(start=recorded(), program="inspect") as client:
        found = client.ask(Runs, History(target=options.target, last=options.last))
    if options.json:
        print_json(found)
        return 0
    now_s = time.time()
    print_table(HISTORY, [_run(run, now_s) for run in found.runs], ("RUN", "TOOK"))
    return 0


def _run(run: RunPart, now_s: float) -> list[str]:
    by = [f"begun by {run.begun_by}" if run.begun_by else "", f"ended by {run.ended_by}" if run.ended_by else ""]
    ran = run.started_s is not None
    reason = run.exit.reason if run.exit is not None and run.exit.reason != exits.DONE else None
    end = exit_word(run.exit) if run.ended_s is not None and ran else "-"
    return [
        str(run.number),
        when(run.started_s, now_s),
        age(run.started_s, run.ended_s) if ran else "-",
        when(run.ended_s, now_s),
        end,
        ": ".join(filter(None, (reason, run.reason))) or "-",
        ", ".join(filter(None, by)) or "-",
    ]


def _show(found: Inspected) -> None:
    row, spec = found.process, found.spec
    lines: list[tuple[str, object]] = [
        ("id", row.id),
        ("name", row.name),
        ("kind", row.kind),
        ("state", f"{row.state} (lifecycle {row.lifecycle}, ready {row.ready}, activity {row.activity or '-'})"),
        ("holds", ", ".join(row.holds) or "none"),
        ("reason", row.reason),
        ("parked", _parked(row)),
        ("labels", " ".join(f"{key}={value}" for key, value in sorted(row.labels.items()))),
        ("project", spec.project),
        ("digest", spec.digest),
        ("command", command_line(spec.argv) if spec.argv else None),
        ("folder", spec.cwd.decode(errors="backslashreplace")),
        ("worktree", f"{tree}, on branch {branch(tree)}" if (tree := row.labels.get(LABEL)) else None),
        ("pid", row.pid),
        ("port", row.port),
        ("adopted", _adopted(found)),
        ("parent", row.parent),
        ("children", ", ".join(found.children) or None),
        ("age", age(row.started_s or row.created_s, row.ended_s)),
        (
            "exit",
            None if row.exit is None else exit_word(row.exit) + (f" ({row.exit.reason})" if row.exit.reason else ""),
        ),
        ("restart", None if row.adopted else terms.restart(spec, row.restarts)),
        *terms.terms(spec),
        ("cpu", None if row.cpu_seconds is None else f"{row.cpu_seconds:.1f} s, {row.cpu_percent or 0:.0f} % now"),
        ("memory", None if row.rss_bytes is None else format_bytes(row.rss_bytes)),
        ("limits", _limits(found)),
        ("sandbox", _sandbox(found)),
        *(("reached", _reached(part)) for part in found.traffic),
        ("vram", _vram(found)),
        ("tokens", None if row.tokens is None else _tokens(found)),
        ("metered", _metered(found)),
        ("budget", budget.whole(spec.budget_tokens, spec.budget, spec.run_timeout_s)),
        ("doing", row.doing),
        *_server(found),
        ("attached", _attached(found)),
        ("secrets", _secrets(found)),
        ("sockets", ", ".join(_socket(part) for part in spec.sockets)),
        ("environment", ", ".join(found.launch.environ_names)),
        ("log", None if found.log_out is None else found.log_out.decode(errors="backslashreplace")),
    ]
    for key, value in lines:
        if value not in (None, ""):
            print(f"{key:<12} {clean(str(value))}")
    now_s = time.time()
    times = [when(event.time_s, now_s) for event in found.events]
    wide = max(map(len, times), default=0)
    for at, event in zip(times, found.events, strict=True):
        print(f"  {at:>{wide}}  {event.kind:<10} {clean(event.text)}")


def _parked(row: ProcessPart) -> str | None:
    """By which window, since when and until when."""
    if row.parked is None:
        return None
    now_s, parked = time.time(), row.parked
    until = "not known" if parked.until_s is None else when(parked.until_s, now_s)
    return f"by {window.name(parked.owner)}, since {when(parked.since_s, now_s)}, until {until}"


def _adopted(found: Inspected) -> str | None:
    if not found.process.adopted:
        return None
    if found.process.ended_s is not None:
        return "it had no log here"
    named = [(name, path) for name, path in (("stdout", found.stdout), ("stderr", found.stderr)) if path is not None]
    told = ", ".join(f"{name} {path.decode(errors='backslashreplace')}" for name, path in named)
    return "it has no log here; it writes to " + (told or "what cannot be seen")


def _attached(found: Inspected) -> str | None:
    if not found.spec.pty:
        return None
    return f"{found.attached} terminal{'' if found.attached == 1 else 's'}"


def _socket(part: SocketPart) -> str:
    kind = "" if part.kind == "stream" else f" ({part.kind})"
    return f"{part.name + ' ' if part.name else ''}{part.address}{kind}"


def _server(found: Inspected) -> list[tuple[str, object]]:
    """How a model's server is reached; of its key where it comes from, and never the key."""
    route = found.spec.route
    if route is None:
        return []
    key = "the client's own login" if route.login == dialect.CLIENT else "none"
    if route.key is not None:
        key = route.key.told()
    elif route.key_file is not None:
        key = f"file:{route.key_file}"
    named = f", known there as {route.upstream_name}" if route.upstream_name else ""
    failover = found.spec.failover or FailoverPart()
    return [
        ("model", f"{route.url} {route.digest or ''}".strip()),
        ("server", f"speaks {route.dialect}{named}"),
        ("key", key),
        ("price", "its vendor's list; nothing on this machine" if route.price is None else route.price.told()),
        ("context", None if route.context_tokens is None else f"{route.context_tokens} tokens"),
        ("proxy", route.proxy),
        ("authorities", route.ca_file),
        ("fallback", ", ".join(failover.fallback)),
        ("retries", failover.retries or None),
    ]


def _secrets(found: Inspected) -> str | None:
    """Names and where they are fetched; what is passed on from the caller has no source."""
    told = [
        *found.spec.secrets,
        *(f"{name} from {source.told()}" for name, source in found.spec.secret_sources.items()),
    ]
    return ", ".join(told) or None


def _limits(found: Inspected) -> str | None:
    limits, nice = found.spec.limits or LimitPart(), found.launch.nice
    told = [
        "" if limits.memory_bytes is None else f"memory {format_bytes(limits.memory_bytes)} ({limits.on_oom})",
        "" if limits.cpus is None else f"cpus {limits.cpus:g}",
        "" if limits.pids is None else f"pids {limits.pids}",
        "" if limits.read_bytes_per_s is None else f"read {format_bytes(limits.read_bytes_per_s)}/s",
        "" if limits.write_bytes_per_s is None else f"write {format_bytes(limits.write_bytes_per_s)}/s",
        f"nice {nice}" if nice else "",
        "" if limits.children is None else f"children {limits.children}",
        "" if limits.depth is None else f"depth {limits.depth}",
    ]
    lacking = f"; not held here: {', '.join(found.unheld)}" if found.unheld else ""
    held = "held by" if any(told[:5]) else "its tree is held by"
    return (", ".join(filter(None, told)) or "none") + f"; {held} {found.limit_tier}{lacking}"


def _sandbox(found: Inspected) -> str | None:
    part, tier = found.spec.sandbox, found.sandbox_tier
    if part is None:
        return "none: it reaches what you do" if found.spec.kind == kind.AGENT else None
    added = [
        *(f"{name} {' '.join(map(os.fsdecode, paths))}" for name in _ADDED if (paths := getattr(part, name))),
        f"hosts {' '.join(part.hosts)}" if part.hosts else "",
        "and those of packages and git; others ask" if part.profile == DEV else "",
        "" if part.models else "no models",
        "may start processes" if part.spawn else "",
    ]
    of = ", around its program" if part.hosted else ""
    text = "; ".join(filter(None, (f"{part.profile}{of}", *added)))
    if tier is None:
        return f"{text}; it did not start yet"
    return f"{text}; held by {tier}; open: {', '.join(found.sandbox_open) or 'nothing more'}"


def _reached(part: TrafficPart) -> str:
    place = "others" if part.host is None else f"[{part.host}]" if ":" in part.host else part.host
    place += "" if part.port is None else f":{part.port}"
    counted = f"{part.connections} connection{'' if part.connections == 1 else 's'}"
    sent, received = format_bytes(part.sent_bytes), format_bytes(part.received_bytes)
    return f"{place}: {counted}, {sent} bytes sent, {received} received"


def _vram(found: Inspected) -> str | None:
    row = found.process
    if row.vram_bytes is None and row.vram_quota_bytes is None:
        return None
    held = f", held by the {found.quota_tier}" if found.quota_tier else ""
    return f"{format_bytes(row.vram_bytes)} of {format_bytes(row.vram_quota_bytes)}{held}"


def _metered(found: Inspected) -> str | None:
    if found.spec.observe is None:
        return None
    return (
        f"no: observed, in the logs of its {found.spec.observe} sessions; at a budget it stands still, after the fact"
    )


def _tokens(found: Inspected) -> str:
    tokens = found.process.tokens
    assert tokens is not None
    text = f"{tokens.input} in, {tokens.output} out, {tokens.requests} requests"
    if tokens.observed:
        text += f", {tokens.observed} tokens observed in logs of its sessions"
    if tokens.estimated:
        text += f", {tokens.estimated} tokens estimated"
    if tokens.cost_usd or tokens.unpriced:
        text += f", {usd(tokens)} USD"
    return text
