"""The control group of each process: made, limited, frozen, killed, removed. Nothing but files of cgroupfs.

A process's group is BASE/ID in each hierarchy that it needs: in v2 always (it kills and freezes), in v1 only where a
limit is asked for, or to freeze where v2 cannot. Limits: cgroups(7) and the kernel's admin-guide/cgroup-v2,
cgroup-v1/memory, /pids, /blkio-controller.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING, Final

from aish.errors import LimitError
from aish.model.size import format_bytes
from aish.supervisor.daemon.cgroup import Layout, write
from aish.wire.spec import LimitPart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CPU_PERIOD_US: Final = 100_000
PROCS: Final = "cgroup.procs"
JOIN_ROUNDS: Final = 16
UNLIMITED: Final = LimitPart()
_IO_FILES: Final = {"v2": "io.max", "v1": "blkio.throttle.read_bps_device"}


class Groups:
    """`probe` says where. What changes limits raises LimitError; the rest never raises for a group that is gone."""

    def __init__(self, probe: Callable[[], Layout]) -> None:
        self._probe = probe
        self.layout = probe()

    def _make(self, id_: str, limits: LimitPart) -> tuple[list[str], bool]:
        """The folders of a process, and whether all of them are new. Raises OSError."""
        try:
            return self._made(id_, limits)
        except FileNotFoundError:
            self._renew()
            return self._made(id_, limits)

    def _made(self, id_: str, limits: LimitPart) -> tuple[list[str], bool]:
        folders, new = self._wanted(id_, limits), True
        for folder in folders:
            try:
                os.mkdir(folder, 0o755)
            except FileExistsError:
                new = False
        return folders, new

    def _renew(self) -> None:
        """A folder for groups was taken away: systemd tidies those of a unit that has ended, and of what it moves to
        another one."""
        self.layout = renewed(self.layout, self._probe(), os.path.isdir)

    def _bases(self) -> list[str]:
        places = [self.layout.v2] if self.layout.v2 is not None else []
        return list(dict.fromkeys((*places, *self.layout.v1.values())))

    # --- before and after a run ---------------------------------------------------------------------------------

    def open(self, id_: str, limits: LimitPart) -> list[int]:
        """Make the groups with their limits; descriptors of their cgroup.procs, to which the child writes "0".

        The caller closes them. Raises LimitError; then nothing is left behind.
        """
        fds: list[int] = []
        try:
            folders, new = self._make(id_, limits)
            for folder in folders:
                fds.append(os.open(f"{folder}/{PROCS}", os.O_WRONLY | os.O_CLOEXEC))
            if not new:
                self.freeze(id_, False)  # a group of an earlier run keeps its state for newcomers
            if not new or limits != UNLIMITED or self.layout.v2_controllers:  # else there is nothing to write
                self.limit(id_, limits)
        except OSError as error:
            _close(fds)
            self.remove(id_)
            raise LimitError(f"its control group cannot be made: {error.filename}: {error.strerror}") from error
        except LimitError:
            _close(fds)
            self.remove(id_)
            raise
        return fds

    def prepare(self, id_: str, limits: LimitPart) -> None:
        """Make the groups with their limits for a tree that runs already. Raises LimitError; where none can be made
        there are none."""
        try:
            self._make(id_, limits)
            self.limit(id_, limits)
        except OSError:
            self.remove(id_)
        except LimitError:
            self.remove(id_)
            raise

    def gather(self, id_: str, tree: Callable[[], list[int]]) -> None:
        """Put all of a tree into each of its groups; where its first process may not be moved, that group goes."""
        for folder in self.folders(id_):
            if os.path.isdir(folder) and not _gathered(folder, tree):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)

    def remove(self, id_: str) -> bool:
        """Give back the groups; False while something lives in one."""
        done = True
        for folder in self.folders(id_):
            try:
                os.rmdir(folder)
            except FileNotFoundError:
                continue
            except OSError:
                done = _emptied(folder) and done
        return done

    def _wanted(self, id_: str, limits: LimitPart) -> list[str]:
        folders = [f"{self.layout.v2}/{id_}"] if self.layout.v2 is not None else []
        asked = {
            "memory": limits.memory_bytes is not None,
            "pids": limits.pids is not None,
            "cpu": limits.cpus is not None,
            "io": limits.read_bytes_per_s is not None or limits.write_bytes_per_s is not None,
            "freezer": True,
        }
        return folders + [f"{folder}/{id_}" for kind, folder in self.layout.v1.items() if asked[kind]]

    def folder(self, id_: str, what: str) -> str:
        """Where its limit of this kind is held, by a layout that does."""
        place = self.layout.v2 if self.layout.holds(what) == "v2" else self.layout.v1[what]
        return f"{place}/{id_}"

    def folders(self, id_: str) -> list[str]:
        """Every folder that may be a group of this process."""
        return [f"{place}/{id_}" for place in self._bases()]

    def ids(self) -> set[str]:
        """Whose groups there are."""
        found: set[str] = set()
        for place in self._bases():
            with contextlib.suppress(OSError), os.scandir(place) as entries:
                found |= {entry.name for entry in entries if entry.is_dir()}
        return found

    def close(self) -> None:
        """The end of this supervisor: the empty base folders go."""
        for place in self._bases():
            with contextlib.suppress(OSError):
                os.rmdir(place)

    # --- limits -------------------------------------------------------------------------------------------------

    def limit(self, id_: str, limits: LimitPart) -> None:
        """Write the limits of a group that is there. Raises LimitError."""
        for kind, wanted in (
            ("memory", limits.memory_bytes),
            ("pids", limits.pids),
            ("cpu", limits.cpus),
        ):
            version = self.layout.holds(kind)
            if version is None:
                continue
            place = self.layout.v2 if version == "v2" else self.layout.v1[kind]
            folder = f"{place}/{id_}"
            if not os.path.exists(folder):
                if wanted is None:
                    continue
                folder = self._join(kind, id_)
            for name, text in _settings(version, kind, wanted, hold=limits.on_oom == "hold"):
                self._set(f"{folder}/{name}", text, kind)
        self._limit_io(id_, limits)

    def _join(self, kind: str, id_: str) -> str:
        """A v1 group that was not needed so far: made now, with everybody in it, newborns too. Raises LimitError."""
        if not os.path.isdir(os.path.dirname(self.folder(id_, kind))):
            self._renew()
            if self.layout.holds(kind) is None:
                raise LimitError(f"no control group holds a limit of {kind} any more: {self.layout.why_not}")
        folder = self.folder(id_, kind)
        try:
            os.mkdir(folder, 0o755)
            inside: set[int] = set()
            for _ in range(JOIN_ROUNDS):
                new = set(self.members(id_) or ()) - inside
                if not new:
                    break
                for pid in new:
                    _written(f"{folder}/{PROCS}", str(pid))  # it may have ended
                inside |= new
        except OSError as error:
            raise LimitError(f"its control group cannot be made: {folder}: {error.strerror}") from error
        return folder

    def _limit_io(self, id_: str, limits: LimitPart) -> None:
        version = self.layout.holds("io")
        if version is None:
            return
        folder = f"{self.layout.v2 if version == 'v2' else self.layout.v1['io']}/{id_}"
        if limits.read_bytes_per_s is None and limits.write_bytes_per_s is None:
            if not _lines(f"{folder}/{_IO_FILES[version]}"):
                return  # nothing to lift
        elif not os.path.exists(folder):
            folder = self._join("io", id_)
        for device in disks():
            if version == "v2":
                read = "max" if limits.read_bytes_per_s is None else limits.read_bytes_per_s
                write = "max" if limits.write_bytes_per_s is None else limits.write_bytes_per_s
                self._set(f"{folder}/io.max", f"{device} rbps={read} wbps={write}", "io")
                continue
            self._set(f"{folder}/blkio.throttle.read_bps_device", f"{device} {limits.read_bytes_per_s or 0}", "io")
            self._set(f"{folder}/blkio.throttle.write_bps_device", f"{device} {limits.write_bytes_per_s or 0}", "io")

    def _set(self, path: str, text: str, kind: str) -> None:
        try:
            write(path, text)
        except FileNotFoundError:
            if kind != "memory" or not path.endswith(("memory.oom.group", "memory.oom_control")):
                raise LimitError(f"there is no {path}: a limit of {kind} needs a new start") from None
        except OSError as error:
            hint = None
            if kind == "memory" and error.errno == 16:  # EBUSY: v1 refuses less than is in use and cannot be freed
                hint = f"more than {format_bytes(int(text))} are in use" if text.isdecimal() else None
            raise LimitError(f"{path} does not take {text}: {error.strerror}", hint=hint) from error

    def oom_kills(self, id_: str) -> int | None:
        """How often the kernel ended something in the group for want of memory; None where nobody counts."""
        return self._counter(id_, "memory", ("memory.events", "memory.oom_control"), "oom_kill")

    def forks_refused(self, id_: str) -> int | None:
        """How often nothing more could be forked at its limit of processes; None where nobody counts."""
        return self._counter(id_, "pids", ("pids.events", "pids.events"), "max")

    def throttled(self, id_: str) -> int | None:
        """How often it has used up its share of time before a period was over; None where nobody counts."""
        return self._counter(id_, "cpu", ("cpu.stat", "cpu.stat"), "nr_throttled")

    def stalled(self, id_: str) -> bool:
        """Whether it stands at its limit of memory and is to be held there (`on_oom` "hold")."""
        if self.layout.holds("memory") == "v2":
            folder = f"{self.layout.v2}/{id_}"
            used, high = _number(f"{folder}/memory.current"), _number(f"{folder}/memory.high")
            return used is not None and high is not None and used >= high
        return self._counter(id_, "memory", ("memory.events", "memory.oom_control"), "under_oom") == 1

    def memory_bytes(self, id_: str) -> int | None:
        """What the group uses, its page cache included; None where memory is not counted."""
        version = self.layout.holds("memory")
        if version is None:
            return None
        if version == "v2":
            return _number(f"{self.layout.v2}/{id_}/memory.current")
        return _number(f"{self.layout.v1['memory']}/{id_}/memory.usage_in_bytes")

    def _counter(self, id_: str, kind: str, files: tuple[str, str], key: str) -> int | None:
        """`files`: of v2 and of v1."""
        version = self.layout.holds(kind)
        if version is None:
            return None
        for line in _lines(f"{self.folder(id_, kind)}/{files[0] if version == 'v2' else files[1]}"):
            name, _, value = line.partition(" ")
            if name == key and value.strip().isdecimal():
                return int(value)
        return None

    # --- the whole tree -----------------------------------------------------------------------------------------

    def members(self, id_: str) -> list[int] | None:
        """Pids in the group and below, zombies left out; None where there is no group."""
        if not self.holds_tree(id_):
            return None
        place = self.layout.v2 or self.layout.v1.get("freezer")
        return [
            pid for folder in _below(f"{place}/{id_}") for pid in map(int, _lines(f"{folder}/{PROCS}")) if pid > 0
        ]

    def holds_tree(self, id_: str) -> bool:
        """Whether there is a group that all of it is in."""
        place = self.layout.v2 or self.layout.v1.get("freezer")
        return place is not None and os.path.isdir(f"{place}/{id_}")

    def kill(self, id_: str) -> bool:
        """SIGKILL to everything in it, frozen or not; False where there is no group that can."""
        if self.layout.v2 is not None:
            return _written(f"{self.layout.v2}/{id_}/cgroup.kill", "1")
        if "freezer" not in self.layout.v1:
            return False
        # v1 has no such file: with the group frozen nobody can fork away, and SIGKILL acts when it is thawed.
        if not self.freeze(id_, True):
            return False
        for pid in self.members(id_) or ():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        return self.freeze(id_, False)

    def freeze(self, id_: str, on: bool) -> bool:
        """Stop everything in it, or let it go on; False where there is no group that can."""
        if self.layout.v2 is not None:
            return _written(f"{self.layout.v2}/{id_}/cgroup.freeze", str(int(on)))
        place = self.layout.v1.get("freezer")
        return place is not None and _written(f"{place}/{id_}/freezer.state", "FROZEN" if on else "THAWED")

    def frozen(self, id_: str) -> bool:
        """Whether it stands still by now."""
        if self.layout.v2 is not None:
            return "frozen 1" in _lines(f"{self.layout.v2}/{id_}/cgroup.events")
        place = self.layout.v1.get("freezer")
        return place is not None and "FROZEN" in _lines(f"{place}/{id_}/freezer.state")


def renewed(old: Layout, new: Layout, there: Callable[[str], bool]) -> Layout:
    """What is still there of `old`, since groups are in it, and what `new` has in place of the rest. Pure."""
    keeps_v2 = old.v2 is not None and there(old.v2)
    v2, v2_controllers = (old.v2, old.v2_controllers) if keeps_v2 else (new.v2, new.v2_controllers)
    kept = {kind: folder for kind, folder in old.v1.items() if there(folder)}
    v1 = {kind: folder for kind, folder in {**new.v1, **kept}.items() if kind not in v2_controllers}
    return Layout(v2, v2_controllers, v1, new.why_not)


def _emptied(folder: str) -> bool:
    """Remove a group with those in it that a program made for itself: one level is what delegation gives."""
    try:
        for inner in [entry.path for entry in os.scandir(folder) if entry.is_dir()]:
            os.rmdir(inner)
        os.rmdir(folder)
    except OSError:
        return False
    return True


def _gathered(folder: str, tree: Callable[[], list[int]]) -> bool:
    """Put all of a tree into a group, newborns too; False where its first process may not be moved there."""
    inside: set[int] = set()
    for _ in range(JOIN_ROUNDS):
        new = [pid for pid in tree() if pid not in inside]
        if not new:
            break
        if not inside and not _written(f"{folder}/{PROCS}", str(new[0])):
            return False
        for pid in new:
            _written(f"{folder}/{PROCS}", str(pid))  # it may have ended, or belong to another user
        inside.update(new)
    return bool(inside)


def _settings(version: str, kind: str, wanted: float | None, *, hold: bool) -> Iterator[tuple[str, str]]:
    """The files of a group that hold a limit of `kind`, and what to write; `wanted` None lifts it. Pure."""
    match kind, version:
        case "memory", "v2":
            text = "max" if wanted is None else str(int(wanted))
            yield "memory.high", text if hold else "max"  # held there: the operator decides
            yield "memory.max", "max" if hold else text
            yield "memory.oom.group", "1"  # a tree that lost one of its processes is no use
        case "memory", _:
            yield "memory.limit_in_bytes", "-1" if wanted is None else str(int(wanted))
            yield "memory.oom_control", str(int(hold))  # 1: the kernel parks who wants more
        case "pids", _:
            yield "pids.max", "max" if wanted is None else str(int(wanted))
        case "cpu", "v2":
            quota = "max" if wanted is None else str(max(1000, int(wanted * CPU_PERIOD_US)))
            yield "cpu.max", f"{quota} {CPU_PERIOD_US}"
        case _:
            yield "cpu.cfs_period_us", str(CPU_PERIOD_US)
            yield "cpu.cfs_quota_us", "-1" if wanted is None else str(max(1000, int(wanted * CPU_PERIOD_US)))


def disks() -> list[str]:
    """MAJOR:MINOR of each real disk: not loop devices, nor disks in memory."""
    found = []
    with contextlib.suppress(OSError), os.scandir("/sys/block") as entries:
        for entry in entries:
            if not entry.name.startswith(("loop", "ram", "zram", "sr", "fd")):
                found += _lines(f"/sys/block/{entry.name}/dev")
    return found


def _below(folder: str) -> list[str]:
    folders = [folder]
    for each in folders:
        with contextlib.suppress(OSError), os.scandir(each) as entries:
            folders += [entry.path for entry in entries if entry.is_dir()]
    return folders


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []


def _number(path: str) -> int | None:
    """None for "max" and for what is not there."""
    text = next(iter(_lines(path)), "")
    return int(text) if text.isdecimal() else None


def _written(path: str, text: str) -> bool:
    try:
        write(path, text)
    except OSError:
        return False
    return True


def _close(fds: list[int]) -> None:
    while fds:
        os.close(fds.pop())
