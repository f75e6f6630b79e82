"""Commands: bounded, and gone with all that they started."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from aish.plugins.builtin.declined import DeclinedError
from aish.plugins.builtin.places import Places
from aish.plugins.builtin.search import Search, command
from aish.plugins.builtin.shell import Shell

DEADLINE_S = 60.0


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(str(tmp_path))


def ran(shell: Shell, command: str, timeout_s: int = 60) -> str:
    return asyncio.run(shell.shell(command, timeout_s))


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("echo out; echo err >&2", "out\nerr\n"),
        ("true", "[no output]"),
        ("echo x; exit 3", "x\n\n[exit status 3]"),
        ("kill -9 $$", "\n[ended by signal 9]"),
        ("cat", "[no output]"),
        ("printf '\\377'", "\ufffd"),
    ],
)
def test_what_it_prints_and_how_it_ends(shell: Shell, command: str, told: str) -> None:
    assert ran(shell, command) == told


def test_output_without_end_is_bounded(shell: Shell) -> None:
    text = ran(shell, "yes | head -c 5000000; echo the end")
    assert len(text) < 70_000
    assert text.endswith("the end\n")
    assert "bytes are left out" in text


def test_a_command_that_prints_without_end_is_ended_in_time(shell: Shell) -> None:
    began = time.monotonic()
    assert "[ended after 1 s]" in ran(shell, "yes", 1)
    assert time.monotonic() - began < DEADLINE_S


def test_what_it_leaves_in_the_background_is_ended_with_it(shell: Shell, tmp_path: Path) -> None:
    ran(shell, "sleep 3600 & echo $! > pid")
    assert _gone(int((tmp_path / "pid").read_text()))


def test_one_that_does_not_want_to_end_is_killed(shell: Shell, tmp_path: Path) -> None:
    text = ran(
        shell, "trap '' TERM; (trap '' TERM; exec sleep 3600) & echo $! > pid; echo begun; while :; do wait; done", 1
    )
    assert text == "begun\n\n[ended after 1 s]"
    assert _gone(int((tmp_path / "pid").read_text()))


def test_cancelled_its_whole_group_ends(shell: Shell, tmp_path: Path) -> None:
    async def go() -> None:
        task = asyncio.ensure_future(shell.shell("sleep 3600 & echo $! $$ > pid.new; mv pid.new pid; wait"))
        async with asyncio.timeout(DEADLINE_S):
            while not (tmp_path / "pid").exists():
                await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(go())
    assert all(_gone(int(pid)) for pid in (tmp_path / "pid").read_text().split())


def test_words_that_are_no_command(shell: Shell) -> None:
    for text in ("a\0b", "x" * 10**7):
        with pytest.raises(DeclinedError):
            ran(shell, text)


def test_search_finds_lines_and_follows_no_link_out(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "a").write_text("one\ntwo words\n")
    (tmp_path / "secret").write_text("two secrets\n")
    (work / "link").symlink_to(tmp_path)
    search = Search(Places(str(work)))
    assert asyncio.run(search.search("tw[o]")).replace("./", "") == "a:2:two words\n"
    assert asyncio.run(search.search("nothing like it")) == "nothing found"
    assert asyncio.run(search.search("-x--pre=touch")) == "nothing found", "a pattern is no option"
    assert command("x", "y")[-2:] == ["--", "y"]


def _gone(pid: int) -> bool:
    """Ended: the kernel may not have told its parent yet."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
    return False


def test_what_it_prints_is_told_while_it_runs_and_when_it_is_cut_short(tmp_path: Path) -> None:
    """An agent that is killed or cancelled in the middle of a command has told what that printed until then."""
    told: list[str] = []
    shell = Shell(str(tmp_path), tell=told.append)

    async def go() -> None:
        begun = 'printf "one\\ntw"; until test -e go; do :; done; printf "o\\nthr"; touch seen; sleep 3600'
        task = asyncio.ensure_future(shell.shell(begun))
        async with asyncio.timeout(DEADLINE_S):
            while not told:
                await asyncio.sleep(0)
            assert told == ["one\n"], "whole lines"
            (tmp_path / "go").touch()
            while not (tmp_path / "seen").exists():
                await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(go())
    assert "".join(told) == "one\ntwo\nthr"


def test_a_quick_command_has_a_result_alone_and_a_long_output_a_bound(tmp_path: Path) -> None:
    told: list[str] = []
    shell = Shell(str(tmp_path), tell=told.append)
    assert asyncio.run(shell.shell("echo x")) == "x\n"
    assert told == []
    text = asyncio.run(shell.shell("yes", 3))
    assert "[ended after 3 s]" in text
    assert len("".join(told)) < 70_000
    assert "".join(told).endswith("[more of it is in the result]\n")
