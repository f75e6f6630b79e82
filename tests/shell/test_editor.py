"""The prompt with editing, on a real pty: history, suggestions, completion, marks, signals, the companion."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pexpect
import pyte
import pytest

from tests.shell.test_terminal import Terminal
from tests.shell.two_shells import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def open_editor(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def make(*words: str) -> Terminal:
        opened.append(Terminal(tmp_path, "xterm-256color", *words))
        return opened[-1]

    yield make
    for terminal in opened:
        terminal.child.close(force=True)


@pytest.fixture
def editor(open_editor: Callable[..., Terminal]) -> Terminal:
    return open_editor()


def database(folder: Path) -> list[tuple[object, ...]]:
    path = folder / "state" / "aish" / "history.db"
    if not path.exists():
        return []
    with sqlite3.connect(path) as db:
        return db.execute("SELECT CAST(line AS TEXT), status, CAST(cwd AS TEXT) FROM commands ORDER BY id").fetchall()


def until(happened: Callable[[], object], why: str) -> None:
    """What another process does has no event here."""
    end = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < end, why
        time.sleep(0.01)


def companion(editor: Terminal) -> int:
    """The process at the other end of the shell's socket: a copy of it in a session of its own."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != editor.child.pid:
            try:
                same = (entry / "cmdline").read_bytes() == Path(f"/proc/{editor.child.pid}/cmdline").read_bytes()
                here = f"XDG_STATE_HOME={editor.folder}/state".encode() in (entry / "environ").read_bytes()
            except OSError:
                continue
            if same and here:
                return int(entry.name)
    return 0


# ------------------------------------------------------------------------------------------ history


def test_status_folder_and_duration_are_kept(editor: Terminal) -> None:
    editor.run("cd /usr; sh -c 'exit 3'")
    editor.run("echo two")
    until(lambda: len(database(editor.folder)) == 2 and database(editor.folder)[1][1] == 0, "nothing was written")
    first, second = database(editor.folder)
    assert first == ("cd /usr; sh -c 'exit 3'", 3, str(editor.folder))
    assert second == ("echo two", 0, "/usr")


def test_secrets_blanks_and_what_is_to_be_ignored_stay_out(editor: Terminal) -> None:
    editor.run("HISTIGNORE='ls*:exit'")
    editor.run("export API_KEY=abcdefghijkl")
    editor.run(" echo hidden")
    editor.run("ls /nowhere")
    editor.run("echo kept")
    until(lambda: len(database(editor.folder)) == 2, "something is missing")
    assert [line for line, *_ in database(editor.folder)] == ["HISTIGNORE='ls*:exit'", "echo kept"]
    assert "API_KEY" in editor.run("history")  # in this shell it can still be called back


def test_unset_histfile_keeps_a_session_out(editor: Terminal) -> None:
    editor.run("unset HISTFILE")
    editor.run("echo hidden")
    editor.run("HISTFILE=$HOME/x; echo shown")
    until(lambda: database(editor.folder), "nothing was written")
    assert "echo hidden" not in [line for line, *_ in database(editor.folder)]


@pytest.mark.parametrize("keys", ["\x1b[A", "\x10", "\x12from"])
def test_lines_of_another_shell_are_found(editor: Terminal, open_editor: Callable[..., Terminal], keys: str) -> None:
    """Fault: a shell that had its prompt already found them two prompts later."""
    other = open_editor()
    other.type("x\x7f")  # it edits
    editor.run("echo from''one")
    until(lambda: database(editor.folder), "nothing was written")
    other.type(keys)
    other.expect("from")
    other.type("\r")
    assert "fromone\r\n" in other.at_prompt()


def test_a_stuck_companion_delays_no_arrow(editor: Terminal) -> None:
    """Fault: the key was looked up again and again, until the companion was replaced after 5 s."""
    editor.run("echo be''fore")
    pid = companion(editor)
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(0.1)  # others may have typed something
        began = time.monotonic()
        editor.type("\x1b[A")
        editor.expect("be")
        assert time.monotonic() - began < 3.0
        editor.type("\r")
        assert "before\r\n" in editor.at_prompt()
    finally:
        os.kill(pid, signal.SIGKILL)


def test_a_search_that_finds_nothing_says_so(editor: Terminal) -> None:
    """The line that was there looked as if it had been found."""
    editor.run("echo so''me")
    editor.type("\x12me-not")
    Shown(editor).until("me-not  not found")
    editor.type("\x7f\x7f\x7f\x7f")
    editor.expect("echo")
    editor.type("\r")
    assert "some\r\n" in editor.at_prompt()


def test_suggestion_is_taken_with_the_right_arrow(editor: Terminal) -> None:
    editor.run("echo sug''gested words")
    until(lambda: database(editor.folder), "nothing was written")
    editor.type("echo su")
    editor.expect("g''gested words")
    editor.type("\x1b[C\r")
    editor.expect("suggested words\r\n")


def test_events(editor: Terminal) -> None:
    editor.run("echo one two")
    out = editor.run("echo !$ !:1")
    assert "echo two one" in plain(out)
    assert plain(out).endswith("\ntwo one\n")
    assert "event not found" in editor.run("!nosuch")
    assert "=0=" in editor.run("echo =$?=")
    editor.run("set +H")
    assert "!!" in plain(editor.run("echo a'!'b!!")).rpartition("\n")[0]


def test_history_builtin_and_fc(editor: Terminal) -> None:
    editor.run("echo a1")
    editor.run("echo b2")
    out = plain(editor.run("history 3"))
    assert re.search(r"1  echo a1\n +2  echo b2\n +3  history 3", out)
    assert "echo b2\nb2" in plain(editor.run("fc -s echo"))
    assert "echo x2\nx2" in plain(editor.run("fc -s b=x echo\\ b"))
    assert re.search(r"1\t echo a1\n2\t echo b2", plain(editor.run("fc -l 1 2")))
    editor.run("history -d 1")
    assert "a1" not in editor.run("history")
    until(lambda: "echo a1" not in [line for line, *_ in database(editor.folder)], "it is still on disk")
    editor.run("history -w saved; history -c")
    assert "echo b2" in (editor.folder / "saved").read_text()
    assert "b2" not in editor.run("history")
    editor.run("history -r saved")
    assert "b2" in editor.run("history")


def test_damaged_file_is_told(tmp_path: Path, open_editor: Callable[..., Terminal]) -> None:
    folder = tmp_path / "state" / "aish"
    folder.mkdir(parents=True)
    (folder / "history.db").write_bytes(b"no database" * 1000)
    editor = open_editor()
    seen = ""
    end = time.monotonic() + 20
    while "the history was damaged" not in seen:
        assert time.monotonic() < end
        seen += editor.run("true")


def test_unusable_folder_is_told_and_the_prompt_goes_on(tmp_path: Path, open_editor: Callable[..., Terminal]) -> None:
    (tmp_path / "state").write_text("")
    editor = open_editor()
    seen = ""
    end = time.monotonic() + 20
    while "history is not kept" not in seen:
        assert time.monotonic() < end
        seen += editor.run("true")
    editor.run("echo one")
    assert "echo one" in editor.run("history")


# ----------------------------------------------------------------------------------------- companion


def test_a_stuck_companion_delays_no_prompt_and_loses_nothing(editor: Terminal) -> None:
    until(lambda: companion(editor), "there is none")
    stuck = companion(editor)
    os.kill(stuck, signal.SIGSTOP)
    begin = time.monotonic()
    for number in range(5):
        editor.run(f"echo line {number}")
    assert time.monotonic() - begin < 4
    until(lambda: len(database(editor.folder)) == 5 or editor.run(" true") is None, "what was told is lost")
    assert not Path(f"/proc/{stuck}").exists() or companion(editor) != stuck


def test_companion_is_no_child_of_a_program_that_takes_the_shell_s_place(editor: Terminal) -> None:
    until(lambda: companion(editor), "there is none")
    editor.type("exec sh -c 'cat /proc/$$/task/$$/children; echo; echo ga''te; read x'\r")
    before = editor.child.expect("gate")
    assert before == 0
    assert not re.search(r"\n\d+ ?\r?\n\r?\n$", plain(editor.child.before))
    until(lambda: not companion(editor), "it did not end with the shell")


def test_one_thread_at_every_fork(tmp_path: Path, open_editor: Callable[..., Terminal]) -> None:
    """A fork with threads may deadlock: editing, completion, history and suggestions make none."""
    (tmp_path / "config" / "aish").mkdir(parents=True)
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import os\n"
        "def note():\n"
        "    fd = os.open(os.environ['HOME'] + '/forks', os.O_WRONLY | os.O_CREAT | os.O_APPEND)\n"
        "    os.write(fd, b'%d\\n' % len(os.listdir('/proc/self/task')))\n"
        "    os.close(fd)\n"
        "os.register_at_fork(before=note)\n"
    )
    before = os.environ.get("PYTHONPATH")
    editor = Terminal(tmp_path, "xterm-256color", path=str(site))
    try:
        editor.type("ls /et\t")
        editor.expect("c/")
        editor.type("\r")
        editor.at_prompt()
        editor.run("(true) | cat; x=$(/bin/true); /bin/true & wait")
        editor.type("\x12ls")
        editor.expect("I-search")
        editor.type("\r")
        editor.at_prompt()
        editor.run("sh -c 'exit 3'")
    finally:
        editor.child.close(force=True)
    assert os.environ.get("PYTHONPATH") == before
    forks = (tmp_path / "forks").read_text().split()
    assert len(forks) >= 8
    assert set(forks) == {"1"}


# -------------------------------------------------------------------------------------------- prompt


def test_it_is_seen_as_aish(open_editor: Callable[..., Terminal]) -> None:
    """Each window of tmux was called python; pgrep found nothing."""
    editor = open_editor("--norc")
    process = Path("/proc", str(editor.child.pid))
    assert (process / "comm").read_text() == "aish\n"
    assert (process / "cmdline").read_bytes() == b"aish --norc\0"
    assert f"HOME={editor.folder}\0".encode() in (process / "environ").read_bytes()  # which lies behind the words


def test_marks_for_the_terminal(editor: Terminal) -> None:
    editor.run("cd /usr")
    out = editor.run("sh -c 'exit 7'")
    assert "\x1b]133;C\x1b\\" in out
    assert "\x1b]133;D;7\x1b\\" in out
    assert f"\x1b]7;file://{os.uname().nodename}/usr\x1b\\" in out
    assert "\x1b]2;sh -c 'exit 7'\x1b\\" in out
    editor.type("x")
    editor.expect("x")
    assert "\x1b]133;A\x1b\\" in editor.child.before
    assert "\x1b]133;B\x1b\\" in editor.child.before


def test_marks_around_the_prompt_of_our_own(editor: Terminal) -> None:
    """Where it ends (B) was told when the first key was drawn behind it, and never of a line that came at once."""
    editor.type("PS1='\\w \\$ '\r")
    editor.child.expect_exact("\x1b]133;D;0\x1b\\")
    editor.child.expect_exact("\x1b]133;A\x1b\\")
    editor.child.expect_exact("\x1b]133;B\x1b\\")
    assert plain(editor.child.before).endswith(("# ", "$ "))
    editor.type("echo on''ce\r")
    editor.child.expect("once\r\n")
    assert "\x1b]133;B" not in editor.child.before


def test_ps1_with_colours_and_escapes(editor: Terminal) -> None:
    editor.run(r"PS1='\[\e[32m\]\W\[\e[0m\] \$? ${y}> '; y=val; cd /usr")
    editor.type("x")
    editor.expect("val> ")
    assert "usr" in plain(editor.child.before)


class Shown:
    """What the terminal shows, as a terminal understands it."""

    def __init__(self, editor: Terminal) -> None:
        self.editor = editor
        self.screen = pyte.Screen(120, 30)
        self.stream = pyte.Stream(self.screen)

    def until(self, text: str) -> tuple[int, int]:
        """(line, column) of a text, once it is there."""
        end = time.monotonic() + 20
        while True:
            for number, line in enumerate(self.screen.display):
                if text in line:
                    return number, line.index(text)
            assert time.monotonic() < end, "\n".join(self.screen.display)
            self._more()

    def until_drawn(self, text: str, **attributes: object) -> None:
        """Wait until a text is there with these attributes."""
        end = time.monotonic() + 20
        while True:
            line, column = self.until(text)
            cells = [self.screen.buffer[line][column + at] for at in range(len(text))]
            if all(getattr(cell, name) == value for cell in cells for name, value in attributes.items()):
                return
            assert time.monotonic() < end, cells
            self._more()

    def _more(self) -> None:
        try:
            self.stream.feed(self.editor.child.read_nonblocking(1 << 16, timeout=0.5).replace("\x1b]133", "\x1b]2"))
        except pexpect.TIMEOUT:
            pass


def test_rows_that_were_typed_at_once_are_known_to_who_edits_them(editor: Terminal) -> None:
    """What is written and not drawn is to be where the editor takes it to be."""
    editor.run("PS1='one\\ntwo> '")
    shown = Shown(editor)
    editor.type("\r")
    shown.until("two> ")
    editor.type("for i in 1\rdo\r")
    shown.until("MORE> do")
    for key in "echo x$i":
        editor.type(key)
        time.sleep(0.02)
    line, _ = shown.until("echo x$i")
    editor.type("\x1b[A\x1b[A\x05 2")  # up twice, to the end
    shown.until("for i in 1 2")
    assert shown.until("MORE> do")[0] == line - 1
    editor.type("\x1b[B\x1b[B\x05; done\r")
    shown.until("x2")
    assert [row.rstrip() for row in shown.screen.display[line - 2 : line + 3]][1:] == [
        "MORE> do", "MORE> echo x$i; done", "x1", "x2",
    ]  # fmt: skip


def test_a_long_line_typed_at_once(editor: Terminal) -> None:
    """Over the right edge, and with as many columns as there are."""
    editor.run("PS2='more> '")
    for count, sign in ((110, "@"), (118, "%"), (119, "+"), (300, "^")):
        shown = Shown(editor)
        editor.type(f"PS1='{sign}'' '\r")
        shown.until(f"{sign} ")  # its own prompt: one of before may still be on its way
        word = "a" * (count - len("echo b")) + "b"
        editor.type(f"echo {word} |\rcat\r")
        shown.until("more> cat")
        editor.type("echo end; echo\r")
        shown.until("end; echo")
        shown.until("end  ")
        text = "".join(shown.screen.display)
        assert text.count("more> cat") == 1, count
        assert text.count(word) == 2, [r for r in shown.screen.display if r.strip()]


def test_own_prompt(editor: Terminal) -> None:
    """Folder, branch, environment and the status of the last command."""
    (editor.folder / "repo" / ".git").mkdir(parents=True)
    (editor.folder / "repo" / ".git" / "HEAD").write_text("ref: refs/heads/some-branch\n")
    editor.run(r"PS1='\w \$ '; cd repo; VIRTUAL_ENV=/x/venv; sh -c 'exit 4'")
    sign = "#" if os.geteuid() == 0 else "$"
    editor.type("\r")
    Shown(editor).until(f"(venv) ~/repo some-branch 4 {sign}")


def test_prompt_command_and_ps0(editor: Terminal) -> None:
    editor.run("PROMPT_COMMAND='echo before=$?'; PS0='running \\#\\n'")
    out = plain(editor.run("sh -c 'exit 5'"))
    assert "running" in out
    assert "before=5" in out


def test_unknown_command_is_red_and_a_path_is_underlined(editor: Terminal) -> None:
    (editor.folder / "present").write_text("")
    editor.run("true")
    editor.type("nosuchcommand present absent")
    shown = Shown(editor)
    shown.until_drawn("nosuchcommand", fg="red")
    shown.until_drawn("present", underscore=True)
    shown.until_drawn("absent", underscore=False)
    editor.type("\x01\x0bcat present")
    shown.until_drawn("cat", fg="green")
    (editor.folder / "it is").write_text("")  # quoted, it was taken for a text alone
    editor.type("\x01\x0bcat 'it is' it\\ is \"it is\" 'it isnt' '~'")
    for written in ("'it is'", "it\\ is", '"it is"'):
        shown.until_drawn(written, underscore=True)
    shown.until_drawn("'it isnt'", underscore=False)
    shown.until_drawn("'~'", underscore=False)


def test_abbreviation_is_replaced_in_the_place_of_a_command_only(editor: Terminal) -> None:
    editor.run("abbr -a gg echo long")
    editor.type("gg gg\r")
    editor.expect("long gg\r\n")
    editor.at_prompt()
    assert plain(editor.run("history 2")).count("echo long gg") == 1
    assert "abbr -a gg 'echo long'" in editor.run("abbr")
    editor.run("abbr -e gg")
    assert "command not found" in editor.run("gg")


def test_vi_keys(editor: Terminal) -> None:
    editor.run("set -o vi")
    editor.type("echo abc")
    editor.type("\x1b")
    time.sleep(0.6)  # an Escape alone is one when nothing has followed for a while
    editor.type("x0cwecho\x1b")
    time.sleep(0.6)
    editor.type("\r")
    editor.expect("ab\r\n")


def test_completion_of_options_with_descriptions(editor: Terminal) -> None:
    editor.type("sleep --h\t")
    editor.expect("elp")
    editor.type("\r")
    editor.expect("Usage")


def test_typed_at_once_behind_a_tab(editor: Terminal) -> None:
    (editor.folder / "unique-name").write_text("inside\n")
    editor.type("cat uni\t\r")
    editor.expect("inside\r\n")


def test_lines_typed_at_once_belong_to_who_reads_them(editor: Terminal) -> None:
    """The line behind `read` is its input, though it was there before the command ran."""
    editor.type("read x\nfoo\necho got=$x\n")
    editor.expect("got=foo\r\n")


# ------------------------------------------------------------------------------------------- signals


def test_ctrl_c_comes_before_what_is_typed_behind_it(editor: Terminal) -> None:
    """Programs that type for somebody send both at once: `abcecho one` was run, with a traceback of the editor's."""
    editor.type("abc")
    editor.expect("abc")
    editor.type("\x03echo o'n'e\r")
    editor.expect(r"one\r\n")
    seen = editor.at_prompt()
    assert "abcecho" not in plain(seen)
    assert "Traceback" not in seen
    assert "one" in plain(editor.run("echo o'n'e"))


def test_ctrl_c_ends_a_paste_whose_end_never_comes(editor: Terminal) -> None:
    """The terminal drops what is unread at that key: with the end of the paste it dropped every key from then on."""
    editor.type("\x1b[200~echo wrong\necho ")
    editor.type("\x03")
    editor.at_prompt()
    assert plain(editor.run("echo o'n'e")).endswith("one\n")


def test_interrupt_trap(editor: Terminal) -> None:
    editor.run("trap 'echo GOT' INT")
    editor.type("abc\x03")
    editor.expect("GOT\r\n")
    editor.at_prompt()
    assert "=130=" in editor.run("echo =$?=")


def test_other_trap_runs_while_a_line_is_edited(editor: Terminal) -> None:
    editor.run("trap 'echo GOT' USR1")
    editor.type("echo par")
    editor.expect("par")
    os.kill(editor.child.pid, signal.SIGUSR1)
    editor.expect("GOT")
    editor.type("tial\r")
    editor.expect("partial\r\n")


def test_news_of_jobs_at_once(editor: Terminal) -> None:
    """set -b, with a line half typed."""
    editor.run("mkfifo f; set -b; cat f > /dev/null &")
    editor.type("echo par")
    editor.expect("par")
    os.close(os.open(editor.folder / "f", os.O_WRONLY))
    editor.expect("Done")
    editor.type("tial\r")
    editor.expect("partial\r\n")


def test_hang_up(editor: Terminal) -> None:
    job = 'trap "echo > hupped; exit" HUP; echo > ready; while :; do sleep 0.05; done'
    editor.run(f"trap 'echo > bye' EXIT; sh -c '{job}' &")
    until((editor.folder / "ready").exists, "the job never began")
    os.kill(editor.child.pid, signal.SIGHUP)
    until((editor.folder / "hupped").exists, "the job heard nothing")
    until((editor.folder / "bye").exists, "the EXIT trap did not run")


def test_hang_up_of_the_terminal(editor: Terminal) -> None:
    pid = editor.child.pid
    os.close(os.dup(editor.child.child_fd))
    editor.child.close(force=False)
    until(lambda: not Path(f"/proc/{pid}").exists() or _zombie(pid), "the shell lives on without a terminal")


def _zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "Z"


def test_window_size(editor: Terminal) -> None:
    editor.child.setwinsize(40, 90)
    until(lambda: "90 40" in editor.run("echo $COLUMNS $LINES"), "COLUMNS stays as it was")
