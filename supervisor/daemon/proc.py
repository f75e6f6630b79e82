"""Reading /proc: what a process and the machine use. Parsing is pure; a process that is gone is None."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TICKS: Final = os.sysconf("SC_CLK_TCK")
PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
NAMED_MOST: Final = 5


class ProcStat(NamedTuple):
    parent: int
    session: int
    cpu_ticks: int
    start_ticks: int
    rss_pages: int
    threads: int = 1


class Machine(NamedTuple):
    """`cpu_percent` of all cores together; None before there are two readings."""

    cpu_percent: float | None = None
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None


def parse_stat(text: bytes) -> ProcStat | None:
    """From /proc/PID/stat (proc(5)); the command in parentheses may hold anything."""
    fields = text.rpartition(b")")[2].split()
    if len(fields) < 22:
        return None
    return ProcStat(
        int(fields[1]),
        int(fields[3]),
        int(fields[11]) + int(fields[12]),
        int(fields[19]),
        max(0, int(fields[21])),
        int(fields[17]),
    )


def stat(pid: int) -> ProcStat | None:
    try:
        return stat_or_why(pid)
    except OSError:
        return None


def stat_or_why(pid: int) -> ProcStat | None:
    """Raises OSError: it is gone, or we have no descriptor left to look."""
    fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return parse_stat(os.read(fd, 4096))
    finally:
        os.close(fd)


def tasks(uid: int) -> int:
    """Processes and threads of a user, as RLIMIT_NPROC counts them, but for those that hide from him."""
    count = 0
    with os.scandir("/proc") as entries:
        for entry in entries:
            try:
                if entry.name.isdecimal() and entry.stat().st_uid == uid:
                    found = stat(int(entry.name))
                    count += found.threads if found is not None else 0
            except OSError:
                continue  # it ended
    return count


def session(pid: int) -> int | None:
    """The session that it is in; it outlives its leader, and keeps its number from being given away."""
    try:
        return os.getsid(pid)
    except OSError:
        return None


def group(pid: int) -> int | None:
    """Its process group."""
    try:
        return os.getpgid(pid)
    except OSError:
        return None


def state(pid: int | None) -> str:
    """Its letter as in ps(1); "X" where it is not there any more."""
    text = read_text(f"/proc/{pid}/stat")
    return text.rpartition(")")[2].split()[0] if text else "X"


def stopped(pid: int) -> bool:
    """Stopped by a signal or a tracer, or not there any more."""
    return state(pid) in "TtZX"


def ended(pid: int) -> bool:
    """Ended, whether its parent knows or not; or not there any more."""
    return state(pid) in "ZX"


def pid_of(pidfd: int) -> int | None:
    """Whose pidfd it is; None: its process is gone, or it is none."""
    text = read_text(f"/proc/self/fdinfo/{pidfd}") or ""
    word = next((line.split()[1] for line in text.splitlines() if line.startswith("Pid:")), "")
    return int(word) if word.isdecimal() and int(word) > 0 else None


def name(pid: int) -> str | None:
    """The name of its program, at most 15 characters."""
    text = read_text(f"/proc/{pid}/comm")
    return text.rstrip("\n") if text is not None else None


def named(pids: Sequence[int]) -> str:
    """Some processes as people see them: name and number of each."""
    names = ", ".join(f"{name(pid) or '?'} ({pid})" for pid in pids[:NAMED_MOST])
    return names + (f" and {len(pids) - NAMED_MOST} more" if len(pids) > NAMED_MOST else "")


def command(pid: int) -> tuple[list[bytes], bytes]:
    """Its words and its folder; no words where it is gone, or is part of the kernel."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().removesuffix(b"\0").split(b"\0")
    except OSError:
        return [], b"/"
    return [word for word in words if words != [b""]], _folder(pid)


def _folder(pid: int) -> bytes:
    try:
        return os.readlink(os.fsencode(f"/proc/{pid}/cwd"))
    except OSError:  # it keeps that to itself (prctl(2), PR_SET_DUMPABLE)
        return b"/"


def tree() -> Callable[[int], list[int]]:
    """A function that tells the children of a process, for one sweep.

    The kernel's own lists where it has them (CONFIG_PROC_CHILDREN): that costs what our processes cost. Else one look
    at all processes of the machine.
    """
    if os.path.exists(f"/proc/self/task/{os.getpid()}/children"):
        return children
    found: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            text = read_text(f"/proc/{name}/stat")
            stat = parse_stat(text.encode("ascii", "replace")) if text is not None else None
            if stat is not None:
                found.setdefault(stat.parent, []).append(int(name))
    return lambda pid: found.get(pid, [])


def threads(pid: int) -> list[int]:
    """Its threads; empty if it is gone."""
    try:
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        return []


def children(pid: int) -> list[int]:
    """Its children, of all its threads; empty if it is gone."""
    found: list[int] = []
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for task in tasks:
        try:
            fd = os.open(f"/proc/{pid}/task/{task}/children", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            while chunk := os.read(fd, 65536):
                found += map(int, chunk.split())
        except OSError:
            continue
        finally:
            os.close(fd)
    return found


def parse_cpu(text: str) -> tuple[int, int] | None:
    """(busy, total) ticks of the machine from the first line of /proc/stat."""
    words = text.split("\n", 1)[0].split()
    if len(words) < 6 or words[0] != "cpu":
        return None
    ticks = [int(word) for word in words[1:9]]  # guest time is part of user time
    idle = ticks[3] + ticks[4]
    return sum(ticks) - idle, sum(ticks)


def parse_memory(text: str) -> tuple[int, int] | None:
    """(used, total) bytes from /proc/meminfo; used is what is not available."""
    sizes: dict[str, int] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        if name in ("MemTotal", "MemAvailable"):
            sizes[name] = int(rest.split()[0]) * 1024
    if len(sizes) < 2:
        return None
    return sizes["MemTotal"] - sizes["MemAvailable"], sizes["MemTotal"]


def parse_pressure(text: str) -> float | None:
    """Percent of the last 10 s in which some task stood still, from a file of /proc/pressure."""
    for word in text.partition("\n")[0].split():
        name, _, value = word.partition("=")
        if name == "avg10":
            try:
                return float(value)
            except ValueError:
                return None
    return None


def parse_oom_kills(text: str) -> int | None:
    """How often the kernel has ended something for want of memory since its start, from /proc/vmstat."""
    _, found, rest = text.partition("\noom_kill ")
    word = rest.partition("\n")[0]
    return int(word) if found and word.isdecimal() else None


def read_text(path: str) -> str | None:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return None
