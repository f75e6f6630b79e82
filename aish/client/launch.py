"""What a child is to inherit from the calling program: environment, umask, limits, niceness."""

from __future__ import annotations

import os
import resource
from typing import Final

from aish.errors import NotFoundError, UsageError
from aish.wire.spec import LaunchPart

_COERCED: Final = (b"C.UTF-8", b"C.utf8", b"UTF-8")
"""What Python's start may set LC_CTYPE to."""
_LIMITS: Final = tuple(name for name in dir(resource) if name.startswith("RLIMIT_"))


def capture(environ: dict[str, str] | None = None, *, pwd: str | None = None) -> LaunchPart:
    """The surroundings of this process; `environ` replaces its environment (a shell's variables), `pwd` PWD in it.

    Raises UsageError where that holds what no environment can."""
    if environ is None:
        inherited = os.environb.copy()
        if inherited.get(b"LC_CTYPE") in _COERCED:
            _as_it_was(inherited, b"LC_CTYPE")
        entries = [name + b"=" + value for name, value in inherited.items()]
    else:
        entries = [_entry(name, value) for name, value in environ.items()]
    if pwd is not None:
        entries = [each for each in entries if not each.startswith(b"PWD=")] + [_entry("PWD", pwd)]
    umask = os.umask(0o077)
    os.umask(umask)
    return LaunchPart(
        environ=entries,
        umask=umask,
        rlimits={name.removeprefix("RLIMIT_"): resource.getrlimit(getattr(resource, name)) for name in _LIMITS},
        nice=os.getpriority(os.PRIO_PROCESS, 0),
    )


def _entry(name: str, value: str) -> bytes:
    if "=" in name or "\0" in name:
        raise UsageError(f"not the name of a variable: {name!r}", hint="a name has no = and no NUL")
    if "\0" in value:
        raise UsageError(f"the variable {name} cannot have a NUL in its value", hint="the value ends at a NUL")
    return os.fsencode(name) + b"=" + os.fsencode(value)


def folder() -> str:
    """The current folder. Raises NotFoundError where it was removed."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        raise NotFoundError("the current folder does not exist any more", hint="cd to one that does") from None


def _as_it_was(environ: dict[bytes, bytes], name: bytes) -> None:
    """Give the variable what this process was started with: Python sets LC_CTYPE in the C locale (PEP 538)."""
    try:
        with open("/proc/self/environ", "rb") as stream:
            entries = stream.read().split(b"\0")
    except OSError:
        return  # no /proc: leave the environment as it is
    environ.pop(name, None)
    environ.update((name, entry[len(name) + 1 :]) for entry in entries if entry.startswith(name + b"="))
