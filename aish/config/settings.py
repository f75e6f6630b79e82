"""The user's config.toml. Everything has a default; what is there is checked, with line and suggestion.

default_model = "smollm2"       # a name that `aish model ls` shows
embedding_model = "smollm2"

[gateway]
port = 0                        # 0: chosen once, then kept
address = "192.168.1.5"         # where it listens beside the loopback, without TLS; "0.0.0.0", "::": everywhere
hosts = ["gpu-box.lan"]         # names of this machine that its clients may use

[attach]
detach = "ctrl-] d"             # the keys that leave an attached process to itself; "none"

[limits]
control_groups = true           # false: process trees are found by tag and session, memory is watched

[logs]
size = "1G"                     # how much of each log stays; without it: all
age = "30d"                     # how long; without it: for ever

[egress]                        # how sandboxes' proxy goes out; without it: as HTTPS_PROXY and the like say
proxy = "http://HOST:PORT"      # "none": directly, whatever the environment says
no_proxy = "corp.example"       # as NO_PROXY: to these directly
key_file = "proxy.key"          # USER:PASSWORD, in a file that only you can read, beside this one

[gpu]
drivers = ["nvml", "simgpu"]
reserve = "512M"                # VRAM per device that is never promised
"""

from __future__ import annotations

import os

from aish.config import folders
from aish.errors import SourceError, UsageError
from aish.model.size import parse_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

EMBEDDED_MODEL: Final = "smollm2"
DETACH: Final = "ctrl-] d"
"""Why these keys: aish.client.hotkeys."""
LEAST_LOG_BYTES: Final = 64 << 10
NONE: Final = "none"
LOOPBACK: Final = "127.0.0.1"
MOST_HOSTS: Final = 64


class Settings:
    __slots__ = (
        "control_groups",
        "default_model",
        "detach",
        "egress_key_file",
        "egress_no_proxy",
        "egress_proxy",
        "embedding_model",
        "gateway_address",
        "gateway_hosts",
        "gateway_port",
        "gpu_drivers",
        "gpu_reserve_bytes",
        "log_age_s",
        "log_bytes",
    )

    def __init__(self) -> None:
        self.default_model: str = EMBEDDED_MODEL
        self.embedding_model: str | None = None  # None: the default model
        self.gateway_port: int = 0
        self.gateway_address: str = LOOPBACK
        self.gateway_hosts: tuple[str, ...] = ()
        self.detach: str = DETACH
        self.control_groups: bool = True
        self.egress_proxy: str | None = None  # None: that of the environment; "": none
        self.egress_no_proxy: str = ""
        self.egress_key_file: str | None = None  # an absolute path
        self.gpu_drivers: tuple[str, ...] = ("nvml", "simgpu")
        self.gpu_reserve_bytes: int = 0
        self.log_bytes: int | None = None  # of stdout and stderr together; None: all of it stays
        self.log_age_s: float | None = None


def path() -> str:
    return os.path.join(folders.config(), "config.toml")


def load(file: str | None = None) -> Settings:
    """Read config.toml; the defaults where there is none. Raises SourceError with file and line."""
    file = path() if file is None else file
    settings = Settings()
    try:
        with open(file, "rb") as stream:
            text = stream.read().decode()
    except FileNotFoundError:
        return settings
    except OSError as error:
        raise SourceError(f"cannot be read: {error.strerror}", file=file) from error
    except UnicodeDecodeError as error:
        raise SourceError("cannot be read: not UTF-8 text", file=file, hint="save it as UTF-8") from error
    import tomllib

    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax(str(error), file, text) from error
    _Reader(file, text).fill(settings, table)
    return settings


def _syntax(message: str, file: str, text: str) -> SourceError:
    """tomllib ends its message with '(at line 2, column 5)' or '(at end of document)'."""
    what, _, place = message.partition(" (at line ")
    line = place.partition(",")[0]
    number = int(line) if line.isdecimal() else None
    lines = text.splitlines()
    source_line = lines[number - 1][:200] if number is not None and number <= len(lines) else None
    hint = 'a line is KEY = VALUE, texts in quotes: default_model = "smollm2"'
    return SourceError(what, file=file, line=number, source_line=source_line, hint=hint)


class _Reader:
    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.lines = text.splitlines()

    def fill(self, settings: Settings, table: dict[str, Any]) -> None:
        self._known(
            table, ("default_model", "embedding_model", "gateway", "attach", "limits", "logs", "egress", "gpu")
        )
        settings.default_model = self._text(table, "default_model", settings.default_model)
        settings.embedding_model = self._text(table, "embedding_model", "") or None
        self._gateway(settings, self._table(table, "gateway"))
        self._attach(settings, self._table(table, "attach"))
        limits = self._table(table, "limits")
        self._known(limits, ("control_groups",))
        groups = limits.get("control_groups", True)
        if not isinstance(groups, bool):
            raise self._error("control_groups", "expected true or false")
        settings.control_groups = groups
        self._logs(settings, self._table(table, "logs"))
        self._egress(settings, self._table(table, "egress"))
        gpu = self._table(table, "gpu")
        self._known(gpu, ("drivers", "reserve"))
        drivers = gpu.get("drivers", list(settings.gpu_drivers))
        if not isinstance(drivers, list) or not all(isinstance(name, str) for name in drivers):
            raise self._error("drivers", 'expected a list of names, such as ["nvml"]')
        settings.gpu_drivers = tuple(drivers)
        try:
            settings.gpu_reserve_bytes = parse_bytes(self._text(gpu, "reserve", "0"))
        except UsageError as error:
            raise self._error("reserve", str(error)) from error

    def _gateway(self, settings: Settings, gateway: dict[str, Any]) -> None:
        self._known(gateway, ("port", "address", "hosts"))
        port = gateway.get("port", 0)
        if not isinstance(port, int) or isinstance(port, bool) or not 0 <= port < 65536:
            raise self._error("port", "expected a port number, 0 to 65535")
        settings.gateway_port = port
        if "address" in gateway:
            settings.gateway_address = self._address(self._text(gateway, "address", ""))
        if "hosts" in gateway:
            settings.gateway_hosts = self._hosts(gateway["hosts"])

    def _address(self, text: str) -> str:
        """In its one spelling."""
        import ipaddress

        hint = 'one of this machine, such as "192.168.1.5"; "0.0.0.0": all, "::": those of IPv6 too'
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            words = "a port has a key of its own" if text.rpartition(":")[2].isdecimal() else "a name may change"
            raise self._error("address", f"expected an address: {words}", hint) from None
        of_a_link = address.version == 6 and (address.is_link_local or address.ipv4_mapped is not None)
        if of_a_link or address.is_multicast or "%" in text:
            raise self._error("address", "nothing can listen there and be reached by that alone", hint)
        return str(address)

    def _hosts(self, names: object) -> tuple[str, ...]:
        import re

        name = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
        if not isinstance(names, list) or len(names) > MOST_HOSTS:
            raise self._error("hosts", f"expected a list of at most {MOST_HOSTS} names", 'hosts = ["gpu-box.lan"]')
        for each in names:
            if not isinstance(each, str) or not name.fullmatch(each):
                shown = each[:80] if isinstance(each, str) else each
                hint = 'each name in full, without port and without *: hosts = ["gpu-box.lan"]'
                raise self._error("hosts", f"not a name of a machine: {shown!r}", hint)
        return tuple(each.lower() for each in names)

    def _attach(self, settings: Settings, attach: dict[str, Any]) -> None:
        from aish.model import keys

        self._known(attach, ("detach",))
        settings.detach = self._text(attach, "detach", DETACH)
        try:
            keys.parse(settings.detach)
        except UsageError as error:
            raise self._error("detach", str(error), error.hint) from error

    def _logs(self, settings: Settings, logs: dict[str, Any]) -> None:
        self._known(logs, ("size", "age"))
        try:
            size = self._text(logs, "size", "")
            settings.log_bytes = parse_bytes(size) if size else None
            if settings.log_bytes is not None and settings.log_bytes < LEAST_LOG_BYTES:
                raise self._error("size", "expected 64K or more")
        except UsageError as error:
            raise self._error("size", str(error)) from error
        age = self._text(logs, "age", "")
        if age:
            from aish.model.moment import parse_duration_s

            try:
                settings.log_age_s = parse_duration_s(age)
            except UsageError as error:
                raise self._error("age", str(error)) from error
            if settings.log_age_s < 1:
                raise self._error("age", "expected 1s or more")

    def _egress(self, settings: Settings, egress: dict[str, Any]) -> None:
        self._known(egress, ("proxy", "no_proxy", "key_file"))
        proxy = self._text(egress, "proxy", "")
        if "@" in proxy:
            raise self._error("proxy", "has a user or a password", 'they belong into a file: key_file = "proxy.key"')
        if proxy not in ("", NONE) and not proxy.startswith(("http://", "https://")):
            raise self._error("proxy", 'expected "http://HOST:PORT", or "none"')
        for key in ("no_proxy", "key_file"):
            if key in egress and proxy in ("", NONE):
                raise self._error(key, "says nothing without proxy", 'proxy = "http://HOST:PORT"')
        settings.egress_proxy = None if not proxy else proxy if proxy != NONE else ""
        settings.egress_no_proxy = self._text(egress, "no_proxy", "")
        key_file = self._text(egress, "key_file", "")
        if key_file:
            folder = os.path.dirname(os.path.abspath(self.file))
            settings.egress_key_file = os.path.join(folder, os.path.expanduser(key_file))

    def _text(self, table: dict[str, Any], key: str, default: str) -> str:
        value = table.get(key, default)
        if not isinstance(value, str):
            raise self._error(key, "expected a text in quotes")
        return value

    def _table(self, table: dict[str, Any], key: str) -> dict[str, Any]:
        value = table.get(key, {})
        if not isinstance(value, dict):
            raise self._error(key, f"expected a table: [{key}]")
        return value

    def _known(self, table: dict[str, Any], keys: tuple[str, ...]) -> None:
        for key in table:
            if key not in keys:
                from aish.model.nearest import nearest

                near = nearest(key, keys)
                hint = f"did you mean {near}?" if near else "known here: " + ", ".join(keys)
                raise self._error(key, f"unknown key {key!r}", hint)

    def _error(self, key: str, message: str, hint: str | None = None) -> SourceError:
        for number, line in enumerate(self.lines, 1):
            if line.split("=")[0].strip(" []\t\"'") == key:
                return SourceError(f"{key}: {message}", file=self.file, line=number, source_line=line, hint=hint)
        return SourceError(f"{key}: {message}", file=self.file, hint=hint)
