"""The options that say how a process is to run, shared by spawn and run, and the spec they make."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Literal, TypeVar

from aish.agents.asked import Asked
from aish.agents.host import invocation
from aish.agents.host.invocation import is_host
from aish.cli import asking, confined, inputs, life, worktree
from aish.client import launch
from aish.config.settings import LEAST_LOG_BYTES
from aish.errors import InputError, UsageError
from aish.model import kind, label, spec
from aish.model.moment import parse_duration_s
from aish.model.nearest import nearest
from aish.model.signal_number import signal_number
from aish.model.size import parse_bytes, parse_count
from aish.model.spec import MOST_GRACE_S
from aish.wire import budget
from aish.wire.spec import LimitPart, SpecPart, laid_over

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from aish.cli.arguments import Parser
    from aish.wire.spec import LaunchPart

_KINDS = (kind.COMMAND, kind.AGENT)
_OPTIONS = {
    "name": "--name",
    "vram_bytes": "--vram",
    "gpu_count": "--gpus",
    "budget_tokens": "--budget",
    "memory_bytes": "--memory",
    "cpus": "--cpus",
    "pids": "--pids",
    "children": "--children",
    "depth": "--depth",
    "read_bytes_per_s": "--read-limit",
    "write_bytes_per_s": "--write-limit",
    "oom_score_adj": "--oom-score",
    "nice": "--nice",
    "ionice": "--ionice",
    "grace_s": "--grace",
    "stop_signal": "--stop-signal",
    "ready": "--ready",
    "live": "--live",
    "every_s": "--every",
    "timeout_s": "--probe-timeout",
    "failures": "--failures",
    "needs": "--needs",
    "hook_timeout_s": "--hook-timeout",
    "start_timeout_s": "--start-timeout",
    "run_timeout_s": "--timeout",
    "restarts": "--restart-delay or --restart-limit",
    "restarts.delay_s": "--restart-delay",
    "restarts.longest_s": "--restart-delay",
    "restarts.most": "--restart-limit",
    "restarts.window_s": "--restart-limit",
    "restarts.stable_s": "--restart-limit",
    "log": "--log",
    "group.name": "--group",
    "group.place": "--group",
    "group.strategy": "--group",
    "schedule": "--schedule",
    "schedule.cron": "--schedule",
    "schedule.timezone": "--timezone",
    "schedule.missed": "--missed",
    "secret_sources": "--secret",
    "sockets": "--socket",
    "kept_fds_most": "--keep-fds",
    "observe": "--observe",
    "when_reserved": "--when-reserved",
    "sandbox": "--sandbox",
    "sandbox.profile": "--sandbox",
    "sandbox.write": "--write",
    "sandbox.read": "--read",
    "sandbox.hide": "--hide",
    "sandbox.hosts": "--host",
}
"""How people write the fields of a spec."""
N = TypeVar("N", int, float)


def options(parser: Parser) -> None:
    """To be followed by the command; `Parser.command` parts the two."""
    parser.usage = f"{parser.prog} [OPTION …] [--] COMMAND [ARG …]"
    parser.add_argument("--name", metavar="NAME", help="how ps, logs and @NAME call it; default: the program's name")
    parser.add_argument("--cwd", metavar="FOLDER", help="where it runs; default: here")
    parser.add_argument("--kind", default=kind.COMMAND, metavar="KIND", help="command (default) or agent")
    parser.add_argument(
        "--budget",
        "--tokens",
        metavar="LIMITS",
        help="what it and its children may ask of models: 200k tokens, or tokens=200k,usd=5/day,rpm=30,hard;"
        " wall=2h is for how long it may run",
    )
    parser.add_argument("--vram", metavar="SIZE", help="GPU memory per device, such as 8G; waits until it fits")
    parser.add_argument("--gpus", type=int, metavar="N", help="on how many devices (with --vram; default: 1)")
    limit_options(parser)
    parser.add_argument("--restart", default="never", metavar="WHEN", help="never (default), on-failure, always")
    parser.add_argument("--model", metavar="MODEL", help="the model that an agent is to use")
    asking.options(parser)
    parser.add_argument(
        "--observe",
        metavar="KIND",
        help="its requests do not pass the gateway: read what it uses in the logs of its sessions (codex)",
    )
    parser.add_argument(
        "--when-reserved",
        default=spec.HOLD,
        metavar="WHAT",
        help="where a usage window is reserved for others: hold (default), park (an agent: it ends for a while), or"
        " model:NAME answers instead",
    )
    parser.add_argument(
        "--log",
        default=spec.SPLIT,
        metavar="HOW",
        help="split (default): a file per stream; ordered: one, in exact order",
    )
    parser.add_argument(
        "--label", action="append", default=[], metavar="KEY=VALUE", help="a label by which it is found"
    )
    parser.add_argument("--log-size", metavar="SIZE", help="how much of its log stays, such as 64M; none: all")
    parser.add_argument("--log-age", metavar="AGE", help="how long its log stays, such as 7d; none: for ever")
    parser.add_argument("--stop-signal", default="TERM", metavar="SIGNAL", help="how it is asked to end (TERM)")
    parser.add_argument("--oom-score", type=int, metavar="N", help="-1000 to 1000: who goes first without memory")
    parser.add_argument(
        "--nice", type=int, metavar="N", help="-20 to 19, for its turns at models, too; default: ours"
    )
    parser.add_argument("--ionice", metavar="CLASS", help="idle, best-effort:0 to 7, realtime:0 to 7")
    parser.add_argument(
        "--grace", type=float, default=10.0, metavar="SECONDS", help="from stop signal to SIGKILL (10; 3600 at most)"
    )
    confined.options(parser)
    life.options(parser)
    inputs.options(parser)


def limit_options(parser: Parser) -> None:
    """What the whole tree of a process may use."""
    parser.add_argument("--memory", metavar="SIZE", help="memory of its whole tree, such as 16G")
    parser.add_argument(
        "--on-oom", default="kill", metavar="WHAT", help="at that limit: kill (default), or hold it there"
    )
    parser.add_argument("--cpus", type=float, metavar="N", help="cores' worth of time, such as 1.5")
    parser.add_argument("--pids", metavar="COUNT", help="processes and threads of its whole tree")
    parser.add_argument(
        "--read-limit", metavar="SIZE", help="bytes per second that it reads of each disk, such as 50M"
    )
    parser.add_argument("--write-limit", metavar="SIZE", help="bytes per second that it writes to each disk")
    parser.add_argument("--children", metavar="COUNT", help="supervised processes below it at a time, at any depth")
    parser.add_argument("--depth", metavar="COUNT", help="levels of supervised processes below it")


def spec_of(wanted: Namespace, command: list[str], *, pty: bool = False) -> SpecPart:
    """The spec of `command`, or of the agent or model where it is `@name …`. Raises UsageError, NotFoundError."""
    if not command:
        raise UsageError("which command?", hint="put it after the options: aish spawn --name x -- sleep 60")
    _check(wanted)
    folder = folder_of(wanted)
    if command[0].startswith("@"):
        from aish.agents.stub import resolve

        made_for = hasattr(wanted, "worktree")
        part = resolve(
            command[0], command[1:], wanted.model, worktree=made_for, asked=asking.asked(wanted), cwd=folder
        )
    elif wanted.model:
        raise UsageError(
            f"--model chooses for agent files and models: @NAME, not {command[0]}",
            hint="a program asks for its model itself, at the address in OPENAI_BASE_URL",
        )
    elif asking.asked(wanted) != Asked():
        raise UsageError(f"--schema and --session are for agents and models: @NAME, not {command[0]}")
    else:
        part = SpecPart(
            argv=[os.fsencode(word) for word in command],
            cwd=os.fsencode(folder),
            kind=wanted.kind,  # without a name: the daemon makes one that fits out of the program's
        )
    vram_bytes = parse_bytes(wanted.vram) if wanted.vram else part.vram_bytes
    if wanted.gpus is not None and wanted.gpus > 1 and vram_bytes is None:
        raise UsageError("--gpus says nothing without --vram", hint="say how much on each: --vram 8G")
    asked = budget.parse(wanted.budget, "--budget") if wanted.budget else budget.Asked(None, None)
    if asked.wall_s is not None and wanted.timeout is not None:
        raise UsageError("--budget wall and --timeout are the same", hint="one of them")
    wanted.timeout = wanted.timeout if asked.wall_s is None else asked.wall_s
    wanted.timeout = part.run_timeout_s if wanted.timeout is None else wanted.timeout
    if wanted.when_reserved == spec.PARK and is_host(part.argv):
        invocation.check_parks(part.argv)
    part = SpecPart(
        limits=laid_over(limits_of(wanted), part.limits),
        argv=part.argv,
        cwd=part.cwd,
        name=wanted.name or part.name,
        kind=part.kind,
        vram_bytes=vram_bytes,
        gpu_count=part.gpu_count if wanted.gpus is None else wanted.gpus,
        budget_tokens=part.budget_tokens if asked.tokens is None else asked.tokens,
        budget=laid_over(asked.part, part.budget),
        model=wanted.model or part.model,
        observe=wanted.observe or part.observe,
        when_reserved=wanted.when_reserved if wanted.when_reserved != spec.HOLD else part.when_reserved,
        restart=wanted.restart,
        labels={**worktree.label(part, wanted), **label.parse(wanted.label)},
        stop_signal=signal_number(wanted.stop_signal),
        grace_s=wanted.grace,
        oom_score_adj=wanted.oom_score,
        nice=wanted.nice,
        ionice=wanted.ionice,
        sandbox=confined.part_of(wanted, part.sandbox, hosted=is_host(part.argv)),
        pty=pty,
        log=wanted.log,
        log_bytes=_bound("--log-size", wanted.log_size, parse_bytes, LEAST_LOG_BYTES, "64K"),
        log_age_s=_bound("--log-age", wanted.log_age, parse_duration_s, 1, "1s"),
        **life.fields(wanted),
        **inputs.fields(wanted, part.secrets),
    )
    _refused_later(part, wanted)
    return part


def folder_of(wanted: Namespace) -> str:
    """Raises UsageError, NotFoundError."""
    if wanted.cwd is None:
        return launch.folder()
    folder: str = os.path.abspath(os.path.expanduser(wanted.cwd))
    if not wanted.cwd or not os.path.isdir(folder):
        raise UsageError(f"--cwd {wanted.cwd}: no such folder")
    return folder


def surroundings(wanted: Namespace) -> LaunchPart:
    """What it inherits of us; PWD tells its folder and not ours."""
    return launch.capture(pwd=None if wanted.cwd is None else folder_of(wanted))


def _refused_later(part: SpecPart, wanted: Namespace) -> None:
    """What the daemon would refuse, told now, as what it is to the caller: a wrong word. Raises UsageError."""
    from aish.supervisor.daemon import table, want

    try:
        if wanted.name is not None:
            table.check_name(wanted.name)
        want.check_spec(part)
    except InputError as error:
        whole = re.sub(r"\[\d+\]", "", error.field or "")
        field = whole.partition(".")
        option = _OPTIONS.get(whole) or _OPTIONS.get(field[2] or field[0]) or _OPTIONS.get(field[0])
        raise UsageError(f"{option}: {error}" if option else str(error), hint=error.hint) from None


def limits_of(wanted: Namespace) -> LimitPart | None:
    """Of `limit_options`. Raises UsageError."""
    _one_of("on-oom", wanted.on_oom, spec.ON_OOM)
    if wanted.on_oom == "hold" and not wanted.memory:
        raise UsageError("--on-oom hold says nothing without --memory", hint="say how much: --memory 16G")
    limits = LimitPart(
        memory_bytes=parse_bytes(wanted.memory) if wanted.memory else None,
        cpus=wanted.cpus,
        pids=parse_count(wanted.pids) if wanted.pids else None,
        read_bytes_per_s=parse_bytes(wanted.read_limit) if wanted.read_limit else None,
        write_bytes_per_s=parse_bytes(wanted.write_limit) if wanted.write_limit else None,
        on_oom=wanted.on_oom,
        children=parse_count(wanted.children) if wanted.children else None,
        depth=parse_count(wanted.depth) if wanted.depth else None,
    )
    return None if limits == LimitPart() else limits


def _bound(
    option: str, text: str | None, parse: Callable[[str], N], least: int, least_text: str
) -> N | Literal[0] | None:
    """None: as configured. 0: "none", no such bound. Raises UsageError."""
    if text is None or text == "none":
        return None if text is None else 0
    value = parse(text)
    if value < least:
        raise UsageError(f"{option} {text}: expected {least_text} or more, or none")
    return value


def _check(wanted: Namespace) -> None:
    """Raises UsageError."""
    _one_of("kind", wanted.kind, _KINDS)
    _one_of("restart", wanted.restart, spec.RESTARTS)
    _one_of("log", wanted.log, spec.LOGS)
    if wanted.name == "":
        raise UsageError("--name is empty", hint="leave it out to get the program's name")
    if wanted.gpus is not None and wanted.gpus < 1:
        raise UsageError(f"--gpus must be at least 1, not {wanted.gpus}")
    if not 0 <= wanted.grace <= MOST_GRACE_S:
        raise UsageError(f"--grace {wanted.grace}: expected 0 to {MOST_GRACE_S:.0f} seconds")


def _one_of(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        near = nearest(value, known)
        raise UsageError(
            f"--{option} {value}: no such {option}",
            hint=f"did you mean {near}?" if near else "one of " + ", ".join(known),
        )
