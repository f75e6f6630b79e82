"""From an entry to the spec and the surroundings of its process. Pure: files that it names were read before."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from aish.agents import allowance, invocation
from aish.agents import hosted as hosts
from aish.model import dialect, kind
from aish.project import environ
from aish.project.declare import located
from aish.project.digest import digest
from aish.wire import budget
from aish.wire.sandbox import SandboxPart
from aish.wire.spec import (
    PRICES,
    BudgetPart,
    FailoverPart,
    GroupPart,
    LimitPart,
    NeedPart,
    PricePart,
    ProbePart,
    RestartPart,
    RoutePart,
    SchedulePart,
    SecretPart,
    SocketPart,
    SpecPart,
    laid_over,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aish.agents.agent import Agent
    from aish.config.places import Path
    from aish.project.entry import Entry, Project

_KINDS: Final = {"models": kind.MODEL, "agents": kind.AGENT, "services": kind.COMMAND, "schedules": kind.COMMAND}
_RESTARTS: Final = {"services": "on-failure", "models": "on-failure"}
"""What is started again without being told; everything else is not."""
URL: Final = "http://127.0.0.1:{port}/v1"
KEYS: Final = {
    "argv": "command",
    "vram_bytes": "vram",
    "gpu_count": "gpus",
    "budget_tokens": "tokens",
    "budget": "budget",
    "limits": "limits",
    "memory_bytes": "limits.memory",
    "cpus": "limits.cpus",
    "pids": "limits.pids",
    "read_bytes_per_s": "limits.read",
    "write_bytes_per_s": "limits.write",
    "on_oom": "limits.on_oom",
    "children": "limits.children",
    "depth": "limits.depth",
    "restarts": "restart",
    "restarts.delay_s": "restart.delay",
    "restarts.longest_s": "restart.longest",
    "restarts.window_s": "restart.window",
    "restarts.stable_s": "restart.stable",
    "restarts.most": "restart.most",
    "hook_timeout_s": "timeouts.hook",
    "start_timeout_s": "timeouts.start",
    "run_timeout_s": "timeouts.run",
    "stop_signal": "stop.signal",
    "grace_s": "stop.grace",
    "oom_score_adj": "oom_score",
    "kept_fds_most": "kept_fds",
    "secret_sources": "secrets",
    "secrets": "keys",
    "log_bytes": "log.size",
    "log_age_s": "log.age",
    "schedule": "cron",
    "schedule.cron": "cron",
    "schedule.timezone": "timezone",
    "schedule.missed": "missed",
    "route": "url",
    "failover": "fallback",
    "failover.retries": "retries",
    "route.url": "url",
    "route.dialect": "dialect",
    "route.login": "login",
    "route.key": "key",
    "route.proxy": "proxy",
    "route.ca_file": "ca_file",
    "route.price": "price",
    "route.concurrent": "concurrent",
    **{
        f"budget.{field}": f"budget.day.{word.removesuffix(budget.DAY)}" if word in budget.DAILY else f"budget.{word}"
        for word, field in {**budget.COUNTS, **budget.DOLLARS}.items()
    },
    "ready.every_s": "ready.every",
    "ready.timeout_s": "ready.timeout",
    "live.every_s": "live.every",
    "live.timeout_s": "live.timeout",
}
"""Fields of a spec -> how a file writes them, where that is another word."""
_RUN_BY: Final = ("command", "shell", "agent")


def place_of(field: str, entry: Entry) -> Path:
    """Where in its entry stands what a field of its spec is made of: `sockets[1]` is ("sockets", 1)."""
    head, rest = field, ""
    while head not in KEYS and "." in head:
        head, _, tail = head.rpartition(".")
        rest = f".{tail}{rest}"
    key = KEYS.get(head, head)
    if key == "command":
        key = next((name for name in _RUN_BY if name in entry.values), key)
    parts = re.findall(r"\[(\d+)\]|([^.\[\]]+)", key + rest)
    return tuple(int(number) if number else word for number, word in parts)


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """What was read for an entry, beside the files of the project."""

    env_files: dict[str, str] = {}
    """NAME -> value, of its own."""
    agent: Agent | None = None
    agent_digest: str | None = None


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as the daemon takes it."""

    entry: Entry
    spec: SpecPart
    declared: dict[str, str]
    """Its environment, without what it has of the caller."""
    inherit: list[str]
    nice: int | None = None
    umask: int | None = None

    @property
    def name(self) -> str:
        return self.entry.name

    def environ(self, caller: Mapping[str, str]) -> dict[str, str]:
        return environ.of_caller(caller, self.inherit, self.spec.secrets) | self.declared


def wanted(entry: Entry, project: Project, read: Read, shared: Mapping[str, str], home: Mapping[str, str]) -> Wanted:
    """`shared`: what the project's env_file say. `home`: the caller's variables, for `~`."""
    values = entry.values
    declared = {**shared, **project.env, **read.env_files, **values.get("env", {})}
    inherit = sorted({*project.inherit, *values.get("inherit", [])})
    run, limits = _run(entry, read, home), _limits(values)
    for name in ("limits", "budget"):  # what the entry says goes before what its agent's file says, word by word
        limits |= {name: laid_over(limits.get(name), run.get(name))}
    fields = {**run, **_life(values), **limits, **_place(entry, project)}
    if "cron" in values:
        fields["schedule"] = SchedulePart(
            cron=values["cron"], timezone=values.get("timezone"), missed=values.get("missed", "skip")
        )
    fields |= _streams(values, entry, home)
    fields["secrets"] = list(dict.fromkeys((*fields["secrets"], *run.get("secrets", ()))))
    if "sandbox" in values:
        hosted = read.agent is not None and read.agent.adapter is not None
        fields["sandbox"] = msgspec.structs.replace(_sandbox(values["sandbox"], entry, home), hosted=hosted)
    spec = SpecPart(name=entry.name, kind=_KINDS[entry.section], project=project.path, **fields)
    others = {
        "inherit": inherit,
        "nice": values.get("nice"),
        "umask": values.get("umask"),
        "agent": read.agent_digest,
    }
    return Wanted(
        entry=entry,
        spec=msgspec.structs.replace(spec, digest=digest(spec, declared, others)),
        declared=declared,
        inherit=inherit,
        nice=values.get("nice"),
        umask=values.get("umask"),
    )


def _run(entry: Entry, read: Read, home: Mapping[str, str]) -> dict[str, Any]:
    """What is run, and where."""
    values, folder = entry.values, entry.document.folder
    words = ["sh", "-c", values["shell"]] if "shell" in values else values.get("command", [])
    found: dict[str, Any] = {"cwd": _bytes(located(values.get("cwd", "."), folder, home))}
    if entry.section == "models":
        found["model"] = entry.name
        if "fallback" in values or "retries" in values:
            found["failover"] = FailoverPart(fallback=values.get("fallback", []), retries=values.get("retries", 0))
        if not entry.stored_model:
            found["route"] = _route(entry, home)
    if read.agent is not None:
        found |= _agent(read.agent, values, os.fsdecode(found["cwd"]), entry.name)
        words = [os.fsdecode(word) for word in found.pop("argv")]
    if "input" in values:  # opened anew at each start, which a passed descriptor could not be
        words = ["sh", "-c", 'exec "$@" <"$0"', located(values["input"], folder, home), *words]
    return found | {"argv": [_bytes(word) for word in words]}


def _agent(agent: Agent, values: Mapping[str, Any], cwd: str, name: str) -> dict[str, Any]:
    """A run of an agent: its command, and what its file says. Raises NotFoundError where its adapter is gone."""
    model, words = values.get("model") or agent.model, values.get("words", [])
    if agent.adapter is not None:
        part = hosts.spec(agent, words, cwd, model, name=name)
        kept = ("argv", "model", "observe", "secrets", "sandbox", "grace_s")
        found = {field: getattr(part, field) for field in kept}
    else:
        argv = invocation.command(words, file=agent.file, name=name, model=values.get("model"))
        found = {"argv": [_bytes(word) for word in argv], "model": model, "secrets": list(agent.secrets)}
    return {**found, "when_reserved": agent.when_reserved, **allowance.fields(agent.limits)}


def _route(entry: Entry, home: Mapping[str, str]) -> RoutePart:
    values = entry.values
    key_file = values.get("key_file")
    url = values.get("url", URL)
    return RoutePart(
        url=url,
        dialect=values.get("dialect") or dialect.of(url),
        login=values.get("login", dialect.KEY),
        price=_price(values["price"]) if "price" in values else None,
        upstream_name=values.get("upstream"),
        context_tokens=values.get("context"),
        key_file=located(key_file, entry.document.folder, home) if key_file else None,
        key=_source(values["key"], entry, home) if "key" in values else None,
        proxy=values.get("proxy"),
        ca_file=located(values["ca_file"], entry.document.folder, home) if "ca_file" in values else None,
        concurrent=values.get("concurrent"),
    )


def _source(values: Mapping[str, Any], entry: Entry, home: Mapping[str, str]) -> SecretPart:
    return SecretPart(
        file=_bytes(located(values["file"], entry.document.folder, home)) if "file" in values else None,
        command=[_bytes(word) for word in values.get("command", ())],
        keyring=values.get("keyring"),
    )


def budget_of(values: Mapping[str, Any]) -> BudgetPart | None:
    """What a table `budget` says, without tokens in all."""
    day = {name + budget.DAY: value for name, value in values.get("day", {}).items()}
    words = {name: value for name, value in {**values, **day}.items() if name not in ("day", budget.TOKENS)}
    fields: dict[str, Any] = {budget.COUNTS.get(word, word): value for word, value in words.items()}
    for word, field in budget.DOLLARS.items():
        if word in fields:
            fields[field] = float(fields.pop(word))
    return BudgetPart(**fields) if fields else None


def _price(values: Mapping[str, Any]) -> PricePart:
    return PricePart(**{PRICES[name]: float(value) for name, value in values.items()})


def _life(values: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "needs": [
            NeedPart(name=need)
            if isinstance(need, str)
            else NeedPart(name=need["name"], until=need.get("until", "ready"), timeout_s=need.get("timeout"))
            for need in values.get("needs", ())
        ]
    }
    for name in ("ready", "live"):
        if name in values:
            found[name] = _probe(values[name])
    for name in ("check", "before", "after"):
        if name in values:
            found[name] = [_bytes(word) for word in values[name]]
    for name, seconds in values.get("timeouts", {}).items():
        found[f"{name}_timeout_s"] = seconds
    stop = values.get("stop", {})
    if "signal" in stop:
        found["stop_signal"] = stop["signal"]
    if "grace" in stop:
        found["grace_s"] = stop["grace"]
    return found


def _probe(table: Mapping[str, Any]) -> ProbePart:
    words = {"http": "url", "tcp": "address", "exec": "command", "log": "pattern", "notify": "notify"}
    words |= {"every": "every_s", "timeout": "timeout_s", "failures": "failures"}
    fields = {words[name]: value for name, value in table.items() if name in words}
    if "unix" in table:
        fields["address"] = "unix:" + table["unix"]
    if "command" in fields:
        fields["command"] = [_bytes(word) for word in fields["command"]]
    return ProbePart(**fields)


def _restart(entry: Entry) -> dict[str, Any]:
    usual = _RESTARTS.get(entry.section, "never")
    if entry.section == "models" and not {"command", "shell"} & set(entry.values) and not entry.stored_model:
        usual = "never"  # a server that somebody else runs
    said = entry.values.get("restart", usual)
    if isinstance(said, str):
        return {"restart": said}
    words = {"delay": "delay_s", "longest": "longest_s", "most": "most", "window": "window_s", "stable": "stable_s"}
    fields = {words[name]: value for name, value in said.items() if name in words}
    if said.get("endless"):
        fields["most"] = None
    return {"restart": said.get("policy", usual), "restarts": RestartPart(**fields) if fields else None}


def _limits(values: Mapping[str, Any]) -> dict[str, Any]:
    words = {"memory": "memory_bytes", "read": "read_bytes_per_s", "write": "write_bytes_per_s"}
    table = values.get("limits")
    found: dict[str, Any] = {}
    if table:
        found["limits"] = LimitPart(**{words.get(name, name): value for name, value in table.items()})
    if values.get("budget"):
        found["budget"] = budget_of(values["budget"])
    plain = {"vram": "vram_bytes", "gpus": "gpu_count", "tokens": "budget_tokens", "oom_score": "oom_score_adj"}
    plain |= {"ionice": "ionice", "kept_fds": "kept_fds_most", "rights": "rights", "labels": "labels", "pty": "pty"}
    plain |= {"observe": "observe", "when_reserved": "when_reserved"}
    return found | {field: values[name] for name, field in plain.items() if name in values}


def _sandbox(said: str | Mapping[str, Any], entry: Entry, home: Mapping[str, str]) -> SandboxPart:
    if isinstance(said, str):
        return SandboxPart(profile=said)
    fields: dict[str, Any] = dict(said)
    for name in ("write", "read", "hide"):
        fields[name] = [_bytes(located(path, entry.document.folder, home)) for path in said.get(name, ())]
    return SandboxPart(**fields)


def _place(entry: Entry, project: Project) -> dict[str, Any]:
    """Among others: its group; and its restarts, whose default depends on what it is."""
    found = _restart(entry)
    said = entry.values.get("group")
    name = said["name"] if isinstance(said, dict) else said
    if name in project.groups:
        place = said.get("place", entry.place) if isinstance(said, dict) else entry.place
        found["group"] = GroupPart(name=name, strategy=project.groups[name], place=place)
    return found


def _streams(values: Mapping[str, Any], entry: Entry, home: Mapping[str, str]) -> dict[str, Any]:
    """Its log, sockets, secrets and keys."""
    found: dict[str, Any] = {"secrets": values.get("keys", [])}
    log = values.get("log")
    if isinstance(log, str):
        found["log"] = log
    elif log:
        words = {"order": "log", "size": "log_bytes", "age": "log_age_s"}
        found |= {words[name]: value for name, value in log.items()}
    found["sockets"] = [
        SocketPart(address=item) if isinstance(item, str) else SocketPart(**item)
        for item in values.get("sockets", ())
    ]
    found["secret_sources"] = {
        name: _source(source, entry, home) for name, source in values.get("secrets", {}).items()
    }
    return found


def served(before: SpecPart, spec: SpecPart) -> SpecPart:
    """What is wanted of a model out of the store that runs: how it is served stays."""
    kept = ("argv", "cwd", "name", "kind", "model", "route")
    same = {field: getattr(before, field) for field in kept}
    if spec.vram_bytes is None:
        same["vram_bytes"] = before.vram_bytes
    return msgspec.structs.replace(spec, **same)


def _bytes(text: str) -> bytes:
    return os.fsencode(text)
