"""Whether the supervisor outlives a logout, and what it takes: a systemd scope of its own where lingering is on.

A scope lies under the user's own systemd, which ends with the last logout unless `loginctl enable-linger` was said.
What was started without one stays where its starter is: in the session's scope, which logind leaves alone unless
logind.conf(5) has KillUserProcesses=yes; or, from a terminal of some desktops and from a unit, under the user's own
systemd, and ends with that.
"""

from __future__ import annotations

import glob
import os
import re
import secrets
import shutil
from typing import Final, NamedTuple

LINGER_FOLDER: Final = "/var/lib/systemd/linger"
BOOTED: Final = "/run/systemd/system"
"""There where systemd is the init: sd_booted(3)."""
LOGIND_CONF: Final = (
    "/usr/lib/systemd/logind.conf.d/*.conf",
    "/etc/systemd/logind.conf",
    "/etc/systemd/logind.conf.d/*.conf",
)
UNIT: Final = "aish-"
_MANAGER: Final = re.compile(r"/user@\d+\.service(/|$)", re.MULTILINE)
"""In the path of a control group: what the user's own systemd has started."""
_HINT: Final = "`loginctl enable-linger` keeps it; then `aish shutdown` once, so that it starts in a scope of its own"


class Place(NamedTuple):
    """Where a supervisor is started, and whether a logout ends it."""

    prefix: tuple[str, ...]
    """Words in front of its command: systemd-run's; empty: as a session of its own, by setsid(2)."""
    survives: bool | None
    """A logout; None: nothing here knows of logouts (no systemd)."""
    text: str
    hint: str | None = None


def find() -> Place:
    """Looked up anew each time: lingering may have been turned on since."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    return decide(
        booted=os.path.isdir(BOOTED),
        manager=os.path.exists(os.path.join(runtime, "systemd", "private")) if runtime else False,
        lingers=os.path.exists(os.path.join(LINGER_FOLDER, user())),
        kills=kills_user_processes(_texts()),
        below=below_manager(_own_groups()),
        systemd_run=shutil.which("systemd-run"),
    )


def decide(*, booted: bool, manager: bool, lingers: bool, kills: bool, below: bool, systemd_run: str | None) -> Place:
    """`manager`: the user's own systemd runs; `below`: we are in one of its units. Pure but for the scope's random
    name."""
    if not booted:
        return Place((), None, "no systemd: a session of its own, which logouts do not end")
    if lingers and manager and systemd_run is not None:
        words = (systemd_run, "--user", "--scope", "--quiet", "--collect", "--property=Delegate=yes")
        unit = f"--unit={UNIT}{secrets.token_hex(4)}.scope"
        return Place((*words, unit, "--description=aish supervisor", "--"), True, "a systemd scope: lingering is on")
    if kills:
        return Place((), False, "the last logout ends it: logind has KillUserProcesses=yes", _HINT)
    if below and not lingers:
        return Place(
            (), False, "the last logout ends it: it is in a unit of your own systemd, which ends then", _HINT
        )
    if lingers:
        return Place((), True, "a session of its own: lingering is on, but the user's systemd cannot be reached")
    return Place((), True, "a session of its own, which logind leaves alone: KillUserProcesses is off")


def kills_user_processes(texts: list[str]) -> bool:
    """What logind.conf(5) and its drop-ins say together, the last word counts; systemd's own default is yes, which
    Debian and its children turn off in the file that they ship. Pure."""
    found = False
    for text in texts:
        for line in text.splitlines():
            name, _, value = line.partition("=")
            if name.strip() == "KillUserProcesses":
                found = value.strip().lower() in ("yes", "true", "on", "1", "y", "t")
    return found


def own() -> str | None:
    """The scope that this process is in, if it is one of ours."""
    return scope_in(_own_groups())


def below_manager(text: str) -> bool:
    """Whether a process is in a unit of the user's own systemd, by what its /proc/PID/cgroup says. Pure."""
    return _MANAGER.search(text) is not None


def scope_in(text: str) -> str | None:
    """The last part of a group's path that is a scope of ours, in what /proc/PID/cgroup says. Pure."""
    for line in text.splitlines():
        for part in line.rpartition(":")[2].split("/"):
            if part.startswith(UNIT) and part.endswith(".scope"):
                return part
    return None


def _own_groups() -> str:
    try:
        with open("/proc/self/cgroup", encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _texts() -> list[str]:
    found = []
    for pattern in LOGIND_CONF:
        for path in sorted(glob.glob(pattern)):
            try:
                with open(path, encoding="utf-8", errors="replace") as file:
                    found.append(file.read(65536))
            except OSError:
                continue  # not ours to read: then it says nothing
    return found


def user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a user of a container without a name
        return str(os.getuid())
