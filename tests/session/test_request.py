"""What a client sends that is no request: it is told what is wrong, whose it was, and the session goes on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from aish.errors import InputError
from aish.session.inbox import Lines
from aish.session.request import Close, End, Jobs, Reset, Run, Signal, id_of, parse
from aish.session.settings import LINE_BYTES

if TYPE_CHECKING:
    from tests.session.conftest import Session


def line(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def test_each_kind_is_read() -> None:
    assert parse(line(type="run", command="ls", id="a")) == Run(id="a", command="ls")
    assert parse(line(type="run", command="", timeout_s=None)) == Run(command="", timeout_s=None)
    assert parse(line(type="run", command="ls", timeout_s=3, env={"A": "b", "C": None}, merge=True)) == Run(
        command="ls", timeout_s=3.0, env={"A": "b", "C": None}, merge=True
    )
    assert parse(line(type="signal", run=7)) == Signal(run=7)
    assert parse(line(type="end", id=1)) == End(id=1)
    assert [type(parse(line(type=word))) for word in ("jobs", "reset", "close")] == [Jobs, Reset, Close]


@pytest.mark.parametrize(
    ("data", "message", "hint"),
    [
        (b"", "not a request", None),
        (b"ls -l", "not a request", None),
        (b'{"type": "run", "command": "x"', "not a request", None),
        (b"[]", "Expected `object`", None),
        (b"{}", "missing required field `type`", None),
        (b"[" * 100_000, "not a request", None),
        (b'{"a":' * 100_000, "not a request", None),
        (b'\xff{"type": "jobs"}', "not a request", None),
        (b'{"type": "run", "command": "\xff"}', "not a request", None),
        (rb'{"type": "run", "command": "\ud800"}', "not a request", None),
        (line(type="exec", command="x"), "Invalid value", "type is one of run, signal"),
        (line(type="rnu", command="x"), "Invalid value", "did you mean run?"),
        (line(type="run"), "missing required field `command`", None),
        (line(type="run", command=7), "Expected `str`", None),
        (line(type="run", command="x", timeout=7), "unknown field `timeout`", "did you mean timeout_s?"),
        (line(type="jobs", command="x"), "unknown field `command`", None),
        (line(type="run", command="a\0b"), "NUL", "printf"),
        (line(type="run", command="x", timeout_s=0), "timeout_s", None),
        (line(type="run", command="x", timeout_s=-1), "timeout_s", None),
        (line(type="run", command="x", timeout_s=1e9), "timeout_s", None),
        (b'{"type": "run", "command": "x", "timeout_s": NaN}', "not a request", None),
        (line(type="run", command="x", output_bytes=-1), "output_bytes", None),
        (line(type="run", command="x", output_bytes=1 << 40), "output_bytes", None),
        (line(type="run", command="x", cwd=""), "cwd", None),
        (line(type="run", command="x", cwd="a\0"), "cwd", None),
        (line(type="run", command="x", env={"A B": "1"}), "env", None),
        (line(type="run", command="x", env={"A": "1\0"}), "env", None),
        (line(type="run", command="x", env={"É": "1"}), "env", None),
        (line(type="run", command="x", env=["A=1"]), "Expected `object`", None),
        (line(type="run", command="x", id=True), "got `bool` - at `$.id`", None),
        (line(type="run", command="x", id="i" * 201), "id", None),
        (line(type="run", command="x", id=1.5), "Expected", None),
        (line(type="run", command="x", id="#1"), "id", None),
        (line(type="signal", run=1, signal="NOPE"), "signal", None),
        (line(type="signal", run=1, signal="0"), "signal", None),
        (line(type="signal", run=1, signal="65"), "signal", None),
        (line(type="signal"), "missing required field `run`", None),
    ],
)
def test_what_is_wrong_is_told(data: bytes, message: str, hint: str | None) -> None:
    with pytest.raises(InputError) as caught:
        parse(data)
    assert message in str(caught.value)
    assert hint is None or (caught.value.hint or "").startswith(hint)


def test_whose_it_was_is_told_as_far_as_it_can_be_read() -> None:
    assert id_of(line(type="nope", id="a", x=[1, {}])) == "a"
    assert (id_of(b"junk"), id_of(line(id=[1])), id_of(b"[" * 100_000)) == (None, None, None)


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_lines_are_the_same_however_the_bytes_come(size: int) -> None:
    data = b"one\n\n  \n" + b"x" * 11 + b"\ntwo\n" + b"y" * 40 + b"\nthree\nrest"
    lines = Lines(10)
    found: list[bytes | None] = []
    for at in range(0, len(data), size):
        lines.add(data[at : at + size])
        found += lines.next()
    assert found == [b"one", None, b"two", None, b"three"]
    assert (lines.last(), lines.last()) == (b"rest", None)


def test_the_end_of_a_line_that_was_too_long_is_no_request() -> None:
    lines = Lines(10)
    lines.add(b"z" * 20)
    assert [*lines.next()] == [None]
    lines.add(b"ls")
    assert ([*lines.next()], lines.last()) == ([], None)


def test_the_session_goes_on_after_each_of_them(session: Session) -> None:
    session.write(b"junk\n\xff\xfe\n[]\n{}\n" + b'{"type":"nope","id":5}\n' + b"[" * 50_000 + b"\n")
    answers = [session.answer() for _ in range(6)]
    assert {answer["type"] for answer in answers} == {"error"}
    assert {answer["error"]["code"] for answer in answers} == {"input"}
    assert [answer["id"] for answer in answers] == [None, None, None, None, 5, None]
    assert session.out("echo on") == "on\n"


def test_a_line_that_is_too_long_is_dropped_and_told(session: Session) -> None:
    session.write(b'{"type":"run","command":"' + b"x" * LINE_BYTES + b'"}\n')
    assert session.answer()["error"]["code"] == "limit"
    assert session.out("echo on") == "on\n"


def test_an_id_can_be_used_again_when_nothing_of_it_runs(session: Session) -> None:
    assert session.run("true", id="x")["id"] == "x"
    session.out("sleep 600 &", id="x")
    assert session.ask("run", command="true", id="x")["error"]["code"] == "conflict"
    assert session.ask("end", id="e", run="x") == {"type": "done", "id": "e"}
    assert session.run("true", id="x")["id"] == "x"


def test_a_command_that_nobody_knows_cannot_be_signalled_or_ended(session: Session) -> None:
    for kind in ("signal", "end"):
        found = session.ask(kind, id=1, run="nobody")
        assert (found["id"], found["error"]["code"]) == (1, "not-found")


def test_commands_without_an_id_have_a_number(session: Session) -> None:
    first, second = session.run(":")["id"], session.run(":")["id"]
    assert (first[0], int(second[1:]) - int(first[1:])) == ("#", 1)


def test_jobs_tells_who_runs_and_who_waits(session: Session) -> None:
    session.send("run", id="a", command="echo begun; sleep 600", stream=True)
    session.until("output")
    session.send("run", id="b", command=":")
    assert session.ask("jobs") == {"type": "jobs", "id": None, "running": "a", "queued": ["b"], "background": []}
    session.send("end", run="a")
    assert [session.until("result")["id"] for _ in range(2)] == ["a", "b"]
