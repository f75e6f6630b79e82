"""System calls that Python does not have. Each raises OSError."""

from __future__ import annotations

import ctypes
import os
import platform
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

_libc = ctypes.CDLL(None, use_errno=True)

# The same number on every architecture: they are newer than the common table.
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_OPENAT2: Final = 437
_SECCOMP: Final = {"x86_64": 317, "aarch64": 277}
_CAPSET: Final = {"x86_64": 126, "aarch64": 91}

PR_CAPBSET_DROP: Final = 24
PR_SET_NO_NEW_PRIVS: Final = 38
_SECCOMP_SET_MODE_FILTER: Final = 1
_SECCOMP_FILTER_FLAG_TSYNC: Final = 1
_CAPABILITY_V3: Final = 0x20080522
_AT_FDCWD: Final = -100
RESOLVE_NO_SYMLINKS: Final = 0x04
RESOLVE_NO_MAGICLINKS: Final = 0x02


def machine() -> str:
    return platform.machine()


def _call(number: int, *words: Any) -> int:
    result: int = _libc.syscall(ctypes.c_long(number), *words)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def prctl(option: int, *words: int) -> None:
    padded = [ctypes.c_ulong(word) for word in (*words, 0, 0, 0, 0)[:4]]
    if _libc.prctl(ctypes.c_int(option), *padded) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def landlock_abi() -> int:
    """0: the kernel has no Landlock, or it is off."""
    try:
        return _call(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    except OSError:
        return 0


def landlock_ruleset(attributes: bytes) -> int:
    return _call(_LANDLOCK_CREATE, ctypes.c_char_p(attributes), ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))


def landlock_add(ruleset: int, kind: int, rule: bytes) -> None:
    _call(_LANDLOCK_ADD, ctypes.c_int(ruleset), ctypes.c_int(kind), ctypes.c_char_p(rule), ctypes.c_uint32(0))


def landlock_restrict(ruleset: int) -> None:
    _call(_LANDLOCK_RESTRICT, ctypes.c_int(ruleset), ctypes.c_uint32(0))


def open_plain(path: str) -> int:
    """A path whose words are what they say: no link in any place, so that nobody can have put one there."""
    how = struct.pack("QQQ", os.O_PATH | os.O_CLOEXEC, 0, RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)
    return _call(
        _OPENAT2,
        ctypes.c_int(_AT_FDCWD),
        ctypes.c_char_p(os.fsencode(path)),
        ctypes.c_char_p(how),
        ctypes.c_size_t(len(how)),
    )


def seccomp(program: bytes) -> None:
    """`program`: instructions of 8 bytes each."""
    kept = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(kept))
    _call(
        _SECCOMP[machine()],
        ctypes.c_uint(_SECCOMP_SET_MODE_FILTER),
        ctypes.c_uint(_SECCOMP_FILTER_FLAG_TSYNC),
        ctypes.c_char_p(head),
    )


def drop_capabilities() -> None:
    """All, for good: an ordinary user has none, and root is root only by the owner of files then."""
    for number in range(64):
        try:
            prctl(PR_CAPBSET_DROP, number)
        except OSError:
            break  # no such capability, or not ours to drop: then we have none either
    _call(
        _CAPSET[machine()],
        ctypes.c_char_p(struct.pack("Ii", _CAPABILITY_V3, 0)),
        ctypes.c_char_p(struct.pack("6I", *(0,) * 6)),
    )
