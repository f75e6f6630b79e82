"""What of the lines that are typed is kept, and under which numbers."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from aish.lang import history_text
from aish.lang.history_text import Files
from aish.lang.host import NoHost
from aish.lang.runtime import Runtime
from aish.shell.companion.answers import Answers
from aish.shell.companion.link import Link
from aish.shell.companion.work import serve
from aish.shell.history import History
from tests.lang.conftest import SHELL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def shells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., History]]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    opened: list[History] = []

    def start(**variables: str) -> History:
        rt = Runtime(NoHost(), {"PWD": "/", **variables})
        rt.history = True
        opened.append(History(rt, Link(lambda fd: serve(fd, Answers(list, lambda words, written: None).table()))))
        return opened[-1]

    yield start
    for history in opened:
        history.close()


def typed(history: History, *lines: str) -> list[str]:
    for line in lines:
        history.begins(line + "\n")
        history.ended(0, 0.0)
    return [line for _, line, _ in history.lines()]


@pytest.mark.parametrize(
    ("variables", "kept"),
    [
        ({}, ["a", "a", "b", "a"]),
        ({"HISTCONTROL": "ignoredups"}, ["a", "b", "a"]),
        ({"HISTCONTROL": "ignoreboth"}, ["a", "b", "a"]),
        ({"HISTCONTROL": "erasedups"}, ["b", "a"]),
        ({"HISTIGNORE": "b*"}, ["a", "a", "a"]),
        ({"HISTIGNORE": "&"}, ["a", "b", "a"]),
        ({"HISTIGNORE": r"x:\a"}, ["b"]),  # the shell's patterns, as in a script
        ({"HISTIGNORE": "a", "HISTCONTROL": "erasedups"}, ["b"]),
        ({"HISTSIZE": "2"}, ["b", "a"]),
        ({"HISTSIZE": "0"}, []),
        ({"HISTFILE": "/dev/null"}, ["a", "a", "b", "a"]),
    ],
)
def test_what_is_kept(shells: Callable[..., History], variables: dict[str, str], kept: list[str]) -> None:
    assert typed(shells(**variables), "a", " secret", "a", "b", "  ", "a") == kept


def test_set_o_history(shells: Callable[..., History]) -> None:
    """`set +o history` was taken, and every line was kept on."""
    history = shells()
    typed(history, "one")
    history.rt.history = False
    typed(history, "two")
    history.rt.history = True
    assert typed(history, "three") == ["one", "three"]


def test_history_s_is_asked_for(shells: Callable[..., History]) -> None:
    """`history -s` did nothing while `set +o history` was on."""
    history = shells()
    typed(history, "one")
    history.rt.history = False
    typed(history, "two")
    history.replace_last("three")
    assert typed(history) == ["one", "three"]


def test_the_next_shell_goes_on_with_the_numbers(shells: Callable[..., History]) -> None:
    first = shells()
    typed(first, "one", "two")
    first.close()
    second = shells()
    assert second.next_number() == 3
    assert typed(second, "three") == ["one", "two", "three"]
    assert [number for number, *_ in second.lines()] == [1, 2, 3]
    assert [line for _, line, _ in second.new_lines()] == ["three"]


def test_a_text_file_is_given_each_line_once(shells: Callable[..., History], tmp_path: Path) -> None:
    """At a prompt `history -a` gave all lines of the shell each time, those that look secret as well."""
    history = shells()
    for lines, given in ((("one", "TOKEN=abcdefghijk x"), ["one"]), (("two",), ["two"]), ((), [])):
        typed(history, *lines)
        assert [line for _, line, _ in history.new_lines()] == given
        history.written()


def test_lines_are_shared_by_a_text_file(tmp_path: Path) -> None:
    """`history -a; history -n`: -n read the whole file each time, own lines as well; what another shell has put
    between two of ours is not missed, as bash's count misses it."""
    (tmp_path / "hf").write_text("old\n")
    script = "history -a\necho other >> hf\nhistory -a; history -n\nhistory -a; history -n; history\n"
    done = read_in(tmp_path, script, HISTFILE="hf")
    own = ["history -a", "echo other >> hf", "history -a; history -n"]
    listed = [line.split(None, 1)[1] for line in done.stdout.splitlines()]
    assert listed == ["old", *own, "other", "history -a; history -n; history"]


def test_files_that_are_read_on(tmp_path: Path) -> None:
    """What is new to us, whoever writes, cuts or replaces the file."""
    path = str(tmp_path / "hf")
    files, other = Files(), Files()
    files.write(path, ["a"], append=True)
    assert files.read(path, new=True) == []
    other.write(path, ["b"], append=True)
    files.write(path, ["c"], append=True)
    files.write(path, ["d"], append=True)
    other.write(path, ["#1700000000", "e"], append=True)
    assert files.read(path, new=True) == ["b", "e"]
    assert files.read(path, new=True) == []
    assert files.read(path) == ["a", "b", "c", "d", "e"]
    assert other.read(path, new=True) == ["a", "c", "d"]
    other.write(path, ["f"], append=False)
    assert files.read(path, new=True) == []  # shorter than before: what of it is new cannot be told
    other.write(path, ["g"], append=True)
    assert files.read(path, new=True) == ["g"]
    files.write(path, ["h"], append=False)
    assert files.read(path, new=True) == []


def test_a_file_that_is_emptied_here_is_read_from_its_beginning(tmp_path: Path) -> None:
    """Fault: after `history -c; history -w` the place was that of the old file: lines of others were missed, and one
    was begun in its midst."""
    path = str(tmp_path / "hf")
    files, other = Files(), Files()
    other.write(path, ["a", "b", "c", "d"], append=True)
    assert files.read(path) == ["a", "b", "c", "d"]
    files.write(path, [], append=False)
    other.write(path, ["x", "y", "z", "1", "2"], append=True)
    assert files.read(path, new=True) == ["x", "y", "z", "1", "2"]


@pytest.mark.parametrize("most", [1, 2, 500, 1001])
@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("in_place", [False, True])
def test_a_file_that_another_shell_has_cut_is_read_on(tmp_path: Path, most: int, again: bool, in_place: bool) -> None:
    """Fault: the place was that of the longer file: new lines were missed until the cut one had grown beyond it."""
    path = str(tmp_path / "hf")
    files, other = Files(), Files()
    other.write(path, [f"line {number}" for number in range(1000)], append=True)
    files.read(path)
    if again:
        assert files.read(path, new=True) == []
    other.write(path, ["other"], append=True)
    before = tmp_path / "before"
    before.hardlink_to(path)
    history_text.cut(path, most + 1)
    if in_place:
        before.write_bytes((tmp_path / "hf").read_bytes())
        before.replace(path)
    else:
        files.write(path, ["own"], append=True)
    other.write(path, [f"new {number}" for number in range(2000)], append=True)
    assert files.read(path, new=True) == ["other", *[f"new {number}" for number in range(2000)]]
    other.write(path, ["more"], append=True)
    assert files.read(path, new=True) == ["more"]


def test_a_file_in_the_place_of_another(tmp_path: Path) -> None:
    """What of it is new cannot be told where it has no line of the other; a line is found whole only."""
    path = tmp_path / "hf"
    files = Files()
    path.write_text("ls\n")
    files.read(str(path))
    for text, new in (("echo ls\nx\n", []), ("a\nb\necho ls\nx\ny\n", ["y"])):
        (tmp_path / "made").write_text(text)
        (tmp_path / "made").replace(path)
        assert files.read(str(path), new=True) == new


def test_what_is_typed_before_the_file_is_read_comes_behind_it(shells: Callable[..., History]) -> None:
    first = shells()
    typed(first, "one")
    first.close()
    second = shells()
    second.begins("two\n")
    assert [line for _, line, _ in second.lines()] == ["one", "two"]


def test_without_a_file_nothing_is_left(shells: Callable[..., History]) -> None:
    first = shells(HISTFILE="/dev/null")
    typed(first, "one")
    first.close()
    assert typed(shells(), "two") == ["two"]


def test_what_looks_secret_is_only_in_this_shell(shells: Callable[..., History]) -> None:
    first = shells()
    assert typed(first, "TOKEN=abcdefghijk x", "two") == ["TOKEN=abcdefghijk x", "two"]
    first.close()
    assert typed(shells()) == ["two"]


def test_deleted_lines_are_gone_everywhere(shells: Callable[..., History]) -> None:
    first = shells()
    typed(first, "one", "two", "three")
    first.delete(2, 2)
    assert [item[:2] for item in first.lines()] == [(1, "one"), (2, "three")]
    first.close()
    assert typed(shells()) == ["one", "three"]


def test_an_emptied_list_leaves_the_file(shells: Callable[..., History]) -> None:
    first = shells()
    typed(first, "one")
    first.delete(1, 1, disk=False)
    assert first.lines() == []
    first.close()
    assert typed(shells()) == ["one"]


def read_in(folder: Path, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`aish -i <script`, in a folder of its own."""
    return subprocess.run(
        [*SHELL, "--norc", "-i"],
        input=script,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_STATE_HOME": str(folder / "state"), **variables},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_text_file_named_by_histfile_where_nobody_types(tmp_path: Path) -> None:
    """`aish -i <script`: read at the start, appended to at the end, as bash has it, and ours gets nothing."""
    (tmp_path / "hf").write_text("old\n")
    script = "history\nHISTFILE=other\necho x\nhistory -a\ncat other\nhistory -w third\necho y\n"
    done = read_in(tmp_path, script, HISTFILE="hf")
    assert done.stdout == "    1  old\n    2  history\nx\nhistory\nHISTFILE=other\necho x\nhistory -a\ny\n", (
        done.stderr
    )
    assert (tmp_path / "hf").read_text() == "old\n"
    assert (tmp_path / "third").read_text().endswith("cat other\nhistory -w third\n")
    assert (tmp_path / "other").read_text() == (
        "history\nHISTFILE=other\necho x\nhistory -a\ncat other\nhistory -w third\necho y\n"
    )


@pytest.mark.parametrize(
    ("histfile", "script"),
    [
        ("{folder}/state/./aish/history.db", "x=1\n"),  # another name of our own
        ("link", "x=1\n"),
        ("{folder}/other.db", "x=1\n"),  # that of another HOME, handed down
        ("text", "HISTFILE={folder}/other.db\n"),
        ("text", "HISTFILE={folder}/state/aish/history.db\n"),
        ("text", "history -a {folder}/other.db; history -w {folder}/other.db; history -r {folder}/other.db\n"),
    ],
)
def test_no_text_comes_into_a_database(tmp_path: Path, histfile: str, script: str) -> None:
    """HISTFILE was compared as a string: lines were appended to our own history, which was damaged by it."""
    folder = tmp_path / "state" / "aish"
    folder.mkdir(parents=True)
    files = [folder / "history.db", tmp_path / "other.db"]
    for file in files:
        with sqlite3.connect(file, isolation_level=None) as db:
            db.execute("CREATE TABLE other(x)")
        db.close()
    (tmp_path / "link").symlink_to(files[0])
    before = files[1].read_bytes()
    done = read_in(tmp_path, script.format(folder=tmp_path), HISTFILE=histfile.format(folder=tmp_path))
    assert ("not a text file" in done.stderr or "not written" in done.stderr) is (histfile == "text"), done.stderr
    assert files[1].read_bytes() == before
    with sqlite3.connect(files[0]) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        if histfile != "text":
            assert db.execute("SELECT line FROM commands").fetchall() == [(script.encode().rstrip(),)]
    db.close()
    assert files[0].stat().st_size % 512 == 0  # whole pages


def test_a_database_that_is_not_there_yet_is_none_of_text(tmp_path: Path) -> None:
    """Text in its place would be moved aside as damaged by the next shell."""
    (tmp_path / "state" / "aish").mkdir(parents=True)
    done = read_in(tmp_path, f"HISTFILE={tmp_path}/state/aish/../aish/history.db\n", HISTFILE="hf")
    assert "HISTFILE: " in done.stderr
    assert not (tmp_path / "state" / "aish" / "history.db").exists()


def test_a_text_file_is_private_and_has_no_secrets(tmp_path: Path) -> None:
    """It was made as anybody's umask has it, 0644, and TOKEN=... came into it."""
    read_in(tmp_path, "TOKEN=abcdefghijk\nx=1\n", HISTFILE="hf")
    assert (tmp_path / "hf").read_text() == "x=1\n"
    assert (tmp_path / "hf").stat().st_mode & 0o777 == 0o600
    read_in(tmp_path, "PASSWORD=abcdefghijk\nhistory -a\nhistory -w whole\n", HISTFILE="hf")
    assert (tmp_path / "hf").read_text() == "x=1\nhistory -a\nhistory -w whole\n"
    assert (tmp_path / "whole").read_text() == "x=1\nPASSWORD=abcdefghijk\nhistory -a\nhistory -w whole\n"


@pytest.mark.parametrize(
    ("script", "written"),
    [
        ("a=1; b=2; history -d 1; history -a\nc=3\n", "a=1; b=2; history -d 1; history -a\nc=3\n"),
        ("a=1\nhistory -a\nhistory -d 2\nc=3\n", "a=1\nhistory -a\nhistory -d 2\nc=3\n"),
        ("a=1; history -a; history -s b\n", "a=1; history -a; history -s b\nb\n"),
        ("HISTCONTROL=erasedups\na=1\nhistory -a\na=1\n", "HISTCONTROL=erasedups\na=1\nhistory -a\na=1\n"),
        ("history -r more\na=1\n", "history -r more\na=1\n"),
        ("history -r more; history -a\na=1\n", "history -r more; history -a\na=1\n"),
        ("history -w\na=1\n", "history -w\na=1\n"),
        ("!1:p\na=1\n", "old1\na=1\n"),
    ],
)
def test_a_text_file_gets_each_line_once(tmp_path: Path, script: str, written: str) -> None:
    """Which lines it had was a count: `history -d` made lines of the file new ones, -s after -a lost one."""
    (tmp_path / "hf").write_text("old1\n#1700000000\nold2\n")
    (tmp_path / "more").write_text("m1\n#1700000000\nm2\n")
    done = read_in(tmp_path, script, HISTFILE="hf")
    begin = "old1\nold2\n" if "-w" in script else "old1\n#1700000000\nold2\n"
    assert (tmp_path / "hf").read_text() == begin + written, done.stderr


@pytest.mark.parametrize(
    ("size", "listed", "left"),
    [
        ("2", "old2 old3", "#1700000003\nold3\nhistory\n"),
        ("4", "old1 old2 old3", "old1\n#1700000002\nold2\n#1700000003\nold3\nhistory\n"),
        ("0", "", ""),
        ("9" * 5000, "old1 old2 old3", "old1\n#1700000002\nold2\n#1700000003\nold3\nhistory\n"),
        ("-1", "old1 old2 old3", "old1\n#1700000002\nold2\n#1700000003\nold3\nhistory\n"),
    ],
)
def test_a_text_file_is_cut(tmp_path: Path, size: str, listed: str, left: str) -> None:
    """HISTFILESIZE was not heeded: the file grew for ever. It is the last lines, with their times, that stay."""
    (tmp_path / "hf").write_text("old1\n#1700000002\nold2\n#1700000003\nold3\n")
    (tmp_path / "hf").chmod(0o640)
    (tmp_path / "link").symlink_to("hf")
    done = read_in(tmp_path, "history\n", HISTFILE="link", HISTFILESIZE=size)
    assert [line.split()[1] for line in done.stdout.splitlines()] == [*listed.split(), "history"], done.stderr
    assert (tmp_path / "hf").read_text() == left
    assert (tmp_path / "hf").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("may", [True, False])
def test_a_cut_text_file_keeps_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, may: bool) -> None:
    """Fault: the file of a user that root had cut, with the user's HOME, was root's."""
    path = tmp_path / "hf"
    path.write_text("one\ntwo\nthree\n")
    path.chmod(0o600)
    before = path.stat()
    given: list[tuple[int, int]] = []

    def fchown(fd: int, uid: int, gid: int) -> None:
        given.append((uid, gid))
        if not may:
            raise PermissionError

    whose = os.fstat

    def fstat(fd: int) -> os.stat_result:
        """Who runs the tests may give no file away: what is made is another's."""
        found = whose(fd)
        return found if found.st_size else os.stat_result([*found[:4], found.st_uid + 1, *found[5:]])

    monkeypatch.setattr(os, "fchown", fchown)
    monkeypatch.setattr(os, "fstat", fstat)
    history_text.cut(str(path), 2)
    assert given == [(before.st_uid, before.st_gid)]
    assert path.read_text() == "two\nthree\n"
    assert path.stat().st_mode == before.st_mode
    assert (path.stat().st_ino == before.st_ino) is not may  # it is written in place where it cannot be given
    assert os.listdir(tmp_path) == ["hf"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_root_cuts_the_file_of_a_user(tmp_path: Path) -> None:
    (tmp_path / "hf").write_text("one\ntwo\nthree\n")
    os.chown(tmp_path / "hf", 1000, 1001)
    history_text.cut(str(tmp_path / "hf"), 2)
    assert ((tmp_path / "hf").stat().st_uid, (tmp_path / "hf").stat().st_gid) == (1000, 1001)


def test_the_times_in_a_text_file_are_no_commands(tmp_path: Path) -> None:
    """`history -r` knew them, and what was read at the start had them as lines."""
    (tmp_path / "hf").write_text("#1700000000\nold1\n#1700000001\nold2\n")
    assert read_in(tmp_path, "history\n", HISTFILE="hf").stdout == "    1  old1\n    2  old2\n    3  history\n"


def test_a_deleted_line_leaves_those_of_the_file_where_they_are(shells: Callable[..., History]) -> None:
    first = shells()
    typed(first, "one", "two")
    first.close()
    second = shells()
    typed(second, "three", "four")
    second.delete(1, 1)
    second.delete(2, 2)
    assert [item[:2] for item in second.lines()] == [(1, "two"), (2, "four")]
    assert [item[:2] for item in second.new_lines()] == [(2, "four")]


def test_what_histsize_leaves_out_does_not_come_back(shells: Callable[..., History]) -> None:
    history = shells(HISTSIZE="0")
    typed(history, "one", "two")
    history.delete(1, 0, disk=False)
    history.rt.vars.set("HISTSIZE", "2")
    assert typed(history, "three", "four", "five") == ["four", "five"]
    history.delete(3, 3)
    history.rt.vars.set("HISTSIZE", "9")
    assert typed(history) == ["four"]


def test_exec_saves_what_was_typed(tmp_path: Path) -> None:
    """`exec program` lost all lines of the shell; one that fails, or in a subshell, writes none twice."""
    read_in(tmp_path, "a=1\n(exec true)\nexec ./not-there\nexec /\nb=2\nexec true\n", HISTFILE="hf")
    expected = "a=1\n(exec true)\nexec ./not-there\nexec /\nb=2\nexec true\n"
    assert (tmp_path / "hf").read_text() == expected


def test_a_line_that_is_left_out_erases_none(shells: Callable[..., History]) -> None:
    """HISTIGNORE was asked behind `erasedups`: the line that it left out was gone from the list as well."""
    history = shells(HISTCONTROL="erasedups")
    typed(history, "one", "two")
    history.rt.vars.set("HISTIGNORE", "one")
    assert typed(history, "one") == ["one", "two"]


def test_many_lines_here_and_in_the_file(shells: Callable[..., History]) -> None:
    """Own lines were compared with a set that was made anew for each, and forgotten ones with a list: 0.3 s between
    two prompts with 1,000 of them, where another shell typed, too."""
    history = shells(HISTFILE="/dev/null", HISTSIZE="30000")
    for number in range(20_000):
        history.add(f"own {number}")
    began = time.process_time()
    history._renewed([f"other {number}" for number in range(5000)])
    assert (len(history.unique), history.unique[0]) == (25_000, "own 19999")
    history.delete(1, 20_000, disk=False)
    assert len(history.unique) == 5000
    assert time.process_time() - began < 1.0


def test_a_late_answer_is_waited_for_once(shells: Callable[..., History], monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: while the companion took more than 20 ms to answer, every look asked and waited anew, without end."""
    history = shells()
    history.link.wait(lambda: history.known, 20.0)
    asked: list[Callable[[object], None]] = []
    waits: list[float] = []
    monkeypatch.setattr(history.link, "begin", lambda what, within_s, then, **fields: asked.append(then))
    monkeypatch.setattr(history.link, "wait", lambda happened, within_s: waits.append(within_s))
    for _ in range(3):
        if history.may_be_old():
            history.look_again()
    assert (len(asked), len(waits)) == (1, 1)
    history.renew()  # the next prompt, and the answers come after all
    asked[0](["one"])
    assert not history.may_be_old()  # the second may still be far
    asked[1](["one", "two"])
    assert history.may_be_old()
    assert history.unique == ["one", "two"]


@pytest.mark.parametrize("size", ["9" * 5000, "0" * 5000 + "2", "²", "٢"])
def test_histsize_of_any_text(shells: Callable[..., History], size: str) -> None:
    """More than 4,300 digits were a fault before the first prompt."""
    first = shells()
    typed(first, "one", "two")
    first.close()
    assert typed(shells(HISTSIZE=size), "three") == (
        ["two", "three"] if size.endswith("02") else ["one", "two", "three"]
    )
