"""Doctor: what holds and what does not, one finding a line."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from aish.client import scope
from aish.config import folders
from aish.errors import UnavailableError
from aish.model import kind, state
from aish.model.size import format_bytes
from aish.supervisor.daemon import authority, sandboxes
from aish.supervisor.daemon.cgroup import WANTED
from aish.supervisor.holder import kernel
from aish.wire.message import VERSION, Doctor
from aish.wire.part import Finding
from aish.wire.reply import Findings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aish.supervisor.daemon.authority import Caller
    from aish.supervisor.daemon.cgroup import Layout
    from aish.supervisor.daemon.daemon import Daemon
    from aish.supervisor.daemon.system_child import SystemChild

LOW_DISK_BYTES: Final = 1 << 30
DELEGATE: Final = "a user's systemd delegates control groups: loginctl enable-linger, then `aish shutdown`"


class Doctors:
    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    async def doctor(self, caller: Caller, request: Doctor) -> Findings:
        authority.check(self.daemon.table, caller, "Doctor")
        await self.daemon.gpus.wait_known(3.0)
        with suppress(UnavailableError):  # `_programs` says so
            await self.daemon.holding.answers()
        return Findings(
            findings=[
                *self._programs(),
                *self._models(),
                _logout(),
                *self._folders(),
                *self._logs(),
                *self._gpus(),
                limits(self.daemon.reach.layout),
                *self._nice(),
                *await asyncio.to_thread(sandboxes.findings),
                await asyncio.to_thread(_exits),
                *_system(),
                *(
                    Finding(level="warn", topic="alert", text=alert)
                    for alert in self.daemon.alerts()
                    if alert not in (self.daemon.holding.silence.behind(), self.daemon.upgrade.alert())
                ),
            ]
        )

    def _programs(self) -> Iterator[Finding]:
        daemon = self.daemon
        from importlib import metadata  # costs a tenth of the start-up time

        version = metadata.version("aish-shell")
        yield Finding(level="ok", topic="version", text=f"aish {version}, protocol {VERSION}, build {daemon.build}")
        refused = daemon.upgrade.alert()
        if refused is not None:
            hint = "it is tried again when its files change; what it said is in the log"
            yield Finding(level="warn", topic="version", text=refused, hint=hint)
        elif daemon.upgrade.differs():
            daemon.upgrade.look_closely()  # files that were changed in place are noticed by nobody else
            text = "the program was replaced since the daemon began: it is tried, and taken if it starts"
            yield Finding(level="warn", topic="version", text=text)
        holding = daemon.holding
        silent = holding.silence.behind()
        text = f"keeper {holding.keeper_pid}, holder {holding.pid}, daemon {os.getpid()}"
        yield Finding(
            level="fail" if silent else "ok", topic="programs", text=f"{text}: {silent}" if silent else text
        )
        yield daemon.parents.finding()
        yield _of_child(daemon.gateway, connected=daemon.link.connected)
        yield from _beyond(daemon.gateway)
        yield _of_child(daemon.egress, connected=daemon.egress_link.connection is not None)

    def _nice(self) -> Iterator[Finding]:
        lowest = self.daemon.launcher.lowest_nice
        if lowest is not None:
            text = f"{lowest} is the lowest niceness that is given here: less takes root, or RLIMIT_NICE"
            yield Finding(level="ok", topic="nice", text=text)

    def _models(self) -> Iterator[Finding]:
        """Those that cannot be asked as things are."""
        now_s = time.time()
        for process in self.daemon.table:
            row = process.row
            if row.spec.kind != kind.MODEL or row.ended:
                continue
            if process.hopeless is not None:
                hint = f"`aish inspect {row.name}` shows its address and where its key comes from"
                yield Finding(level="fail", topic="model", text=f"{row.name}: {process.hopeless}", hint=hint)
            elif process.rest is not None and process.rest[0] > now_s:
                yield Finding(level="warn", topic="model", text=f"{row.name} {process.shown(now_s)}")

    def _folders(self) -> Iterator[Finding]:
        places = {"runtime": folders.runtime(), "state": folders.state(), "data": folders.data()}
        for name, path in places.items():
            if not os.path.isdir(path):
                yield Finding(level="ok", topic=name, text=f"{path} (not there yet)")
                continue
            free_bytes = shutil.disk_usage(path).free
            low = free_bytes < LOW_DISK_BYTES and name != "runtime"
            writable = os.access(path, os.W_OK)
            yield Finding(
                level="fail" if not writable else "warn" if low else "ok",
                topic=name,
                text=f"{path}, {format_bytes(free_bytes)} free" + ("" if writable else ", not writable"),
                hint="free some space" if low else None,
            )
        yield Finding(level="ok", topic="log", text=os.path.join(folders.state(), "daemon.log"))

    def _logs(self) -> Iterator[Finding]:
        keeper = self.daemon.log_keeper
        if keeper.index.unwatched:
            text = f"{keeper.index.unwatched} logs have no watch: they are looked at ten times a second"
            hint = "raise fs.inotify.max_user_watches: sysctl -w fs.inotify.max_user_watches=524288"
            yield Finding(level="warn", topic="logs", text=text, hint=hint)
        if not keeper.retention.able:
            text = "the file system gives no beginning of a file back: logs are kept whole, whatever was asked for"
            yield Finding(level="warn", topic="logs", text=text, hint="point XDG_STATE_HOME at ext4, xfs or btrfs")

    def _gpus(self) -> Iterator[Finding]:
        for name, driver in self.daemon.gpus.drivers.items():
            count = len(driver.devices)
            text = (
                f"{name}: {count} device{'s' if count != 1 else ''}"
                if driver.state == "ok"
                else f"{name}: {driver.state}"
            )
            # A machine without such hardware is no fault; one whose devices went away is.
            level = "ok" if driver.state in ("ok", "no devices") or not driver.devices else "fail"
            yield Finding(level=level, topic="gpu", text=text)
        yield Finding(
            level="ok",
            topic="quota",
            text="VRAM quotas are held by a watchdog (4 samples a second), not by the driver",
        )


def _of_child(child: SystemChild, *, connected: bool) -> Finding:
    process, hint = child.process, f"`aish logs {child.id}` says more"
    if process is None or process.row.ended:
        return Finding(level="ok", topic=child.id, text=f"starts at the first request to {child.url}")
    if process.row.lifecycle != state.RUNNING:
        return Finding(level="fail", topic=child.id, text=f"{child.id} is {process.word}", hint=hint)
    text = f"{child.id} {process.row.pid} at {child.url}"
    if connected:
        return Finding(level="ok", topic=child.id, text=text)
    return Finding(level="warn", topic=child.id, text=f"{text}, not connected to the daemon", hint=hint)


def _beyond(gateway: SystemChild) -> Iterator[Finding]:
    """Whether other machines reach it, and what that means."""
    if gateway.beyond:
        at = " and ".join(f"[{each}]" if ":" in each else each for each in gateway.beyond)
        text = f"it listens on {at} port {gateway.port}, beyond the loopback and without TLS: keys travel in clear"
        hint = "put a proxy with TLS in front, or take `address` out of [gateway] in config.toml: docs/gateway.md"
        yield Finding(level="warn", topic="gateway", text=text, hint=hint)


def _logout() -> Finding:
    """What the last logout does to all this."""
    place = scope.find()
    if scope.own() is None and place.prefix:
        return Finding(
            level="warn",
            topic="logout",
            text="it was started outside of a scope, before lingering was on: the last logout may end it",
            hint="`aish shutdown` when it suits: the next one has a scope of its own",
        )
    level = "warn" if place.survives is False else "ok"
    return Finding(level=level, topic="logout", text=place.text, hint=place.hint)


def _exits() -> Finding:
    """Whether the kernel tells how a process has ended that somebody else has reaped: tried with one. Not for the
    loop."""
    try:
        pid = os.posix_spawn(sys.executable, [sys.executable, "-I", "-S", "-c", ""], {})
    except OSError as error:
        return Finding(level="warn", topic="exits", text=f"not tried: no process could be started: {error.strerror}")
    try:
        pidfd = os.pidfd_open(pid)
    finally:
        os.waitpid(pid, 0)
    try:
        known = kernel.pidfd_status(pidfd) is not None
    finally:
        os.close(pidfd)
    if known:
        return Finding(level="ok", topic="exits", text="known even where keeper and holder are killed at once")
    text = f"Linux {platform.release()} does not tell how a process ended whose keeper and holder were killed at once"
    return Finding(level="warn", topic="exits", text=f"{text}: it is `lost` then", hint="Linux 6.15 tells")


def limits(layout: Layout) -> Finding:
    """Which tier holds process trees and their limits. Pure."""
    why = f" ({layout.why_not})" if layout.why_not else ""
    if layout.tier == "rlimits":
        text = "process trees are found by tag and session; limits of memory and pids are watched"
        return Finding(level="warn", topic="limits", text=f"rlimits: no control groups{why}: {text}", hint=DELEGATE)
    kills = "v2" if layout.v2 is not None else "v1"
    held = [f"{kind} by {layout.holds(kind)}" for kind in WANTED if layout.holds(kind)]
    lacks = [kind for kind in WANTED if not layout.holds(kind)]
    text = f"{layout.tier}: {kills} kills and freezes whole trees; " + (", ".join(held) or "no limits are held")
    if lacks:
        text += f"; not held here: {', '.join(lacks)}{why}"
    return Finding(level="ok" if not lacks else "warn", topic="limits", text=text, hint=DELEGATE if lacks else None)


def _system() -> Iterator[Finding]:
    watches = _number("/proc/sys/fs/inotify/max_user_watches")
    yield Finding(
        level="ok" if watches is None or watches >= 8192 else "warn",
        topic="inotify",
        text=f"{watches if watches is not None else 'unknown'} watches",
    )
    if not os.path.isdir("/run/systemd/system"):
        return  # the line about logouts says so
    user = str(os.getuid())
    lingers = any(os.path.exists(f"/var/lib/systemd/linger/{name}") for name in _user_names(user))
    yield Finding(
        level="ok" if lingers else "warn",
        topic="linger",
        text="lingering is on: the runtime folder stays after a logout"
        if lingers
        else "lingering is off: systemd may remove the runtime folder at the last logout",
        hint=None if lingers else "loginctl enable-linger",
    )


def _user_names(uid: str) -> list[str]:
    import pwd

    try:
        return [pwd.getpwuid(int(uid)).pw_name]
    except KeyError:
        return []


def _number(path: str) -> int | None:
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None
