"""Checking what a client wants before anything is done about it. Pure; every refusal names the field."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

from aish.errors import InputError, LimitError, RefusedError
from aish.model import kind
from aish.model.size import format_bytes, format_count
from aish.supervisor.daemon import flaw, given

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aish.supervisor.daemon.authority import Caller
    from aish.supervisor.daemon.process import Process
    from aish.wire.message import Adopt, Spawn
    from aish.wire.spec import LaunchPart, LimitPart, SpecPart

_TOKEN: Final = re.compile(r"[0-9a-f]{32}")
_RLIMIT: Final = re.compile(r"[A-Z_]{2,16}")
PASSED_MOST: Final = 60
"""Descriptors of a client; the holder takes 64 with the payload and the standard three."""
MOST_PID: Final = 1 << 22
"""pid_max, proc(5)."""


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
    if spec.sandbox is not None:
        raise InputError("what runs already cannot be put into one", field="sandbox")
    if spec.limits is not None and (spec.limits.read_bytes_per_s or spec.limits.write_bytes_per_s):
        raise InputError("not of a process that runs already", field="limits")


def check_spec(spec: SpecPart) -> None:
    """Raises InputError."""
    raise_first(flaw.flaws(spec))


def check_grace(grace_s: float | None) -> None:
    """Raises InputError."""
    raise_first(flaw.of_grace(grace_s))


def check_limits(limits: LimitPart) -> None:
    """Raises InputError."""
    raise_first(flaw.of_limits(limits))


def raise_first(flaws: Iterable[InputError]) -> None:
    for each in flaws:
        raise each


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
