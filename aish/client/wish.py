"""What a process is to be, as people write it in Python, made the SpecPart that travels. Pure but for the folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypedDict

import msgspec

from aish.client import launch
from aish.errors import UsageError
from aish.model.nearest import nearest
from aish.model.size import parse_bytes, parse_count
from aish.model.spec import UNTIL
from aish.wire import budget
from aish.wire.sandbox import SandboxPart
from aish.wire.spec import BudgetPart, GroupPart, NeedPart, ProbePart, SchedulePart, SpecPart

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aish.wire.spec import FailoverPart, LimitPart, RestartPart, RoutePart, SecretPart, SocketPart

Word: TypeAlias = "str | bytes | os.PathLike[str]"
"""A word of a command; bytes where it is no UTF-8."""
Amount: TypeAlias = "int | str"
"""A number, or as people write it: "8G", "200k"."""

ELSEWHERE: Final = {"log": "line", "command": "exec"}
"""What a way is called in aish.toml, and what people try."""
WAYS: Final = ("exec:", "http://", "https://", "tcp:", "unix:", "line:", "notify")
"""How a probe's text begins."""


class SpecFields(TypedDict, total=False):
    """What may be said of a process beside its words; what is left out has the default of aish.wire.spec.SpecPart,
    which also tells what each field means."""

    program: Word | None
    name: str | None
    cwd: Word
    """None given: the current folder."""
    kind: str
    vram_bytes: Amount | None
    gpu_count: int
    budget_tokens: Amount | None
    budget: BudgetPart | str | None
    """A text as `aish spawn --budget` takes it, but for tokens in all."""
    limits: LimitPart | None
    labels: Mapping[str, str]
    project: str | None
    digest: str | None
    group: GroupPart | str | None
    """A name alone: one that starts and stops with it, and no more."""
    schedule: SchedulePart | str | None
    """A text is the cron line."""
    sockets: Sequence[SocketPart]
    kept_fds_most: int
    route: RoutePart | None
    failover: FailoverPart | None
    model: str | None
    observe: str | None
    """"codex": what it uses is read in the logs of its sessions."""
    when_reserved: str
    """"model:NAME" answers it where a usage window is reserved for others."""
    restart: str
    restarts: RestartPart | None
    ready: ProbePart | str | None
    """A text as `aish spawn --ready` has it: "http://127.0.0.1:{port}/health", "line:listening", "notify" …"""
    live: ProbePart | str | None
    needs: Sequence[NeedPart | str]
    """A text as `aish spawn --needs` has it: "db", "job:completed", "db:ready:30"."""
    before: Sequence[Word] | str
    """A text is a line for `sh -c`; so with `after` and `check`."""
    after: Sequence[Word] | str
    check: Sequence[Word] | str
    hook_timeout_s: float
    start_timeout_s: float | None
    run_timeout_s: float | None
    rights: str
    sandbox: SandboxPart | str | None
    """A text is a profile: "closed", "dev", "open"."""
    with_parent: bool
    """It is stopped when the run of its parent, which has started it, is over."""
    secrets: Sequence[str]
    secret_sources: Mapping[str, SecretPart]
    stop_signal: int
    grace_s: float
    oom_score_adj: int | None
    nice: int | None
    ionice: str | None
    pty: bool
    log: str
    log_bytes: Amount | None
    log_age_s: float | None


def spec(command: Sequence[Word] | SpecPart, fields: Mapping[str, Any]) -> SpecPart:
    """`fields` are SpecFields; what they say of a command replaces what a SpecPart says. Raises UsageError."""
    unknown = fields.keys() - _FIELDS
    if unknown:
        name = min(unknown)
        near = nearest(name, _FIELDS)
        raise UsageError(f"no such field of a process: {name}", hint=f"did you mean {near}?" if near else None)
    if isinstance(command, SpecPart):
        part = command
    else:
        part = SpecPart(argv=words(command, "the command"), cwd=os.fsencode(fields.get("cwd") or launch.folder()))
    made = {name: _MAKERS[name](value) if name in _MAKERS else value for name, value in fields.items()}
    return msgspec.structs.replace(part, **made) if made else part


def words(command: Sequence[Word], what: str) -> list[bytes]:
    """Raises UsageError for one text: whether a shell is to read it, is for the caller to say."""
    if isinstance(command, str | bytes):
        raise UsageError(f"{what} is one text", hint='give its words: ["sleep", "60"], or ["sh", "-c", "sleep 60"]')
    for word in command:
        if not isinstance(word, str | bytes | os.PathLike):
            raise UsageError(f"a word of the command is {word!r}: text is expected", hint=f"write {str(word)!r}")
    return [os.fsencode(word) for word in command]


def probe(text: str, what: str, **times: Any) -> ProbePart:
    """The probe that `text` stands for; `what` is how its place is called. Raises UsageError."""
    word, _, rest = text.partition(":")
    match word:
        case "exec" if rest:
            return ProbePart(command=line(rest, what), **times)
        case "http" | "https":
            return ProbePart(url=text, **times)
        case "tcp" if rest:
            return ProbePart(address=rest, **times)
        case "unix" if rest:
            return ProbePart(address=text, **times)
        case "line" if rest and "live" not in what:
            return ProbePart(pattern=rest, **times)
        case "notify" if not rest:
            return ProbePart(notify=True, **times)
        case _:
            ways = [way for way in WAYS if way != "line:" or "live" not in what]
            known = [way.rstrip(":/") for way in ways]
            meant = ELSEWHERE.get(word)
            near = meant if meant in known else nearest(word, known)
            hint = (
                f"did you mean {text.replace(word, near, 1)}?"
                if near and near != word
                else "one of " + ", ".join(ways)
            )
            raise UsageError(f"{what} {text}: not a probe", hint=hint)


def need(text: str, what: str) -> NeedPart:
    """NAME, NAME:UNTIL or NAME:UNTIL:SECONDS; in the latter two NAME may have colons itself. Raises UsageError."""
    name, until, seconds = text, "ready", ""
    if ":" in text:
        name, _, until = text.rpartition(":")
        before, _, word = name.rpartition(":")
        if before and word in UNTIL and until not in UNTIL:
            name, until, seconds = before, word, until
    if until not in UNTIL:
        near = nearest(until, UNTIL)
        hint = (
            f"did you mean {near}?" if near else f"one of {', '.join(UNTIL)}; after a name with a colon it is needed"
        )
        raise UsageError(f"{what} {text}: {until} is not what one can wait for", hint=hint)
    return NeedPart(name=name.removeprefix("@"), until=until, timeout_s=number(seconds, what) if seconds else None)


def line(text: str, what: str) -> list[bytes]:
    """The words that have a shell read `text`, as people write hooks. Raises UsageError."""
    if not text.strip():
        raise UsageError(f"{what}: an empty command")
    return [b"sh", b"-c", text.encode(errors="surrogateescape")]


def number(text: str, what: str) -> float:
    """Raises UsageError."""
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{what}: not a number: {text!r}", hint="such as 0.5") from None


def _hook(what: str) -> Callable[[Sequence[Word] | str], list[bytes]]:
    return lambda value: line(value, what) if isinstance(value, str) else words(value, what)


def _probe(what: str) -> Callable[[ProbePart | str | None], ProbePart | None]:
    return lambda value: probe(value, what) if isinstance(value, str) else value


def _amount(parse: Callable[[str], int]) -> Callable[[Amount | None], int | None]:
    return lambda value: parse(value) if isinstance(value, str) else value


def _group(value: GroupPart | str | None) -> GroupPart | None:
    return GroupPart(name=value) if isinstance(value, str) else value


def _schedule(value: SchedulePart | str | None) -> SchedulePart | None:
    return SchedulePart(cron=value) if isinstance(value, str) else value


def budget_of(value: BudgetPart | str | None) -> BudgetPart | None:
    """Raises UsageError."""
    if not isinstance(value, str):
        return value
    tokens, part, wall_s = budget.parse(value, "budget")
    if tokens is not None:
        raise UsageError("tokens in all are budget_tokens", hint=f"budget_tokens={tokens}")
    if wall_s is not None:
        raise UsageError("for how long it may run is run_timeout_s", hint=f"run_timeout_s={wall_s:g}")
    return part


_FIELDS: Final = frozenset(SpecFields.__annotations__)
_MAKERS: Final[dict[str, Callable[[Any], object]]] = {
    "program": lambda value: None if value is None else os.fsencode(value),
    "cwd": lambda value: os.path.abspath(os.fsencode(value)),
    "vram_bytes": _amount(parse_bytes),
    "budget_tokens": _amount(parse_count),
    "budget": budget_of,
    "log_bytes": _amount(parse_bytes),
    "labels": dict,
    "group": _group,
    "schedule": _schedule,
    "sockets": list,
    "ready": _probe("ready"),
    "live": _probe("live"),
    "needs": lambda value: [need(each, "needs") if isinstance(each, str) else each for each in value],
    "before": _hook("before"),
    "after": _hook("after"),
    "check": _hook("check"),
    "sandbox": lambda value: SandboxPart(profile=value) if isinstance(value, str) else value,
    "secrets": list,
    "secret_sources": dict,
    "stop_signal": int,
}
