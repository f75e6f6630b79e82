"""docs/protocol.md lists what there is."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from aish import errors
from aish.supervisor.daemon import connection, server, want
from aish.wire import frame, message, reply

PAGE = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text()


def rows(title: str) -> list[list[str]]:
    section = PAGE.split(f"## {title}\n")[1].split("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_every_request_and_its_answer() -> None:
    listed = rows("Requests")
    assert [row[0] for row in listed] == [kind.__name__ for kind in get_args(message.Request)]
    answers = {kind.__name__ for kind in get_args(reply.Reply)}
    assert {row[1] for row in listed} - {"(the link)"} <= answers
    assert answers - {row[1] for row in listed} == {"Failure"}


def test_every_code_of_a_failure() -> None:
    codes = {getattr(errors, name).code for name in errors.__all__} - {
        "error",
        "source",
        "disconnected",
        "not-running",
        "out-of-reach",
        "timed-out",
    }
    assert {row[0] for row in rows("Failures")} == codes


def test_the_bounds() -> None:
    bounds = {row[0]: row[1] for row in rows("A conversation")}
    assert bounds["frame"] == f"{frame.MAX_FRAME_BYTES >> 20} MiB, {frame.MAX_FDS} descriptors"
    assert bounds["descriptors passed to a child"] == str(want.PASSED_MOST)
    assert bounds["connections"] == f"{server.MOST_CONNECTIONS:,}"
    assert bounds["requests of one connection"].startswith(f"{server.RATE_PER_S:,} a second")
    assert bounds["time for Hello"] == f"{server.HELLO_S:.0f} s"
    assert bounds["a reply that is not read"].startswith(f"{connection.STALL_S:.0f} s")
    assert f"reads {connection.INBOX_FRAMES} ahead" in PAGE
    assert f"`version` {message.VERSION}." in PAGE
