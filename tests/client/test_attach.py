"""`aish attach` and detaching, on real terminals."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pexpect
import pytest

from aish.client import connect
from tests.deadline import DEADLINE_S, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Home

    Start = Callable[..., "pexpect.spawn[bytes]"]

DETACH = b"\x1dd"
FLOOD_BYTES = 4_000_000
SIZES = "import os,signal;signal.signal(signal.SIGWINCH,lambda *_:print('size',*os.get_terminal_size(),flush=True))\n"


@pytest.fixture
def at_terminal() -> Iterator[Start]:
    """`aish words…` at a terminal of its own, in the home that is this test's."""
    opened = []

    def start(*words: str, rows: int = 24, columns: int = 80) -> pexpect.spawn[bytes]:
        terminal = pexpect.spawn(
            sys.executable,
            ["-m", "aish", *words],
            timeout=DEADLINE_S,
            dimensions=(rows, columns),
        )
        opened.append(terminal)
        return terminal

    yield start
    for terminal in opened:
        terminal.close(force=True)


def spawn(home: Home, name: str, *command: str) -> str:
    """Its id."""
    return home.client.spawn(list(command), name=name, pty=True, grace_s=1).id


def logged(home: Home, name: str) -> list[str]:
    return [line.text.rstrip("\r") for line in home.client.process(name).logs()]


def ended(terminal: pexpect.spawn[bytes]) -> int | None:
    """Its exit status; what it showed last is in `before`."""
    terminal.expect(pexpect.EOF)
    terminal.wait()
    status: int | None = terminal.exitstatus
    return status


def detach(terminal: pexpect.spawn[bytes]) -> None:
    terminal.send(DETACH)
    terminal.expect(rb"detached from \S+ \(p\d+\); aish attach")
    assert ended(terminal) == 0


# --- coming and going -----------------------------------------------------------------------------------------------


def test_what_run_began_goes_on_after_detaching_and_is_come_back_to(shared_home: Home, at_terminal: Start) -> None:
    first = at_terminal("run", "--name", "job", "--", "sh", "-c", "while read x; do echo got-$x; done; exit 3")
    first.sendline(b"one")
    first.expect(b"got-one\r\n")
    first.send(DETACH)
    first.expect(rb"detached from job \(p\d+\); aish attach job\r\n")
    assert ended(first) == 0
    again = at_terminal("attach", "job")
    again.expect(rb"aish: job \(p\d+\); ctrl-\] d detaches\r\n")
    again.expect(b"one\r\ngot-one\r\n")
    again.sendline(b"two")
    again.expect(b"got-two\r\n")
    again.send(b"\x04")
    assert ended(again) == 3, "as aish run, it ends as the process ends"


def test_a_spawned_process_has_a_terminal_when_that_is_asked_for(shared_home: Home, at_terminal: Start) -> None:
    script = "test -t 0 && test -t 1 && echo terminal; exec cat"
    done = shared_home.aish("spawn", "--pty", "--name", "job", "--grace", "1", "--", "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    terminal = at_terminal("attach", "job")
    terminal.expect(b"terminal\r\n")
    assert json.loads(shared_home.aish("inspect", "--json", "job").stdout)["attached"] == 1
    assert "attached     1 terminal\n" in shared_home.aish("inspect", "job").stdout
    detach(terminal)
    job = shared_home.client.process("job")
    until("it has left", lambda: job.inspect().attached == 0)


def test_the_keys_of_the_configuration(home: Home, at_terminal: Start) -> None:
    home.config.mkdir(exist_ok=True)
    (home.config / "config.toml").write_text('[attach]\ndetach = "ctrl-p ctrl-q"\n')
    spawn(home, "job", "cat")
    terminal = at_terminal("attach", "job")
    terminal.expect(b"ctrl-p ctrl-q detaches")
    terminal.send(b"a\x1ddb\r")
    terminal.expect(rb"a\^\]db\r\na\x1ddb\r\n")
    terminal.send(b"\x10\x11")
    assert ended(terminal) == 0


def test_a_key_that_could_begin_the_sequence_is_not_stuck(shared_home: Home, at_terminal: Start) -> None:
    """vi's Ctrl-] goes to a tag at once, or nearly."""
    spawn(shared_home, "job", "sh", "-c", "stty raw -echo; echo ready; head -c1 | od -An -tx1; sleep 100")
    terminal = at_terminal("attach", "job")
    terminal.expect(b"ready")
    terminal.send(b"\x1d")
    terminal.expect(b"1d")
    detach(terminal)


def test_the_last_lines_come_first(shared_home: Home, at_terminal: Start) -> None:
    spawn(shared_home, "job", "sh", "-c", "seq 1000; echo ready; exec cat")
    until("it has written", lambda: "ready" in logged(shared_home, "job"))
    for words, first in ((("--lines", "3"), 999), ((), 992)):
        terminal = at_terminal("attach", *words, "job", rows=10)
        terminal.expect(b"ready\r\n")
        shown = [int(line) for line in re.findall(rb"^(\d+)\r$", terminal.before, re.M)]
        assert shown == list(range(first, 1001))
        detach(terminal)


def test_what_has_ended_or_has_no_terminal(shared_home: Home, at_terminal: Start) -> None:
    spawn(shared_home, "done", "true")
    assert shared_home.client.wait("done").ok
    shared_home.client.spawn(["sleep", "100"], name="plain", grace_s=1)
    for name, said in (("done", rb"done \(p\d+\) has ended"), ("plain", rb"plain \(p\d+\) has no terminal")):
        terminal = at_terminal("attach", name)
        terminal.expect(said)
        assert ended(terminal) == 69


# --- one writer, several viewers ------------------------------------------------------------------------------------


def test_a_second_terminal_shows_and_cannot_type(shared_home: Home, at_terminal: Start) -> None:
    spawn(shared_home, "job", "sh", "-c", "stty size; exec cat")
    first = at_terminal("attach", "job", rows=30, columns=90)
    first.expect(b"ctrl-] d detaches".replace(b"]", rb"\]"))
    second = at_terminal("attach", "job", rows=10, columns=20)
    second.expect(rb"pid \d+ at /dev/pts/\d+ has the lease to type")
    second.sendline(b"from the second")
    first.sendline(b"from the first")
    second.expect(b"from the first\r\nfrom the first\r\n")
    assert b"from the second" not in second.before
    assert "from the second" not in "\n".join(logged(shared_home, "job"))
    second.send(b"\x03")
    second.expect(b"detached from job")
    assert ended(second) == 0
    first.sendline(b"still here")
    first.expect(b"still here\r\nstill here\r\n")


def test_who_may_only_look_is_told_so_behind_a_screenful(shared_home: Home, at_terminal: Start) -> None:
    """It was said first, and scrolled away at once; what was typed then vanished without a sign."""
    spawn(shared_home, "job", "sh", "-c", "seq 100; exec cat")
    first = at_terminal("attach", "job")
    first.expect(b"100\r\n")
    viewer = at_terminal("attach", "job", rows=14)
    viewer.expect(b"100\r\n")
    viewer.expect(rb"aish: job \(p\d+\): pid \d+ at \S+ has the lease to type, this one only shows \(--take")
    viewer.send(b"\x1b[A")
    viewer.send(b"x")
    viewer.expect(rb"\x07\r\naish: keys do not reach job \(p\d+\) from here: `aish attach --take job` types\r\n")
    assert b"\x07" not in viewer.before, "what begins with ESC may be an answer of the terminal"
    viewer.send(b"y")
    viewer.expect(rb"\x07")
    viewer.send(b"\x03")
    viewer.expect(b"detached from job")
    assert b"keys do not" not in viewer.before


def test_read_only_leaves_the_lease_to_others(shared_home: Home, at_terminal: Start) -> None:
    spawn(shared_home, "job", "cat")
    viewer = at_terminal("attach", "--read-only", "job")
    viewer.expect(rb"job \(p\d+\), read-only; ctrl-c detaches")
    writer = at_terminal("attach", "job")
    writer.expect(b"ctrl-. d detaches")
    writer.sendline(b"seen")
    viewer.expect(b"seen\r\nseen\r\n")
    pid = viewer.pid
    held = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    assert not [path for path in held if "ptmx" in path], "there is nothing that it could type with"


def test_taking_the_lease_makes_the_other_a_viewer(shared_home: Home, at_terminal: Start) -> None:
    first = at_terminal("run", "--name", "job", "--", "sh", "-c", "stty size; exec cat", rows=30, columns=90)
    first.sendline(b"one")
    first.expect(b"one\r\none\r\n")
    second = at_terminal("attach", "--take", "job")
    first.expect(rb"job \(p\d+\): pid \d+ at /dev/pts/\d+ has the lease to type, this one only shows")
    first.sendline(b"lost")
    second.sendline(b"two")
    first.expect(b"two\r\ntwo\r\n")
    assert "lost" not in "\n".join(logged(shared_home, "job"))
    third = at_terminal("attach", "--take", "job")
    second.expect(b"only shows")
    third.sendline(b"three")
    first.expect(b"three\r\nthree\r\n")


def test_the_window_is_as_large_as_the_writer_s(shared_home: Home, at_terminal: Start) -> None:
    spawn(shared_home, "job", sys.executable, "-c", SIZES + "print('ready', flush=True)\nwhile 1: signal.pause()")
    until("it is ready", lambda: "ready" in logged(shared_home, "job"))
    first = at_terminal("attach", "job", rows=30, columns=90)
    first.expect(b"size 90 30\r\n")
    viewer = at_terminal("attach", "--read-only", "job", rows=5, columns=5)
    viewer.expect(b"read-only")
    first.setwinsize(31, 91)
    first.expect(b"size 91 31\r\n")
    assert "size 5 5" not in "\n".join(logged(shared_home, "job"))


# --- what a full-screen program left on a terminal ------------------------------------------------------------------

EDITOR = SIZES.replace("print('size'", "print('\\x1b[2Jdrawn'") + (
    "print('\\x1b[?1049h\\x1b[?25l\\x1b[?2004hfirst', flush=True)\nwhile 1: signal.pause()"
)


def test_a_full_screen_program_draws_again_and_the_terminal_is_given_back(
    shared_home: Home, at_terminal: Start
) -> None:
    first = at_terminal("run", "--name", "ed", "--", sys.executable, "-c", EDITOR)
    first.expect(b"first")
    first.send(DETACH)
    first.expect(rb"\x1b\[\?2004l.*\x1b\[\?25h.*\x1b\[\?1049l.*detached from ed")
    assert ended(first) == 0
    again = at_terminal("attach", "ed")  # of the same size: only a change would tell the program
    again.expect(rb"\x1b\[\?1049h")
    again.expect(b"drawn")
    detach(again)


def test_who_may_only_look_at_a_full_screen_is_told_so_below(shared_home: Home, at_terminal: Start) -> None:
    first = at_terminal("run", "--name", "ed", "--", sys.executable, "-c", EDITOR)
    first.expect(b"first")
    viewer = at_terminal("attach", "ed", columns=200)
    viewer.expect(rb"first.*\x1b7\x1b\[0;7m\x1b\[24;1Haish: ed \(p\d+\): pid \d+ at \S+ has the lease to type")
    viewer.expect(rb"\x1b\[0m\x1b8")


def test_an_editor_on_a_terminal_of_another_size_scrolls_all_of_it(shared_home: Home, at_terminal: Start) -> None:
    """vim sets the region that scrolls when it begins, and counts on the terminal to forget it at a resize."""
    first = at_terminal(
        "run", "--name", "ed", "--", sys.executable, "-c", EDITOR.replace("first", "\\x1b[1;12rfirst")
    )
    first.expect(rb"\[1;12rfirst")
    first.send(DETACH)
    first.expect(rb"\x1b\[r.*detached from ed")
    again = at_terminal("attach", "ed", rows=18)
    again.expect(rb"\x1b\[1;12rfirst")
    again.expect(rb"\x1b\[r")
    again.expect(rb"drawn 80 18\r\n")
    assert b"\x1b[1;12r" not in again.before
    detach(again)


# --- what survives --------------------------------------------------------------------------------------------------


def test_a_hung_up_terminal_costs_neither_the_process_nor_a_byte(shared_home: Home, at_terminal: Start) -> None:
    """ssh dies in the middle of a flood, and nobody types an end of file in its place."""
    code = (
        "import sys\nfor n in range(200000): print(n)\nprint('flooded', flush=True)\n"
        "for line in sys.stdin: print('got', line.strip(), flush=True)\nprint('end of file', flush=True)"
    )
    terminal = at_terminal("run", "--name", "job", "--", sys.executable, "-c", code)
    terminal.expect(b"\r\n100\r\n")
    pid = os.pidfd_open(terminal.pid)
    terminal.close(force=False)  # the master: hung up, as when sshd goes
    os.close(pid)
    job = shared_home.client.process("job")
    until("it wrote all", lambda: "flooded" in [line.text.rstrip("\r") for line in job.logs(last=1)])
    again = at_terminal("attach", "--lines", "3", "job")
    again.expect(b"199998\r\n199999\r\nflooded\r\n")
    again.sendline(b"this")
    again.expect(b"got this\r\n")
    detach(again)
    lines = shared_home.aish("logs", "job").stdout.splitlines()
    assert lines[:200000] == [str(number) for number in range(200000)]
    assert "end of file" not in lines


def test_a_terminal_that_nobody_reads_does_not_stall_the_process(shared_home: Home, at_terminal: Start) -> None:
    """The holder drains the pty, whatever becomes of those who look."""
    terminal = at_terminal(
        "run", "--name", "job", "--", "sh", "-c", f"echo ready; read x; head -c {FLOOD_BYTES} /dev/zero"
    )
    terminal.expect(b"ready")
    viewer = at_terminal("attach", "--read-only", "job")
    viewer.expect(b"read-only")
    terminal.sendline(b"go")
    terminal.expect(b"go\r\n")
    os.kill(viewer.pid, signal.SIGSTOP)
    try:  # the writer is not read, the viewer is stopped
        assert shared_home.client.wait("job", timeout_s=60).ok
        assert shared_home.aish("logs", "job", text=False).stdout.count(b"\0") == FLOOD_BYTES
    finally:
        os.kill(viewer.pid, signal.SIGCONT)
    viewer.expect(pexpect.EOF)
    terminal.expect(pexpect.EOF)
    assert terminal.before.count(b"\0") == FLOOD_BYTES


def test_the_daemon_s_death_is_not_noticed(home: Home, at_terminal: Start) -> None:
    spawn(home, "job", "cat")
    writer = at_terminal("attach", "job")
    writer.expect(b"detaches")
    viewer = at_terminal("attach", "--read-only", "job")
    viewer.expect(b"read-only")
    for word in (b"one", b"two"):
        with connect(program="test") as client:
            os.kill(client.welcome.pid, signal.SIGKILL)
        writer.sendline(word)
        viewer.expect(word + b"\r\n" + word + b"\r\n")
        until("both are back", lambda: home.client.inspect("job").attached == 2)
        late = at_terminal("attach", "job")
        late.expect(b"has the lease to type")
        late.send(b"\x03")
        assert ended(late) == 0
    detach(writer)


def test_the_holder_s_death_is_not_noticed(home: Home, at_terminal: Start) -> None:
    """The keeper has the masters, too: the terminal stays, and the next holder drains it."""
    spawn(home, "job", "cat")
    writer = at_terminal("attach", "job")
    writer.expect(b"detaches")
    with connect(program="test") as client:
        status = Path(f"/proc/{client.welcome.pid}/status").read_text()
    holder = int(re.findall(r"^PPid:\t(\d+)$", status, re.M)[0])
    os.kill(holder, signal.SIGKILL)
    writer.sendline(b"one")
    writer.expect(b"one\r\none\r\n")
    detach(writer)
    again = at_terminal("attach", "job")
    again.expect(b"one\r\none\r\n")
    again.sendline(b"two")
    again.expect(b"two\r\ntwo\r\n")


def test_what_is_paused_says_so(shared_home: Home, at_terminal: Start) -> None:
    spawn(shared_home, "job", "cat")
    assert shared_home.client.process("job").pause()
    terminal = at_terminal("attach", "job")
    terminal.expect(b"it is paused: `aish cont job` lets it go on")
    terminal.sendline(b"typed")
    assert shared_home.client.process("job").cont()
    terminal.expect(b"typed\r\ntyped\r\n")


def test_a_pause_of_long_ago_is_no_news(shared_home: Home, at_terminal: Start) -> None:
    """It was told again at every attach, into the program's screen, though nothing was paused."""
    spawn(shared_home, "job", "cat")
    job = shared_home.client.process("job")
    assert (job.pause(), job.cont()) == (True, True)
    terminal = at_terminal("attach", "job")
    terminal.expect(b"detaches\r\n")
    assert job.pause()
    terminal.expect(b"job is paused by the user")
    assert job.cont()
    terminal.expect(b"job goes on, by the user")
    terminal.send(DETACH)
    terminal.expect(b"detached from job")
    assert b"is paused" not in terminal.before


def test_the_end_while_no_daemon_lives_is_told(home: Home, at_terminal: Start) -> None:
    spawn(home, "job", "sh", "-c", "read x; exit 7")
    terminal = at_terminal("attach", "job")
    terminal.expect(b"detaches")
    with connect(program="test") as client:
        os.kill(client.welcome.pid, signal.SIGKILL)
    terminal.sendline(b"")
    assert ended(terminal) == 7


def test_a_flood_can_be_detached_from(shared_home: Home, at_terminal: Start) -> None:
    """All that was there was shown before a key was looked at: `yes` left no way out."""
    terminal = at_terminal("run", "--name", "job", "--", "yes")
    terminal.expect(b"y\r\ny\r\n")
    terminal.send(DETACH)
    terminal.expect(b"detached from job", searchwindowsize=200)
    assert ended(terminal) == 0
    shared_home.client.process("job").signal(signal.SIGTERM)


def test_it_is_refused_without_a_terminal(shared_home: Home) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "aish", "attach", "x"],
        env=shared_home.environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert (done.returncode, "aish logs -f x" in done.stderr) == (2, True)
