"""Mappings of an edge's memory, and what happens to them when the program forks.

A child of fork would share the pages with its parent, but its views count nowhere: the writer would recycle a slot
under them, silently. So every mapping is MADV_DONTFORK: the child does not have it. That leaves a hole in the child's
address space, and when the child's copy of the mmap object dies it unmaps whatever the child put there meanwhile. So
the child first fills each hole with pages that allow no access: a view that it inherited ends it with SIGSEGV at the
first touch, instead of showing other data, and nothing else can be hit.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
import weakref

import numpy as np

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Endpoint(Protocol):
        """What is told that it now lives in a forked child."""

        def leave_to_parent(self) -> None: ...


__all__ = ["adopt_endpoint", "map_for_reading", "map_for_writing"]

_MAP_FIXED_NOREPLACE = 0x100000  # include/uapi/asm-generic/mman-common.h, Linux 4.17
_PROT_NONE = 0
_NO_FD = {"trackfd": False} if sys.version_info >= (3, 13) else {}

_libc_mmap = ctypes.CDLL(None, use_errno=True).mmap
_libc_mmap.restype = ctypes.c_void_p
_libc_mmap.argtypes = (
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_long,
)

# Views may outlive their Reader, so the mappings are listed here and not there.
_mappings: weakref.WeakKeyDictionary[mmap.mmap, int] = weakref.WeakKeyDictionary()
_endpoints: weakref.WeakSet[Endpoint] = weakref.WeakSet()


def map_for_writing(fd: int, size_bytes: int) -> mmap.mmap:
    """The shared memory behind `fd`, to be written. Raises OSError."""
    return _map(fd, size_bytes, mmap.PROT_READ | mmap.PROT_WRITE)


def map_for_reading(fd: int, size_bytes: int) -> mmap.mmap:
    """The shared memory behind `fd`, read-only for good. Raises OSError."""
    return _map(fd, size_bytes, mmap.PROT_READ)


def _map(fd: int, size_bytes: int, protection: int) -> mmap.mmap:
    mapped = mmap.mmap(fd, size_bytes, mmap.MAP_SHARED, protection, **_NO_FD)
    mapped.madvise(mmap.MADV_DONTFORK)
    _mappings[mapped] = np.frombuffer(mapped, np.uint8).__array_interface__["data"][0]
    return mapped


def adopt_endpoint(endpoint: Endpoint) -> None:
    """Have `leave_to_parent` called on this object in each forked child."""
    _endpoints.add(endpoint)


def _in_forked_child() -> None:
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_FIXED_NOREPLACE
    for mapped, address in list(_mappings.items()):
        _libc_mmap(address, len(mapped), _PROT_NONE, flags, -1, 0)
    for endpoint in list(_endpoints):
        endpoint.leave_to_parent()


os.register_at_fork(after_in_child=_in_forked_child)
