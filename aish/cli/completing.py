"""What may follow a verb: its actions, its options, the processes and models that it is for. Starts no daemon.

Options and actions are read from what the verb prints for --help: one truth, and whatever parser it has.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import re
from typing import TYPE_CHECKING, Final

from aish.cli import _ELSEWHERE
from aish.client import connect
from aish.errors import AishError
from aish.model import kind, spec, state
from aish.model.name import KEY
from aish.wire import account, budget
from aish.wire.message import KeyList, Snapshot
from aish.wire.reply import Keys, View

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aish.wire.part import ProcessPart

    Offers = list[tuple[str, str]]
    """Words, and what is told about each."""

_LIVING: Final = frozenset(("attach", "cancel", "cont", "kill", "limit", "pause", "signal", "stop", "wait", "wrapup"))
_ENDED: Final = frozenset(("forget", "start"))
_ANY: Final = frozenset(("discard", "events", "inspect", "label", "land", "logs", "ps", "restart", "why"))
_WITH_ACTIONS: Final = frozenset(("agent", "key", "model", "project", "systemd", "tensor", "window"))
_OF_CHECKPOINTS: Final = frozenset(("checkpoint", "fork", "restore", "rewind"))
_OF_A_PROJECT: Final = frozenset(("down", "up"))
_RUNNING: Final = frozenset(("run", "spawn"))
_OF_PROCESSES: Final = ("children", "cpus", "depth", "memory", "nice", "pids", "read", "vram", budget.WALL, "write")
_GATEWAY: Final = "gateway"
_SUMS: Final = tuple(word.removesuffix(budget.DAY) for word in budget.DAILY)
_BUDGETS: Final = (budget.TOKENS, *(word for word in budget.WORDS if word not in (*budget.DAILY, budget.HARD)))
_VALUE: Final = re.compile(r"(\w+)=(\+?[\d.]+[A-Za-z]*)(?:/\w*)?")
_OPTION: Final = re.compile(
    r"(?m)^  (?:-\w, )?(--[a-z][a-z-]*)(?:, --[a-z-]+)*(?: \S+)*?(?:(?:  +|\n {12,})(\S[^\n]*))?$"
)
_ACTION: Final = re.compile(r"(?m)^  (?:tensor )?([a-z]+)(?: [A-Z]+…?)?  +(\S[^\n]*)$")


def after(words: list[str], written: str) -> Offers | None:
    """What may stand where `written` is being typed, behind `aish words…`; None: any file, as with programs."""
    verb, rest = words[0], words[1:]
    if "--" in rest:
        return None  # the words of another program
    action = rest[0] if verb in _WITH_ACTIONS and rest else None
    values = _values(verb, rest[-1]) if rest and rest[-1].startswith("-") else None
    if values is not None:
        found: Iterable[tuple[str, str]] = values
    elif written.startswith("-"):
        found = options(verb, action)
    elif verb in _WITH_ACTIONS and action is None:
        found = actions(verb)
    else:
        operands = [word for word in rest if not word.startswith("-")]
        offered = _operands(verb, action, operands, written)
        if offered is None:
            return None
        found = offered
    return sorted((word, about) for word, about in found if word.startswith(written))


def at_command(words: list[str]) -> bool:
    """Whether the command that a verb is to run comes next."""
    return words[0] in _RUNNING and words[-1] == "--"


def _values(verb: str, option: str) -> Offers | None:
    """What an option takes, where that can be listed; None: it takes nothing, or nobody knows what."""
    match verb, option:
        case "adopt", "--pid":
            return _own_processes()
        case "shim", "--install":
            return [(shell, "") for shell in ("bash", "fish", "zsh")]
        case "kill", "-s" | "--signal":
            return _signals()
        case "logs", "--kind":
            return [(word, "") for word in kind.KINDS]
        case _ if verb not in (*_RUNNING, "adopt", "shim"):
            return None
        case _, "--stop-signal":
            return _signals()
        case _, "--restart":
            return [(word, "") for word in spec.RESTARTS]
        case _, "--on-oom":
            return [(word, "") for word in spec.ON_OOM]
        case _, "--kind":
            return [(kind.COMMAND, ""), (kind.AGENT, "")]
        case _, "--model":
            return _stored()
        case _, "--needs":
            return _processes("wait")
        case _:
            return None


def _signals() -> Offers:
    import signal

    return [(member.name.removeprefix("SIG"), "") for member in signal.Signals]


def _own_processes() -> Offers:
    """All of this user's."""
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdecimal() and os.stat(f"/proc/{name}").st_uid == os.getuid() and int(name) != os.getpid():
                with open(f"/proc/{name}/comm", encoding="utf-8", errors="replace") as file:
                    found.append((name, file.read().strip()))
        except OSError:
            continue  # it has ended
    return found


def options(verb: str, action: str | None = None) -> Offers:
    return [(option, about or "") for option, about in _OPTION.findall(_help(verb, action)) if option != "--help"]


def actions(verb: str) -> Offers:
    return _ACTION.findall(_help(verb, None))


def _help(verb: str, action: str | None) -> str:
    """What it prints for --help; '' where it prints none. Not for a process that goes on: stdout is turned away."""
    os.environ["COLUMNS"] = "200"
    text = io.StringIO()
    module = importlib.import_module(_ELSEWHERE.get(verb, f"aish.cli.{verb}"))
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit, AishError):
        module.main([*([action] if action else []), "--help"])
    return text.getvalue()


def _operands(verb: str, action: str | None, operands: list[str], written: str) -> Offers | None:
    if verb == "limit":
        return _limits(operands[0], written) if operands else [*_at(_processes(verb), written), *_accounts()]
    if verb in _OF_A_PROJECT:
        return _at(_declared(), written)
    if verb in _LIVING or verb in _ENDED or verb in _ANY:
        return _at(_processes(verb), written)
    if verb in _OF_CHECKPOINTS:
        return _checkpointed(verb, operands, written)
    match verb, action:
        case "completion" | "prompt", _:
            return [(shell, "") for shell in ("bash", "fish", "zsh")] if not operands else []
        case "shim", _:
            from aish.cli import shims

            return [(shim.name, " ".join(shim.options)) for shim in shims.listed()] or None
        case "model", "serve" | "show" | "rm":
            return _stored()
        case "model", "stop":
            return _at([(row.name, f"{row.state} {row.id}") for row in _rows() if row.kind == kind.MODEL], written)
        case "key", "revoke":
            return _keys()
        case "requests", _:
            return [*_at(_processes("events"), written), *_keys(KEY)]
        case "agent", "show" | "check":
            from aish.agents import find

            names = [(name, "") for name in find.names(os.getcwd()) if name.startswith(written)]
            return names if names or action == "show" else None  # a file may be checked by its path
        case _:
            return None


def _checkpointed(verb: str, operands: list[str], written: str) -> Offers:
    """Agents that live, and checkpoints; for `checkpoint` its actions, too."""
    agents = _at([(row.name, f"{row.state} {row.id}") for row in _rows() if row.kind == kind.AGENT], written)
    match verb, operands:
        case "checkpoint", []:
            return [*agents, ("ls", "list them"), ("rm", "drop them"), ("show", "what is in one")]
        case "checkpoint", ["ls"]:
            return agents
        case "checkpoint", ["show" | "rm", *_]:
            return _checkpoints()
        case "restore", []:
            return _checkpoints()
        case (("rewind" | "fork"), []):
            return agents
        case (("rewind" | "fork"), [target]):
            return _checkpoints(target.removeprefix("@"))
        case _:
            return []


def _checkpoints(of: str | None = None) -> Offers:
    """Of one agent, or of all; by their names where they have one."""
    from aish.cli import boundary

    try:
        with connect(start=False, program="complete") as client:
            found = [each for shelf in boundary.everyone(client) for each in shelf.all().values()]
    except AishError:
        return []
    fits = [each for each in found if of is None or of in (each.agent, each.name)]
    return [(each.label or each.id, f"{each.name}, turn {each.turn}") for each in fits]


def _limits(target: str, written: str) -> Offers:
    """What may be limited of it; behind a value, that it is for a day."""
    value = _VALUE.fullmatch(written)
    if value is not None:
        word, most = value.groups()
        return [(f"{word}={most}{budget.DAY}", "from midnight to midnight")] if word in _SUMS else []
    if account.of_process(target):
        words = (*_BUDGETS, *_OF_PROCESSES)
    else:
        words = (*_BUDGETS, "nice") if target.startswith(KEY) else _BUDGETS
    return [(budget.HARD, "refuse what would else be held"), *((f"{word}=", "") for word in words)]


def _accounts() -> Offers:
    """What has a budget and is no process."""
    from aish.cli.declared import path_of

    paths = {row.project for row in _rows() if row.project is not None}
    with contextlib.suppress(AishError):
        paths.add(path_of(None))
    plain = sorted(path for path in paths if account.written(path_id := account.of_project(path)) == path_id)
    projects = [(account.PROJECT + path, "all processes of that project") for path in plain]
    return [(account.USER, "all that you run, and your keys"), *projects, *_keys(KEY)]


def _keys(before: str = "") -> Offers:
    """Named keys that are good, where the gateway that knows them runs."""
    try:
        with connect(start=False, program="complete") as client:
            rows = client.ask(View, Snapshot(all=True, figures=False)).processes
            gateways = (row for row in rows if row.kind == kind.SYSTEM and row.name == _GATEWAY)
            if not any(row.lifecycle not in state.ENDED for row in gateways):
                return []  # asking for them would start it
            keys = client.ask(Keys, KeyList()).keys
    except AishError:
        return []
    return [(before + key.name, "a named key") for key in keys if not key.revoked]


def _at(offers: Offers, written: str) -> Offers:
    """With an @ where one is being typed: the verbs take both."""
    return [(f"@{word}", about) for word, about in offers] if written.startswith("@") else offers


def _processes(verb: str) -> Offers:
    """Names; ids where a name means another process by now."""
    found: dict[str, str] = {}
    for row in _rows():
        ended = row.lifecycle in state.ENDED
        if verb in _ANY or ended == (verb in _ENDED):
            found[row.id if row.name in found else row.name] = f"{row.state} {row.id}"
    return list(found.items())


def _declared() -> Offers:
    """The entries of the project here; of one that has mistakes none."""
    from aish.cli.declared import path_of
    from aish.project import declared

    try:
        found, _ = declared.examine(path_of(None))
    except AishError:
        return []
    return [] if found is None else [(name, each.entry.section) for name, each in found.wanted.items()]


def _rows() -> list[ProcessPart]:
    """Those that live first."""
    try:
        with connect(start=False, program="complete") as client:
            rows = client.ask(View, Snapshot(all=True, figures=False)).processes
    except AishError:
        return []  # no daemon, or an unusable one: nothing to complete
    return sorted((row for row in rows if row.kind != kind.SYSTEM), key=lambda row: row.lifecycle in state.ENDED)


def _stored() -> Offers:
    from aish import store

    return [(name, "stored") for name in store.names()]
