"""--json everywhere: what a verb did, and what it could not do, in a form that programs read."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from aish.cli import VERBS, main

if TYPE_CHECKING:
    from conftest import Home

ACTIONS = {
    "agent": ("ls", "show", "check"),
    "key": ("new", "ls", "revoke"),
    "project": ("check", "show", "schema", "import"),
    "systemd": ("install", "uninstall", "ls"),
    "window": ("set", "ls", "show", "unset"),
    "model": ("pull", "ls", "show", "serve", "stop", "rm"),
}
EVERY = [[verb, action] for verb in VERBS for action in ACTIONS.get(verb, ("",))]


OTHERWISE = ("embed", "tensor", "mcp")
"""What these print is tensors, or the messages of a protocol."""


@pytest.mark.parametrize("words", [words for words in EVERY if words[0] not in OTHERWISE], ids=" ".join)
def test_every_verb_has_json_and_says_so(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Asked here: that each verb is a process which helps is tested in test_dispatch.py."""
    monkeypatch.setenv("COLUMNS", "80")  # reading the help sets it
    assert main([*filter(None, words), "--help"]) == 0
    told = capsys.readouterr().out
    assert re.search(r"^ +--json ", told, re.M), told


def rows(home: Home, *words: str, status: int = 0) -> Any:
    done = home.aish(*words, "--json")
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout)


def test_control_verbs_tell_what_changed_for_each_target(home: Home) -> None:
    for name in ("one", "two"):
        home.client.spawn(["sleep", "100"], name=name)
    paused = rows(home, "pause", "one", "two")
    assert paused == [{"target": name, "error": None, "changed": True} for name in ("one", "two")]
    assert rows(home, "pause", "one") == [{"target": "one", "error": None, "changed": False}]
    assert rows(home, "cont", "@one")[0]["changed"] is True
    assert rows(home, "limit", "one", "nice=5")[0]["error"] is None
    assert rows(home, "kill", "-s", "CONT", "one")[0]["error"] is None
    stopped = rows(home, "stop", "one", "nobody", "two", status=69)
    assert [row["error"] and row["error"]["code"] for row in stopped] == [None, "not-found", None]
    assert stopped[0]["state"] == "exited"
    assert stopped[0]["exit"] == {"code": None, "signal": 15, "reason": "cancelled"}
    assert rows(home, "forget", "one")[0]["error"] is None
    assert rows(home, "shutdown") == {"ran": True}
    assert rows(home, "shutdown") == {"ran": False}


def test_an_error_of_the_whole_verb_is_one_line_of_json_on_stderr(home: Home) -> None:
    done = home.aish("spawn", "--json", "--restart", "alway", "--", "true")
    assert (done.returncode, done.stdout) == (2, "")
    assert json.loads(done.stderr) == {
        "error": {"code": "usage", "message": "--restart alway: no such restart", "hint": "did you mean always?"}
    }


def test_json_after_the_dashes_is_the_commands_word(home: Home) -> None:
    done = home.aish("run", "--restart", "alway", "--", "echo", "--json")
    assert done.stderr.startswith("aish run: --restart alway")


def test_run_tells_the_end_on_stderr(shared_home: Home) -> None:
    done = shared_home.aish("run", "--json", "--", "sh", "-c", "echo out; exit 3")
    assert (done.returncode, done.stdout) == (3, "out\n")
    assert json.loads(done.stderr)["exit"]["code"] == 3


def test_log_lines_tell_whose_and_which_stream(shared_home: Home) -> None:
    process = shared_home.client.spawn(["sh", "-c", r"printf 'o\377ut\nlast'; echo err >&2"], name="both")
    process.wait()
    lines = [json.loads(line) for line in shared_home.aish("logs", "--json", "both").stdout.splitlines()]
    for line in lines:
        assert datetime.fromisoformat(line.pop("time")).tzinfo is not None
        assert line.pop("within_s") < 60
    assert sorted(lines, key=lambda line: (line["stream"], line["text"])) == [
        {"process": "both", "id": process.id, "stream": "stderr", "text": "err"},
        {"process": "both", "id": process.id, "stream": "stdout", "text": "last"},
        {"process": "both", "id": process.id, "stream": "stdout", "text": "o\\xffut"},
    ]


@pytest.mark.parametrize("verb", ["spawn", "run"])
def test_a_failed_start_is_told_as_json_too(shared_home: Home, verb: str) -> None:
    """It was a line of text among the JSON."""
    done = shared_home.aish(verb, "--json", "--", "/no/such/program")
    assert done.returncode == 127
    error = json.loads(done.stderr.splitlines()[0])["error"]
    assert (error["code"], "cannot be run" in error["message"]) == ("unavailable", True)


def test_tensor_tells_its_errors_as_json_too(home: Home) -> None:
    done = home.aish("tensor", "ls", "--json", "/no/such/file")
    assert (done.returncode, json.loads(done.stderr)["error"]["code"]) == (1, "not-found")
    assert home.aish("tensor", "ls", "/no/such/file").stderr.startswith("tensor ls: ")
