"""Replaced files: the daemon leaves for one that is made of them, if it starts, and what runs does not notice."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aish.client import connect
from aish.supervisor.daemon import build, trial, upgrade
from aish.wire.spec import RestartPart

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Supervised

ROOT = Path(__file__).parents[3]


def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of two files, in place of this one."""
    folder = tmp_path / "program"
    (folder / "inner").mkdir(parents=True)
    for name in ("one.py", "inner/two.py"):
        (folder / name).write_text("")
    monkeypatch.setattr(build.aish, "__path__", [str(folder)])
    monkeypatch.setattr(build, "_SUBFOLDERS", build._subfolders())
    monkeypatch.setattr(upgrade, "LOOK_S", 0.05)
    return folder


def replace(path: Path, text: str) -> None:
    """As installers do."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(text)
    new.rename(path)


class Looking:
    """An Upgrade whose trials are answered by the test."""

    def __init__(self, answer: Callable[[str], str | None] = lambda build: None) -> None:
        self.tried: list[str] = []
        self.refused: list[tuple[str, str]] = []
        self.taken: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.answer = answer
        self.upgrade = upgrade.Upgrade(
            build.fingerprint(),
            self.taken.set_result,
            lambda why, build: self.refused.append((why, build)),
            self.why_not,
        )

    async def why_not(self, build: str) -> str | None:
        self.tried.append(build)
        return self.answer(build)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not holds():
                self.upgrade.look()
                await asyncio.sleep(0.02)

    async def quiet(self, looks: int = 20) -> None:
        for _ in range(looks):
            self.upgrade.look()
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("file", ["one.py", "inner/two.py", "inner/three.py"])
def test_a_replaced_or_new_file_is_noticed_when_all_stand_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    folder = program(tmp_path, monkeypatch)

    async def scene() -> str:
        looking = Looking()
        looking.upgrade.look()
        assert looking.upgrade._task is None, "nothing has changed"
        replace(folder / file, "x = 1\n")
        await looking.until(looking.taken.done)
        return looking.taken.result()

    before = build.fingerprint()
    assert asyncio.run(scene()) == build.fingerprint() != before


def test_compiled_files_are_no_upgrade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = program(tmp_path, monkeypatch)

    async def scene() -> None:
        looking = Looking(lambda _: pytest.fail("nothing was replaced"))
        (folder / "__pycache__").mkdir()
        looking.upgrade.look()
        assert looking.upgrade._task is not None
        await looking.upgrade._task

    asyncio.run(scene())


def test_what_does_not_start_is_told_once_and_tried_again_when_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = program(tmp_path, monkeypatch)

    async def scene() -> None:
        looking = Looking(lambda _: "SyntaxError" if "broken" in (folder / "one.py").read_text() else None)
        replace(folder / "one.py", "broken")
        await looking.until(lambda: bool(looking.refused))
        (folder / "__pycache__").mkdir()  # a folder changes, no file does
        await looking.quiet()
        assert (len(looking.tried), len(looking.refused)) == (1, 1)
        assert "SyntaxError" in (looking.upgrade.alert() or "")
        (folder / "one.py").write_text("still broken")  # in place: no folder changes
        await looking.until(lambda: len(looking.refused) == 2)
        assert not looking.taken.done()
        (folder / "one.py").write_text("mended")
        await looking.until(looking.taken.done)

    asyncio.run(scene())


def test_what_was_put_back_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = program(tmp_path, monkeypatch)
    (folder / "one.py").rename(folder / "kept")

    async def scene() -> None:
        (folder / "kept").rename(folder / "one.py")
        looking = Looking(lambda _: "SyntaxError")
        (folder / "one.py").rename(folder / "kept")
        replace(folder / "one.py", "broken")
        await looking.until(lambda: bool(looking.refused))
        (folder / "kept").rename(folder / "one.py")
        await looking.until(lambda: looking.upgrade.alert() is None)
        assert not looking.taken.done()

    asyncio.run(scene())


def test_files_that_change_during_the_trial_are_tried_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = program(tmp_path, monkeypatch)

    def answer(_: str) -> None:
        if (folder / "one.py").read_text() == "first":
            replace(folder / "one.py", "second")
            raise trial.ChangedError

    async def scene() -> None:
        looking = Looking(answer)
        replace(folder / "one.py", "first")
        await looking.until(looking.taken.done)
        assert looking.taken.result() == build.fingerprint() == looking.tried[1] != looking.tried[0]
        assert not looking.refused

    asyncio.run(scene())


# --- a program of its own -------------------------------------------------------------------------------------------


class Release:
    """A copy of the program that a supervisor runs from, and that can be replaced."""

    def __init__(self, home: Any) -> None:
        self.home = home
        self.folder = home.root / "release"
        shutil.copytree(ROOT / "aish", self.folder / "aish", ignore=shutil.ignore_patterns("tests"))
        home.environ["PYTHONPATH"] = str(self.folder)

    def path(self, name: str) -> Path:
        return Path(self.folder, "aish", "supervisor", name)

    def edit(self, name: str, old: str, new: str) -> None:
        text = self.path(name).read_text()
        assert old in text
        replace(self.path(name), text.replace(old, new, 1))

    def check(self, build: str | None = None) -> subprocess.CompletedProcess[str]:
        """What the daemon runs before it leaves."""
        program = [sys.executable, "-P", "-m", "aish.supervisor.daemon"]
        code = "from aish.supervisor.daemon.build import fingerprint; print(fingerprint())"
        run: dict[str, Any] = {"env": self.home.environ, "capture_output": True, "text": True, "check": False}
        if build is None:
            build = subprocess.run([sys.executable, "-P", "-c", code], **run).stdout.strip()
        return subprocess.run([*program, trial.CHECK, build], **run)


@pytest.fixture
def release(home: Any, monkeypatch: pytest.MonkeyPatch) -> Release:
    made = Release(home)
    monkeypatch.setenv("PYTHONPATH", str(made.folder))
    return made


@pytest.fixture
def old(release: Release, request: pytest.FixtureRequest) -> Supervised:
    """A supervisor of that copy."""
    up: Supervised = request.getfixturevalue("up")
    environ = Path(f"/proc/{up.daemon_pid}/environ").read_bytes().split(b"\0")
    assert f"PYTHONPATH={release.folder}".encode() in environ
    return up


@pytest.mark.slow
def test_a_release_whose_daemon_does_not_start_is_refused(release: Release, old: Supervised) -> None:
    """The old daemon left first: from then on every verb failed, and nothing was restarted."""
    soon = RestartPart(delay_s=0.1, longest_s=0.1, most=None)
    old.spawn("sh", "-c", "sleep 0.5; exit 3", name="job", restart="on-failure", restarts=soon)
    daemon = old.daemon_pid
    release.edit("daemon/daemon.py", "class Daemon:", "syntax error here(\nclass Daemon:")
    told = looked_at_until(old, "upgrade-refused")
    assert "SyntaxError" in told
    assert "(daemon.py, line" in told
    restarts = old.row("job").restarts
    old.until("it is restarted as before", lambda: old.row("job").restarts > restarts + 1)
    shown = old.home.aish("ps")
    assert "the program on disk does not start: SyntaxError" in shown.stderr
    found = json.loads(old.home.aish("doctor", "--json").stdout)
    (finding,) = [row for row in found if "does not start" in row["text"]]
    assert (finding["level"], finding["topic"]) == ("warn", "version")
    with connect() as client:
        assert client.welcome.pid == daemon
    release.edit("daemon/daemon.py", "syntax error here(\n", "")
    looked_at_until(old, "upgraded")
    old.until("the next one is there", lambda: next_pid() != daemon)
    old.next_daemon()
    assert not old.view().alerts
    log = old.home.state / "daemon.log"
    log.write_text(log.read_text().replace("Traceback", "traceback"))  # that of the child that tried it


@pytest.mark.slow
def test_a_file_that_was_changed_in_place_is_taken_when_the_doctor_has_looked(
    release: Release, old: Supervised
) -> None:
    """It said "`aish shutdown` when it suits", which ends everything."""
    daemon = old.daemon_pid
    path = release.path("daemon/turns.py")
    path.write_text(path.read_text() + "\n# changed\n")
    found = json.loads(old.home.aish("doctor", "--json").stdout)
    (finding,) = [row for row in found if "was replaced" in row["text"]]
    assert "taken if it starts" in finding["text"]
    old.until("the next one is there", lambda: next_pid() != daemon)
    old.next_daemon()


def looked_at_until(up: Supervised, kind: str) -> str:
    """Clients come until there is such an event; its text."""

    def found() -> str:
        connect().close()
        return next((event.text for event in up.events() if event.kind == kind), "")

    up.until(kind, lambda: bool(found()))
    return found()


def next_pid() -> int:
    with connect() as client:
        return client.welcome.pid


@pytest.mark.parametrize(
    ("name", "before", "after", "why"),
    [
        (
            "daemon/schedule.py",
            "from typing",
            "import no_such_module\nfrom typing",
            "no_such_module' (schedule.py, line",
        ),
        ("daemon/schedule.py", "from __future__", "from __future__\n)", "schedule.py, line"),
        ("gateway/gateway.py", "from __future__", "from __future__\n)", "gateway.py, line"),
        ("daemon/row.py", "    number: int\n", "    number: dict[str, int]\n", "is damaged: "),
        ("holder/wire.py", "VERSION = 1", "VERSION = 99", "does not speak its version 99"),
    ],
    ids=["an import", "a word", "of another program", "the table", "the holder's wire"],
)
@pytest.mark.slow
def test_what_a_trial_finds(release: Release, old: Supervised, name: str, before: str, after: str, why: str) -> None:
    old.spawn("true")
    assert release.check().returncode == 0
    release.edit(name, before, after)
    tried = release.check()
    assert (tried.returncode, why in trial.reason(tried.stderr)) == (1, True), tried.stderr


def test_a_table_of_a_later_version_is_no_table_for_this_one(release: Release, old: Supervised) -> None:
    old.spawn("true")
    release.edit("daemon/journal.py", "SCHEMA: Final = 1", "SCHEMA: Final = 0")
    tried = release.check()
    assert (tried.returncode, "later version" in tried.stderr.splitlines()[-1]) == (1, True), tried.stderr


def test_a_trial_leaves_everything_as_it_is(release: Release, old: Supervised) -> None:
    """It looks beside a daemon that is at work; and of other files than were meant it says nothing."""
    old.spawn("sleep", "600", name="job")
    before = old.programs(), sorted(os.listdir(old.home.state)), sorted(os.listdir(old.home.runtime))
    assert release.check().returncode == 0
    assert release.check("0" * 16).returncode == trial._CHANGED
    assert (old.programs(), sorted(os.listdir(old.home.state)), sorted(os.listdir(old.home.runtime))) == before
    assert old.row("job").state == "running"
