"""`aish switch`, by the words: that the gateway obeys is in tests/supervisor/gateway/test_attempt.py."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Home


def test_to_another_model_and_back(shared_home: Home) -> None:
    shared_home.client.spawn(["sleep", "60"], kind="agent", name="coder", model="first")
    done = shared_home.aish("switch", "@coder", "--model", "second")
    assert (done.returncode, "no model second is here yet" in done.stderr) == (0, True)
    assert shared_home.client.process("coder").row().model == "second"
    assert (
        json.loads(shared_home.aish("switch", "coder", "--model", "second", "--json").stdout)[0]["changed"] is False
    )
    assert shared_home.aish("switch", "coder", "--back").returncode == 0
    assert shared_home.client.process("coder").row().model == "first"
    told = [event.detail["model"] for event in shared_home.client.events(names=["coder"], kinds=["switched"])]
    assert told[-2:] == ["second", None]


def test_wrong_words(shared_home: Home) -> None:
    shared_home.client.spawn(["sleep", "60"], kind="agent", name="coder")
    for words, told in (
        (("coder",), "to which model?"),
        (("coder", "--model", "x", "--back"), "to which model?"),
        (("nobody", "--model", "x"), "no process is called nobody"),
        (("coder", "--model", ""), "expected the name of a model"),
    ):
        done = shared_home.aish("switch", *words)
        assert done.returncode != 0
        assert told in done.stderr, (words, done.stderr)
