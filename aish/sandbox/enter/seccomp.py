"""System calls that a sandboxed program does without: a program of the kernel's BPF. Pure: words in, bytes out."""

from __future__ import annotations

import errno
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

ARCHITECTURES: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT: Final = 0x40000000

_LD, _JEQ, _JGE, _JSET, _AND, _RET = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_NUMBER_AT, _ARCH_AT, _ARGS_AT = 0, 4, 16
_ALLOW: Final = 0x7FFF0000
_ERRNO: Final = 0x00050000

NUMBERS: Final[dict[str, tuple[int, int]]] = {  # x86_64, aarch64; -1: it has none
    "ioctl": (16, 29), "socket": (41, 198), "sendto": (44, 206), "sendmsg": (46, 211), "sendmmsg": (307, 269),
    "socketpair": (53, 199), "clone": (56, 220), "clone3": (435, 435), "unshare": (272, 97), "setns": (308, 268),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "process_madvise": (440, 440),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "move_mount": (429, 429),
    "open_tree": (428, 428), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fspick": (433, 433), "mount_setattr": (442, 442), "open_tree_attr": (467, 467),
    "open_by_handle_at": (304, 265),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "fanotify_init": (300, 262),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225),
    "acct": (163, 89), "quotactl": (179, 60), "quotactl_fd": (443, 443), "syslog": (103, 116),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171), "clock_adjtime": (305, 266),
    "sethostname": (170, 161), "setdomainname": (171, 162), "vhangup": (153, 58), "iopl": (172, -1),
    "ioperm": (173, -1), "uselib": (134, -1), "modify_ldt": (154, -1),
}  # fmt: skip
REFUSED: Final = tuple(
    name
    for name in NUMBERS
    if name not in ("ioctl", "socket", "sendto", "sendmsg", "sendmmsg", "socketpair", "clone", "clone3", "unshare")
)
"""Whatever their arguments. Debuggers, mounts, keys of the kernel, its own programs, and calls that reach round the
rules for files or that have been the way out of it before."""

_NEW_NAMESPACES: Final = 0x7E020000
"""CLONE_NEWNS, CGROUP, UTS, IPC, USER, PID, NET."""
_NEW_TIME: Final = 0x80
_TIOCSTI, _TIOCLINUX, _TIOCSETD = 0x5412, 0x541C, 0x5423
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
_STREAM, _DGRAM, _SEQPACKET, _TYPE = 1, 2, 5, 0xF
_TCP: Final = 6
_MSG_FASTOPEN: Final = 0x20000000


class Wanted:
    """`inet`: "open", "tcp" (streams of TCP alone, by Landlock's ports) or "none". `unix`: sockets in files."""

    def __init__(self, inet: str = "open", *, unix: bool = True) -> None:
        self.inet, self.unix = inet, unix


Code = list[tuple[int, int, int, int]]
"""Instructions: code, how far to jump if it holds, how far if not, the value."""


def program(machine: str, wanted: Wanted) -> bytes:
    """What is not refused is allowed. Raises KeyError for a machine whose calls are not known."""
    column = list(ARCHITECTURES).index(machine)
    code = [_load(_ARCH_AT), (_JEQ, 1, 0, ARCHITECTURES[machine]), _refuse(errno.ENOSYS)]  # not a 32-bit program's
    code.append(_load(_NUMBER_AT))
    if machine == "x86_64":
        code += [(_JGE, 0, 1, _X32_BIT), _refuse(errno.ENOSYS)]
    for name in REFUSED:
        code += _when(NUMBERS[name][column], [_refuse()])
    code += _when(NUMBERS["clone3"][column], [_refuse(errno.ENOSYS)])  # its flags are in memory: C libraries
    for name, body in _checks(wanted):  # fall back to clone, whose flags a filter sees
        code += _when(NUMBERS[name][column], body)
    code.append(_allow())
    return b"".join(struct.pack("=HBBI", *each) for each in code)


def _checks(wanted: Wanted) -> Iterator[tuple[str, Code]]:
    yield "clone", _unless_bits(0, _NEW_NAMESPACES)
    yield "unshare", _unless_bits(0, _NEW_NAMESPACES | _NEW_TIME)
    refused = [each for value in (_TIOCSTI, _TIOCLINUX, _TIOCSETD) for each in _when(value, [_refuse()])]
    yield "ioctl", [_load(_argument(1)), *refused, _allow()]
    yield "socket", _sockets(wanted)
    if not wanted.unix:  # connected ones; one of datagrams could still be sent to any address
        kinds = [*_when(_STREAM, [_allow()]), *_when(_SEQPACKET, [_allow()])]
        yield "socketpair", [_load(_argument(1)), (_AND, 0, 0, _TYPE), *kinds, _refuse(errno.EACCES)]
    if wanted.inet != "open":  # a connection that no `connect` is asked for
        for name, flags in (("sendto", 3), ("sendmsg", 2), ("sendmmsg", 3)):
            yield name, _unless_bits(flags, _MSG_FASTOPEN)


def _sockets(wanted: Wanted) -> Code:
    """Families one by one; of the machine's addresses (netlink) the one protocol that resolvers ask."""
    code = [_load(_argument(0))]
    if wanted.unix:
        code += _when(_AF_UNIX, [_allow()])
    code += _when(_AF_NETLINK, [_load(_argument(2)), *_when(0, [_allow()]), _refuse(errno.EACCES)])
    if wanted.inet != "none":
        body = _inet(all_of_it=wanted.inet == "open")
        code += [*_when(_AF_INET, body), *_when(_AF_INET6, body)]
    return [*code, _refuse(errno.EACCES)]


def _inet(*, all_of_it: bool) -> Code:
    """Never raw packets. TCP alone is what Landlock has rules for: MPTCP and SCTP are streams, too."""
    code = [_load(_argument(1)), (_AND, 0, 0, _TYPE)]
    if all_of_it:
        code += [*_when(_STREAM, [_allow()]), *_when(_DGRAM, [_allow()])]
    else:
        tcp = [_load(_argument(2)), *_when(0, [_allow()]), *_when(_TCP, [_allow()]), _refuse(errno.EACCES)]
        code += _when(_STREAM, tcp)
    return [*code, _refuse(errno.EACCES)]


def _unless_bits(place: int, bits: int) -> Code:
    return [_load(_argument(place)), (_JSET, 0, 1, bits), _refuse(), _allow()]


def _when(value: int, body: Code) -> Code:
    """`body` where that is what was loaded; it ends in a return. A call that the machine has not: nothing."""
    return [(_JEQ, 0, len(body), value), *body] if value >= 0 else []


def _argument(place: int) -> int:
    """Its lower half: both machines are little-endian."""
    return _ARGS_AT + 8 * place


def _load(at: int) -> tuple[int, int, int, int]:
    return _LD, 0, 0, at


def _refuse(number: int = errno.EPERM) -> tuple[int, int, int, int]:
    return _RET, 0, 0, _ERRNO | number


def _allow() -> tuple[int, int, int, int]:
    return _RET, 0, 0, _ALLOW
