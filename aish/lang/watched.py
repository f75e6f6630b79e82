"""What some variables mean to the shell, which is told when they change. (IFS and OPTIND, which scripts set all the
time, the runtime looks after.)"""

from __future__ import annotations

from aish.lang import descriptors, options, shopts
from aish.lang.digits import saturated
from aish.lang.runtime import MAX_CALLS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from aish.lang.runtime import Runtime


def _ignored(rt: Runtime, value: str | None) -> None:
    """GLOBIGNORE: with it hidden names match, until it is unset. What the environment says of it is not asked."""
    rt.ignored = value or ""
    if value is None:
        rt.shopt.discard("dotglob")
    elif value:
        rt.shopt.add("dotglob")


def _most_calls(rt: Runtime, value: str | None) -> None:
    """FUNCNEST: how many functions may run within each other."""
    nest = int(value) if value and value.isdecimal() and len(value) < 5 else 0
    rt.most_calls = min(nest, MAX_CALLS) if nest else MAX_CALLS


def _trace_moved(rt: Runtime, value: str | None) -> None:
    """BASH_XTRACEFD: where `set -x` writes. What it named before is closed."""
    if rt.trace_fd != 2:
        if not descriptors.is_private(rt.trace_fd):  # the script closed it, and we have it since
            descriptors.close(rt.trace_fd)
        rt.trace_fd = 2
    if value and value.isdecimal() and value.isascii():
        fd = min(saturated(value), descriptors.MOST_FD)
        if descriptors.is_written(fd) and not descriptors.is_private(fd):
            rt.trace_fd = fd
        else:
            rt.complain(f"BASH_XTRACEFD: {value}: no descriptor that is open for writing")


def _posix_wanted(rt: Runtime, value: str | None) -> None:
    """POSIXLY_CORRECT: posix mode while it is set."""
    if rt.posix != (value is not None):
        options.turn(rt, "posix", value is not None)


CHANGED: Final[dict[str, Callable[[Runtime, str | None], None]]] = {
    "GLOBIGNORE": _ignored,
    "FUNCNEST": _most_calls,
    "BASH_COMPAT": shopts.compat_changed,
    "BASH_XTRACEFD": _trace_moved,
    "POSIXLY_CORRECT": _posix_wanted,
}
