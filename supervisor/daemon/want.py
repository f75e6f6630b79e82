"""Checking what a client wants before anything is done about it. Pure; every refusal names the field."""

from __future__ import annotations

import math
import re
import signal
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from aish.errors import InputError, LimitError, RefusedError
from aish.model import dialect, kind, label
from aish.model.size import format_bytes, format_count
from aish.model.spec import LOGS, MISSED, MOST_CONCURRENT, MOST_RETRIES, ON_OOM, RESTARTS, RIGHTS, STRATEGIES, UNTIL
from aish.supervisor.daemon import given, ports
from aish.wire import budget
from aish.wire.spec import FailoverPart

if TYPE_CHECKING:
    from aish.supervisor.daemon.authority import Caller
    from aish.supervisor.daemon.process import Process
    from aish.wire.message import Adopt, Spawn
    from aish.wire.spec import LaunchPart, LimitPart, ProbePart, RoutePart, SpecPart

_TOKEN: Final = re.compile(r"[0-9a-f]{32}")
_GROUP: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DIGEST: Final = re.compile(r"[0-9a-f]{1,128}")
_IONICE: Final = re.compile(r"idle|(best-effort|realtime)(:[0-7])?")
_RLIMIT: Final = re.compile(r"[A-Z_]{2,16}")
PASSED_MOST: Final = 60
"""Descriptors of a client; the holder takes 64 with the payload and the standard three."""
MOST_GRACE_S: Final = 3600.0
MOST_GPUS: Final = 64
MOST_PID: Final = 1 << 22
"""pid_max, proc(5)."""
LEAST_BYTES: Final = 64 << 10
LEAST_AGE_S: Final = 1.0
MOST_NEEDS: Final = 64
MOST_TIME_S: Final = 10 * 366 * 86400.0
MOST_USD: Final = 1e9
PORT_MOST: Final = 65535
_ADDRESS: Final = re.compile(r"unix:/.+|[^\s/]+:(\d{1,5}|\{port\})")
MOST_WORDS: Final = 65_536
MOST_FALLBACKS: Final = 8
MOST_MODEL_CHARS: Final = 200


def check_spawn(request: Spawn, fd_count: int) -> None:
    """Raises InputError."""
    if not _TOKEN.fullmatch(request.token):
        raise InputError("expected 32 hexadecimal digits", field="token")
    check_spec(request.spec)
    check_launch(request.launch)
    targets = request.targets
    if len(targets) != fd_count:
        raise InputError(f"{len(targets)} targets for {fd_count} descriptors", field="targets")
    if len(targets) > PASSED_MOST:
        raise InputError(f"at most {PASSED_MOST} descriptors can be passed", field="targets")
    if len(set(targets)) != len(targets) or not all(0 <= target <= 4096 for target in targets):
        raise InputError("expected different numbers from 0 to 4096", field="targets")
    given.check_targets(request.spec, targets)
    if targets and (request.spec.restart != "never" or request.spec.schedule or request.spec.group):
        raise InputError(
            "a process that is started again cannot be given descriptors",
            field="restart",
            hint="`aish spawn` starts it with a log of its own",
        )
    patience_s = request.patience_s
    if patience_s is not None and not (math.isfinite(patience_s) and patience_s >= 0):
        raise InputError("expected a number of seconds", field="patience_s")
    if request.window is not None and not all(1 <= size <= 0xFFFF for size in request.window):
        raise InputError("expected rows and columns, 1 to 65535", field="window")
    if request.spec.pty and any(target <= 2 for target in targets):
        raise InputError("a pty takes descriptors 0 to 2", field="targets")


def check_adopt(request: Adopt, spec: SpecPart) -> None:
    """Raises InputError."""
    if not _TOKEN.fullmatch(request.token):
        raise InputError("expected 32 hexadecimal digits", field="token")
    if not 1 <= request.pid <= MOST_PID:
        raise InputError(f"expected 1 to {MOST_PID}", field="pid")
    check_spec(spec)
    if spec.limits is not None and (spec.limits.read_bytes_per_s or spec.limits.write_bytes_per_s):
        raise InputError("not of a process that runs already", field="limits")


def check_spec(spec: SpecPart) -> None:
    """Raises InputError."""
    _one_of(spec.kind, (kind.COMMAND, kind.AGENT, kind.MODEL), "kind")
    _one_of(spec.restart, RESTARTS, "restart")
    _one_of(spec.rights, RIGHTS, "rights")
    if spec.route is not None:
        if spec.kind != kind.MODEL:
            raise InputError("only a model has a route", field="route")
        check_route(spec.route)
        _check_failover(spec.failover or FailoverPart(), spec.name or "")
    elif spec.failover is not None and spec.kind != kind.MODEL:
        raise InputError("only a model falls back", field="failover")
    elif spec.kind == kind.MODEL:
        raise InputError("a model needs a route: where its server listens", field="route", hint="give --url")
    if not spec.argv and (spec.route is None or "{port}" in spec.route.url):
        raise InputError("there is no command", field="argv", hint="write it after --")
    if spec.argv and not spec.argv[0]:
        raise InputError("the command is empty", field="argv")
    if len(spec.argv) > MOST_WORDS:
        raise InputError(f"more than {MOST_WORDS} words", field="argv")
    if any(b"\0" in word for word in (*spec.argv, spec.cwd)):
        raise InputError("a NUL byte", field="argv")
    if spec.program is not None and (b"\0" in spec.program or not spec.program.startswith(b"/")):
        raise InputError("expected an absolute path", field="program")
    if not spec.cwd.startswith(b"/"):
        raise InputError("expected an absolute path", field="cwd")
    if spec.vram_bytes is not None and not 0 < spec.vram_bytes < 1 << 60:
        raise InputError("expected a size above 0", field="vram_bytes")
    if not 1 <= spec.gpu_count <= MOST_GPUS:
        raise InputError(f"expected 1 to {MOST_GPUS}", field="gpu_count")
    _check_budget(spec)
    if not 1 <= spec.stop_signal < signal.NSIG:
        raise InputError("not a signal", field="stop_signal")
    if spec.limits is not None:
        check_limits(spec.limits)
    label.check(spec.labels)
    _check_logs(spec)
    _check_order(spec)
    _check_life(spec)
    given.check(spec)
    if spec.oom_score_adj is not None and not -1000 <= spec.oom_score_adj <= 1000:
        raise InputError("expected -1000 to 1000", field="oom_score_adj")
    if spec.ionice is not None and not _IONICE.fullmatch(spec.ionice):
        raise InputError("expected idle, best-effort:0 to 7 or realtime:0 to 7", field="ionice")
    check_grace(spec.grace_s)


def _check_budget(spec: SpecPart) -> None:
    if spec.budget_tokens is not None and not 0 <= spec.budget_tokens < 1 << 60:
        raise InputError("expected a count, 0 or more", field="budget_tokens")
    if spec.budget is not None:
        budget.check(spec.budget)
    for field in ("budget_tokens", "budget"):
        if spec.kind == kind.MODEL and getattr(spec, field) is not None:  # it would cap nothing
            hint = "limit an agent or a key: aish limit @AGENT usd=5, aish limit key:NAME usd=5"
            raise InputError(budget.of_model(spec.name or "this"), field=field, hint=hint)


def _check_logs(spec: SpecPart) -> None:
    _one_of(spec.log, LOGS, "log")
    if spec.log_bytes and not LEAST_BYTES <= spec.log_bytes < 1 << 60:
        raise InputError(f"expected {format_bytes(LEAST_BYTES)} or more, or 0", field="log_bytes")
    if spec.log_age_s and not LEAST_AGE_S <= spec.log_age_s <= MOST_TIME_S:  # what is no number is neither
        raise InputError(f"expected {LEAST_AGE_S:.0f} to {MOST_TIME_S:.0f} seconds, or 0", field="log_age_s")


def _check_order(spec: SpecPart) -> None:
    """Group and schedule. Raises InputError."""
    if spec.schedule is not None:
        from aish.supervisor.daemon import schedule  # cron and time zones: `aish spawn` comes here, too

        schedule.check(spec.schedule)
        _one_of(spec.schedule.missed, MISSED, "schedule.missed")
        if not spec.argv:
            raise InputError("there is nothing to run at these times", field="schedule")
    if spec.group is not None:
        _one_of(spec.group.strategy, STRATEGIES, "group.strategy")
        if not _GROUP.fullmatch(spec.group.name):
            raise InputError(
                f"not a name of a group: {spec.group.name[:60]!r}",
                field="group.name",
                hint="letters, digits and . _ - are allowed, 64 at most",
            )
        if not 0 <= spec.group.place <= 10_000:
            raise InputError("expected 0 to 10000", field="group.place")
    if spec.project is not None and not (spec.project.startswith("/") and len(spec.project) <= 4096):
        raise InputError("expected an absolute path", field="project")
    if spec.digest is not None and not _DIGEST.fullmatch(spec.digest):
        raise InputError("expected up to 128 hexadecimal digits", field="digest")


def _check_life(spec: SpecPart) -> None:
    """Probes, hooks, needs and time-outs. Raises InputError."""
    for field in ("ready", "live"):
        probe = getattr(spec, field)
        if probe is not None:
            _check_probe(probe, field)
    if (spec.ready or spec.live or spec.check or spec.before or spec.after) and not spec.argv:
        raise InputError("there is no process to run it for", field="argv")
    for field in ("check", "before", "after"):
        if any(b"\0" in word for word in getattr(spec, field)):
            raise InputError("a NUL byte", field=field)
    for field in ("hook_timeout_s", "start_timeout_s", "run_timeout_s"):
        _check_time(getattr(spec, field), field)
    if len(spec.needs) > MOST_NEEDS:
        raise InputError(f"at most {MOST_NEEDS}", field="needs")
    for need in spec.needs:
        _one_of(need.until, UNTIL, "needs")
        _check_time(need.timeout_s, "needs")
        if need.name == spec.name:
            raise InputError("it cannot wait for itself", field="needs")
    if spec.restarts is not None:
        for field in ("delay_s", "longest_s", "window_s", "stable_s"):
            _check_time(getattr(spec.restarts, field), f"restarts.{field}")
        if spec.restarts.most is not None and not 0 <= spec.restarts.most <= 1000:
            raise InputError("expected 0 to 1000", field="restarts.most")


def _names_a_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0  # which raises for what is none
    except ValueError:
        return False


def _check_probe(probe: ProbePart, field: str) -> None:
    ways = [
        bool(probe.command),
        probe.url is not None,
        probe.address is not None,
        probe.pattern is not None,
        probe.notify,
    ]
    if sum(ways) != 1:
        raise InputError("expected one of a command, a URL, an address, a line or notify", field=field)
    if field == "live" and probe.pattern is not None:
        raise InputError("a line in a log tells no more than once: it cannot tell of life", field=field)
    if probe.url is not None and not probe.url.startswith(("http://", "https://")):
        raise InputError(f"not a URL: {probe.url[:80]!r}", field=field, hint="http://127.0.0.1:{port}/health")
    if probe.url is not None and not _names_a_host(probe.url.replace(ports.PLACE, "1")):
        raise InputError(
            f"no host and port in {probe.url[:80]!r}", field=field, hint="http://127.0.0.1:{port}/health"
        )
    if probe.address is not None and not _ADDRESS.fullmatch(probe.address):
        raise InputError(f"not an address: {probe.address[:80]!r}", field=field, hint="HOST:PORT or unix:/PATH")
    port = probe.address.rpartition(":")[2] if probe.address is not None else ""
    if port.isdecimal() and not 1 <= int(port) <= PORT_MOST:
        raise InputError(f"not a port: {port}", field=field, hint=f"from 1 to {PORT_MOST}")
    if probe.pattern == "":
        raise InputError("the line to wait for is empty", field=field)
    for part, least in (("every_s", 0.01), ("timeout_s", 0.01)):
        value = getattr(probe, part)
        if not (math.isfinite(value) and least <= value <= MOST_TIME_S):
            raise InputError(f"expected {least} seconds or more", field=f"{field}.{part}")
    if not 1 <= probe.failures <= 1000:
        raise InputError("expected 1 to 1000", field=f"{field}.failures")


def _check_time(value: float | None, field: str) -> None:
    if value is not None and not (math.isfinite(value) and 0 < value <= MOST_TIME_S):
        raise InputError("expected a number of seconds above 0", field=field)


def check_grace(grace_s: float | None) -> None:
    """Raises InputError."""
    if grace_s is not None and not 0 <= grace_s <= MOST_GRACE_S:  # what is no number is not
        raise InputError(f"expected 0 to {MOST_GRACE_S:.0f} seconds", field="grace_s")


def check_limits(limits: LimitPart) -> None:
    """Raises InputError."""
    for field in ("memory_bytes", "read_bytes_per_s", "write_bytes_per_s"):
        value = getattr(limits, field)
        if value is not None and not LEAST_BYTES <= value < 1 << 60:
            raise InputError(f"expected {format_bytes(LEAST_BYTES)} or more", field=field)
    if limits.pids is not None and not 1 <= limits.pids <= 1 << 22:
        raise InputError("expected 1 or more", field="pids")
    if limits.cpus is not None and not (math.isfinite(limits.cpus) and 0.01 <= limits.cpus <= 4096):
        raise InputError("expected a number of cores, 0.01 or more", field="cpus")
    _one_of(limits.on_oom, ON_OOM, "on_oom")
    if limits.on_oom == "hold" and limits.memory_bytes is None:
        raise InputError("there is no limit of memory at which to hold it", field="on_oom")


def check_proxy(proxy: str) -> None:
    """Raises InputError."""
    host = proxy.partition("://")[2].partition("/")[0]
    if not host or not proxy.startswith(("http://", "https://")):
        raise InputError("expected http://HOST:PORT", field="route.proxy")
    if "@" in host:
        raise InputError(
            "it holds a user or a password, which inspect and the journal would show",
            field="route.proxy",
            hint="HTTPS_PROXY in the environment may hold them",
        )


def check_route(route: RoutePart) -> None:
    """Raises InputError."""
    _one_of(route.dialect, dialect.DIALECTS, "route.dialect")
    _one_of(route.login, dialect.LOGINS, "route.login")
    if [route.key_file is not None, route.key is not None, route.login == dialect.CLIENT].count(True) > 1:
        raise InputError("more than one of a key, a key file and the client's own login", field="route.key")
    if route.key is not None:
        given.check_source(route.key, "route.key")
    if route.proxy is not None:
        check_proxy(route.proxy)
    if route.ca_file is not None and (not route.ca_file.startswith("/") or "\0" in route.ca_file):
        raise InputError("expected an absolute path", field="route.ca_file")
    if route.concurrent is not None and not 1 <= route.concurrent <= MOST_CONCURRENT:
        raise InputError(f"expected a number of requests, 1 to {MOST_CONCURRENT:,}", field="route.concurrent")
    if route.price is not None:
        for name in route.price.__struct_fields__:
            value = getattr(route.price, name)
            if value is not None and not (math.isfinite(value) and 0 <= value < MOST_USD):
                raise InputError("expected US dollars, 0 or more", field=f"route.price.{name}")
    host = route.url.partition("://")[2].partition("/")[0]
    if not route.url.startswith("unix:/") and not (host and route.url.startswith(("http://", "https://"))):
        raise InputError(
            f"not an address: {route.url[:80]!r}",
            field="route.url",
            hint="expected http://HOST:PORT/v1, https://HOST/v1 or unix:/PATH",
        )
    if "@" in host and not route.url.startswith("unix:/"):  # inspect, ps, events and the journal show the address
        raise InputError(
            "the address holds a user or a password, which everybody who looks at it would see",
            field="route.url",
            hint="put the key into a file that only you can read: --key-file FILE",
        )


def _check_failover(failover: FailoverPart, name: str) -> None:
    if not 0 <= failover.retries <= MOST_RETRIES:
        raise InputError(f"expected 0 to {MOST_RETRIES}", field="failover.retries")
    names = failover.fallback
    if len(names) > MOST_FALLBACKS:
        raise InputError(f"at most {MOST_FALLBACKS} models", field="failover.fallback")
    if not all(0 < len(each) <= MOST_MODEL_CHARS and each.isprintable() for each in names):
        raise InputError("expected names of models", field="failover.fallback")
    if name in names:
        raise InputError(f"{name} cannot fall back to itself", field="failover.fallback")


def check_launch(launch: LaunchPart) -> None:
    """Raises InputError."""
    if not all(b"=" in entry and b"\0" not in entry for entry in launch.environ):
        raise InputError("expected NAME=value without NUL bytes", field="environ")
    if not 0 <= launch.umask <= 0o777:
        raise InputError("expected 0 to 0777", field="umask")
    if not -20 <= launch.nice <= 19:
        raise InputError("expected -20 to 19", field="nice")
    for name, (soft, hard) in launch.rlimits.items():
        if not _RLIMIT.fullmatch(name) or soft < -1 or hard < -1:
            raise InputError(f"not a limit: {name[:20]}", field="rlimits")


def check_rights(caller: Caller, parent: Process | None, spec: SpecPart) -> None:
    """What a supervised process may not ask for. Raises RefusedError, LimitError."""
    if caller.standing == "user":
        return
    if spec.rights == "owner":
        raise RefusedError("only the user can give a process the rights of its owner")
    if spec.secret_sources:  # the daemon would read for it what whatever confines the caller keeps from it
        raise RefusedError(
            "only the user can say where secrets are fetched: the supervisor reads with the user's rights"
        )
    if spec.sockets:  # opened by the daemon, outside of whatever keeps the caller from the network and from folders
        raise RefusedError("only the user can have sockets opened: the supervisor opens them with the user's rights")
    if spec.kind == kind.MODEL:
        raise RefusedError("only the user can add a model", hint="ask for a stored one by name instead")
    if parent is None:
        raise RefusedError("the process that this caller belongs to is not known any more")
    above = parent.row.spec
    if above.budget_tokens is not None and (spec.budget_tokens or 0) > above.budget_tokens:
        raise LimitError(
            f"a budget of {format_count(spec.budget_tokens)} tokens is above that of {parent.row.name} itself, "
            f"{format_count(above.budget_tokens)}"
        )
    if above.vram_bytes is not None and spec.vram_bytes is not None and spec.gpu_count > above.gpu_count:
        raise LimitError(f"{spec.gpu_count} devices are more than {parent.row.name} itself has, {above.gpu_count}")
    if above.vram_bytes is not None and (spec.vram_bytes or 0) > above.vram_bytes:
        raise LimitError(
            f"{format_bytes(spec.vram_bytes)} of VRAM is above the quota of {parent.row.name} itself, "
            f"{format_bytes(above.vram_bytes)}"
        )


def _one_of(value: str, known: tuple[str, ...], field: str) -> None:
    if value not in known:
        raise InputError(f"not one of {', '.join(known)}: {value[:40]!r}", field=field)
