"""Labels: given at the start or later, shown, and what verbs choose by."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Home


def names(home: Home, *words: str) -> list[str]:
    return [row["name"] for row in json.loads(home.aish("ps", "--json", *words).stdout)]


def running(home: Home) -> list[str]:
    return [row.name for row in home.client.processes()]


@pytest.fixture
def three(shared_home: Home) -> Home:
    for name, labels in (("web", {"tier": "front"}), ("api", {"tier": "front", "team": "blue"}), ("db", {})):
        shared_home.client.spawn(["sleep", "60"], name=name, labels=labels)
    return shared_home


def test_given_when_it_is_spawned(shared_home: Home) -> None:
    words = ["--label", "tier=front", "--label", "team=blue"]
    assert shared_home.aish("spawn", "--name", "api", *words, "--", "sleep", "60").returncode == 0
    assert shared_home.client.process("api").row().labels == {"tier": "front", "team": "blue"}


def test_found_by_label(three: Home) -> None:
    assert names(three, "--label", "tier=front") == ["web", "api"]
    assert names(three, "-l", "tier=front", "-l", "team") == ["api"]
    assert names(three, "-l", "tier=back") == []
    assert "no process has the labels tier=back" in three.aish("ps", "-l", "tier=back").stdout


def test_given_and_taken_away(three: Home) -> None:
    done = three.aish("label", "web", "db", "team=red", "tier-", "--json")
    assert [row["changed"] for row in json.loads(done.stdout)] == [True, True]
    assert names(three, "-l", "team=red") == ["web", "db"]
    assert names(three, "-l", "tier") == ["api"]
    again = three.aish("label", "web", "team=red", "--json")
    assert [row["changed"] for row in json.loads(again.stdout)] == [False]
    assert "labels       team=red\n" in three.aish("inspect", "web").stdout
    (told,) = three.aish("events", "--kind", "labelled", "web", "--json").stdout.splitlines()
    assert json.loads(told)["detail"] == {"changes": "team=red tier-"}


def test_a_label_may_be_called_as_our_own_words_are(three: Home) -> None:
    """Keys went into the event as arguments of a function of ours."""
    assert three.aish("label", "db", "kind=a", "row=b", "text=c", "self=d").returncode == 0
    assert names(three, "-l", "kind=a") == ["db"]


def test_verbs_choose_by_label(three: Home) -> None:
    done = three.aish("pause", "-l", "tier=front", "--json")
    assert [row["changed"] for row in json.loads(done.stdout)] == [True, True]
    assert three.aish("stop", "-l", "tier=front", "--now").returncode == 0
    assert running(three) == ["db"]
    assert three.aish("start", "-l", "team=blue").returncode == 0
    assert running(three) == ["api", "db"]
    assert three.aish("wait", "-l", "team=blue", "--ready").returncode == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["stop"], "which process?"),
        (["stop", "db", "-l", "tier"], "names or labels, not both"),
        (["stop", "-l", "nothing=here"], "no process has the labels nothing=here"),
        (["logs", "-l", "nothing=here"], "no process has the labels nothing=here"),
        (["label", "db"], "which label?"),
        (["label", "db", "two words=x"], "not a label's key"),
        (["label", "tier=front"], "which process?"),
        (["spawn", "--label", "novalue", "--", "true"], "not a label: 'novalue'"),
    ],
)
def test_wrong_words_stop_nothing(three: Home, words: list[str], told: str) -> None:
    done = three.aish(*words)
    assert done.returncode in (2, 69)
    assert told in done.stderr
    assert running(three) == ["web", "api", "db"]


def test_more_labels_than_a_process_may_have_change_nothing(three: Home) -> None:
    most = [f"k{number}=x" for number in range(31)]
    assert three.aish("label", "web", *most).returncode == 0
    done = three.aish("label", "web", "one=more", "tier=other")
    assert (done.returncode, "at most 32 labels" in done.stderr) == (65, True), done
    assert names(three, "-l", "tier=front") == ["web", "api"]


def test_a_process_labels_what_is_below_it_and_nobody_else(three: Home) -> None:
    (three.root / "out").mkdir()
    script = "aish label db stolen=yes; echo $? > out/other; aish label inside own=yes; echo $? > out/self"
    three.aish("run", "--name", "inside", "--", "sh", "-c", _with_aish(script), cwd=three.root)
    assert (three.root / "out" / "other").read_text() != "0\n"
    assert (three.root / "out" / "self").read_text() == "0\n"
    assert names(three, "--all", "-l", "stolen") == []


def _with_aish(script: str) -> str:
    return f'aish() {{ {sys.executable} -m aish "$@"; }}; {script}'
