"""What becomes of lines."""

from __future__ import annotations

import json

import pytest

from aish.cli.log_lines import Json, Plain, within_s
from aish.client.interleave import Block


def block(data: bytes, after_ns: int | None = None, until_ns: int | None = None) -> Block:
    return Block(1, data, after_ns, until_ns)


def test_a_piece_of_a_line_is_no_json_and_says_so() -> None:
    lines = [b'{"a":', b"{}", b'1}\n{"b":2}\n']
    blocks = [block(data)._replace(begun=n > 0, goes_on=n < 2) for n, data in enumerate(lines)]
    told = [json.loads(row) for b in blocks for row in Json().dress("x", "p1", b)[1].splitlines()]
    assert "".join(row["text"] for row in told if "text" in row) == '{"a":{}1}'
    assert [row.get("continued") for row in told] == [True, True, None, None]
    assert [row.get("json") for row in told] == [None, None, None, {"b": 2}]


def test_an_interval_that_nobody_knows_is_null() -> None:
    assert within_s(block(b"x")) is None
    assert within_s(block(b"x", None, 5)) is None
    assert within_s(block(b"x", 0, 100_000_000)) == 0.1
    assert b'"time":null,"within_s":null,"text":"x"' in Json().dress("n", "p1", block(b"x"))[1]


@pytest.mark.parametrize(
    "line", [b"{" * 100_000 + b"}" * 100_000, b'{"a":' * 50_000 + b"1" + b"}" * 50_000, b'{"a":"\xff"}']
)
def test_a_line_that_only_looks_like_json_is_text(line: bytes) -> None:
    assert b',"text":' in Json().dress("n", "p1", block(line + b"\n"))[1]


def test_a_name_cannot_steer_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are checked by the daemon; the one that this program is given on its command line is not."""
    monkeypatch.setattr("os.isatty", lambda fd: True)
    dressed = Plain(["\x1b]0;title\x07", "b"]).dress("\x1b]0;title\x07", "p1", block(b"x\n"))[1]
    assert b"\x1b]0" not in dressed
