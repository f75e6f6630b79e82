"""signal: a signal and nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Home

TRAP = "trap 'echo hup' HUP; echo up; while :; do sleep 0.1; done"


def test_it_arrives_at_each(home: Home) -> None:
    for name in ("one", "two"):
        home.aish("spawn", "--name", name, "--ready", "line:up", "--", "sh", "-c", TRAP)
    home.aish("wait", "--ready", "one", "two")
    assert home.aish("signal", "one", "two", "HUP").returncode == 0
    for name in ("one", "two"):
        followed = home.popen("logs", "-f", name, stdout=-1)
        assert followed.stdout is not None
        assert [followed.stdout.readline() for _ in range(2)] == [b"up\n", b"hup\n"]
        followed.kill()


@pytest.mark.parametrize("number", ["TERM", "9"])
def test_one_that_does_not_run_yet_is_not_ended(home: Home, number: str) -> None:
    """`kill` stops it: there is nobody else whom the signal could mean. `signal` says that there is nobody."""
    home.aish("spawn", "--name", "later", "--needs", "nobody-yet", "--", "sleep", "60")
    done = home.aish("signal", "later", number)
    assert done.returncode == 69
    assert "there is nothing to signal" in done.stderr
    assert json.loads(home.aish("ps", "--json").stdout)[0]["state"] == "queued"
    assert home.aish("kill", "-s", "TERM", "later").returncode == 0
    assert json.loads(home.aish("ps", "--json").stdout) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "which signal?"),
        (["web"], "no such signal: web"),
        (["HUP"], "which process?"),
        (["w", "TERN"], "did you mean TERM?"),
    ],
)
def test_wrong_words(home: Home, words: list[str], told: str) -> None:
    home.aish("spawn", "--", "sleep", "60")
    done = home.aish("signal", *words)
    assert done.returncode == 2
    assert told in done.stderr
