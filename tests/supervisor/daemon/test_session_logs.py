"""Whose a session's log is: by who has it open, by its head, and nobody's where that is not clear."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from aish.supervisor.daemon.session_logs import Finder, Found, Wanted, folder, surroundings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW_S = time.time()


@pytest.fixture
def sessions(tmp_path: Path) -> Path:
    made = tmp_path / ".codex" / "sessions"
    made.mkdir(parents=True)
    return made


def write(sessions: Path, id: str, *, began_s: float = NOW_S, day: str = "2026/09/21", **head: Any) -> bytes:
    place = sessions / day
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"rollout-{day.replace('/', '-')}T10-00-00-{id}.jsonl"
    stamp = datetime.fromtimestamp(began_s, UTC).isoformat()
    record = {"timestamp": stamp, "type": "session_meta", "payload": {"id": id, "timestamp": stamp, **head}}
    path.write_text(json.dumps(record) + "\n")
    return os.fsencode(path)


def wanted(sessions: Path, id: str = "p1", **more: Any) -> Wanted:
    fields: dict[str, Any] = {
        "cwds": frozenset({"/work"}),
        "words": (b"codex",),
        "pids": (),
        "began_s": NOW_S - 1,
        "ended_s": None,
        "known": {},
    }
    return Wanted(id=id, folder=os.fsencode(sessions), **fields | more)


def find(*processes: Wanted, everywhere: bool = True) -> Found:
    return Finder().find(processes, everywhere=everywhere)


@pytest.fixture
def holder(sessions: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has the log of session `open` open."""
    path = write(sessions, "open", cwd="/elsewhere")
    program = "import sys; kept = open(sys.argv[1], 'a'); print(flush=True); sys.stdin.read()"
    process = subprocess.Popen([sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdin is not None
    process.stdout.readline()
    yield process
    process.stdin.close()
    process.wait(10)
    process.stdout.close()


def test_who_has_it_open_wrote_it(sessions: Path, holder: subprocess.Popen[bytes]) -> None:
    found = find(wanted(sessions, pids=(holder.pid,)), wanted(sessions, "p2", cwds=frozenset({"/elsewhere"})))
    assert {id: list(logs.values()) for id, logs in found.logs.items()} == {"p1": ["open"]}


def test_what_a_stranger_has_open_is_not_taken(sessions: Path, holder: subprocess.Popen[bytes]) -> None:
    assert find(wanted(sessions, cwds=frozenset({"/elsewhere"}))).logs == {}


def test_a_session_that_began_in_its_folder_while_it_ran(sessions: Path) -> None:
    path = write(sessions, "s1", cwd="/work")
    write(sessions, "before", cwd="/work", began_s=NOW_S - 600)
    write(sessions, "other", cwd="/other")
    assert find(wanted(sessions)).logs == {"p1": {path: "s1"}}
    assert find(wanted(sessions, began_s=NOW_S - 900, ended_s=NOW_S - 300)).logs["p1"].popitem()[1] == "before"


def test_what_fits_two_is_nobody_s(sessions: Path) -> None:
    path = write(sessions, "s1", cwd="/work")
    found = find(wanted(sessions), wanted(sessions, "p2"))
    assert (found.logs, found.unclear) == ({}, {path: ("p1", "p2")})


def test_sub_agents_belong_to_whose_session_they_name(sessions: Path) -> None:
    known = {b"/x": "s1"}
    write(sessions, "s2", cwd="/anywhere", source={"subagent": {"thread_spawn": {"parent_thread_id": "s1"}}})
    found = find(wanted(sessions, known=known), wanted(sessions, "p2", cwds=frozenset({"/anywhere"})))
    assert {id: list(logs.values()) for id, logs in found.logs.items()} == {"p1": ["s2"]}


@pytest.mark.parametrize("words", [(b"sh", b"-c", b"codex exec resume s-old go"), (b"codex", b"resume", b"--last")])
def test_a_session_that_it_was_started_to_go_on_with(sessions: Path, words: tuple[bytes, ...]) -> None:
    path = write(sessions, "s-old", cwd="/work", began_s=NOW_S - 90_000, day="2026/01/02")
    os.utime(path, (NOW_S, NOW_S))
    assert find(wanted(sessions)).logs == {}, "another program goes on with it"
    assert find(wanted(sessions, words=words)).logs == {"p1": {path: "s-old"}}


def test_a_head_that_is_not_whole_yet_is_read_again(sessions: Path) -> None:
    path = write(sessions, "s1", cwd="/work")
    with open(path, "rb+") as file:
        text = file.read()
        file.truncate(30)
    finder = Finder()
    assert finder.find([wanted(sessions)], everywhere=True).logs == {}
    with open(path, "wb") as file:
        file.write(text)
    assert finder.find([wanted(sessions)], everywhere=True).logs == {"p1": {path: "s1"}}


def test_only_files_of_that_name_that_are_files(sessions: Path, tmp_path: Path) -> None:
    day = sessions / "2026" / "09" / "21"
    path = write(sessions, "s1", cwd="/work")
    os.rename(path, day / "notes.jsonl")
    (day / "rollout-link.jsonl").symlink_to(day / "notes.jsonl")
    os.mkfifo(day / "rollout-fifo.jsonl")
    (day / "rollout-folder.jsonl").mkdir()
    (sessions / "x" / "09" / "21").mkdir(parents=True)
    assert find(wanted(sessions)).logs == {}
    assert find(wanted(tmp_path / "nothing")).logs == {}


def test_where_a_program_has_its_sessions() -> None:
    assert folder([b"HOME=/home/u", b"X=1"]) == b"/home/u/.codex/sessions"
    assert folder([b"HOME=/home/u", b"CODEX_HOME=/c"]) == b"/c/sessions"
    assert folder([b"CODEX_HOME=relative"]) is None
    assert folder([]) is None


def test_folders_that_its_words_name_are_its_own_too(tmp_path: Path) -> None:
    cwds, words = surroundings((os.getpid(),), os.fsencode(tmp_path), [b"codex", b"exec", b"-C", b"sub", b"--cd=/x"])
    assert {str(tmp_path), str(tmp_path / "sub"), "/x", os.getcwd()} <= cwds
    assert words[:2] == (b"codex", b"exec")
