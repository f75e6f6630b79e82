"""The words of `aish attach` and `aish spawn --pty`; what they do on terminals is in tests/client/test_attach.py."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Home


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "the following arguments are required: PROCESS"),
        (("--lines", "-1", "x"), "--lines must not be negative"),
        (("--read-only", "--take", "x"), "says nothing with --read-only"),
        (("--readonly", "x"), "did you mean --read-only?"),
        (("x",), "attach needs a terminal"),
    ],
)
def test_wrong_words(home: Home, words: tuple[str, ...], said: str) -> None:
    done = home.aish("attach", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert not home.runtime.exists(), "nothing is started for it"


def test_spawn_with_a_terminal_of_its_own(home: Home) -> None:
    script = "test -t 0 && test -t 1 && test -t 2 && echo terminal"
    started = json.loads(home.aish("spawn", "--json", "--pty", "--name", "job", "sh", "-c", script).stdout)
    assert home.aish("wait", started["id"]).returncode == 0
    assert home.aish("logs", "job").stdout == "terminal\n"
    found = json.loads(home.aish("inspect", "--json", "job").stdout)
    assert found["spec"]["pty"]
    assert found["attached"] == 0
