"""A compose file (`services`), or one of process-compose (`processes`): what it runs, not in what. Pure."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any, Final

import yaml

from aish.errors import InputError, SourceError
from aish.model import label
from aish.project.importing.procfile import run as shell_line

if TYPE_CHECKING:
    from aish.project.importing.draft import Draft

DEPTH_MAX: Final = 32
NODES_MAX: Final = 50_000
MERGES_MAX: Final = 64
_UNTIL: Final = {
    "service_started": "started",
    "service_healthy": "ready",
    "service_completed_successfully": "completed",
    "process_started": "started",
    "process_healthy": "ready",
    "process_log_ready": "ready",
    "process_completed_successfully": "completed",
    "process_completed": "completed",
}
_RESTARTS: Final = {"no": "never", "always": "always", "unless-stopped": "always", "on-failure": "on-failure"}
_RESTARTS_PC: Final = {"no": "never", "always": "always", "on_failure": "on-failure", "exit_on_failure": "never"}
_DURATION: Final = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?")
_VARIABLE: Final = re.compile(r"\$\$|\$\{[^}]*\}|\$([A-Za-z_][A-Za-z0-9_]*)")
_CONTAINER: Final = "it belongs to containers, which are not run here"
_OF_CONTAINERS: Final = frozenset(
    (
        *("image", "build", "container_name", "volumes", "networks", "network_mode", "ports", "expose", "links"),
        *("cap_add", "cap_drop", "devices", "dns", "extra_hosts", "hostname", "ipc", "pid", "platform", "privileged"),
        *("pull_policy", "read_only", "security_opt", "shm_size", "sysctls", "tmpfs", "user", "volumes_from"),
        *("logging", "init", "configs", "domainname", "isolation", "runtime", "userns_mode", "group_add"),
    )
)


def read(text: str, file: str, draft: Draft) -> None:
    """Raises SourceError: not YAML, or out of bounds."""
    root = load(text, file)
    if not isinstance(root, dict):
        raise SourceError("not a compose file: it is no table", file=file)
    env = root.get("environment")
    if env:
        draft.env |= _environment(env, "environment", file, draft)
    for key in root:
        if key not in ("services", "processes", "environment", "version", "name") and not key.startswith("x-"):
            draft.leave(file, key, _CONTAINER if key in ("volumes", "networks", "configs") else "not known here")
    for section, of_processes in (("services", False), ("processes", True)):
        tables = root.get(section) or {}
        if not isinstance(tables, dict):
            raise SourceError(f"{section} is no table", file=file)
        for name, table in tables.items():
            if isinstance(table, dict):
                _Service(name, _merged(table), file, draft, of_processes=of_processes).take()
            else:
                draft.leave(file, f"{section}.{name}", "it is no table")


def load(text: str, file: str) -> Any:
    """Every scalar as text. Aliases are shared, never copied, and merges are left to `_merged`: no bomb goes off."""
    try:
        depth = 0
        for count, event in enumerate(yaml.parse(text, Loader=yaml.BaseLoader)):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > DEPTH_MAX or count > NODES_MAX:
                line = None if event.start_mark is None else event.start_mark.line + 1
                raise SourceError("too deep or too long for a compose file", file=file, line=line)
        return yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506  BaseLoader makes texts, lists and tables only
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else mark.line + 1
        raise SourceError(f"not YAML: {error.problem or error.context}", file=file, line=line) from error
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise SourceError("not YAML", file=file) from error


def _merged(table: dict[str, Any]) -> dict[str, Any]:
    """With what `<<` names; the table's own keys win."""
    found = {key: item for key, item in table.items() if key != "<<"}
    pending = [table.get("<<")]
    for _ in range(MERGES_MAX):
        if not pending:
            break
        item = pending.pop(0)
        if isinstance(item, list):
            pending += item[:MERGES_MAX]
        elif isinstance(item, dict):
            found = {key: each for key, each in item.items() if key != "<<"} | found
            pending.append(item.get("<<"))
    return found


class _Service:
    """One of them, key by key; what nobody asked for at the end is left."""

    def __init__(self, name: str, table: dict[str, Any], file: str, draft: Draft, *, of_processes: bool) -> None:
        self.name = name
        self.left = table
        self.file = file
        self.draft = draft
        self.of_processes = of_processes

    def take(self) -> None:
        runs = self._command()
        if runs is None:
            self._leave("", "it runs what its image says, and " + _CONTAINER)
            return
        table = self.draft.entry("services", self.name, self.file)
        table |= runs
        folder = self._text("working_dir")
        if folder is not None:
            table["cwd"] = folder
        env = self.left.pop("environment", None)
        if env:
            table["env"] = _environment(env, self.name, self.file, self.draft)
        files = self.left.pop("env_file", None)
        if files:
            words = files if isinstance(files, list) else [files]
            table["env_file"] = [
                each.get("path", "") if isinstance(each, dict) else _variables(each) for each in words
            ]
        self._needs(table)
        self._probes(table)
        self._restart(table)
        self._stop(table)
        self._limits(table)
        self._labels(table)
        self._oom_score(table)
        profiles = self.left.pop("profiles", None)
        if isinstance(profiles, list):
            table["profiles"] = profiles
        if (self._text("tty") or self._text("is_tty")) == "true":
            table["pty"] = True
        if self._text("disabled") == "true":
            table["profiles"] = ["disabled"]
            self._leave("disabled", "it is of a profile `disabled` now")
        for key in self.left:
            self._leave(key, _CONTAINER if key in _OF_CONTAINERS else "there is no such key in aish.toml")

    def _command(self) -> dict[str, Any] | None:
        command, entrypoint = self.left.pop("command", None), self.left.pop("entrypoint", None)
        if self.of_processes and isinstance(command, str) and command.strip():
            return _run(command)
        words = [*self._words(entrypoint), *self._words(command)]
        return {"command": words} if words else None

    def _words(self, said: Any) -> list[str]:
        """Docker parts a text into words; no shell runs it."""
        if isinstance(said, list):
            return [_variables(word) for word in said if isinstance(word, str)]
        if not isinstance(said, str) or not said.strip():
            return []
        try:
            return [_variables(word) for word in shlex.split(said)]
        except ValueError:
            self._leave("command", "a quotation mark has no other one; it is left to the shell")
            return ["sh", "-c", _variables(said)]

    def _needs(self, table: dict[str, Any]) -> None:
        said = self.left.pop("depends_on", None)
        needs: list[Any] = []
        if isinstance(said, list):
            needs = [{"name": name, "until": "started"} for name in said if isinstance(name, str)]
        elif isinstance(said, dict):
            for name, how in said.items():
                condition = how.get("condition", "") if isinstance(how, dict) else ""
                until = _UNTIL.get(condition, "started")
                needs.append(name if until == "ready" else {"name": name, "until": until})
                if condition == "process_completed":
                    self._leave(f"depends_on.{name}", "it must complete successfully now")
                if isinstance(how, dict) and how.get("required") == "false":
                    self._leave(f"depends_on.{name}.required", "what is needed is started, too")
        if needs:
            table["needs"] = needs

    def _probes(self, table: dict[str, Any]) -> None:
        check = self.left.pop("healthcheck", None)
        if isinstance(check, dict) and check.get("disable") != "true":
            test = check.get("test")
            if isinstance(test, list) and test[:1] == ["CMD"]:
                probe: dict[str, Any] | None = {"exec": [_variables(word) for word in test[1:]]}
            elif isinstance(test, list) and test[:1] == ["CMD-SHELL"]:
                probe = {"exec": _variables(" ".join(test[1:]))}
            else:
                probe = {"exec": _variables(test)} if isinstance(test, str) else None
            if probe is not None:
                for key, name in (("interval", "every"), ("timeout", "timeout"), ("start_interval", "")):
                    seconds = duration(check.get(key))
                    if name and seconds:
                        probe[name] = seconds
                if str(check.get("retries", "")).isdecimal():
                    probe["failures"] = max(1, int(check["retries"]))
                table["ready"] = probe
                self._leave(
                    "healthcheck", "it decides when it is ready; to be ended when it fails later: live = the same"
                )
        for key, name in (("readiness_probe", "ready"), ("liveness_probe", "live")):
            self._process_probe(key, name, table)
        line = self._text("ready_log_line")
        if line is not None and "ready" not in table:
            table["ready"] = {"log": re.escape(line).replace("\\ ", " ")}

    def _process_probe(self, key: str, name: str, table: dict[str, Any]) -> None:
        said = self.left.pop(key, None)
        if not isinstance(said, dict):
            return
        http, command = said.get("http_get"), said.get("exec")
        probe: dict[str, Any] = {}
        if isinstance(http, dict):
            host, port = http.get("host", "127.0.0.1"), http.get("port", "80")
            probe["http"] = f"{http.get('scheme', 'http')}://{host}:{port}{http.get('path', '/')}"
        elif isinstance(command, dict) and command.get("command"):
            probe["exec"] = _variables(command["command"])
        else:
            self._leave(key, "it has neither http_get nor exec.command")
            return
        for field, word in (("period_seconds", "every"), ("timeout_seconds", "timeout")):
            if str(said.get(field, "")).isdecimal():
                probe[word] = f"{said[field]}s"
        if str(said.get("failure_threshold", "")).isdecimal():
            probe["failures"] = max(1, int(said["failure_threshold"]))
        table[name] = probe

    def _restart(self, table: dict[str, Any]) -> None:
        """What says nothing is not started again, there."""
        said = self._text("restart") or "no"
        policy, _, most = said.partition(":")
        word = _RESTARTS.get(policy)
        more: dict[str, Any] = {"most": int(most)} if most.isdecimal() and int(most) <= 1000 else {}
        availability = self.left.pop("availability", None)
        if isinstance(availability, dict):
            word = _RESTARTS_PC.get(availability.get("restart", "no"), "never")
            if str(availability.get("backoff_seconds", "")).isdecimal():
                more["delay"] = f"{availability['backoff_seconds']}s"
            if str(availability.get("max_restarts", "0")).strip("0").isdecimal():
                more["most"] = min(1000, int(availability["max_restarts"]))
        if word is None:
            self._leave("restart", f"{said}: no such policy")
            word = "never"
        table["restart"] = {"policy": word, **more} if more else word

    def _stop(self, table: dict[str, Any]) -> None:
        stop: dict[str, Any] = {}
        signal = self._text("stop_signal")
        grace = duration(self._text("stop_grace_period"))
        shutdown = self.left.pop("shutdown", None)
        if isinstance(shutdown, dict):
            signal = signal or shutdown.get("signal")
            seconds = str(shutdown.get("timeout_seconds", ""))
            grace = grace or (f"{seconds}s" if seconds.isdecimal() else None)
            if "command" in shutdown:
                self._leave("shutdown.command", "a process is ended by a signal; `after` runs a command then")
        if signal:
            stop["signal"] = signal
        if grace:
            stop["grace"] = grace
        if stop:
            table["stop"] = stop

    def _limits(self, table: dict[str, Any]) -> None:
        deploy = self.left.pop("deploy", None)
        said: dict[str, Any] = {}
        if isinstance(deploy, dict):
            resources = deploy.get("resources")
            limits = resources.get("limits") if isinstance(resources, dict) else None
            said = dict(limits) if isinstance(limits, dict) else {}
            for key in deploy:
                if key != "resources":
                    self._leave(f"deploy.{key}", "it belongs to swarms")
        limits = {}
        for name, older in (("memory", "mem_limit"), ("cpus", "cpus"), ("pids", "pids_limit")):
            by_itself = self._text(older)
            limits[name] = said.get(name) or by_itself
            if said.get(name) and by_itself and str(said[name]) != by_itself:
                self._leave(older, f"deploy.resources.limits.{name} says {said[name]}")
        found = {key: str(value) for key, value in limits.items() if value and str(value) not in ("0", "-1")}
        if found:
            table["limits"] = found

    def _labels(self, table: dict[str, Any]) -> None:
        """A table, or a list of KEY=VALUE."""
        said = self.left.pop("labels", None)
        if isinstance(said, list):
            said = dict(str(item).partition("=")[::2] for item in said)
        labels: dict[str, str] = {}
        for key, value in said.items() if isinstance(said, dict) else ():
            try:
                label.check({**labels, key: str(value)})
            except InputError as error:
                self._leave(f"labels.{key[:60]}", str(error))
            else:
                labels[key] = _variables(str(value))
        if labels:
            table["labels"] = labels

    def _oom_score(self, table: dict[str, Any]) -> None:
        score = self._text("oom_score_adj")
        if score is not None and re.fullmatch(r"-?\d{1,4}", score) and abs(int(score)) <= 1000:
            table["oom_score"] = int(score)
        elif score is not None:
            self._leave("oom_score_adj", f"{score[:60]}: a number from -1000 to 1000 is")

    def _text(self, key: str) -> str | None:
        value = self.left.pop(key, None)
        return _variables(value) if isinstance(value, str) and value else None

    def _leave(self, key: str, why: str) -> None:
        self.draft.leave(self.file, f"{self.name}.{key}" if key else self.name, why)


def _run(line: str) -> dict[str, Any]:
    return {key: _variables(line) for key in shell_line(line)}


_NULLS: Final = ("", "~", "null", "Null", "NULL")
"""A variable without a value is the caller's. (Which of these stood in quotes, the reader does not tell.)"""


def _environment(said: Any, name: str, file: str, draft: Draft) -> dict[str, str]:
    pairs = said.items() if isinstance(said, dict) else [str(item).partition("=")[::2] for item in said]
    found: dict[str, str] = {}
    for key, value in pairs:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key):
            draft.leave(file, f"{name}.environment.{key}", "it is no name of a variable")
        elif isinstance(value, str):
            bare = key in said if isinstance(said, list) else value in _NULLS
            found[key] = f"${{{key}:-}}" if bare else _variables(value)
    return found


def _variables(text: str) -> str:
    """$NAME as ${NAME}: aish.toml leaves what has no brace to shells."""
    return _VARIABLE.sub(lambda found: f"${{{found[1]}:-}}" if found[1] else found[0], text)


def duration(text: Any) -> str | None:
    """1m30s as aish.toml has it; None where there is none."""
    found = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if found is None or not any(found.groups()):
        return None
    hours, minutes, seconds, thousandths = (float(part or 0) for part in found.groups())
    return f"{hours * 3600 + minutes * 60 + seconds + thousandths / 1000:g}s"
