"""Landlock: rules as the kernel takes them (pure), and their enforcement.

A ruleset handles rights; what it handles and no rule allows is denied. Rights of newer kernels are handled where
they are known, so that a newer kernel keeps out more and an older one says less.
"""

from __future__ import annotations

import os
import stat
import struct

from . import kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE: Final = sum(1 << bit for bit in range(4, 13))  # remove_dir, remove_file, make_char … make_sym
_MAKE_DEVICES: Final = 1 << 6 | 1 << 11
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_SINCE: Final = {REFER: 2, TRUNCATE: 3, IOCTL_DEV: 5}

READ: Final = EXECUTE | READ_FILE | READ_DIR
WRITE: Final = READ | WRITE_FILE | (_MAKE & ~_MAKE_DEVICES) | REFER | TRUNCATE
DEVICE: Final = READ_FILE | WRITE_FILE | IOCTL_DEV
_OF_FILES: Final = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
"""A rule for what is no folder may only have these."""

BIND_TCP, CONNECT_TCP = 1, 2
SCOPE_ABSTRACT, SCOPE_SIGNAL = 1, 2
_PATH_BENEATH, _NET_PORT = 1, 2

LEAST_ABI: Final = 3
"""Before, files outside could be cut to nothing. Linux 6.2."""
NET_ABI: Final = 4
SCOPE_ABI: Final = 6


def files(abi: int) -> int:
    """All rights to files that this kernel handles. Pure."""
    every = EXECUTE | WRITE_FILE | READ_FILE | READ_DIR | _MAKE
    return every | sum(right for right, since in _SINCE.items() if abi >= since)


def attributes(abi: int, *, of_files: bool, net: bool, scope: bool) -> bytes:
    """struct landlock_ruleset_attr, as long as this kernel knows it. Pure."""
    words = [files(abi) if of_files else 0]
    if abi >= NET_ABI:
        words.append(BIND_TCP | CONNECT_TCP if net else 0)
    if abi >= SCOPE_ABI:
        words.append(SCOPE_ABSTRACT | SCOPE_SIGNAL if scope else 0)
    return struct.pack(f"{len(words)}Q", *words)


def beneath(rights: int, fd: int) -> bytes:
    """struct landlock_path_beneath_attr. Pure."""
    return struct.pack("=Qi", rights, fd)


def port(number: int) -> bytes:
    """struct landlock_net_port_attr: connecting to a port. Pure."""
    return struct.pack("=QQ", CONNECT_TCP, number)


class Rules:
    """What may be reached of files. No part of `read` and `write` may be a link by now: see kernel.open_plain."""

    def __init__(
        self,
        read: Sequence[str] = (),
        write: Sequence[str] = (),
        devices: Sequence[str] = (),
    ) -> None:
        self.read, self.write, self.devices = read, write, devices


def restrict(rules: Rules | None, ports: Sequence[int] | None, fds: Sequence[int] = ()) -> None:
    """This thread and all that it starts, for good; no_new_privs must be set. `rules` None: files are somebody else's
    business. `ports`: of TCP, where it may connect; None: everywhere. `fds`: files that are open and may be opened
    again by /proc/self/fd. Raises OSError."""
    abi = kernel.landlock_abi()
    if rules is None and abi < (SCOPE_ABI if ports is None else NET_ABI):
        return
    ruleset = kernel.landlock_ruleset(attributes(abi, of_files=rules is not None, net=ports is not None, scope=True))
    try:
        if rules is not None:
            _add_files(ruleset, abi, rules, fds)
        if ports is not None and abi >= NET_ABI:
            for number in ports:
                kernel.landlock_add(ruleset, _NET_PORT, port(number))
        kernel.landlock_restrict(ruleset)
    finally:
        os.close(ruleset)


def _add_files(ruleset: int, abi: int, rules: Rules, fds: Sequence[int]) -> None:
    every = files(abi)
    for paths, rights in ((rules.read, READ), (rules.write, WRITE), (rules.devices, DEVICE)):
        for path in paths:
            try:
                fd = kernel.open_plain(path)
            except OSError:
                continue  # not there, or a link: nothing to allow
            try:
                _allow(ruleset, rights & every, fd)
            finally:
                os.close(fd)
    for fd in fds:
        _allow(ruleset, (READ_FILE | WRITE_FILE | IOCTL_DEV) & every, fd)


def _allow(ruleset: int, rights: int, fd: int) -> None:
    mode = os.fstat(fd).st_mode
    if not stat.S_ISDIR(mode):
        rights &= _OF_FILES
    if stat.S_ISDIR(mode) or stat.S_ISREG(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode):
        kernel.landlock_add(ruleset, _PATH_BENEATH, beneath(rights, fd))
