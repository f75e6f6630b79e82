"""Root in a sandbox is root by the files that it owns alone: it owns the settings of the machine, too."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.sandbox.conftest import Box

pytestmark = pytest.mark.root
SETTINGS = (
    *("sys/kernel/core_pattern", "sys/kernel/modprobe", "sys/vm/drop_caches", "sys/fs/suid_dumpable"),
    *("sysrq-trigger", "irq/default_smp_affinity", "self/uid_map", "kcore"),
)


def test_settings_of_the_machine_are_not_written(box: Box) -> None:
    """Opened, and nothing is written: where this fails, they are those of the whole machine."""
    groups = Path("/sys/fs/cgroup")
    paths = [*(f"/proc/{name}" for name in SETTINGS), "/sys/kernel/uevent_helper", "/sys/power/state"]
    paths += [str(path) for path in (*groups.glob("cgroup.procs"), *groups.glob("*/cgroup.procs"))]
    for path in filter(os.path.exists, paths):
        assert box.attempt(f"os.close(os.open({path!r}, os.O_WRONLY))") in ("EROFS", "EACCES", "ENOENT", "EPERM"), (
            path
        )


def test_what_only_root_reads_is_not_read(box: Box) -> None:
    for path in ("/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/dev/mem", "/proc/kcore"):
        if os.path.exists(path):
            code = f"assert not open({path!r}, 'rb').read(1)"
            assert box.attempt(code) in ("ENOENT", "EACCES", "EPERM"), path


@pytest.mark.parametrize(
    "code",
    [
        "os.mknod('disk', 0o600 | stat.S_IFBLK, os.makedev(254, 0))",
        "os.mknod('mem', 0o600 | stat.S_IFCHR, os.makedev(1, 1))",
        "os.chroot('.')",
        "os.setuid(65534)",
        "os.chown('mine', 65534, 65534)",
        "os.nice(-5)",
        "socket.sethostname('x')",
        "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
    ],
)
def test_it_has_no_capabilities(box: Box, code: str) -> None:
    (box.project / "mine").write_text("x")
    assert box.attempt(code, profile="open") in ("EPERM", "EACCES", "EINVAL"), code


def test_processes_of_others_are_not_signalled(box: Box) -> None:
    other = subprocess.Popen(["setpriv", "--reuid", "65534", "--clear-groups", "sleep", "60"])
    try:
        assert box.attempt(f"os.kill({other.pid}, 9)", profile="open") in ("EPERM", "ESRCH")
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
