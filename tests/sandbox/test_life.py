"""A sandboxed program lives as any other: signals, statuses, terminals, descriptors, its end."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest

from aish.model.sandbox import BWRAP

if TYPE_CHECKING:
    from tests.sandbox.conftest import Box

DEADLINE_S = 60.0


def line(stream: IO[str] | None) -> str:
    assert stream is not None
    ready, _, _ = select.select([stream], [], [], DEADLINE_S)
    assert ready, "nothing was said"
    return stream.readline().strip()


@pytest.mark.parametrize("script", ["exit 0", "exit 3", "exit 255"])
def test_its_status_is_the_program_s(box: Box, script: str) -> None:
    assert box.run("sh", "-c", script).returncode == int(script.split()[1])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGUSR1, signal.SIGPIPE])
def test_a_program_that_dies_by_a_signal_has_died_by_it(box: Box, number: signal.Signals) -> None:
    assert box.run("sh", "-c", f"kill -{int(number)} $$").returncode == -number


def test_what_is_not_there_is_127_and_what_is_no_program_126(box: Box) -> None:
    (box.project / "plain").write_text("x")
    assert box.run("x", program=str(box.project / "none")).returncode == 127
    assert box.run("x", program=str(box.project / "plain")).returncode == 126


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGQUIT])
@pytest.mark.parametrize("to", ["leader", "group"])
def test_a_signal_reaches_the_program_once(box: Box, number: signal.Signals, to: str) -> None:
    """The leader stands outside; a signal for the group comes to it and to the program, one for it alone does not."""
    code = f"""
import os, select, signal
seen, (out, into) = [], os.pipe2(os.O_NONBLOCK)
signal.set_wakeup_fd(into)
signal.signal({int(number)}, lambda *_: seen.append(1))
print('ready', flush=True)
select.select([out], [], [], 20)
os.read(out, 1)
select.select([out], [], [], 0.3)  # a second one would come within that
print(len(seen), flush=True)
"""
    process = box.start(sys.executable, "-I", "-S", "-c", code, streams={"start_new_session": True})
    assert line(process.stdout) == "ready"
    if to == "leader":
        os.kill(process.pid, number)
    else:
        os.killpg(process.pid, number)
    assert line(process.stdout) == "1"
    assert process.wait(DEADLINE_S) == 0
    process.communicate()


@pytest.mark.parametrize("to", ["leader", "group"])
def test_a_program_without_a_handler_ends_by_the_signal(box: Box, to: str) -> None:
    """The kernel gives pid 1 of a namespace no signal that it does not ask for."""
    process = box.start("sh", "-c", "echo ready; exec sleep 60", streams={"start_new_session": True})
    assert line(process.stdout) == "ready"
    (os.kill if to == "leader" else os.killpg)(process.pid, signal.SIGTERM)
    assert process.wait(DEADLINE_S) == -signal.SIGTERM
    process.communicate()


def test_the_end_of_the_leader_is_the_end_of_all(box: Box) -> None:
    """What is killed with SIGKILL passes nothing on; in a pid namespace all of it goes all the same."""
    if box.tier != BWRAP:
        pytest.skip("the leader is the program itself")
    process = box.start("sh", "-c", "setsid sleep 60 & echo ready; sleep 60", streams={"start_new_session": True})
    assert line(process.stdout) == "ready"
    process.kill()
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], DEADLINE_S)
    assert ready
    assert process.stdout.read() == ""  # both sleepers had it open
    process.communicate()


def test_a_stream_that_the_program_closes_is_closed(box: Box) -> None:
    """Whoever stands between must not hold it open."""
    process = box.start("sh", "-c", "exec >&- 2>&-; exec sleep 60")
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], DEADLINE_S)
    assert ready
    assert process.stdout.read() == ""
    assert process.poll() is None
    process.kill()
    process.communicate()


def test_what_it_leaves_behind_does_not_keep_its_end_from_being_told(box: Box) -> None:
    process = box.start("sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!; exit 4", streams={"start_new_session": True})
    assert line(process.stdout)
    assert process.wait(DEADLINE_S) == 4
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_its_words_environment_and_folder_are_as_without(box: Box) -> None:
    code = """
import os, sys
entries = open('/proc/self/environ').read().split(chr(0))[:-1]
print(sys.orig_argv[0], os.getcwd(), sorted(tuple(entry.split('=', 1)) for entry in entries))
"""
    environ = box.environ(A="1", AISH_ID="p1", LC_CTYPE="C", EMPTY="")
    ran = box.run("another name", "-I", "-S", "-c", code, program=sys.executable, environ=environ)
    wanted = dict(environ)
    if box.tier != BWRAP:
        wanted["TMPDIR"] = str(box.folder / "tmp")
    wanted["AISH_SANDBOXED"] = "closed" if box.tier == BWRAP else f"closed, {box.tier}"
    assert ran.stdout.strip() == f"another name {box.project} {sorted(wanted.items())}", ran.stderr


def test_descriptors_are_passed_on_and_no_others(box: Box) -> None:
    one, other = os.pipe()
    try:
        code = (
            "import os; here = '/proc/self/fd/'\n"
            "fds = [int(fd) for fd in os.listdir(here) if os.path.exists(here + fd)]\n"
            "print(os.environ['LISTEN_PID'] == str(os.getpid()), sorted(fds))"
        )
        environ = box.environ(LISTEN_FDS="1", LISTEN_PID="0")
        ran = box.run(sys.executable, "-I", "-S", "-c", code, environ=environ, pass_fds=(other,))
        assert ran.stdout.strip() == f"True [0, 1, 2, {other}]", ran.stderr
    finally:
        os.close(one)
        os.close(other)


def test_a_caller_from_inside_is_known_outside(box: Box) -> None:
    """The kernel tells pids as whoever listens has them: the daemon finds the place in the tree by that."""
    if box.tier != BWRAP:
        pytest.skip("no sockets in files: inspect says so")
    path = str(box.folder / "sock")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        process = box.start(
            sys.executable,
            "-I",
            "-S",
            "-c",
            f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({path!r}); input()",
            streams={"stdin": subprocess.PIPE},
        )
        server.settimeout(DEADLINE_S)
        connection, _ = server.accept()
        pid = int.from_bytes(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 4), sys.byteorder)
        above = pid
        while above not in (process.pid, 1, 0):
            above = int(Path(f"/proc/{above}/stat").read_text().rpartition(")")[2].split()[1])
        assert above == process.pid
        connection.close()
        process.communicate("\n")


@pytest.mark.parametrize("verb", ["ps", "answer x allow", "shutdown"])
def test_who_asks_for_the_supervisor_is_told_that_it_is_out_of_reach(box: Box, verb: str) -> None:
    """`nothing is supervised` was not so; and an agent that read it would start what runs already."""
    environ = box.environ(XDG_RUNTIME_DIR=str(box.root / "run"))
    ours = str(Path(__file__).parents[2])
    for spawn in (False, True):
        if spawn and box.tier == BWRAP:
            continue  # it is reached
        argv = (sys.executable, "-P", "-m", "aish", *verb.split())
        ran = box.run(*argv, spawn=spawn, environ=environ, read=[ours])
        assert ran.returncode == 69, ran.stderr
        assert "the supervisor is not reached from inside this sandbox (closed" in ran.stderr
        assert ("--sandbox-spawn" if box.tier == BWRAP else "only bubblewrap could let it in") in ran.stderr


# --- terminals ------------------------------------------------------------------------------------------------------


class Terminal:
    def __init__(self, box: Box, *argv: str) -> None:
        self.master, slave = pty.openpty()
        streams = {"stdin": slave, "stdout": slave, "stderr": slave, "start_new_session": True}
        streams["preexec_fn"] = lambda: __import__("fcntl").ioctl(0, 0x540E, 0)  # TIOCSCTTY
        self.process = box.start(*argv, streams=streams, environ=box.environ(TERM="dumb", PS1="> "))
        os.close(slave)
        self.text = ""

    def expect(self, word: str) -> str:
        until = time.monotonic() + DEADLINE_S
        while word not in self.text:
            ready, _, _ = select.select([self.master], [], [], max(0.0, until - time.monotonic()))
            assert ready, f"{word!r} did not come: {self.text!r}"
            self.text += os.read(self.master, 4096).decode(errors="replace")
        found, _, self.text = self.text.partition(word)
        return found

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)


def test_control_c_reaches_what_is_in_front(box: Box) -> None:
    code = """
import signal
try:
    print('rea' + 'dy', flush=True)
    signal.pause()
except KeyboardInterrupt:
    print('inter' + 'rupted')
"""
    terminal = Terminal(box, sys.executable, "-I", "-S", "-c", code)
    try:
        terminal.expect("ready")
        terminal.type("\x03")
        terminal.expect("interrupted")
        assert terminal.process.wait(DEADLINE_S) == 0
    finally:
        terminal.close()


def test_a_shell_has_job_control(box: Box) -> None:
    terminal = Terminal(box, "bash", "--norc", "--noprofile", "-i")
    try:
        terminal.type("echo st''art\n")
        terminal.expect("start")
        terminal.type("sleep 60\n")
        terminal.expect("sleep 60")
        _front(terminal)
        terminal.type("\x1a")
        terminal.expect("Stopped")
        terminal.type("fg\n")
        terminal.expect("sleep 60")
        _front(terminal)
        terminal.type("\x03")
        terminal.type("echo d''one\n")
        terminal.expect("done")
        terminal.type("exit 7\n")
        assert terminal.process.wait(DEADLINE_S) == 7
    finally:
        terminal.close()


def _front(terminal: Terminal) -> None:
    """Until the job has the terminal: what is typed before is the shell's."""
    before = os.tcgetpgrp(terminal.master)
    until = time.monotonic() + DEADLINE_S
    while time.monotonic() < until:
        now = os.tcgetpgrp(terminal.master)
        with contextlib.suppress(OSError):
            if "sleep" in Path(f"/proc/{now}/comm").read_text():
                return
        select.select([], [], [], 0.01)
    raise AssertionError(f"still {before} in front")


# --- what must still work -------------------------------------------------------------------------------------------


def test_pipelines_and_programs_work(box: Box) -> None:
    assert box.run("sh", "-c", "seq 1 1000 | sort -rn | head -1 | cat").stdout == "1000\n"
    code = "import subprocess, multiprocessing as m; print(subprocess.run(['echo', 'x'], capture_output=True).stdout)"
    assert box.run(sys.executable, "-c", code).stdout == "b'x\\n'\n"


def test_threads_and_processes_of_python_work(box: Box) -> None:
    code = """
import concurrent.futures as c
print(sum(c.ThreadPoolExecutor(4).map(int, '123')))
"""
    assert box.run(sys.executable, "-c", code).stdout == "6\n"


@pytest.mark.slow
def test_pip_installs_into_an_environment_in_its_folder(box: Box) -> None:
    with zipfile.ZipFile(box.project / "it-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("it.py", "x = 'installed'\n")
        wheel.writestr("it-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: it\nVersion: 1\n")
        wheel.writestr("it-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("it-1.dist-info/RECORD", "it.py,,\nit-1.dist-info/METADATA,,\nit-1.dist-info/WHEEL,,\n")
    pip = "-m pip install --quiet --no-index --target lib --no-compile ./it-1-py3-none-any.whl"
    script = f"{sys.executable} -m venv --without-pip v && {sys.executable} {pip} && PYTHONPATH=lib v/bin/python -c"
    ran = box.run("sh", "-ec", f"{script} 'import it, sys; print(it.x, sys.prefix)'")
    if "No module named pip" in ran.stderr:
        pytest.skip("there is no pip")
    assert ran.stdout == f"installed {box.project}/v\n", ran.stderr
