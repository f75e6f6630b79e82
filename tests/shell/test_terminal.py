"""A real terminal: job control, Ctrl-C, Ctrl-Z, Ctrl-D, prompts. Every step waits for what it expects to see.

With a dumb terminal the plain reader prompts, else prompt_toolkit does; jobs must not know the difference.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pexpect
import pytest

from aish.shell.history_file import HistoryFile
from tests.lang.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Terminal:
    """A shell on a pty. `run` types a line and gives what came before the next one."""

    def __init__(self, folder: Path, kind: str, *words: str, path: str = "") -> None:
        self.folder = folder
        self.kind = kind
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "TERM": kind,
            "LC_ALL": "C.UTF-8",
            "PS1": "PROMPT> ",
            "PS2": "MORE> ",
            "XDG_STATE_HOME": str(folder / "state"),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "PROMPT_TOOLKIT_NO_CPR": "1",
            "PYTHONPATH": f"{path}:{ROOT}" if path else str(ROOT),
        }
        self.child = pexpect.spawn(
            sys.executable, ["-m", "aish.shell", *words],
            env=environment, cwd=str(folder), encoding="utf-8", timeout=60, dimensions=(30, 120), echo=True,
        )  # fmt: skip
        self.child.delaybeforesend = None
        self.at_prompt()

    def at_prompt(self) -> str:
        """Wait for the prompt; what came before it."""
        if self.kind == "dumb":
            self.child.expect_exact("PROMPT> ")
        else:  # bracketed paste is turned on once for each prompt, and off when a line was taken
            self.child.expect_exact("\x1b[?2004h")
        return str(self.child.before)

    def type(self, text: str) -> None:
        self.child.send(text)

    def expect(self, pattern: str) -> None:
        self.child.expect(pattern)

    def run(self, line: str) -> str:
        self.type(line + "\r")
        self._taken()
        return self.at_prompt()

    def _taken(self) -> None:
        if self.kind != "dumb":
            self.child.expect_exact("\x1b[?2004l")

    def start(self, line: str) -> None:
        """Type a line and wait until its program has the terminal."""
        self.type(line + "\r")
        self._taken()
        end = time.monotonic() + 20
        while os.tcgetpgrp(self.child.child_fd) == self.child.pid:
            assert time.monotonic() < end, f"{line!r} never got the terminal"
            time.sleep(0.005)  # the kernel has no event for a change of the foreground group

    def group(self) -> int:
        return os.tcgetpgrp(self.child.child_fd)


@pytest.fixture(params=[pytest.param("dumb", marks=pytest.mark.slow), "xterm-256color"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def open_terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def make(kind: str, *words: str) -> Terminal:
        opened.append(Terminal(tmp_path, kind, *words))
        return opened[-1]

    yield make
    for terminal in opened:
        terminal.child.close(force=True)


@pytest.fixture
def terminal(kind: str, open_terminal: Callable[..., Terminal]) -> Terminal:
    return open_terminal(kind)


def test_command_and_status(terminal: Terminal) -> None:
    assert "two words" in terminal.run('echo two" "words')
    terminal.run("sh -c 'exit 7'")
    assert "=7=" in terminal.run("echo =$?=")


def test_ctrl_c_kills_the_program_and_not_the_shell(terminal: Terminal) -> None:
    terminal.start("sleep 1000")
    terminal.type("\x03")
    terminal.at_prompt()
    assert "=130=" in terminal.run("echo =$?=")


def test_ctrl_c_ends_the_whole_loop(terminal: Terminal) -> None:
    terminal.start("for i in 1 2 3; do sleep 1000; done; echo not this")
    terminal.type("\x03")
    assert "not this\r\n" not in terminal.at_prompt().rpartition("^C")[2]
    assert terminal.group() == terminal.child.pid


def test_ctrl_c_ends_a_loop_of_built_ins(terminal: Terminal) -> None:
    """No program has the terminal: the shell itself gets the signal and returns to the prompt."""
    terminal.type("echo be''gin; while :; do :; done\r")
    terminal.expect("begin\r\n")
    terminal.type("\x03")
    terminal.at_prompt()
    assert "=130=" in terminal.run("echo =$?=")


def test_ctrl_c_ends_read_and_wait(terminal: Terminal) -> None:
    for line in ("echo be''gin; read x; echo no", "sleep 1000 & echo be''gin; wait; echo no"):
        terminal.type(line + "\r")
        terminal.expect("begin\r\n")
        terminal.type("\x03")
        terminal.at_prompt()
    terminal.run("kill %1; wait")


_EARLY = """
import os, signal
from aish.lang import jobs, signals

def early(doing):
    def done(*words, **more):
        if os.path.exists("armed"):
            os.truncate("armed", max(os.path.getsize("armed") - 1, 0))
            if not os.path.getsize("armed"):
                os.remove("armed")
                os.kill(os.getpid(), signal.SIGINT)
        return doing(*words, **more)
    return done

signals.hold = early(signals.hold)
jobs.JobTable.resume = early(jobs.JobTable.resume)
"""
"""A Ctrl-C that only the shell gets: just before it forks, as often as the file has bytes, or lets a job go on."""


@pytest.mark.parametrize(
    ("first", "line"),
    [
        ("", "sleep 1000"),
        ("", "sleep 1000 | cat"),
        ("", "(sleep 1000)"),
        ("", "x=$(sleep 1000); echo no"),
        ("", "for i in 1 2 3; do sleep 1000; done"),
        ("trap 'echo trap''ped' INT", "sleep 1000"),
        ("trap 'echo trap''ped' INT", "sleep 1000 | cat"),
        ("sleep 1000 &", "fg"),
        ("set +m", "sleep 1000"),
        ("set +m", "sleep 1000 | { sleep 1000; }"),
    ],
)
def test_ctrl_c_that_comes_before_the_program_is_not_lost(first: str, line: str, tmp_path: Path) -> None:
    """Behind Enter, before there are processes that have the terminal: they never heard of it, and went on."""
    (tmp_path / "early").mkdir()
    (tmp_path / "early" / "sitecustomize.py").write_text(_EARLY)
    terminal = Terminal(tmp_path, "xterm", path=str(tmp_path / "early"))
    try:
        if first:
            terminal.run(first)
        (tmp_path / "armed").write_text("12" if "{" in line else "1")
        shown = terminal.run(line)
        assert "no\r\n" not in shown
        assert ("trapped" in shown) == first.startswith("trap")
        assert terminal.group() == terminal.child.pid
        assert not (tmp_path / "armed").exists()
    finally:
        terminal.child.close(force=True)


_NO_ROOM = """
import errno, os

fork, left = os.fork, [1]

def forks():
    if os.path.exists("armed"):
        left[0] -= 1
        if left[0] < 0:
            os.remove("armed")
            raise OSError(errno.EAGAIN, "no room")
    return fork()

os.fork = forks
"""
"""The second process cannot be had."""


def test_a_pipeline_that_cannot_start_never_has_the_terminal(tmp_path: Path) -> None:
    """It was given to what had just been killed, and the shell read from the background: its end."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "sitecustomize.py").write_text(_NO_ROOM)
    terminal = Terminal(tmp_path, "xterm", path=str(tmp_path / "full"))
    try:
        (tmp_path / "armed").touch()
        assert "no room" in terminal.run("sleep 1000 | sleep 1000")
        assert terminal.group() == terminal.child.pid
        assert "=126=" in terminal.run("echo =$?=")
    finally:
        terminal.child.close(force=True)


def test_ctrl_backslash_kills_the_program(terminal: Terminal) -> None:
    terminal.start("sleep 1000")
    terminal.type("\x1c")
    assert "Quit" in terminal.at_prompt()
    assert "=131=" in terminal.run("echo =$?=")


def test_ctrl_z_jobs_bg_fg(terminal: Terminal) -> None:
    terminal.start("sleep 1000")
    terminal.type("\x1a")
    assert re.search(r"\[1\]\+  Stopped\s+sleep 1000", terminal.at_prompt())
    assert "=148=" in terminal.run("echo =$?=")
    assert re.search(r"\[1\]\+ +\d+ Stopped +sleep 1000", terminal.run("jobs -l"))
    assert "sleep 1000 &" in terminal.run("bg")
    assert re.search(r"\[1\]\+ +Running +sleep 1000 &", terminal.run("jobs"))
    terminal.start("fg %sleep")
    terminal.type("\x03")
    terminal.at_prompt()
    assert "sleep" not in terminal.run("jobs").replace("jobs", "")


@pytest.mark.parametrize("line", ["sleep 30", "sleep 30 | cat"])
def test_ctrl_z_that_comes_before_the_program_is_not_lost(line: str, terminal: Terminal) -> None:
    """Between Enter and the program it was nobody's: the program ran on."""
    for half_ms in range(20):
        terminal.type(line + "\r")
        terminal.child.expect_exact(line + "\r\n")  # Enter was read
        time.sleep(half_ms / 2000)
        terminal.type("\x1a")
        terminal.expect("Stopped")
        terminal.at_prompt()
        terminal.run("kill -9 %1; wait")


def test_ctrl_z_in_an_empty_line_is_for_no_program(terminal: Terminal) -> None:
    terminal.type("\x1a")
    terminal.type("sleep 0.01; echo st''$?\r")
    terminal.expect("st0\r\n")


@pytest.mark.parametrize("target", ["$$", "0", "-$$"])
def test_sigtstp_that_the_shell_sends_itself_is_for_no_program(target: str, terminal: Terminal) -> None:
    """It was taken for Ctrl-Z, and the next program stopped."""
    assert "after 0\r\n" in terminal.run(f"kill -TSTP -- {target}; sleep 0.1; echo after $?")


def test_ctrl_z_of_a_pipeline_stops_all_of_it(terminal: Terminal) -> None:
    terminal.start("sleep 1000 | (cat; echo never) | (echo the la''st >&2; cat)")
    terminal.expect("the last")  # who is begun later would not be stopped, in bash as well
    terminal.type("\x1a")
    assert "Stopped" in terminal.at_prompt()
    out = terminal.run("kill %1")
    end = time.monotonic() + 20
    while "Terminated" not in out:
        assert time.monotonic() < end
        out = terminal.run("")


def test_stopped_program_goes_on_with_fg(terminal: Terminal) -> None:
    terminal.type("sh -c 'kill -STOP $$; echo back'\r")
    terminal.expect(r"Stopped")
    terminal.at_prompt()
    assert "back" in terminal.run("fg").replace("echo back", "")
    assert "=0=" in terminal.run("echo =$?=")


def test_terminal_modes_of_a_stopped_program_are_put_back(terminal: Terminal) -> None:
    """A program that turned echo off and was stopped must not leave a dead terminal behind."""
    before = terminal.run("stty -a | tr ' ' '\\n' | grep -x -e -echo -e echo")
    terminal.type("sh -c 'stty -echo; kill -STOP $$; stty echo'\r")
    terminal.expect("Stopped")
    terminal.at_prompt()
    assert terminal.run("stty -a | tr ' ' '\\n' | grep -x -e -echo -e echo") == before or terminal.kind != "dumb"
    terminal.run("fg")


def test_each_job_has_its_own_group_and_gets_the_terminal(terminal: Terminal) -> None:
    out = terminal.run("sh -c 'cut -d\" \" -f1,5,8 /proc/$$/stat; echo shell '$$")
    pid, pgid, foreground = re.findall(r"(\d+)\s+(\d+)\s+(\d+)\r", out)[0]
    assert pid == pgid == foreground
    assert terminal.group() == terminal.child.pid


def test_program_that_reads_the_terminal_at_once_is_never_stopped(open_terminal: Callable[..., Terminal]) -> None:
    """The race of setpgid and tcsetpgrp: 60 programs in a row read from the terminal as their first act."""
    terminal = open_terminal("dumb")
    for number in range(60):
        terminal.type(f"head -n 1 | sed 's/^/<{number}:/'\r")
        terminal.type("x\r")
        terminal.expect(f"<{number}:x")
        terminal.at_prompt()
    assert "Stopped" not in terminal.run("jobs")


def test_background_job_is_announced_and_reported(terminal: Terminal) -> None:
    out = terminal.run("mkfifo f; cat f > /dev/null & echo st''arted")
    assert re.search(r"\[1\] \d+\r\n", out)
    assert "started" in out
    terminal.run(": > f; wait %1 2>/dev/null; true")
    out = terminal.run("true &")
    end = time.monotonic() + 20
    while "Done" not in out:
        assert time.monotonic() < end
        out = terminal.run("")


def test_wait_finds_a_job_whose_end_was_just_told(terminal: Terminal) -> None:
    """The news may come before a `wait %1` that was typed for a job that runs: it was 127."""
    out = terminal.run("sh -c 'exit 8' &")
    end = time.monotonic() + 60
    while "Exit 8" not in out:
        assert time.monotonic() < end
        out = terminal.run("")
    assert "=8=" in terminal.run("wait %1; echo =$?=")
    assert "=127=" in terminal.run("wait %1; echo =$?=")


def test_background_job_does_not_get_the_keyboard(terminal: Terminal) -> None:
    """cat & stops when it reads from the terminal, as under any shell with job control."""
    terminal.run("cat &")
    end = time.monotonic() + 20
    while "Stopped" not in terminal.run("jobs"):
        assert time.monotonic() < end
    terminal.run("kill -KILL %1; wait %1")


def test_program_gets_input_and_end_of_file(terminal: Terminal) -> None:
    terminal.start("cat")
    terminal.type("a line\r")
    terminal.expect("a line\r\n(.*\r\n)?a line|a line\r\n")
    terminal.type("\x04")
    terminal.at_prompt()
    assert "=0=" in terminal.run("echo =$?=")


def test_ctrl_d_ends_the_shell(terminal: Terminal) -> None:
    terminal.run("sh -c 'exit 5'")
    terminal.type("\x04")
    terminal.child.expect(pexpect.EOF)
    terminal.child.close()
    assert terminal.child.exitstatus == 5


def test_ctrl_c_at_the_prompt_clears_the_line(terminal: Terminal) -> None:
    terminal.type("echo must not run")
    terminal.type("\x03")
    terminal.at_prompt()
    assert "=130=" in terminal.run("echo =$?=")


def test_stopped_jobs_are_a_warning_once(terminal: Terminal) -> None:
    terminal.start("sleep 1000")
    terminal.type("\x1a")
    terminal.at_prompt()
    assert "There are stopped jobs" in terminal.run("exit")
    terminal.type("exit 3\r")
    terminal.child.expect(pexpect.EOF)
    terminal.child.close()
    assert terminal.child.exitstatus == 3


def test_command_over_several_lines(terminal: Terminal) -> None:
    terminal.type("if true\r")
    terminal.expect("MORE> ")
    terminal.type("then echo do''ne\r")
    terminal.expect("MORE> ")
    assert "done\r\n" in terminal.run("fi")


def test_here_document_at_the_prompt(terminal: Terminal) -> None:
    terminal.type("tr a-z A-Z <<E\r")
    terminal.expect("MORE> ")
    terminal.type("shout\r")
    terminal.expect("MORE> ")
    assert "SHOUT" in terminal.run("E")


def test_errors_leave_the_shell_at_its_prompt(terminal: Terminal) -> None:
    assert "unexpected 'fi'" in terminal.run("fi")
    assert "nosuchcommand: command not found" in terminal.run("nosuchcommand")
    assert "x: parameter not set" in terminal.run("set -u; echo $x")
    assert "division by zero" in terminal.run("set +u; echo $((1/0))")
    assert "readonly" in terminal.run("readonly r=1; r=2")
    assert "=here=" in terminal.run("echo =he''re=")


def test_set_e_ends_the_shell(terminal: Terminal) -> None:
    terminal.type("set -e; false\r")
    terminal.child.expect(pexpect.EOF)


def test_shell_survives_its_killer_signals(terminal: Terminal) -> None:
    """TERM, QUIT, TSTP, TTIN and TTOU are not for the shell at a prompt."""
    terminal.run("kill -TERM $$; kill -QUIT $$; kill -TSTP $$; kill -TTIN $$; kill -TTOU $$")
    assert "=alive=" in terminal.run("echo =al''ive=")


def test_programs_of_a_prompt_have_default_signals(terminal: Terminal) -> None:
    out = terminal.run("grep SigIgn /proc/self/status")
    mask = int(re.findall(r"SigIgn:\s+([0-9a-f]+)", out)[0], 16)
    own = [
        signal.SIGTERM,
        signal.SIGQUIT,
        signal.SIGTSTP,
        signal.SIGTTIN,
        signal.SIGTTOU,
        signal.SIGINT,
        signal.SIGPIPE,
    ]
    assert [signo for signo in own if mask >> (signo - 1) & 1] == []


def test_exit_trap_at_the_prompt(terminal: Terminal) -> None:
    terminal.run("trap 'echo bye' EXIT")
    terminal.type("exit\r")
    terminal.child.expect("bye")
    terminal.child.expect(pexpect.EOF)


def test_substitution_at_the_prompt_is_interruptible(terminal: Terminal) -> None:
    terminal.type("echo be''gin; x=$(echo started >&2; exec sleep 1000); echo no\r")
    terminal.expect("started\r\n")
    terminal.type("\x03")
    terminal.at_prompt()
    assert "=here=" in terminal.run("echo =he''re=")


def test_shell_in_the_shell(terminal: Terminal) -> None:
    """The inner one takes the terminal, and the outer one has it back afterwards."""
    terminal.type("sh -c 'exec sh -i' 2>&1\r")
    terminal._taken()
    terminal.expect(r"PROMPT> |[#$] ")
    terminal.type("exit 9\r")
    terminal.at_prompt()
    assert "=9=" in terminal.run("echo =$?=")
    assert terminal.group() == terminal.child.pid


# --------------------------------------------------------------------------------- only with editing


@pytest.fixture
def editor(open_terminal: Callable[..., Terminal]) -> Terminal:
    return open_terminal("xterm-256color")


def test_history_is_kept_and_private(editor: Terminal, open_terminal: Callable[..., Terminal]) -> None:
    editor.run("echo remem''bered")
    editor.run(" echo secret")
    editor.type("exit\r")
    editor.child.expect(pexpect.EOF)
    path = editor.folder / "state" / "aish" / "history.db"
    assert path.stat().st_mode & 0o777 == 0o600
    lines = [line for line, _ in HistoryFile(str(path.parent)).recent(10)]
    assert lines == ["echo remem''bered", "exit"]
    again = open_terminal("xterm-256color")
    again.type("\x1b[A\x1b[A")  # exit, then the line before
    again.expect("remem")
    again.type("\r")
    again.expect("remembered\r\n")


def test_reverse_search(editor: Terminal) -> None:
    editor.run("echo nee''dle")
    editor.run("echo hay")
    editor.type("\x12nee")
    editor.expect("nee")
    editor.type("\r")
    editor.expect("needle\r\n")


def test_completion_of_a_file_with_a_space(editor: Terminal) -> None:
    (editor.folder / "some file").write_text("inside\n")
    editor.type("cat som\t")
    editor.expect(r"e\\ file")
    editor.type("\r")
    editor.expect("inside\r\n")


def test_paste_of_several_lines_waits_for_enter(editor: Terminal) -> None:
    editor.type("\x1b[200~echo fi''rst\necho sec''ond\x1b[201~")
    editor.expect("ond")
    editor.type("\r")
    editor.expect("first\r\nsecond\r\n")


def test_one_thread_whenever_the_shell_may_fork(editor: Terminal) -> None:
    """A fork with threads may deadlock: editing, completion and history make none."""
    editor.type("ls /et\t")
    editor.expect("c/")
    editor.type("\r")
    editor.at_prompt()
    assert "Threads:\t1" in editor.run("grep Threads /proc/$$/status")


def test_programs_that_type_find_prompts_whole(kind: str, open_terminal: Callable[..., Terminal]) -> None:
    """The blank behind the sign was stepped over or in a colour of its own: who waited for '> ' or '$ ' waited on."""
    terminal = open_terminal(kind)
    terminal.run("PS2='> '")
    terminal.type('echo "one\r')
    terminal.child.expect_exact("> ")
    terminal.type('two"\r')
    terminal.at_prompt()
    sign = "# " if os.geteuid() == 0 else "$ "
    terminal.type("PS1='\\w \\$ '\r")
    terminal.child.expect_exact("C\x1b\\" if kind != "dumb" else "\r\n")  # it runs
    terminal.child.expect_exact(sign)


def test_without_echo_nothing_but_prompts_and_output(kind: str, open_terminal: Callable[..., Terminal]) -> None:
    """A program that types turns it off, and takes what comes before the next prompt for the output."""
    terminal = open_terminal(kind)
    terminal.type("stty -echo; echo no''w\r")
    terminal.expect("now\r\n.*PROMPT> ")
    for word in ("one", "two"):
        terminal.type(f"echo {word}\r")
        terminal.child.expect_exact("PROMPT> ")
        end = "" if kind == "dumb" else "\r\n"  # readline's end of bracketed paste, which a dumb terminal has not
        assert terminal.child.before == f"{end}{word}\r\n"
    terminal.type("stty echo\r")
    terminal.at_prompt()
    assert "three" in terminal.run("echo th''ree")


@pytest.mark.parametrize("kind", ["xterm", "linux"])
def test_what_a_program_types_is_shown_byte_by_byte(kind: str, open_terminal: Callable[..., Terminal]) -> None:
    """It was painted: a colour or a cursor movement stood within the words, and at their end."""
    terminal = open_terminal(kind)
    child = terminal.child
    child.expect_exact("PROMPT> ")
    child.send("nosuch 'a b' >&2; echo one\r")
    child.expect_exact("nosuch 'a b' >&2; echo one\r\n")
    child.expect_exact("one\r\n")
    child.expect_exact("PROMPT> ")
    child.send("if true\rthen\r")
    child.expect_exact("if true\r\nMORE> then\r\nMORE> ")
    time.sleep(0.3)  # more is known of the words: nothing is painted anew
    child.send("echo two; fi\r")
    child.expect_exact("echo two; fi\r\n")
    assert child.before == ""
    child.expect_exact("two\r\n")
    child.expect_exact("PROMPT> ")
    child.send("PS1='\\[\\e[32m\\]g\\[\\e[0m\\]> '\r")
    child.expect_exact("\x1b[32mg\x1b[0m> ")


def test_read_tells_that_a_line_goes_on(terminal: Terminal) -> None:
    """POSIX: by PS2, where somebody types."""
    terminal.type("echo be''gin; read x; echo got $x\r")
    terminal.expect("begin\r\n")
    terminal.type("one\\\r")
    terminal.child.expect_exact("MORE> ")
    terminal.type("two\r")
    terminal.expect("got onetwo\r\n")


def test_read_e_goes_on_behind_a_trap_for_ctrl_c(terminal: Terminal) -> None:
    """The action ran, but the line and `read` were given up."""
    terminal.run("trap 'echo cau''ght' INT")
    terminal.type("read -e -p 'li''ne? ' x; echo got $x\r")
    terminal.child.expect_exact("line? ")
    terminal.type("one")
    terminal.expect("one")
    terminal.type("\x03")
    terminal.expect("caught")
    terminal.type("two\r")
    terminal.expect("got onetwo\r\n")


def test_an_action_while_read_e_waits_has_the_terminal_as_commands_have_it(terminal: Terminal) -> None:
    """It ran in the signal's handler, with the editor's modes: its own `read` found nothing there, and what a program
    of its own left was not what the editor needs."""
    terminal.run('trap \'read -p "re"ally?_ a; sh -c "kill -9 \\$\\$"; echo "a=<$a>"\' INT')
    terminal.type("read -e -p 'li''ne? ' x; echo got $x\r")
    terminal.child.expect_exact("line? ")
    terminal.type("one")
    terminal.expect("one")
    terminal.type("\x03")
    terminal.child.expect_exact("really?_")
    terminal.type("yes\r")
    terminal.child.expect_exact("a=<yes>")
    terminal.type("two\x01Z\r")
    terminal.expect("got Zonetwo\r\n")


_EDITS = """set -m
{aish} -c 'read {option} -p "$$ line?_" x; echo "got <$x>"'
echo status=$?
stty -a
fg
"""


@pytest.mark.parametrize(
    ("option", "end"),
    [("-e", end) for end in ("\x1a", "\x1c", signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)]
    + [(option, end) for option in ("-s", "-n9") for end in ("\x1c", signal.SIGTERM, signal.SIGALRM, signal.SIGUSR1)],
)
def test_read_in_a_script_leaves_the_terminal_as_it_was(option: str, end: str | int, tmp_path: Path) -> None:
    """What ended or stopped it left its modes behind: its parent found no line to read, and ended too."""
    script = tmp_path / "edits"
    script.write_text(_EDITS.format(aish=f"{sys.executable} -m aish.shell", option=option))
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TERM": "xterm", "PYTHONPATH": str(ROOT)}
    child = pexpect.spawn("sh", [str(script)], env=environment, encoding="utf-8", timeout=30, dimensions=(30, 120))
    child.delaybeforesend = None
    child.expect(r"(\d+) line\?_")
    pid = int(child.match.group(1))
    if option == "-s":
        child.waitnoecho()
    else:
        child.send("ab")
        child.expect("ab")
    if isinstance(end, int):
        os.kill(pid, end)
    else:
        child.send(end)
    child.expect(r"status=(\d+)\r\n")
    stop = end == "\x1a"
    status = int(child.match.group(1)) - 128
    assert status == (signal.SIGTSTP if stop else signal.SIGQUIT if end == "\x1c" else end)
    child.expect("min = 1[;\r].* icanon .* echo ")
    if stop:
        child.expect(r"line\?_")
        child.send("cd\r")
        child.expect_exact("got <abcd>")
    child.expect(pexpect.EOF)
    child.close()


def test_a_trap_that_is_set_while_a_password_is_read_stays(tmp_path: Path) -> None:
    """Its signal had the default action behind `read -s`."""
    code = "trap 'trap \"echo TERM\" TERM; echo set' USR1; read -sp q: x; kill -TERM $$; echo survived"
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TERM": "xterm", "PYTHONPATH": str(ROOT)}
    child = pexpect.spawn(sys.executable, ["-m", "aish.shell", "-c", code], env=environment, timeout=30)
    child.delaybeforesend = None
    child.expect("q:")
    child.waitnoecho()
    time.sleep(0.1)  # nothing tells that it reads
    child.kill(signal.SIGUSR1)
    child.expect("set")
    child.send("a\r")
    child.expect("TERM\r\nsurvived\r\n")
    child.close()


@pytest.mark.parametrize("before", ["PS0='$(kill -USR1 $$)'", ""])
def test_an_error_in_a_trap_at_the_prompt_is_told(before: str, terminal: Terminal) -> None:
    """Behind Enter it ended the shell; while a line was typed it was a fault of ours, that waited for a key."""
    terminal.run("trap 'echo ${nope?bad}' USR1")
    if before:
        terminal.run(before)
    else:
        os.kill(terminal.child.pid, signal.SIGUSR1)
        terminal.expect("bad")
    terminal.type("echo af''ter\r")
    if before:
        terminal.expect("bad")
    terminal.expect("after\r\n")
    assert "Traceback" not in terminal.child.before


def test_an_alias_that_begins_a_compound_command_goes_on(terminal: Terminal) -> None:
    """The line was taken as it stood for whole, and then refused."""
    terminal.run("alias when='if true; then'")
    terminal.type("when\r")
    terminal.child.expect_exact("MORE> ")
    terminal.type("echo in''side; fi\r")
    terminal.expect("inside\r\n")


def test_a_trap_for_hangups_at_the_prompt_runs(terminal: Terminal) -> None:
    """The shell ended without it."""
    terminal.run("trap 'echo hung u''p' HUP")
    os.kill(terminal.child.pid, signal.SIGHUP)
    terminal.expect("hung up")
    terminal.type("echo sti''ll\r")
    terminal.expect("still\r\n")


def test_lines_are_counted_at_a_prompt(terminal: Terminal) -> None:
    """$LINENO was always 1, and $HISTCMD that of the next line."""
    assert "H1L1\r\n" in terminal.run("echo H${HISTCMD}L$LINENO")
    assert "H2L2\r\n" in terminal.run("echo H${HISTCMD}L$LINENO")
    terminal.run("f() { echo F$LINENO; }")
    assert "F1\r\n" in terminal.run("f")
    assert "E5\r\n" in terminal.run("eval 'echo E$LINENO'")
    assert "A1\r\nM6\r\n" in terminal.run("trap 'echo A$LINENO' USR1; kill -USR1 $$; echo M$LINENO")
    assert "C7\r\n" in terminal.run("trap 'echo C$LINENO' ERR; false")


def test_autocd(terminal: Terminal) -> None:
    """It was looked at when the program had not run, in a process of its own."""
    terminal.run("shopt -s autocd")
    terminal.run("/usr")
    terminal.run("bin")
    assert "/usr/bin\r\n" in terminal.run("pwd")


def test_comments_can_be_turned_off_at_a_prompt(terminal: Terminal) -> None:
    terminal.run("shopt -u interactive_comments")
    assert "a #b\r\n" in terminal.run("echo a #b")
    terminal.run("shopt -s interactive_comments")
    assert "a\r\n" in terminal.run("echo a #b")


def test_keys_that_the_terminal_has_for_editing(terminal: Terminal) -> None:
    """stty erase X was for programs only."""
    terminal.run("stty erase X kill Y")
    terminal.type("junkYecho abcXd\r")
    terminal.expect(r"abd\r\n(?:\x1b[^\n]*)?abd\r\n")


def test_norc_is_stronger_than_rcfile(tmp_path: Path, open_terminal: Callable[..., Terminal]) -> None:
    """As in bash."""
    (tmp_path / "rc").write_text("mine=read\n")
    terminal = open_terminal("dumb", "--norc", "--rcfile", str(tmp_path / "rc"), "-i")
    assert "=unread=" in terminal.run("echo =${mine-unread}=")


@pytest.mark.parametrize("to", [">log", "> >(cat >log)", ">&-", ">/dev/full"])
def test_the_prompt_is_not_where_commands_write(to: str, terminal: Terminal) -> None:
    """It was drawn on stdout, with every key: `exec >file` took both, `exec >&-` ended the shell."""
    terminal.run(f"exec {to}")
    assert "to stderr\r\n" in terminal.run("echo to std''err >&2")
    terminal.run("echo written")
    terminal.run("exec >/dev/tty")
    if "log" in to:
        terminal.run("until [ -s log ]; do :; done")
        assert (terminal.folder / "log").read_text() == "written\n"
    assert "back\r\n" in terminal.run("echo ba''ck")


@pytest.mark.parametrize("to", ["&-", "/dev/full"])
def test_a_shell_that_cannot_draw_goes_on(to: str, terminal: Terminal) -> None:
    """It ended with status 70."""
    terminal.type(f"exec 2>{to}\r")
    terminal.type("echo still he''re\r")
    terminal.expect("still here\r\n")
    terminal.type("exec 2>/dev/tty\r")
    terminal.at_prompt()
    assert "back\r\n" in terminal.run("echo ba''ck")


def test_ctrl_c_while_a_second_prompt_is_made(terminal: Terminal) -> None:
    """A traceback was shown, and a key was waited for."""
    terminal.run("PS2='$(echo be''gun >&2; sleep 1000)> '")
    terminal.type("if true\r")
    terminal.expect("begun")
    terminal.type("\x03")
    assert "Traceback" not in terminal.at_prompt()
    assert "=130=" in terminal.run("echo =$?=")
    terminal.run("PS2='$(echo be''gun >&2; kill -USR1 $$; sleep 0.1)> '; trap 'exit 9' USR1")
    terminal.type("if true\r")
    terminal.expect(pexpect.EOF)
    terminal.child.wait()
    assert terminal.child.exitstatus == 9
