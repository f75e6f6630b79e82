"""A daemon of another release than its keeper and holder: they become its release, or say why not."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aish.supervisor.holder import link
from aish.supervisor.holder.build import OWN
from aish.wire.message import Signal
from aish.wire.reply import Done

if TYPE_CHECKING:
    from conftest import Supervised

PACKAGE = Path(link.__file__).parent


class Aged:
    """A supervisor whose keeper and holder are of an older release, in a folder that can be brought up to date."""

    def __init__(self, folder: Path, up: Supervised) -> None:
        self.folder = folder
        self.up = up

    def install(self) -> None:
        shutil.copytree(PACKAGE, self.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))

    def finding(self) -> dict[str, Any]:
        found = json.loads(self.up.home.aish("doctor", "--json").stdout)
        return next(row for row in found if row["topic"] == "holder")

    def told(self, kind: str) -> list[str]:
        return [event.text for event in self.up.events() if event.kind == kind]


@pytest.fixture
def aged(home: Any, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Aged:
    folder = home.root / "old" / "holder"
    shutil.copytree(PACKAGE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / "revival.py").open("a") as file:
        file.write("\n# an older release\n")
    monkeypatch.setattr(link, "_MAIN", str(folder / "__main__.py"))
    return Aged(folder, request.getfixturevalue("up"))


def test_holder_and_keeper_follow_the_daemon(aged: Aged) -> None:
    """With what runs under them: its pid, its terminal, its exit code."""
    read_end, write_end = os.pipe()
    job = aged.up.spawn("sh", "-c", "read x; exit 7", name="job", fds={0: read_end})
    os.close(read_end)
    aged.up.until("the older files were refused", lambda: len(aged.told("upgrade-refused")) == 1)
    before = aged.up.programs()
    assert aged.finding()["level"] == "warn"
    assert OWN in aged.finding()["text"]
    aged.install()
    aged.up.kill_daemon()
    aged.up.next_daemon()
    aged.up.until("both have become the new release", lambda: len(aged.told("upgraded")) == 2)
    assert [text.split()[1] for text in aged.told("upgraded")] == ["holder", "keeper"]
    assert all(f"build {OWN}, before " in text for text in aged.told("upgraded"))
    now = aged.up.programs()
    assert (now["holder"], now["keeper"]) == (before["holder"], before["keeper"])
    assert aged.finding()["level"] == "ok"
    row = aged.up.row("job")
    assert (row.state, row.pid) == ("running", job.pid)
    os.close(write_end)
    assert aged.up.code("job") == 7
    assert aged.up.code(aged.up.spawn("sh", "-c", "exit 2").id) == 2


def test_a_release_that_does_not_start_is_refused_and_told(aged: Aged) -> None:
    """The doctor says which build they stay, and what runs can be signalled as before."""
    started = aged.up.spawn("sleep", "300", name="job")
    aged.up.until("the older files were refused", lambda: len(aged.told("upgrade-refused")) == 1)
    (aged.folder / "journal.py").write_text("def broken(:\n")
    aged.up.kill_daemon()
    aged.up.next_daemon()
    aged.up.until("they were refused again", lambda: len(aged.told("upgrade-refused")) == 2)
    found = aged.finding()
    assert (found["level"], "does not start" in found["text"]) == ("warn", True)
    assert "aish shutdown" in found["hint"]
    assert "SyntaxError" in (aged.up.home.state / "daemon.log").read_text()
    aged.up.client.ask(Done, Signal(target="job", signal=15))
    end = aged.up.wait(started.id).exit
    assert end is not None
    assert end.signal == 15
    log = aged.up.home.state / "daemon.log"
    log.write_text(log.read_text().replace("Traceback", "traceback"))  # that of the child that tried it
