"""systemd units: services, and the timers and sockets that start them. Pure."""

from __future__ import annotations

import posixpath
import re
import shlex
from typing import TYPE_CHECKING, Any, Final

from aish.errors import UsageError
from aish.model.size import parse_bytes
from aish.project.importing import unit_file
from aish.project.importing.calendar import cron
from aish.project.importing.draft import plain
from aish.project.importing.unit_file import Unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.project.importing.draft import Draft

_SPECIFIERS: Final = {"%h": "${HOME}", "%u": "${USER}", "%t": "${XDG_RUNTIME_DIR}", "%%": "%", "%T": "/tmp"}  # noqa: S108
_RESTARTS: Final = {"no": "never", "always": "always", "on-failure": "on-failure"}
_NEARLY: Final = ("on-abnormal", "on-abort", "on-watchdog")
_IO: Final = {"idle": "idle", "3": "idle", "best-effort": "best-effort", "2": "best-effort", "realtime": "realtime"}
_SILENT: Final = frozenset(("Description", "Documentation", "Alias", "Also"))
"""Nothing is lost with them: a comment is a comment."""
_LOGGED: Final = ("inherit", "journal", "syslog", "")
"""Where output goes to a log, as it does here."""
_WHY: Final = {
    "User": "it runs as who brings it up",
    "Group": "it runs as who brings it up",
    "ExecStop": "a process is ended by a signal; `after` runs a command then",
    "ExecReload": "`aish kill -s HUP NAME` tells a process to reload",
    "WantedBy": "`aish up` starts it; `aish systemd install` does so at boot",
    "RequiredBy": "`aish up` starts it; `aish systemd install` does so at boot",
    "LoadCredential": "write it as one of `secrets`",
}


def read(units: Sequence[tuple[str, str]], draft: Draft) -> None:
    """(name, text) each; a timer or socket is about the service of its name. Raises SourceError."""
    parsed = {posixpath.basename(name): unit_file.parse(text, name) for name, text in units}
    names = {base for base in parsed if base.endswith(".service")}
    timers = {_of(base, unit, "Timer", "Unit"): unit for base, unit in parsed.items() if base.endswith(".timer")}
    sockets = {
        _of(base, unit, "Socket", "Service"): unit for base, unit in parsed.items() if base.endswith(".socket")
    }
    for base in sorted(names):
        _Service(base, parsed[base], names, draft).take(timers.pop(base, None), sockets.pop(base, None))
    for service, unit in (*timers.items(), *sockets.items()):
        draft.leave(unit.file, "the unit", f"it is about {service}, which is not among what is imported")


def _of(base: str, unit: Unit, section: str, key: str) -> str:
    return unit.pop(section, key) or base.rpartition(".")[0] + ".service"


class _Service:
    def __init__(self, base: str, unit: Unit, names: set[str], draft: Draft) -> None:
        self.name = base.removesuffix(".service")
        self.unit = unit
        self.names = names
        self.draft = draft
        self.table: dict[str, Any] = {}

    def take(self, timer: Unit | None, socket: Unit | None) -> None:
        starts = self.unit.all("Service", "ExecStart")
        if not starts:
            self.leave("the unit", "it has no ExecStart")
            return
        schedule = self._timer(timer) if timer is not None else None
        self.table = self.draft.entry("services" if schedule is None else "schedules", self.name, self.unit.file)
        self.table |= schedule or {}
        self.table |= self._run(starts)
        self._surroundings()
        self._type()
        self._restart()
        self._times()
        self._limits()
        self._order()
        self._output()
        for key, name in (("ExecStartPre", "before"), ("ExecStopPost", "after")):
            lines = self.unit.all("Service", key)
            if lines:
                self.table[name] = " && ".join(self._specified(plain(self._line(line, key))) for line in lines)
        if socket is not None:
            self._sockets(socket)
        for section, key, value in self.unit.rest():
            if key not in _SILENT and not key.startswith("X-"):
                self.leave(f"[{section}] {key}={value[:60]}", _WHY.get(key, "there is no such key in aish.toml"))

    def leave(self, what: str, why: str) -> None:
        self.draft.leave(self.unit.file, what, why)

    # --- what is run ------------------------------------------------------------------------------------------------

    def _run(self, starts: list[str]) -> dict[str, Any]:
        """systemd puts variables into words itself; a shell does it here."""
        lines = [self._line(line, "ExecStart") for line in starts]
        if len(lines) == 1 and "$" not in lines[0] and "%" not in lines[0]:
            try:
                return {"command": [plain(word) for word in shlex.split(lines[0])]}
            except ValueError:
                pass
        joined = " && ".join(map(unsplit, lines))
        return {"shell": self._specified(plain(f"exec {joined}" if len(lines) == 1 else joined))}

    def _line(self, line: str, key: str) -> str:
        """Without the marks that stand before the program."""
        bare = line.lstrip("-@:+!|")
        marks = line[: len(line) - len(bare)]
        if "-" in marks:
            self.leave(f"{key}=-…", "a failure of it counts now")
        if set(marks) & {"@", "+", "!"}:
            self.leave(f"{key}={marks}…", "no other rights and no other argv[0]")
        return bare

    def _specified(self, text: str) -> str:
        def told(found: re.Match[str]) -> str:
            if found[0] not in _SPECIFIERS:
                self.leave(found[0], "what systemd puts there is not known here")
            return _SPECIFIERS.get(found[0], found[0])

        return re.sub(r"%[A-Za-z%]", told, text)

    def _surroundings(self) -> None:
        folder = self.unit.pop("Service", "WorkingDirectory")
        if folder:
            self.table["cwd"] = self._specified(plain(folder.lstrip("-")))
        env: dict[str, str] = {}
        for line in self.unit.all("Service", "Environment"):
            try:
                words = shlex.split(line)
            except ValueError:
                self.leave("Environment", "a quotation mark has no other one")
                continue
            for word in words:
                name, equals, value = word.partition("=")
                if equals and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                    env[name] = self._specified(plain(value))
        if env:
            self.table["env"] = env
        files = self.unit.all("Service", "EnvironmentFile")
        if files:
            self.table["env_file"] = [self._specified(plain(path.lstrip("-"))) for path in files]
            if any(path.startswith("-") for path in files):
                self.leave("EnvironmentFile=-…", "it must be there now")
        passed = " ".join(self.unit.all("Service", "PassEnvironment")).split()
        if passed:
            self.table["inherit"] = passed
        self._number("Service", "UMask", "umask", r"0?[0-7]{3}")
        for key, name in (("Nice", "nice"), ("OOMScoreAdjust", "oom_score"), ("FileDescriptorStoreMax", "kept_fds")):
            number = self.unit.pop("Service", key)
            if number and re.fullmatch(r"-?\d{1,6}", number):
                self.table[name] = int(number)
        kind = _IO.get(self.unit.pop("Service", "IOSchedulingClass") or "")
        level = self.unit.pop("Service", "IOSchedulingPriority")
        if kind:
            self.table["ionice"] = f"{kind}:{level}" if level and kind != "idle" else kind
        if self.unit.pop("Service", "TTYPath"):
            self.table["pty"] = True

    def _number(self, section: str, key: str, name: str, pattern: str) -> None:
        value = self.unit.pop(section, key)
        if value and re.fullmatch(pattern, value):
            self.table[name] = value

    # --- its life ---------------------------------------------------------------------------------------------------

    def _type(self) -> None:
        kind = self.unit.pop("Service", "Type") or "simple"
        if kind in ("notify", "notify-reload"):
            self.table["ready"] = {"notify": True}
        elif kind in ("forking", "dbus"):
            self.leave(f"Type={kind}", "what is run must stay in the foreground: look for its option")
        watchdog = unit_file.seconds(self.unit.pop("Service", "WatchdogSec"))
        if watchdog:
            self.table["live"] = {"notify": True, "timeout": watchdog}

    def _restart(self) -> None:
        said = self.unit.pop("Service", "Restart") or "no"
        word = _RESTARTS.get(said, "on-failure" if said in _NEARLY else "never")
        if said not in _RESTARTS:
            self.leave(f"Restart={said}", f"{word} is the nearest")
        more: dict[str, Any] = {}
        delay = unit_file.seconds(self.unit.pop("Service", "RestartSec"))
        if delay:
            more["delay"] = delay
        for section in ("Unit", "Service"):
            most = self.unit.pop(section, "StartLimitBurst")
            window = unit_file.seconds(
                self.unit.pop(section, "StartLimitIntervalSec") or self.unit.pop(section, "StartLimitInterval")
            )
            if most and most.isdecimal() and int(most) <= 1000:
                more["most"] = int(most)
            if window:
                more["window"] = window
        self.table["restart"] = {"policy": word, **more} if more and word != "never" else word

    def _times(self) -> None:
        both = unit_file.seconds(self.unit.pop("Service", "TimeoutSec"))
        start = unit_file.seconds(self.unit.pop("Service", "TimeoutStartSec")) or both
        grace = unit_file.seconds(self.unit.pop("Service", "TimeoutStopSec")) or both
        longest = unit_file.seconds(self.unit.pop("Service", "RuntimeMaxSec"))
        times = {name: value for name, value in (("start", start), ("run", longest)) if value}
        if times:
            self.table["timeouts"] = times
        signal = self.unit.pop("Service", "KillSignal")
        stop = {name: value for name, value in (("signal", signal), ("grace", grace)) if value}
        if stop:
            self.table["stop"] = stop

    def _limits(self) -> None:
        limits: dict[str, Any] = {}
        memory = self.unit.pop("Service", "MemoryMax") or self.unit.pop("Service", "MemoryLimit")
        if memory and memory != "infinity":
            try:
                parse_bytes(memory)
                limits["memory"] = memory
            except UsageError:
                self.leave(f"MemoryMax={memory}", "write a size")
        quota = self.unit.pop("Service", "CPUQuota")
        if quota and re.fullmatch(r"\d{1,6}%", quota):
            limits["cpus"] = f"{int(quota[:-1]) / 100:g}"
        tasks = self.unit.pop("Service", "TasksMax")
        if tasks and tasks.isdecimal():
            limits["pids"] = tasks
        if limits:
            self.table["limits"] = limits

    def _order(self) -> None:
        """After alone is an order, not a need; aish has needs only."""
        needs: dict[str, str] = {}
        for key in ("Requires", "Requisite", "BindsTo", "Wants", "After"):
            for other in " ".join(self.unit.all("Unit", key)).split():
                if other in self.names and other != f"{self.name}.service":
                    needs[other.removesuffix(".service")] = key
                elif other.endswith(".service"):
                    self.leave(f"{key}={other}", "it is not among what is imported")
        if needs:
            self.table["needs"] = list(needs)

    def _output(self) -> None:
        for key in ("StandardOutput", "StandardError"):
            where = self.unit.pop("Service", key)
            if where is not None and where not in _LOGGED:
                why = f"it goes to its log: `aish logs {self.name}`; redirect it in its command line where it has to"
                self.leave(f"{key}={where[:60]}", why)

    # --- timers and sockets -----------------------------------------------------------------------------------------

    def _timer(self, timer: Unit) -> dict[str, Any] | None:
        """None where no time of it can be told by cron."""
        calendars = timer.all("Timer", "OnCalendar")
        lines = [cron(line) for line in calendars]
        found = [line for line in lines if line is not None]
        for line, told in zip(calendars, lines, strict=True):
            if told is None:
                self.draft.leave(
                    timer.file, f"OnCalendar={line}", "cron cannot tell it, or it is not understood here"
                )
        for line in found[1:]:
            self.draft.leave(timer.file, f"a second time, {line}", "a schedule has one; copy it under another name")
        missed = timer.pop("Timer", "Persistent")
        for section, key, value in timer.rest():
            if key not in _SILENT and section != "Install":
                self.draft.leave(timer.file, f"[{section}] {key}={value[:60]}", "there is no such key in aish.toml")
        if not found:
            return None
        return {"cron": found[0]} | ({"missed": "once"} if missed in ("true", "yes", "on", "1") else {})

    def _sockets(self, unit: Unit) -> None:
        name, mode = unit.pop("Socket", "FileDescriptorName"), unit.pop("Socket", "SocketMode")
        backlog = unit.pop("Socket", "Backlog")
        more = {"name": name, "mode": mode} | ({"backlog": int(backlog)} if backlog and backlog.isdecimal() else {})
        found = []
        for key, kind in (("ListenStream", "stream"), ("ListenDatagram", "datagram")):
            for where in unit.all("Socket", key):
                address = _address(where)
                if address is None:
                    self.draft.leave(unit.file, f"{key}={where}", "it is no HOST:PORT and no path")
                    continue
                full = {"address": self._specified(address), "kind": kind, **more}
                found.append({key: value for key, value in full.items() if value})
        for section, key, value in unit.rest():
            if section == "Socket":
                self.draft.leave(unit.file, f"{key}={value[:60]}", "there is no such key in aish.toml")
        if found:
            self.table["sockets"] = found


def _address(where: str) -> str | None:
    if where.startswith(("/", "%h/", "%t/", "%T/")):
        return "unix:" + plain(where)
    if where.isdecimal():
        return f"0.0.0.0:{where}"
    return where if re.fullmatch(r"[^\s/]+:\d{1,5}", where) else None


def unsplit(line: str) -> str:
    """A command line of systemd's for sh: there `${NAME}` stays one word, and is put in between quotation marks of
    either kind (systemd.service(5), Command Lines). Pure."""
    found: list[str] = []
    quote = ""
    for part in re.split(r"(\\.|['\"]|\$\{[A-Za-z_][A-Za-z0-9_]*\})", line):
        if part in ("'", '"') and quote in ("", part):
            quote = "" if quote else part
            found.append(part)
        elif part.startswith("${") and quote != '"':
            found.append(f"'\"{part}\"'" if quote else f'"{part}"')
        else:
            found.append(part)
    return "".join(found)
