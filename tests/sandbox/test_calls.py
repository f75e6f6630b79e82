"""Escapes by other ways than files and network, tried in each tier: signals, memory of others, terminals, mounts."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from aish.model.sandbox import BWRAP, LANDLOCK
from aish.sandbox.enter.landlock import SCOPE_ABI
from aish.sandbox.enter.seccomp import ARCHITECTURES, NUMBERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sandbox.conftest import Box

COLUMN = list(ARCHITECTURES).index(os.uname().machine) if os.uname().machine in ARCHITECTURES else 0


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """Another process of the user, with a key in its environment."""
    environ = {"AISH_KEY": "key-of-a-sibling"}
    process = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env=environ, start_new_session=True
    )
    yield process
    process.kill()
    process.wait()


# --- sockets of this machine ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["closed", "open"])
def test_sockets_in_files_outside_are_not_reached(box: Box, profile: str) -> None:
    """D-Bus, systemd --user, docker, tmux, ssh-agent: whoever answers there acts outside."""
    path = str(box.root / "run" / "bus")
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    datagrams.bind(path + "d")
    try:
        for code in (
            f"s = socket.socket(socket.AF_UNIX); s.connect({path!r})",
            f"s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.sendto(b'x', {path + 'd'!r})",
            f"a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); a.sendto(b'x', {path + 'd'!r})",
            f"a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); a.connect({path + 'd'!r})",
        ):
            assert box.attempt(code, profile=profile) in ("ENOENT", "EACCES", "EPERM"), code
    finally:
        server.close()
        datagrams.close()


@pytest.mark.parametrize("profile", ["closed", "open"])
def test_abstract_sockets_outside_are_not_reached(box: Box, profile: str) -> None:
    if box.tier == BWRAP and profile == "open" and box.holding.abi < SCOPE_ABI:
        pytest.skip("Landlock of this kernel has no scopes: inspect says so")
    name = f"\0aish-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        tried = box.attempt(f"s = socket.socket(socket.AF_UNIX); s.connect({name!r})", profile=profile)
        assert tried in ("EPERM", "EACCES", "ECONNREFUSED")


def test_pairs_work(box: Box) -> None:
    assert box.attempt("a, b = socket.socketpair(); a.send(b'x'); assert b.recv(1) == b'x'") == "OPEN"


# --- other processes ------------------------------------------------------------------------------------------------


def test_a_stranger_is_not_signalled(box: Box, stranger: subprocess.Popen[bytes]) -> None:
    if box.tier == LANDLOCK and box.holding.abi < SCOPE_ABI:
        pytest.skip("Landlock of this kernel has no scopes: inspect says so")
    for code in (f"os.kill({stranger.pid}, 9)", f"os.killpg({stranger.pid}, 9)"):
        assert box.attempt(code) in ("EPERM", "ESRCH")
    assert stranger.poll() is None
    box.attempt(f"signal.pidfd_send_signal(os.pidfd_open({stranger.pid}), 9)")
    assert stranger.poll() is None


@pytest.mark.parametrize("name", ["environ", "mem", "fd/0", "root/etc/passwd", "cwd/x", "maps", "auxv"])
def test_a_stranger_is_not_looked_into(box: Box, stranger: subprocess.Popen[bytes], name: str) -> None:
    """A sibling's key is in its environment."""
    path = f"/proc/{stranger.pid}/{name}"
    assert box.attempt(f"print(open({path!r}, 'rb').read(64))") != "OPEN"
    assert box.attempt(f"os.readlink({path!r})") != "OPEN"


def test_nobody_else_is_seen(box: Box) -> None:
    if box.tier != BWRAP:
        pytest.skip("names and arguments of others are seen without a pid namespace: inspect says so")
    ran = box.python("print(len([pid for pid in os.listdir('/proc') if pid.isdecimal()]))")
    assert ran.stdout.strip() == "2"  # the first process and the program


def test_a_stranger_is_not_traced(box: Box, stranger: subprocess.Popen[bytes]) -> None:
    for name, words in (
        ("ptrace", f"16, {stranger.pid}, 0, 0"),
        ("process_vm_readv", f"{stranger.pid}, 0, 0, 0, 0, 0"),
        ("pidfd_getfd", "0, 0, 0"),
        ("kcmp", f"{stranger.pid}, {stranger.pid}, 0, 0, 0"),
    ):
        assert box.attempt(f"call({NUMBERS[name][COLUMN]}, {words})") == "EPERM", name


@pytest.mark.parametrize(
    "name",
    ["mount", "umount2", "pivot_root", "chroot", "setns", "keyctl", "bpf", "userfaultfd", "io_uring_setup",
     "open_by_handle_at", "fsopen", "open_tree", "perf_event_open", "init_module", "syslog"],
)  # fmt: skip
def test_calls_that_nobody_needs_are_refused(box: Box, name: str) -> None:
    assert box.attempt(f"call({NUMBERS[name][COLUMN]}, 0, 0, 0, 0, 0)") == "EPERM"


def test_there_are_no_further_namespaces(box: Box) -> None:
    for flags in (0x10000000, 0x00020000, 0x40000000, 0x10020000):
        assert box.attempt(f"call({NUMBERS['unshare'][COLUMN]}, {flags})") == "EPERM"
        assert box.attempt(f"call({NUMBERS['clone'][COLUMN]}, {flags | 17}, 0, 0, 0, 0)") == "EPERM"
    assert box.attempt("call(435, 0, 0)") == "ENOSYS"


def test_setuid_programs_have_no_more_rights(box: Box) -> None:
    ran = box.run("sh", "-c", "grep -E 'NoNewPrivs|CapEff|CapBnd|CapPrm' /proc/self/status")
    told = dict(line.split(":\t") for line in ran.stdout.splitlines())
    assert told["NoNewPrivs"] == "1"
    assert int(told["CapEff"], 16) == int(told["CapPrm"], 16) == 0
    if os.geteuid() == 0:
        assert int(told["CapBnd"], 16) == 0


def test_nothing_is_typed_into_the_terminal(box: Box) -> None:
    """TIOCSTI: what is pushed there would be a command of the shell that comes after."""
    master, slave = pty.openpty()
    try:
        streams = {"stdin": slave, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "start_new_session": True}
        for number in (0x5412, 0x541C, 0x5412 | 1 << 32):
            code = (
                f"fcntl.ioctl(0, {number & 0xFFFFFFFF}, b'x')"
                if number < 1 << 32
                else (f"call({NUMBERS['ioctl'][COLUMN]}, 0, ctypes.c_ulong({number}), b'x')")
            )
            assert box.attempt(code, streams=streams) == "EPERM"
    finally:
        os.close(master)
        os.close(slave)


def test_32_bit_calls_are_no_way_round(box: Box) -> None:
    """Another table of system calls, by which the filter would not know what is asked for."""
    if os.uname().machine != "x86_64":
        pytest.skip("of x86_64 alone")
    code = (
        "import mmap; m = mmap.mmap(-1, 4096, prot=7); m.write(b'\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3');"
        "f = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)));"
        "r = f(); print(r);\nif r < 0: raise OSError(-r, '')"
    )
    assert "ENOSYS" in box.attempt(code)
    assert box.attempt("call(0x40000000 | 39)") == "ENOSYS"


def test_an_environment_does_not_run_anything_before_the_sandbox_holds(box: Box) -> None:
    """LD_PRELOAD of the program's own environment would else be loaded by what sets the sandbox up."""
    marker = box.root / "loaded"
    source = box.project / "evil.c"
    source.write_text(
        "#include <fcntl.h>\n__attribute__((constructor)) void f(void)"
        f'{{ open("{marker}", O_CREAT | O_WRONLY, 0600); }}\n'
    )
    library = box.project / "evil.so"
    if subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=False).returncode != 0:
        pytest.skip("no C compiler")
    ran = box.run("true", environ=box.environ(LD_PRELOAD=str(library), PYTHONPATH=str(box.project)))
    assert ran.returncode == 0
    assert not marker.exists()
