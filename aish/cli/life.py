"""The options about a process's life: probes, hooks, dependencies, time-outs, restarts. Shared by spawn and run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aish.client import wish
from aish.errors import UsageError
from aish.model.nearest import nearest
from aish.model.spec import STRATEGIES
from aish.wire.spec import GroupPart, RestartPart, SchedulePart

if TYPE_CHECKING:
    from argparse import Namespace

    from aish.cli.arguments import Parser
    from aish.wire.spec import ProbePart


def options(parser: Parser) -> None:
    ways = "exec:COMMAND, http://…, tcp:HOST:PORT, unix:/PATH"
    group = parser.add_argument_group("its life")
    group.add_argument("--ready", metavar="PROBE", help=f"when it is ready: {ways}, line:TEXT in its log, or notify")
    group.add_argument("--live", metavar="PROBE", help=f"that it does its job: {ways}, or notify (WATCHDOG=1)")
    group.add_argument("--every", type=float, default=1.0, metavar="SECONDS", help="between two probes (1)")
    group.add_argument("--probe-timeout", type=float, default=5.0, metavar="SECONDS", help="of one probe (5)")
    group.add_argument("--failures", type=int, default=3, metavar="N", help="so many in a row end it as failed (3)")
    group.add_argument("--check", metavar="COMMAND", help="decides success when it has ended with 0")
    group.add_argument("--before", metavar="COMMAND", help="run before each start; if that fails, so does the start")
    group.add_argument("--after", metavar="COMMAND", help="run after each end; AISH_EXIT_CODE tells how it ended")
    group.add_argument("--hook-timeout", type=float, default=300.0, metavar="SECONDS", help="of these three (300)")
    group.add_argument(
        "--needs",
        action="append",
        default=[],
        metavar="NAME[:WHAT[:SECONDS]]",
        help="wait for another process: started, ready (default) or completed; for so long at most",
    )
    group.add_argument("--start-timeout", type=float, metavar="SECONDS", help="until it is ready, else it failed")
    group.add_argument("--timeout", type=float, metavar="SECONDS", help="of one run; then it is stopped for good")
    group.add_argument(
        "--restart-delay",
        metavar="FIRST[:LONGEST]",
        help="seconds before restarts (0.1:30): the first comes at once, the second after FIRST, then doubling",
    )
    group.add_argument(
        "--restart-limit", metavar="N[:SECONDS]", help="so many within that time are a loop (8:60); none"
    )
    group.add_argument(
        "--group",
        metavar="NAME[:PLACE[:STRATEGY]]",
        help=f"fails together with others, started and stopped by place; {', '.join(STRATEGIES)}",
    )
    group.add_argument("--schedule", metavar="CRON", help="run at these times, such as '0 3 * * *' or @hourly")
    group.add_argument("--timezone", metavar="ZONE", help="of the schedule, such as Europe/Berlin; default: here")
    group.add_argument("--missed", metavar="WHAT", help="times that nobody could start: skip (default), or once")


def fields(wanted: Namespace) -> dict[str, Any]:
    """Fields of SpecPart, those that were asked for. Raises UsageError."""
    found: dict[str, Any] = {
        "ready": _probe("--ready", wanted.ready, wanted),
        "live": _probe("--live", wanted.live, wanted),
        "needs": [wish.need(word, "--needs") for word in wanted.needs],
        "hook_timeout_s": wanted.hook_timeout,
        "start_timeout_s": wanted.start_timeout,
        "run_timeout_s": wanted.timeout,
        "restarts": _restarts(wanted.restart_delay, wanted.restart_limit),
        "group": _group(wanted.group),
        "schedule": _schedule(wanted),
    }
    for name in ("check", "before", "after"):
        found[name] = _command(f"--{name}", getattr(wanted, name))
    return found


def _command(option: str, text: str | None) -> list[bytes]:
    return [] if text is None else wish.line(text, option)


def _probe(option: str, text: str | None, wanted: Namespace) -> ProbePart | None:
    if text is None:
        return None
    return wish.probe(text, option, every_s=wanted.every, timeout_s=wanted.probe_timeout, failures=wanted.failures)


def _restarts(delay: str | None, limit: str | None) -> RestartPart | None:
    if delay is None and limit is None:
        return None
    told: dict[str, Any] = {}
    if delay is not None:
        first, _, longest = delay.partition(":")
        told["delay_s"] = wish.number(first, "--restart-delay")
        if longest:
            told["longest_s"] = wish.number(longest, "--restart-delay")
            if told["longest_s"] < told["delay_s"]:
                raise UsageError(f"--restart-delay {delay}: the longest delay is shorter than the first")
    if limit is not None:
        count, _, window = limit.partition(":")
        told["most"] = None if count == "none" else int(wish.number(count, "--restart-limit"))
        if window:
            told["window_s"] = told["stable_s"] = wish.number(window, "--restart-limit")
    return RestartPart(**told)


def _group(text: str | None) -> GroupPart | None:
    if text is None:
        return None
    name, _, rest = text.partition(":")
    place, _, strategy = rest.partition(":")
    if not name or (place and not place.isdecimal()):
        raise UsageError(f"--group {text}: not a group", hint="NAME, NAME:2 or NAME:2:one_for_all")
    strategy = strategy.replace("-", "_") or STRATEGIES[0]
    if strategy not in STRATEGIES:
        near = nearest(strategy, STRATEGIES)
        hint = f"did you mean {near}?" if near else "one of " + ", ".join(STRATEGIES)
        raise UsageError(f"--group {text}: {strategy} is not a strategy", hint=hint)
    return GroupPart(name=name, place=int(place or 0), strategy=strategy)


def _schedule(wanted: Namespace) -> SchedulePart | None:
    if wanted.schedule is None:
        for option in ("timezone", "missed"):
            if getattr(wanted, option) is not None:
                raise UsageError(f"--{option} without --schedule")
        return None
    return SchedulePart(cron=wanted.schedule, timezone=wanted.timezone, missed=wanted.missed or "skip")
