"""Linux 5.10, as far as a filter of system calls can play it: nothing that the supervisor has of later kernels."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from typing import TYPE_CHECKING

import pytest

from aish.supervisor.holder.wire import HolderError
from aish.wire.message import Stop
from aish.wire.reply import Done

if TYPE_CHECKING:
    from conftest import Home, Supervised

NUMBERS = {"x86_64": (0xC000003E, 16, 424), "aarch64": (0xC00000B7, 29, 424)}
"""Architecture, ioctl, pidfd_send_signal."""
LANDLOCK = 444
PIDFD_IOCTLS = 0xFF
"""The type of PIDFD_GET_INFO and its kind, in the second byte."""

pytestmark = [
    pytest.mark.usefixtures("home"),
    pytest.mark.skipif(platform.machine() not in NUMBERS, reason="numbers of calls are not known for this machine"),
]


def filtered() -> None:
    """PIDFD_GET_INFO (6.13), PIDFD_SIGNAL_PROCESS_GROUP (6.9) and Landlock (5.13) are not known from now on."""
    arch, ioctl, send_signal = NUMBERS[platform.machine()]
    load, equal, mask, give = 0x20, 0x15, 0x54, 0x06
    allow, refuse = 0x7FFF0000, 0x00050000
    code = [
        (load, 0, 0, 4),
        (equal, 1, 0, arch),
        (give, 0, 0, allow),
        (load, 0, 0, 0),
        (equal, 0, 5, ioctl),
        (load, 0, 0, 16 + 8),
        (mask, 0, 0, 0xFF00),
        (equal, 0, 1, PIDFD_IOCTLS << 8),
        (give, 0, 0, refuse | errno.ENOTTY),
        (give, 0, 0, allow),
        (equal, 0, 4, send_signal),
        (load, 0, 0, 16 + 8 * 3),
        (equal, 1, 0, 0),
        (give, 0, 0, refuse | errno.EINVAL),
        (give, 0, 0, allow),
        (equal, 0, 1, LANDLOCK),
        (give, 0, 0, refuse | errno.ENOSYS),
        (give, 0, 0, allow),
    ]
    words = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in code))
    filter_ = ctypes.create_string_buffer(struct.pack("@HP", len(code), ctypes.addressof(words)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, filter_, 0, 0):  # no new privileges; a filter
        raise OSError(ctypes.get_errno(), "seccomp")


@pytest.fixture
def old(home: Home, request: pytest.FixtureRequest) -> Supervised:
    assert home.aish("spawn", "--", "true", preexec_fn=filtered).returncode == 0
    started: Supervised = request.getfixturevalue("up")
    return started


def test_kernel_5_10_says_what_it_does_not_have(old: Supervised) -> None:
    told = old.home.aish("doctor").stdout
    assert "warn  exits: Linux" in told
    assert "landlock holds" not in told


def test_kernel_5_10_both_killed_the_status_is_known_or_unknown_and_never_guessed(old: Supervised) -> None:
    """And what lives is not started beside itself, and can be stopped with its group."""
    read_end, write_end = os.pipe()
    old.spawn("sh", "-c", "read x; exit 7", name="job", fds={0: read_end})
    stays = old.spawn("sh", "-c", "sleep 300 & wait", name="stays", restart="always")
    os.close(read_end)
    before = old.daemon_pid
    old.kill_parents()
    old.until("another daemon is there", lambda: _daemon(old) not in (before, None))
    old.next_daemon()
    assert (old.row("stays").state, old.row("stays").pid) == ("running", stays.pid)
    assert old.row("job").state == "running"
    os.close(write_end)
    end = old.wait("job").exit
    assert end is None or (end.code, end.signal) in ((7, None), (None, None)), "unknown is a value"
    old.client.ask(Done, Stop(target="stays", grace_s=1))
    old.wait("stays")


def _daemon(up: Supervised) -> int | None:
    try:
        return up.programs()["daemon"]
    except (HolderError, OSError, TypeError):  # one of them is just being replaced
        return None
