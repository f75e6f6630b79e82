"""What is wrong with the spec of a process: all of it, each flaw with its field. Pure."""

from __future__ import annotations

import math
import re
import signal
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from aish.agents.host.invocation import is_host
from aish.errors import InputError
from aish.model import dialect, kind, label
from aish.model.size import format_bytes
from aish.model.spec import (
    HOLD,
    LEAST_AGE_S,
    LEAST_BYTES,
    LEAST_CPUS,
    LEAST_PROBE_S,
    LOGS,
    MISSED,
    MOST_CHILDREN,
    MOST_CONCURRENT,
    MOST_CPUS,
    MOST_DEPTH,
    MOST_GPUS,
    MOST_GRACE_S,
    MOST_NEEDS,
    MOST_PIDS,
    MOST_PLACE,
    MOST_RETRIES,
    MOST_TIME_S,
    MOST_TIMES,
    OBSERVED,
    ON_OOM,
    ORDERED,
    PARK,
    RESERVED_HINT,
    RESTARTS,
    RIGHTS,
    STRATEGIES,
    UNTIL,
)
from aish.supervisor.daemon import confinement, given, ports
from aish.wire import budget
from aish.wire.spec import DELAY_S, FailoverPart

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aish.wire.spec import LimitPart, ProbePart, RestartPart, RoutePart, SpecPart

_GROUP: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DIGEST: Final = re.compile(r"[0-9a-f]{1,128}")
_IONICE: Final = re.compile(r"idle|(best-effort|realtime)(:[0-7])?")
MOST_USD: Final = 1e9
PORT_MOST: Final = 65535
_ADDRESS: Final = re.compile(r"unix:/.+|[^\s/]+:(\d{1,5}|\{port\})")
MOST_WORDS: Final = 65_536
MOST_FALLBACKS: Final = 8
MOST_MODEL_CHARS: Final = 200


def flaws(spec: SpecPart) -> Iterator[InputError]:
    """Everything that is wrong with it, each naming its field."""
    yield from _one_of(spec.kind, (kind.COMMAND, kind.AGENT, kind.MODEL), "kind")
    yield from _one_of(spec.restart, RESTARTS, "restart")
    yield from _one_of(spec.rights, RIGHTS, "rights")
    yield from _of_command(spec)
    if spec.vram_bytes is not None and not 0 < spec.vram_bytes < 1 << 60:
        yield InputError("expected a size above 0", field="vram_bytes")
    if not 1 <= spec.gpu_count <= MOST_GPUS:
        yield InputError(f"expected 1 to {MOST_GPUS}", field="gpu_count")
    yield from _of_budget(spec)
    yield from _of_observing(spec)
    if not 1 <= spec.stop_signal < signal.NSIG:
        yield InputError("not a signal", field="stop_signal")
    if spec.limits is not None:
        yield from of_limits(spec.limits)
    yield from label.flaws(spec.labels)
    yield from _of_log(spec)
    yield from _of_order(spec)
    yield from _of_life(spec)
    yield from given.flaws(spec)
    if spec.oom_score_adj is not None and not -1000 <= spec.oom_score_adj <= 1000:
        yield InputError("expected -1000 to 1000", field="oom_score_adj")
    if spec.nice is not None and not -20 <= spec.nice <= 19:
        yield InputError("expected -20 to 19", field="nice")
    if spec.ionice is not None and not _IONICE.fullmatch(spec.ionice):
        yield InputError("expected idle, best-effort:0 to 7 or realtime:0 to 7", field="ionice")
    yield from of_grace(spec.grace_s)
    yield from confinement.flaws(spec)


def _of_command(spec: SpecPart) -> Iterator[InputError]:
    """What is run, and where."""
    if spec.route is not None and spec.kind == kind.MODEL:
        yield from _of_route(spec.route)
        yield from _of_failover(spec.failover or FailoverPart(), spec.name or "")
    elif spec.route is not None:
        yield InputError("only a model has a route", field="route")
    elif spec.failover is not None and spec.kind != kind.MODEL:
        yield InputError("only a model falls back", field="failover")
    elif spec.kind == kind.MODEL:
        yield InputError("a model needs a route: where its server listens", field="route", hint="give --url")
    if not spec.argv and (spec.route is None or "{port}" in spec.route.url):
        yield InputError("there is no command", field="argv", hint="write it after --")
    if spec.argv and not spec.argv[0]:
        yield InputError("the command is empty", field="argv")
    if len(spec.argv) > MOST_WORDS:
        yield InputError(f"more than {MOST_WORDS} words", field="argv")
    if any(b"\0" in word for word in spec.argv):
        yield InputError("a NUL byte", field="argv")
    if spec.program is not None and (b"\0" in spec.program or not spec.program.startswith(b"/")):
        yield InputError("expected an absolute path", field="program")
    if not spec.cwd.startswith(b"/") or b"\0" in spec.cwd:
        yield InputError("expected an absolute path", field="cwd")


def _of_observing(spec: SpecPart) -> Iterator[InputError]:
    """How it is metered, and what becomes of its requests while a usage window is reserved."""
    if spec.observe is not None:
        yield from _one_of(spec.observe, OBSERVED, "observe")
        if spec.kind == kind.MODEL or not spec.argv:
            yield InputError("a model is not observed: who asks it is metered", field="observe")
    action, colon, name = spec.when_reserved.partition(":")
    if spec.when_reserved == PARK:
        yield from _of_parking(spec)
        return
    if spec.when_reserved != HOLD and (action != "model" or not colon or not 0 < len(name) <= MOST_MODEL_CHARS):
        yield InputError(RESERVED_HINT, field="when_reserved")


def _of_parking(spec: SpecPart) -> Iterator[InputError]:
    """Only what keeps its conversation can end in the middle of something and go on later."""
    hint = "hold waits for the window; model:NAME has another model answer meanwhile"
    if spec.kind != kind.AGENT:
        yield InputError(f"a {spec.kind} keeps no conversation to go on with", field="when_reserved", hint=hint)
    elif not is_host(spec.argv):
        text = "only an agent with an adapter keeps a conversation to go on with"
        yield InputError(text, field="when_reserved", hint=hint)


def _of_budget(spec: SpecPart) -> Iterator[InputError]:
    if spec.budget_tokens is not None and not 0 <= spec.budget_tokens < 1 << 60:
        yield InputError("expected a count, 0 or more", field="budget_tokens")
    if spec.budget is not None:
        yield from budget.flaws(spec.budget)
    for field in ("budget_tokens", "budget"):
        if spec.kind == kind.MODEL and getattr(spec, field) is not None:  # it would cap nothing
            hint = "limit an agent or a key: aish limit @AGENT usd=5, aish limit key:NAME usd=5"
            yield InputError(budget.of_model(spec.name or "this"), field=field, hint=hint)


def _of_log(spec: SpecPart) -> Iterator[InputError]:
    yield from _one_of(spec.log, LOGS, "log")
    if spec.pty and spec.log == ORDERED:
        hint = "leave one of the two out"
        yield InputError("what is written to a terminal is in one log and in order anyway", field="log", hint=hint)
    if spec.log_bytes and not LEAST_BYTES <= spec.log_bytes < 1 << 60:
        yield InputError(f"expected {format_bytes(LEAST_BYTES)} or more, or 0", field="log_bytes")
    if spec.log_age_s and not LEAST_AGE_S <= spec.log_age_s <= MOST_TIME_S:  # what is no number is neither
        yield InputError(f"expected {LEAST_AGE_S:.0f} to {MOST_TIME_S:.0f} seconds, or 0", field="log_age_s")


def _of_order(spec: SpecPart) -> Iterator[InputError]:
    """Group and schedule."""
    if spec.schedule is not None:
        from aish.supervisor.daemon import schedule  # cron and time zones: `aish spawn` comes here, too

        yield from schedule.flaws(spec.schedule)
        yield from _one_of(spec.schedule.missed, MISSED, "schedule.missed")
        if not spec.argv:
            yield InputError("there is nothing to run at these times", field="schedule")
    if spec.group is not None:
        yield from _one_of(spec.group.strategy, STRATEGIES, "group.strategy")
        if not _GROUP.fullmatch(spec.group.name):
            yield InputError(
                f"not a name of a group: {spec.group.name[:60]!r}",
                field="group.name",
                hint="letters, digits and . _ - are allowed, 64 at most",
            )
        if not 0 <= spec.group.place <= MOST_PLACE:
            yield InputError(f"expected 0 to {MOST_PLACE}", field="group.place")
    if spec.project is not None and not (spec.project.startswith("/") and len(spec.project) <= 4096):
        yield InputError("expected an absolute path", field="project")
    if spec.digest is not None and not _DIGEST.fullmatch(spec.digest):
        yield InputError("expected up to 128 hexadecimal digits", field="digest")


def _of_life(spec: SpecPart) -> Iterator[InputError]:
    """Probes, hooks, needs and time-outs."""
    for field in ("ready", "live"):
        probe = getattr(spec, field)
        if probe is not None:
            yield from _of_probe(probe, field)
    for field in ("ready", "live", "check", "before", "after"):
        if getattr(spec, field) and not spec.argv:
            yield InputError("there is no process to run it for", field=field)
    for field in ("check", "before", "after"):
        if any(b"\0" in word for word in getattr(spec, field)):
            yield InputError("a NUL byte", field=field)
    for field in ("hook_timeout_s", "start_timeout_s", "run_timeout_s"):
        yield from _of_time(getattr(spec, field), field)
    if len(spec.needs) > MOST_NEEDS:
        yield InputError(f"at most {MOST_NEEDS}", field="needs")
    for place, need in enumerate(spec.needs):
        yield from _one_of(need.until, UNTIL, f"needs[{place}]")
        yield from _of_time(need.timeout_s, f"needs[{place}].timeout")
        if need.name == spec.name:
            yield InputError("it cannot wait for itself", field=f"needs[{place}]")
    if spec.restarts is not None:
        yield from _of_restarts(spec.restarts)


def _of_restarts(restarts: RestartPart) -> Iterator[InputError]:
    wrong = False
    for field in ("delay_s", "longest_s", "window_s", "stable_s"):
        for each in _of_time(getattr(restarts, field), f"restarts.{field}"):
            wrong = True
            yield each
    if not wrong and restarts.most_s < restarts.delay_s != DELAY_S:  # the usual one makes way for a shorter longest
        yield InputError(
            f"the longest delay, {restarts.longest_s:g} s, is shorter than the first, {restarts.delay_s:g} s",
            field="restarts.longest_s",
        )
    if restarts.most is not None and not 0 <= restarts.most <= MOST_TIMES:
        yield InputError(f"expected 0 to {MOST_TIMES}", field="restarts.most")


def _names_a_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0  # which raises for what is none
    except ValueError:
        return False


def _of_probe(probe: ProbePart, field: str) -> Iterator[InputError]:
    ways = [
        bool(probe.command),
        probe.url is not None,
        probe.address is not None,
        probe.pattern is not None,
        probe.notify,
    ]
    if sum(ways) != 1:
        yield InputError("expected one of a command, a URL, an address, a line or notify", field=field)
    if field == "live" and probe.pattern is not None:
        yield InputError("a line in a log tells no more than once: it cannot tell of life", field=field)
    if probe.url is not None and not probe.url.startswith(("http://", "https://")):
        yield InputError(f"not a URL: {probe.url[:80]!r}", field=field, hint="http://127.0.0.1:{port}/health")
    elif probe.url is not None and not _names_a_host(probe.url.replace(ports.PLACE, "1")):
        yield InputError(
            f"no host and port in {probe.url[:80]!r}", field=field, hint="http://127.0.0.1:{port}/health"
        )
    if probe.address is not None and not _ADDRESS.fullmatch(probe.address):
        yield InputError(f"not an address: {probe.address[:80]!r}", field=field, hint="HOST:PORT or unix:/PATH")
    port = probe.address.rpartition(":")[2] if probe.address is not None else ""
    if port.isdecimal() and not 1 <= int(port) <= PORT_MOST:
        yield InputError(f"not a port: {port}", field=field, hint=f"from 1 to {PORT_MOST}")
    if probe.pattern == "":
        yield InputError("the line to wait for is empty", field=field)
    for part in ("every_s", "timeout_s"):
        value = getattr(probe, part)
        if not (math.isfinite(value) and LEAST_PROBE_S <= value <= MOST_TIME_S):
            yield InputError(f"expected {LEAST_PROBE_S} to {MOST_TIME_S:.0f} seconds", field=f"{field}.{part}")
    if not 1 <= probe.failures <= MOST_TIMES:
        yield InputError(f"expected 1 to {MOST_TIMES}", field=f"{field}.failures")


def _of_time(value: float | None, field: str) -> Iterator[InputError]:
    if value is not None and not (math.isfinite(value) and 0 < value <= MOST_TIME_S):
        days = MOST_TIME_S / 86400
        yield InputError(f"expected a time above 0 s, at most {MOST_TIME_S:.0f} s ({days:.0f} days)", field=field)


def of_grace(grace_s: float | None) -> Iterator[InputError]:
    if grace_s is not None and not 0 <= grace_s <= MOST_GRACE_S:  # what is no number is not
        yield InputError(f"expected 0 to {MOST_GRACE_S:.0f} seconds", field="grace_s")


def of_limits(limits: LimitPart) -> Iterator[InputError]:
    for field in ("memory_bytes", "read_bytes_per_s", "write_bytes_per_s"):
        value = getattr(limits, field)
        if value is not None and not LEAST_BYTES <= value < 1 << 60:
            yield InputError(f"expected {format_bytes(LEAST_BYTES)} or more", field=field)
    if limits.pids is not None and not 1 <= limits.pids <= MOST_PIDS:
        yield InputError(f"expected 1 to {MOST_PIDS}", field="pids")
    if limits.cpus is not None and not (math.isfinite(limits.cpus) and LEAST_CPUS <= limits.cpus <= MOST_CPUS):
        yield InputError(f"expected a number of cores, {LEAST_CPUS} to {MOST_CPUS:.0f}", field="cpus")
    for field, most in (("children", MOST_CHILDREN), ("depth", MOST_DEPTH)):
        value = getattr(limits, field)
        if value is not None and not 0 <= value <= most:
            yield InputError(f"expected a count, 0 to {most:,}", field=field)
    yield from _one_of(limits.on_oom, ON_OOM, "on_oom")
    if limits.on_oom == "hold" and limits.memory_bytes is None:
        yield InputError("there is no limit of memory at which to hold it", field="on_oom")


def _of_proxy(proxy: str) -> Iterator[InputError]:
    host = proxy.partition("://")[2].partition("/")[0]
    if not host or not proxy.startswith(("http://", "https://")):
        yield InputError("expected http://HOST:PORT", field="route.proxy")
    if "@" in host:
        yield InputError(
            "it holds a user or a password, which inspect and the journal would show",
            field="route.proxy",
            hint="HTTPS_PROXY in the environment may hold them",
        )


def _of_route(route: RoutePart) -> Iterator[InputError]:
    yield from _one_of(route.dialect, dialect.DIALECTS, "route.dialect")
    yield from _one_of(route.login, dialect.LOGINS, "route.login")
    if [route.key_file is not None, route.key is not None, route.login == dialect.CLIENT].count(True) > 1:
        yield InputError("more than one of a key, a key file and the client's own login", field="route.key")
    if route.key is not None:
        yield from given.of_source(route.key, "route.key")
    if route.proxy is not None:
        yield from _of_proxy(route.proxy)
    if route.ca_file is not None and (not route.ca_file.startswith("/") or "\0" in route.ca_file):
        yield InputError("expected an absolute path", field="route.ca_file")
    if route.concurrent is not None and not 1 <= route.concurrent <= MOST_CONCURRENT:
        yield InputError(f"expected a number of requests, 1 to {MOST_CONCURRENT:,}", field="route.concurrent")
    if route.price is not None:
        for name in route.price.__struct_fields__:
            value = getattr(route.price, name)
            if value is not None and not (math.isfinite(value) and 0 <= value < MOST_USD):
                yield InputError("expected US dollars, 0 or more", field=f"route.price.{name}")
    host = route.url.partition("://")[2].partition("/")[0]
    if not route.url.startswith("unix:/") and not (host and route.url.startswith(("http://", "https://"))):
        yield InputError(
            f"not an address: {route.url[:80]!r}",
            field="route.url",
            hint="expected http://HOST:PORT/v1, https://HOST/v1 or unix:/PATH",
        )
    if "@" in host and not route.url.startswith("unix:/"):  # inspect, ps, events and the journal show the address
        yield InputError(
            "the address holds a user or a password, which everybody who looks at it would see",
            field="route.url",
            hint="put the key into a file that only you can read: --key-file FILE",
        )


def _of_failover(failover: FailoverPart, name: str) -> Iterator[InputError]:
    if not 0 <= failover.retries <= MOST_RETRIES:
        yield InputError(f"expected 0 to {MOST_RETRIES}", field="failover.retries")
    names = failover.fallback
    if len(names) > MOST_FALLBACKS:
        yield InputError(f"at most {MOST_FALLBACKS} models", field="failover.fallback")
    if not all(0 < len(each) <= MOST_MODEL_CHARS and each.isprintable() for each in names):
        yield InputError("expected names of models", field="failover.fallback")
    if name in names:
        yield InputError(f"{name} cannot fall back to itself", field="failover.fallback")


def _one_of(value: str, known: tuple[str, ...], field: str) -> Iterator[InputError]:
    if value not in known:
        yield InputError(f"not one of {', '.join(known)}: {value[:40]!r}", field=field)
