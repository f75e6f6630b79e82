"""The filter as the kernel would run it, for both machines, on whichever this is."""

from __future__ import annotations

import errno
import struct

import pytest

from aish.sandbox.enter.seccomp import ARCHITECTURES, NUMBERS, REFUSED, Wanted, program

MACHINES = list(ARCHITECTURES)
ALLOWED = 0


def verdict(code: bytes, machine: str, number: int, *args: int, arch: int | None = None) -> int:
    """The errno that a call ends with, 0: it is allowed."""
    words = [*args, *(0,) * (6 - len(args))]
    data = struct.pack("=IIQ6Q", number, ARCHITECTURES[machine] if arch is None else arch, 0, *words)
    instructions = list(struct.iter_unpack("=HBBI", code))
    at = value = 0
    while True:
        kind, yes, no, constant = instructions[at]
        at += 1
        match kind:
            case 0x20:
                (value,) = struct.unpack_from("=I", data, constant)
            case 0x54:
                value &= constant
            case 0x15:
                at += yes if value == constant else no
            case 0x35:
                at += yes if value >= constant else no
            case 0x45:
                at += yes if value & constant else no
            case 0x06:
                return constant & 0xFFFF if constant >> 16 == 0x5 else ALLOWED
            case _:
                raise AssertionError(f"no such instruction: {kind:#x}")


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def call(machine: str, name: str, *args: int, inet: str = "open", unix: bool = True) -> int:
    number = NUMBERS[name][MACHINES.index(machine)]
    return verdict(program(machine, Wanted(inet, unix=unix)), machine, number, *args)


def test_what_is_refused_is_refused_whatever_its_arguments(machine: str) -> None:
    for name in REFUSED:
        if NUMBERS[name][MACHINES.index(machine)] >= 0:
            assert call(machine, name) == call(machine, name, *(2**64 - 1,) * 6) == errno.EPERM, name
    assert call(machine, "clone3") == errno.ENOSYS


def test_everything_else_is_allowed(machine: str) -> None:
    code = program(machine, Wanted("none", unix=False))
    named = {numbers[MACHINES.index(machine)] for numbers in NUMBERS.values()}
    for number in set(range(480)) - named:
        assert verdict(code, machine, number, *(2**64 - 1,) * 6) == ALLOWED, number


def test_another_table_of_calls_has_none(machine: str) -> None:
    code = program(machine, Wanted())
    assert verdict(code, machine, 20, arch=0x40000003) == errno.ENOSYS
    if machine == "x86_64":
        assert verdict(code, machine, 0x40000000 | 39) == errno.ENOSYS


INET, INET6, UNIX, NETLINK, PACKET, VSOCK = 2, 10, 1, 16, 17, 40
STREAM, DGRAM, RAW, CLOEXEC = 1, 2, 3, 0o2000000


@pytest.mark.parametrize("family", [INET, INET6])
def test_sockets_of_the_network(machine: str, family: int) -> None:
    for inet, allowed in (
        ("open", {(STREAM, 0), (STREAM, 6), (DGRAM, 0), (STREAM, 262)}),
        ("tcp", {(STREAM, 0), (STREAM, 6)}),
        ("none", set()),
    ):
        for kind, protocol in ((STREAM, 0), (STREAM, 6), (STREAM, 262), (STREAM, 132), (DGRAM, 0), (RAW, 1), (5, 0)):
            found = call(machine, "socket", family, kind | CLOEXEC, protocol, inet=inet)
            wanted = (kind, protocol) in allowed or (inet == "open" and kind == STREAM)
            assert found == (ALLOWED if wanted else errno.EACCES), (inet, kind, protocol)


def test_other_sockets(machine: str) -> None:
    assert call(machine, "socket", UNIX, STREAM) == ALLOWED
    assert call(machine, "socket", UNIX, STREAM, unix=False) == errno.EACCES
    assert call(machine, "socket", UNIX | 1 << 32, STREAM, unix=False) == errno.EACCES, "the kernel takes half of it"
    assert call(machine, "socket", NETLINK, RAW, 0, inet="none") == ALLOWED
    assert call(machine, "socket", NETLINK, RAW, 16) == errno.EACCES
    for family in (PACKET, VSOCK, 38, 31):
        assert call(machine, "socket", family, RAW) == errno.EACCES
    for kind, found in ((STREAM, ALLOWED), (5, ALLOWED), (DGRAM, errno.EACCES), (DGRAM | CLOEXEC, errno.EACCES)):
        assert call(machine, "socketpair", UNIX, kind, unix=False) == found
    assert call(machine, "socketpair", UNIX, DGRAM) == ALLOWED


def test_flags_and_terminals(machine: str) -> None:
    for name, place in (("sendto", 3), ("sendmsg", 2), ("sendmmsg", 3)):
        args = [0] * 6
        args[place] = 0x20000000 | 0x4000
        assert call(machine, name, *args, inet="tcp") == errno.EPERM
        assert call(machine, name, *args, inet="open") == ALLOWED
        assert call(machine, name, *[0] * 6, inet="tcp") == ALLOWED
    for number in (0x5412, 0x541C, 0x5412 | 0xFF << 32):
        assert call(machine, "ioctl", 0, number) == errno.EPERM
    for number in (0x5401, 0x5413, 0x5410):
        assert call(machine, "ioctl", 0, number) == ALLOWED
    assert call(machine, "clone", 0x01200011) == ALLOWED
    assert call(machine, "clone", 0x003D0F00) == ALLOWED
    for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert call(machine, "clone", flag | 17) == call(machine, "unshare", flag) == errno.EPERM
    assert call(machine, "unshare", 0x80) == errno.EPERM
    assert call(machine, "unshare", 0x200) == ALLOWED
