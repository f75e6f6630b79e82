"""Sealed anonymous memory: how it is made, and what a reader checks before it maps someone else's.

Seals (memfd_create(2), fcntl(2)): SHRINK, since a mapping of a file that was truncated kills its user with SIGBUS;
GROW, so that the size that was announced stays true; FUTURE_WRITE (Linux 5.1), so that no one but the holder of the
mapping that the writer made before sealing can ever write: not through the descriptor, not by mapping it again, not
by opening it again through /proc.
"""

from __future__ import annotations

import errno
import fcntl
import os

from aish.tensor.errors import StorageError, WireError

__all__ = ["F_SEAL_FUTURE_WRITE", "check_sealed", "make_memfd", "seal", "seals_of"]

# Python 3.11's fcntl lacks FUTURE_WRITE and os lacks NOEXEC_SEAL: include/uapi/linux/fcntl.h and memfd.h.
F_SEAL_FUTURE_WRITE = 0x0010
_MFD_NOEXEC_SEAL = 0x0008
_FIXED_SIZE = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW


def make_memfd(name: str, size_bytes: int) -> int:
    """A new, close-on-exec descriptor of `size_bytes` of zeroes whose size is fixed. Raises StorageError."""
    fd = -1
    try:
        fd = _create(name)
        os.ftruncate(fd, size_bytes)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _FIXED_SIZE)
    except OSError as error:
        if fd >= 0:
            os.close(fd)
        full = error.errno in (errno.EMFILE, errno.ENFILE)
        raise StorageError(
            f"cannot make {size_bytes} bytes of shared memory: {error.strerror}",
            hint="`ulimit -n` shows how many files a process may have open" if full else None,
        ) from error
    return fd


def _create(name: str) -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create(name, flags | _MFD_NOEXEC_SEAL)
    except OSError as error:
        if error.errno != errno.EINVAL:  # Linux before 6.3 does not know the flag
            raise
    return os.memfd_create(name, flags)


def seal(fd: int) -> None:
    """Forbid every further way to write. The caller has mapped the memory for writing before. Raises StorageError."""
    try:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, F_SEAL_FUTURE_WRITE)
    except OSError as error:
        raise StorageError(
            f"this kernel cannot seal shared memory against readers: {error.strerror}",
            hint="tensor edges need Linux 5.1 or later",
        ) from error


def seals_of(fd: int) -> int | None:
    """The seals on `fd`, None if it is nothing that can be sealed."""
    try:
        return fcntl.fcntl(fd, fcntl.F_GET_SEALS)
    except OSError:
        return None


def check_sealed(fd: int, size_bytes: int) -> None:
    """Raise WireError unless `fd` is memory of at least `size_bytes` that nobody can make smaller."""
    seals = seals_of(fd)
    if seals is None:
        raise WireError("the descriptor is not a memfd", field="segment")
    if seals & _FIXED_SIZE != _FIXED_SIZE:
        raise WireError(
            "the memfd is not sealed against truncation",
            field="segment",
            hint="its writer could end this program with SIGBUS: write with aish.tensor.Writer",
        )
    actual = os.fstat(fd).st_size
    if actual < size_bytes:
        raise WireError(f"says {size_bytes} bytes, the memfd has {actual}", field="size")
