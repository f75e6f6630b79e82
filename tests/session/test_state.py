"""What of a command stays, and what a shell's own end means where the session goes on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.session.conftest import lives

if TYPE_CHECKING:
    from tests.session.conftest import Session


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("exit 3", 3),
        ("f() { exit 4; }; f", 4),
        ("set -e; false; echo no", 1),
        ("exec sh -c 'exit 5'", 5),
        ("exec no-such-program", 127),
        ("return 6", None),
        ("break", None),
        ("echo ${unset?gone}", None),
        ("set -u; echo $unset", None),
        ("if; then", 2),
        ("echo 'open", 2),
        ("echo a &&", 2),
        ("sh -c 'kill -9 $$'", 137),
        ("kill -TERM $$", None),
        ("$(sh -c 'kill 0')", None),
        ("sh -c 'kill 0'", 143),
        ("readonly ro=1; ro=2", None),
        ("exec >file; exec 2>&-", 0),
        ("exec <&- >&-", 0),
        ("set -n", 0),
        ("set -m; set +m", 0),
        ("trap '' INT TERM HUP USR1", 0),
        ("ulimit -n 32", None),
        ("IFS=,", 0),
        ("PATH=", 0),
        ("unset PWD HOME AISH_SESSION_RUN", 0),
        ("readonly AISH_SESSION_RUN", 0),
        ("shift 99", None),
        ("f() { f; }; f", None),
    ],
)
def test_the_shell_outlives_the_end_of_a_command(session: Session, command: str, status: int | None) -> None:
    session.out("kept=yes")
    result = session.run(command)
    assert (result["state_lost"], status is None or result["status"] == status) == (False, True), result
    assert session.run('echo "$kept"')["stdout"] == "yes\n"
    assert session.run("/bin/echo still")["stdout"] == "still\n"


def test_a_killed_shell_is_replaced_in_its_folder_and_the_result_says_so(session: Session) -> None:
    session.out("x=1; mkdir d; cd d; sleep 600 &")
    result = session.run("echo before; kill -9 $$; echo no")
    assert (result["status"], result["state_lost"], result["stdout"]) == (137, True, "before\n")
    assert session.out("echo ${x-unset}; pwd") == f"unset\n{session.folder}/d\n"
    assert [job["command"] for job in session.run(":")["background"]] == ["sleep 600"], (
        "what runs has not to go with it"
    )


def test_what_a_killed_shell_was_at_ends(session: Session) -> None:
    result = session.run("sh -c 'kill -9 $PPID; echo $$ >pid; exec sleep 600'")
    assert result["state_lost"] is True
    assert not lives(session.pid_in("pid"))
    assert result["background"] == []


def test_the_exit_trap_runs_at_exit_and_at_the_end_of_the_session(session: Session, tmp_path: object) -> None:
    assert session.out("trap 'echo bye $?' EXIT; echo set") == "set\n"
    assert session.run("exit 3")["stdout"] == "bye 3\n"
    assert session.run("exit 4")["stdout"] == "", "once"
    session.out(f"trap 'echo end >{tmp_path}/ended' EXIT")
    session.ask("reset")
    assert (session.folder / "ended").read_text() == "end\n"


def test_set_e_ends_the_command_and_not_the_session(session: Session) -> None:
    session.out("set -e")
    result = session.run("echo one; false; echo two")
    assert (result["status"], result["stdout"]) == (1, "one\n")
    assert session.run("echo $-; false")["status"] == 1


def test_folder_and_variables_of_a_request_are_as_cd_and_export(session: Session) -> None:
    (session.folder / "a b").mkdir()
    assert (
        session.run("sh -c 'echo $X'; pwd", cwd="a b", env={"X": "it's"})["stdout"] == f"it's\n{session.folder}/a b\n"
    )
    assert session.out("echo $X; echo $OLDPWD") == f"it's\n{session.folder}\n"
    assert session.out("echo ${X-unset}", env={"X": None}) == "unset\n"


def test_a_folder_that_is_not_there_is_an_error_and_nothing_is_run(session: Session) -> None:
    found = session.ask("run", id=7, command="touch ran", cwd="nowhere")
    assert (found["type"], found["id"]) == ("error", 7)
    assert "nowhere" in found["error"]["message"]
    session.out("readonly R=1")
    assert session.ask("run", command="touch ran", env={"R": "2"})["type"] == "error"
    assert os.listdir(session.folder) == []


def test_a_folder_that_is_removed_does_not_end_the_session(session: Session) -> None:
    session.out("mkdir gone; cd gone; rmdir ../gone")
    assert session.run("echo here")["stdout"] == "here\n"
    session.run("kill -9 $$")
    assert session.run("echo there")["stdout"] == "there\n"


def test_names_that_are_no_text_do_not_end_the_session(session: Session) -> None:
    result = session.run('d=$(printf \'a\\377b\'); mkdir $d; cd $d; sleep 600 & eval "sleep 60$d &"; cd "$PWD/$d"')
    assert result["cwd"] == f"{session.folder}/a\ufffdb"
    assert session.run("kill -9 $$")["state_lost"] is True
    assert session.out("ls .. | cat -v; pwd | cat -v") == f"aM-^?b\n{session.folder}/aM-^?b\n"


def test_reset_gives_a_fresh_shell_and_ends_what_runs(session: Session) -> None:
    session.out("x=1; sh -c 'echo $$ >pid; exec sleep 600' &")
    pid = session.pid_in("pid")
    session.send("run", id=1, command="sleep 600")
    session.send("run", id=2, command="echo queued; touch ran")
    session.send("reset", id=3)
    assert session.until("error")["id"] == 2
    assert session.until("result")["ended"] is True
    assert session.until("done")["id"] == 3
    assert not lives(pid)
    assert session.out("echo ${x-unset}; jobs") == "unset\n"


def test_jobs_and_wait_know_the_background_of_earlier_commands(session: Session) -> None:
    session.out("mkfifo gate; { read x <gate; exit 7; } &")
    assert "Running" in session.out("jobs")
    assert session.run("echo >gate; wait $!")["status"] == 7
    found = session.ask("jobs", id="j")
    assert found == {"type": "jobs", "id": "j", "running": None, "queued": [], "background": []}


def test_no_descriptor_of_the_session_reaches_a_command(session: Session) -> None:
    listing = "ls /proc/self/fd; (ls /proc/self/fd); echo $(ls /proc/self/fd); ls /proc/self/fd & wait"
    assert set(session.out(listing).split()) == {"0", "1", "2", "3"}


def test_a_command_may_be_as_long_as_a_program(session: Session) -> None:
    text = "\n".join(f"x{number}=$((x{number - 1} + 1))" for number in range(1, 20_000))
    assert session.out(f"x0=0\n{text}\necho $x19999") == "19999\n"


def test_a_document_of_many_lines_arrives_whole(session: Session) -> None:
    body = "".join(f"line {number} 'quoted' \"and\" $dollar `tick` \\ back\n" for number in range(2000))
    session.out(f"cat >f <<'END'\n{body}END")
    assert (session.folder / "f").read_text() == body
