"""What hangs the shells of coding agents for minutes and hours: stdin taken by a command, folder and variables lost,
grandchildren left by a time-out, output of the background in the next result."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.session.conftest import gone, lives, processes, wait_for

if TYPE_CHECKING:
    from tests.session.conftest import Session


def test_a_command_cannot_take_the_requests_for_its_input(session: Session) -> None:
    session.send(
        "run", command="cat; read line; echo $?; cat /dev/stdin; ls -l /proc/self/fd/0 | grep -o '/dev/null'"
    )
    session.send("run", id="next", command="echo mine")
    assert session.answer()["stdout"] == "1\n/dev/null\n"
    assert session.answer()["stdout"] == "mine\n"


def test_a_program_that_asks_a_terminal_fails_and_does_not_wait_for_a_person(session: Session) -> None:
    found = session.run("cat /dev/tty; stty -a </dev/tty")
    assert (found["status"] != 0, "No such device" in found["stderr"]) == (True, True)


def test_folder_and_variables_are_there_in_the_next_command(session: Session) -> None:
    """And functions, options, traps, descriptors, parameters, the status."""
    (session.folder / "sub").mkdir()
    result = session.run(
        "cd sub; export E=exported; x='a  b'; greet() { echo hello $1; }; set -f; set -- p q; exec 5>log;"
        " trap 'echo usr' USR1; umask 027; false"
    )
    assert (result["status"], result["cwd"]) == (1, f"{session.folder}/sub")
    assert session.out(
        "echo $?; echo \"$x\" $E; sh -c 'echo $E'; greet you; echo *; echo $2; umask; trap | grep -c usr; pwd"
    ).split("\n") == [
        "1",
        "a  b exported",
        "exported",
        "hello you",
        "*",
        "q",
        "0027",
        "1",
        f"{session.folder}/sub",
        "",
    ]
    session.out("echo kept >&5; exec 5>&-")
    assert (session.folder / "sub" / "log").read_text() == "kept\n"


def test_a_time_out_leaves_no_grandchild(session: Session, leaver: str) -> None:
    """One in its own session, one that is a daemon without a mark in its environment, one in a substitution."""
    result = session.run(
        f"setsid sh -c 'echo $$ >one; exec sleep 600' & {leaver} two; x=$(sh -c 'echo $$ >three; sleep 600 | cat')",
        timeout_s=1.5,
    )
    assert (result["timed_out"], result["status"], result["stdout"], result["background"]) == (True, 124, "", [])
    assert processes(session) == set()
    assert not any(lives(int(path.read_text())) for path in map(session.folder.joinpath, ("one", "two", "three")))


def test_a_time_out_leaves_what_earlier_commands_have_started(session: Session, leaver: str) -> None:
    session.out(f"sh -c 'echo $$ >server; while :; do sleep 600; done' & {leaver} daemon")
    server, daemon = session.pid_in("server"), session.pid_in("daemon")
    result = session.run("sleep 600", timeout_s=0.2)
    assert (lives(server), lives(daemon)) == (True, True)
    assert {job["pid"] for job in result["background"]} >= {server, daemon}
    assert session.ask("end")["type"] == "done"
    gone(server, daemon)


def test_output_of_the_background_is_never_in_the_next_result(session: Session) -> None:
    session.send("run", id="first", command="mkfifo gate; { read x <gate; echo late; echo bad >&2; } & echo early")
    first = session.answer()
    assert (first["stdout"], [job["run"] for job in first["background"]]) == ("early\n", ["first"])
    second = session.run("echo go >gate; wait; echo second")
    assert (second["stdout"], second["stderr"], second["background"]) == ("second\n", "", [])
    with open(first["stdout_file"]) as out, open(first["stderr_file"]) as err:
        wait_for(lambda: os.stat(first["stdout_file"]).st_size > 6, "what was late is not kept")
        assert (out.read(), err.read()) == ("early\nlate\n", "bad\n")


def test_a_command_that_does_not_wait_for_its_background_is_answered_at_once(session: Session) -> None:
    """Its output is open in the background: an end of file would come in ten minutes."""
    result = session.run("sleep 600 & echo done", timeout_s=20)
    assert (result["stdout"], result["timed_out"], len(result["background"])) == ("done\n", False, 1)
