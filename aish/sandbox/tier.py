"""Which tier holds here: found by having it hold, not by looking for its parts."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Final, NamedTuple

from aish.model.sandbox import BWRAP, LANDLOCK, NONE, TIERS
from aish.sandbox import order
from aish.sandbox.enter import kernel, landlock, seccomp
from aish.sandbox.profile import Plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.model.sandbox import Tier

INSTALL: Final = (
    "install bubblewrap (apt install bubblewrap, dnf install bubblewrap), or a kernel with Landlock (6.2)"
)
VARIABLE: Final = "AISH_SANDBOX_TIER"
_PATIENCE_S: Final = 20.0
_SEARCH: Final = "/usr/local/bin:/usr/bin:/bin:/run/current-system/sw/bin"


class Holding(NamedTuple):
    tier: Tier
    program: str = ""
    """bubblewrap's."""
    abi: int = 0
    """Landlock's; 0: the kernel has none."""
    why_not: tuple[tuple[str, str], ...] = ()
    """Better tiers, and what keeps them from holding."""


def held(tiers: Sequence[Tier] = TIERS) -> Holding:
    """The best of `tiers` that holds. Starts a program or two: not for the loop."""
    abi = kernel.landlock_abi()
    failed: list[tuple[str, str]] = []
    for name in tiers:
        tried = Holding(name, _program() if name == BWRAP else "", abi, tuple(failed))
        why = _lacking(tried) or _trial(tried)
        if why is None:
            return tried
        failed.append((name, why))
    return Holding(NONE, abi=abi, why_not=tuple(failed))


@functools.cache
def here() -> Holding:
    """The same, tried once; of the one alone that the environment names."""
    return held(tuple(name for name in TIERS if os.environ.get(VARIABLE, name) == name))


def _program() -> str:
    return shutil.which("bwrap", path=_SEARCH) or ""


def _lacking(holding: Holding) -> str | None:
    if kernel.machine() not in seccomp.ARCHITECTURES:
        return f"the system calls of {kernel.machine()} are not known"
    if holding.tier == BWRAP and not holding.program:
        return "bubblewrap is not installed"
    if holding.tier == LANDLOCK and holding.abi < landlock.LEAST_ABI:
        return f"the kernel's Landlock is version {holding.abi}, not {landlock.LEAST_ABI}"
    return None


def _trial(holding: Holding) -> str | None:
    """Have a program run in it; None: it did, else what was said."""
    with tempfile.TemporaryDirectory() as place:
        folder = os.path.realpath(place)
        system = tuple(path for path in ("/usr", "/etc") if os.path.isdir(path))
        names = ("/bin", "/sbin", "/lib", "/lib64")
        links = tuple((path, os.readlink(path)) for path in names if os.path.islink(path))
        plain = tuple(path for path in names if os.path.isdir(path) and not os.path.islink(path))
        ours = (os.path.realpath(sys.base_prefix), order.FOLDER)
        read = (*system, *plain, *ours)
        plan = Plan(read, (folder,), (), (), (), None, "own", (), "/home", folder, links, (folder,))
        program = os.path.realpath(sys.executable)
        data = order.encode(
            holding,
            plan,
            argv=[os.fsencode(program), b"-I", b"-S", b"-c", b""],
            env=[],
            candidates=[os.fsencode(program)],
            folder=folder,
            ports={},
        )
        fd = os.memfd_create("order")
        try:
            os.write(fd, data)
            ran = subprocess.run(
                order.words(fd), pass_fds=[fd], env={}, capture_output=True, timeout=_PATIENCE_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        finally:
            os.close(fd)
    if ran.returncode == 0:
        return None
    return ran.stderr.decode(errors="backslashreplace").strip().removeprefix("aish: ") or f"status {ran.returncode}"
