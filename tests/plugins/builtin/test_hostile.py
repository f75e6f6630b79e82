"""A model that is broken, or was talked into something: nothing crashes, hangs, or is written outside."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from aish.errors import AishError, LimitError
from aish.plugins.simprovider import server
from aish.plugins.simprovider.faults.fault import NONE
from aish.plugins.simprovider.said import Said

if TYPE_CHECKING:
    from pathlib import Path

    from aish.plugins.simprovider.reply import Reply
    from aish.plugins.simprovider.script import Body

    from .conftest import Bench

TOOLS = ("shell", "read", "write", "edit", "search", "fetch", "ask")
HUGE = 10 << 20


@pytest.fixture
def says(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Has the model answer with these calls, one after the other, and then with "done"."""

    def script(*calls: tuple[str, str]) -> None:
        left = list(calls)

        def answer(self: object, path: str, body: Body) -> Reply:
            said = Said([], calls=[left.pop(0)]) if left else Said(["done"])
            return server._stream(path, body, said, NONE)

        monkeypatch.setattr(server.Provider, "_answer", answer)

    return script


@pytest.mark.slow
def test_arguments_of_ten_megabytes(bench: Bench, says: Any) -> None:
    big = "x" * HUGE
    says(
        ("write", json.dumps({"path": "big", "content": big})),
        ("shell", json.dumps({"command": "echo " + big})),
        ("read", json.dumps({"path": big})),
        ("search", json.dumps({"pattern": big})),
        ("fetch", json.dumps({"url": "https://example.org/" + big})),
        ("edit", json.dumps({"path": "big", "old": big, "new": big, "more": big})),
        ("read", big),
        (big[:1000], "{}"),
    )
    began = time.monotonic()
    done = bench.run("go", tools=TOOLS, hosts=("example.org",))
    assert done.answer == "done"
    assert time.monotonic() - began < 60
    assert list(bench.cwd.iterdir()) == []
    sizes = [len(json.dumps(body["messages"])) for body in bench.bodies()]
    assert max(sizes) < 1 << 20, "the next request carried it again"


@pytest.mark.parametrize(
    "arguments",
    [
        "", "{", "null", "[]", "3", '"text"', "{}", '{"path": null}', '{"path": ["a"]}', '{"path": {"a": 1}}',
        '{"path": "\\ud800", "content": "x"}', '{"path": "a\\u0000b", "content": ""}', "{'path': 'x'}",
        '{"path": "x", "content": "y", "content": "z"', '{"path": NaN}', "\u202e\ufeff{}", "[" * 5000,
        '{"path": ' + "[" * 5000 + "]" * 5000 + "}", '{"path": "..//..//x", "content": "x"}',
        '{"path": "\uff0e\uff0e/x", "content": "x"}', '{"path": "..\\\\..\\\\x", "content": "x"}',
    ],
)  # fmt: skip
@pytest.mark.slow
def test_arguments_that_are_none(bench: Bench, says: Any, arguments: str, tmp_path: Path) -> None:
    before = sorted(path.name for path in tmp_path.iterdir())
    says(("write", arguments))
    done = bench.run("go", tools=("write",))
    assert done.answer == "done"
    assert sorted(path.name for path in tmp_path.iterdir()) == before, "written outside"
    json.dumps(bench.bodies()[-1]).encode()


@pytest.mark.parametrize(
    "name", ["", "write\n", "WRITE", "../write", "w\u0280ite", "final_result", "\x1b[2J", "a" * 70]
)
@pytest.mark.slow
def test_tools_that_there_are_not(bench: Bench, says: Any, name: str) -> None:
    says(*[(name, json.dumps({"path": "x", "content": str(number)})) for number in range(3)])
    try:
        bench.run("go", tools=("write",))
    except AishError:
        pass  # told as an error of the model is as good
    assert list(bench.cwd.iterdir()) == []


@pytest.mark.slow
def test_one_that_never_ends_comes_to_an_end(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    number = 0

    def answer(self: object, path: str, body: Body) -> Reply:
        nonlocal number
        number += 1
        call = ("read", json.dumps({"path": f"f{number}"}))
        return server._stream(path, body, Said([], calls=[call]), NONE)

    monkeypatch.setattr(server.Provider, "_answer", answer)
    monkeypatch.setattr("aish.plugins.builtin.turn.REQUESTS_MOST", 20)
    with pytest.raises(LimitError, match="20 requests"):
        bench.run("go", tools=("read",))


@pytest.mark.slow
def test_a_call_without_an_answer_or_nothing_at_all(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(self: object, path: str, body: Body) -> Reply:
        return server._stream(path, body, Said([]), NONE)

    monkeypatch.setattr(server.Provider, "_answer", answer)
    with pytest.raises(AishError) as caught:
        bench.run("go", tools=("read",))
    assert caught.value.exit_status == 69


def test_what_is_not_utf_8_is_replaced_for_the_model(bench: Bench) -> None:
    """One name of a file that is not UTF-8 ended the turn with a fault of aish, in which stood the whole request."""
    with open(os.fsencode(bench.cwd) + b"/a\xffb", "w") as file:
        file.write("x")
    steps = ('call read {"path": "."}', 'call shell {"command": "printf \'\\\\377\'"}', "say 1")
    done = bench.run(" then ".join(steps), tools=("read", "shell"))
    assert done.answer == "w0"
    assert done.results()[0] == "a\ufffdb"
    assert "a\ufffdb".encode() in (done.conversation or b"")
