"""Where control groups can be made here, and what they can do: probed once, and told by `doctor`.

Three layouts are in use (cgroups(7)): v2 alone, v1 alone, and both side by side, where v2 often has no controllers
but still kills and freezes whole groups. Groups are made below the daemon's own, so limits that an administrator put
above us go on holding. Where systemd gave us a scope of our own, keeper, holder and daemon move into a leaf of it:
in v2 a group with controllers for its children has no processes itself.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ROOT: Final = "/sys/fs/cgroup"
WANTED: Final = ("memory", "pids", "cpu", "io")
V1_NAMES: Final = {"memory": "memory", "pids": "pids", "cpu": "cpu", "io": "blkio", "freezer": "freezer"}
"""What v1 calls the controller of each kind of limit."""
LEAF: Final = "supervisor"
SCOPE_PREFIX: Final = "aish-"


class Mount(msgspec.Struct, frozen=True):
    """A mounted hierarchy. `root` is which of its groups is seen at `point`."""

    point: str
    root: str
    version: int
    controllers: frozenset[str] = frozenset()


class Layout(msgspec.Struct, frozen=True):
    """The folders in which a group for each process can be made. `v2` None: no such hierarchy that we may use."""

    v2: str | None = None
    v2_controllers: frozenset[str] = frozenset()
    v1: dict[str, str] = {}
    """Kind of limit -> folder, for what v2 does not do here; "freezer" where v2 cannot freeze."""
    why_not: str | None = None
    """Why there are none, or not all, in words."""

    @property
    def tier(self) -> str:
        """The word that doctor and inspect show."""
        if self.v2 is None:
            return "v1" if self.v1 else "rlimits"
        return "hybrid" if self.v1 else "v2"

    def holds(self, what: str) -> str | None:
        """Which version holds this kind of limit: "v2", "v1" or None."""
        if what in self.v2_controllers:
            return "v2"
        return "v1" if what in self.v1 else None


NONE: Final = Layout(why_not="control groups are turned off")


def parse_mounts(text: str) -> list[Mount]:
    """The cgroup mounts of /proc/PID/mountinfo (proc(5)). Pure."""
    found = []
    for line in text.splitlines():
        front, _, back = line.partition(" - ")
        fields, kinds = front.split(), back.split()
        if len(fields) < 5 or len(kinds) < 3 or kinds[0] not in ("cgroup", "cgroup2"):
            continue
        options = frozenset(kinds[2].split(",")) - {"rw", "ro"}
        version = 2 if kinds[0] == "cgroup2" else 1
        found.append(
            Mount(_unescaped(fields[4]), _unescaped(fields[3]), version, options if version == 1 else frozenset())
        )
    return found


def _unescaped(word: str) -> str:
    return word.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")


def parse_own(text: str) -> dict[str, str]:
    """Controller -> path of /proc/PID/cgroup; "" is v2's. Pure."""
    found = {}
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(","):
            found[controller] = path
    return found


def own_folder(mount: Mount, own: Mapping[str, str]) -> str | None:
    """The folder of our own group in a hierarchy; None where the mount does not show it. Pure."""
    path = own.get("") if mount.version == 2 else next((own[name] for name in mount.controllers if name in own), None)
    if path is None or "/.." in path:
        return None
    root = mount.root.rstrip("/")
    if root and path != root and not path.startswith(f"{root}/"):
        return None
    return os.path.normpath(f"{mount.point}/{path[len(root) :]}")


def by_systemd(pid: int) -> bool:
    """Whether a process is in the group of a systemd service, which would lose sight of it if it were moved."""
    own = parse_own(_read(f"/proc/{pid}/cgroup"))
    return any(own.get(name, "").endswith(".service") for name in ("", "name=systemd"))


def group_name(uid: int, state_folder: str) -> str:
    """The group of one supervisor: another one of the same user (a test, a container) has another. Pure."""
    return f"aish-{uid}-{hashlib.sha256(os.fsencode(state_folder)).hexdigest()[:8]}"


def probe(name: str, ours: Iterable[int]) -> Layout:
    """Make the folders and try them. `ours` are the pids of keeper, holder and daemon, to be moved out of the way."""
    mounts, own = parse_mounts(_read("/proc/self/mountinfo")), parse_own(_read("/proc/self/cgroup"))
    v2: str | None = None
    v2_controllers: frozenset[str] = frozenset()
    v1: dict[str, str] = {}
    reasons: list[str] = []
    for mount in mounts:
        folder = own_folder(mount, own)
        if folder is None:
            continue
        try:
            if mount.version == 2 and v2 is None:
                v2, v2_controllers = _probe_v2(folder, name, ours)
            elif mount.version == 1:
                for kind in [kind for kind, called in V1_NAMES.items() if called in mount.controllers]:
                    v1[kind] = _made(f"{folder}/{name}")
        except OSError as error:
            reasons.append(f"{folder}: {error.strerror}")
    v1 = {kind: folder for kind, folder in v1.items() if kind not in v2_controllers}
    if v2 is not None and (freezer := v1.pop("freezer", None)) is not None:
        _removed(freezer)
    why_not = "; ".join(reasons) if reasons else None if v2 or v1 else "no control groups are mounted"
    return Layout(v2, v2_controllers, v1, why_not)


def _probe_v2(own: str, name: str, ours: Iterable[int]) -> tuple[str, frozenset[str]]:
    """(folder for groups, controllers that hold there). Raises OSError."""
    scope = os.path.dirname(own) if os.path.basename(own) == LEAF else own
    if os.path.basename(scope).startswith(SCOPE_PREFIX) and scope.endswith(".scope"):
        leaf = _made(f"{scope}/{LEAF}")
        for pid in ours:
            write(f"{leaf}/cgroup.procs", str(pid))
        folder = _made(f"{scope}/{name}")
        _enable(scope)
    else:
        folder = _made(f"{own}/{name}")
    if not os.access(f"{folder}/cgroup.kill", os.W_OK) or not os.access(
        f"{os.path.dirname(folder)}/cgroup.procs", os.W_OK
    ):
        raise PermissionError(1, "groups can be made, but no process can be put in")
    _enable(folder)
    return folder, frozenset(_read(f"{folder}/cgroup.subtree_control").split()) & frozenset(WANTED)


def _enable(folder: str) -> None:
    """Controllers for the groups in `folder`, as far as the group above passes them on."""
    for controller in _read(f"{folder}/cgroup.controllers").split():
        if controller in WANTED:
            try:
                write(f"{folder}/cgroup.subtree_control", f"+{controller}")
            except OSError:
                continue  # there are processes in it: this one is not to be had


def _made(folder: str) -> str:
    """Raises OSError."""
    try:
        os.mkdir(folder, 0o755)
    except FileExistsError:
        pass
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(1, "not ours")
    return folder


def _removed(folder: str) -> None:
    """A group that was made for nothing."""
    try:
        os.rmdir(folder)
    except OSError:
        return  # another run of ours has put something in: it is removed with that


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""


def write(path: str, text: str) -> None:
    """One write(2), which the kernel takes or refuses as a whole. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
