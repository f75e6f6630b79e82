"""Pipes of supervised stages: nobody but the stage itself holds their ends, so their ends travel as everywhere."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.deadline import until

if TYPE_CHECKING:
    from .conftest import System


def test_a_stage_that_closes_its_ends_is_seen_to_while_it_lives_on(system: System) -> None:
    """A copy left in the stub, the daemon or the holder would keep the writer blocked and the reader waiting."""
    root = system.home.root
    line = (
        f'{{ yes; echo "yes $?" >{root}/writer; }} |'
        ' aish run --name stage -- sh -c "exec <&- >&-; exec sleep 62" |'
        f" {{ cat; echo eof >{root}/reader; }}"
    )
    shell = system.home.popen("-c", line, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until("the writer has its SIGPIPE", lambda: (root / "writer").exists() and (root / "writer").read_text())
    until("the reader has its end of file", (root / "reader").exists)
    assert (root / "writer").read_text() == "yes 141\n"
    assert system.row("stage")["state"] == "running"
    assert shell.poll() is None
    system.run("stop", "stage")
    assert shell.wait(30) == 0


def test_statuses_of_a_line_are_those_of_the_commands(system: System) -> None:
    line = (
        'aish run -- sh -c "exit 3" | aish run -- sh -c "cat; kill -TERM \\$\\$" | aish run -- cat;'
        ' echo "${PIPESTATUS[@]}"'
    )
    assert system.run("-c", line).stdout == "3 143 0\n"


def test_a_verb_whose_reader_leaves_ends_quietly(system: System) -> None:
    """Verbs are Python: they get an error where a program gets SIGPIPE, and leave with its status."""
    system.run("spawn", "--name", "much", "--", "seq", "200000")
    system.run("wait", "much")
    done = system.run("-c", 'aish logs much | head -1; echo "${PIPESTATUS[@]}"')
    assert (done.stdout, done.stderr) == ("1\n141 0\n", "")
