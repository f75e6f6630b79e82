"""The journal and what is done when the disk says no: intents are refused, facts wait, nothing running notices."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sqlite3
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aish.errors import StorageError
from aish.supervisor.daemon import journal as module
from aish.supervisor.daemon.journal import LAST_NUMBER, CorruptError, Journal, move_aside, open_journal, salvage
from aish.supervisor.daemon.recorder import Recorder
from aish.supervisor.daemon.row import Row
from aish.supervisor.daemon.sieve import Sieve
from aish.supervisor.daemon.told import Told
from aish.wire.part import EventPart, ExitPart, RunPart, TokensPart
from aish.wire.spec import RoutePart, SpecPart

from .conftest import gone

if TYPE_CHECKING:
    from conftest import Supervised


def row(number: int, **fields: object) -> Row:
    spec = SpecPart(argv=[b"sh", b"\xff"], route=RoutePart(url="unix:/x"))
    made = Row(id=f"p{number}", number=number, name=f"n{number}", spec=spec, token=f"{number:032x}", created_s=1.5)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def event(number: int, process: str | None = None) -> EventPart:
    return EventPart(
        number=number, time_s=2.5, kind="started", process=process, text="é\n", detail={"pid": 7, "x": None}
    )


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "processes.db")


def test_what_was_saved_is_there_again(path: str) -> None:
    journal = open_journal(path)
    assert journal.fresh
    journal.begin(42)
    full = row(
        3,
        lifecycle="exited",
        holds=["user"],
        exit=ExitPart(code=1),
        restarts_boot_s=[1.0],
        gpus=["a"],
        targets=[0, 5],
        rlimits={"NOFILE": (1, -1)},
        tokens=TokensPart(input=5),
        before=(7, None),
        logged=(False, True),
    )
    journal.save([full, row(1)], [event(1, "p3"), event(2)], {"k": "v"})
    journal.close()
    again = open_journal(path)
    assert (again.epoch, again.fresh, again.next_number(), again.last_event()) == (42, False, 4, 2)
    assert again.rows() == [row(1), full]
    assert again.events(0, 10) == [event(1, "p3"), event(2)]
    assert again.events(0, 10, Sieve("p3")) == [event(1, "p3")]
    assert again.events(1, 10) == [event(2)]
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_ids_of_forgotten_processes_stay_used(path: str) -> None:
    journal = open_journal(path)
    journal.begin(1)
    journal.save([row(9)])
    journal.save(meta={LAST_NUMBER: "9"}, gone=[9])
    assert journal.rows() == []
    assert journal.next_number() == 10


def test_all_or_nothing(path: str) -> None:
    """A row without its event, or half of the rows, would be a state that never was."""
    journal = open_journal(path)
    journal.begin(1)
    journal.save([row(1)])
    with pytest.raises(StorageError):
        journal.save([row(2), row(3, token=row(1).token), row(4, name=None)], [event(1)])
    assert journal.rows() == [row(1)]
    journal.save([row(2)])
    assert len(journal.rows()) == 2


@pytest.mark.parametrize("bad", [{"pid": 1 << 64}, {"number": 1 << 63}])
def test_a_value_that_cannot_be_written_is_an_error_of_storage_and_leaves_no_transaction(
    path: str, bad: dict[str, object]
) -> None:
    """Each later write failed, too: 'cannot start a transaction within a transaction'."""
    journal = open_journal(path)
    journal.begin(1)
    odd = row(2)
    for name, value in bad.items():
        setattr(odd, name, value)
    with pytest.raises(StorageError, match="cannot take a value"):
        journal.save([row(1), odd], [event(1)])
    assert journal.rows() == []
    journal.save([row(3)])
    assert journal.rows() == [row(3)]


def test_a_text_that_is_no_utf8_is_written_with_its_escapes_and_keeps_nothing_else_from_being_written(
    path: str,
) -> None:
    """A script whose interpreter had such a name: of no process anything was written any more."""
    journal = open_journal(path)
    journal.begin(1)
    odd = EventPart(number=1, time_s=2.5, kind="failed", name="\udcff", text="no \udcff", detail={"at": "\udcff"})
    journal.save([row(1), row(2, reason="no \udcff", name="\udcff")], [odd])
    assert [(found.reason, found.name, found.spec.argv) for found in journal.rows()] == [
        (None, "n1", [b"sh", b"\xff"]),
        ("no \\udcff", "\\udcff", [b"sh", b"\xff"]),
    ]
    (told,) = journal.events(0, 2)
    assert (told.name, told.text, told.detail) == ("\\udcff", "no \\udcff", {"at": "\\udcff"})


@pytest.mark.parametrize("junk", [b"this is not a database" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_is_told_apart_and_moved_aside(path: str, junk: bytes) -> None:
    Path(path).write_bytes(junk)
    with pytest.raises(CorruptError, match="is damaged"):
        open_journal(path).rows()
    aside = move_aside(path)
    assert Path(aside).read_bytes() == junk
    open_journal(path).begin(1)


@pytest.mark.parametrize("size", [0, 1])
def test_a_file_that_was_cut_to_nothing_keeps_its_wal(path: str, size: int) -> None:
    """It was taken for a new one, and the WAL, in which all was, was removed: no damaged copy was kept."""
    journal = open_journal(path)
    journal.begin(1)
    journal.save([row(1)])
    wal = Path(f"{path}-wal").read_bytes()
    os.truncate(path, size)
    with pytest.raises(CorruptError, match=f"is damaged: only {size} bytes"):
        open_journal(path)
    aside = move_aside(path)
    assert (os.stat(aside).st_size, Path(f"{aside}-wal").read_bytes()) == (size, wal)
    open_journal(path).begin(1)
    journal.close()


def test_an_empty_file_without_a_wal_is_a_new_one(path: str) -> None:
    Path(path).touch()
    assert open_journal(path).fresh


def test_a_damaged_page_is_found_at_opening(path: str) -> None:
    journal = open_journal(path)
    journal.begin(1)
    journal.save([row(n) for n in range(1, 400)])
    journal.close()
    data = bytearray(Path(path).read_bytes())
    data[8192:20480] = b"\xa5" * 12288
    Path(path).write_bytes(data)
    with pytest.raises(CorruptError):
        open_journal(path).rows()


def test_a_torn_wal_gives_the_longest_valid_state(path: str, tmp_path: Path) -> None:
    """Power went while the last commits were written: what was before them counts."""
    journal = open_journal(path)
    journal.begin(1)
    for number in range(1, 20):
        journal.save([row(number)])
    copy = tmp_path / "copy.db"
    copy.write_bytes(Path(path).read_bytes())
    wal = Path(path + "-wal").read_bytes()
    Path(f"{copy}-wal").write_bytes(wal[: len(wal) * 2 // 3])
    rows = open_journal(str(copy)).rows()
    assert 0 < len(rows) < 19
    assert [found.number for found in rows] == list(range(1, len(rows) + 1))


def test_a_later_schema_is_not_touched(path: str) -> None:
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version={module.SCHEMA + 1}")
    db.close()
    with pytest.raises(StorageError, match="later version of aish"):
        open_journal(path)


def test_a_locked_database_is_said_to_be_locked(path: str) -> None:
    journal = open_journal(path)
    journal.begin(1)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StorageError, match="locked") as error:
        journal.save([row(1)])
    assert error.value.hint is not None
    assert "another program" in error.value.hint
    other.execute("ROLLBACK")
    journal.save([row(1)])


def test_a_folder_without_rights(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        open_journal(str(tmp_path / "no" / "such" / "folder.db"))
    os.mkdir(tmp_path / "is-a-folder")
    with pytest.raises(StorageError):
        open_journal(str(tmp_path / "is-a-folder"))


def test_no_link_is_followed(tmp_path: Path) -> None:
    os.symlink(tmp_path / "victim", tmp_path / "processes.db")
    with pytest.raises(StorageError):
        open_journal(str(tmp_path / "processes.db"))
    assert not (tmp_path / "victim").exists()


@pytest.mark.root
@pytest.mark.parametrize("option", ["size=256k", "ro"])
def test_a_disk_that_is_full_or_read_only(tmp_path: Path, option: str) -> None:
    """The real thing, on a small tmpfs."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", disk], check=True)
    try:
        journal = open_journal(str(disk / "processes.db"))
        journal.begin(1)
        journal.save([row(1)])
        if option == "ro":
            journal.close()
            subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
            with pytest.raises(StorageError, match="ead-only"):
                open_journal(str(disk / "processes.db"))
            return
        filler = disk / "filler"
        with pytest.raises(OSError, match="No space"):
            filler.write_bytes(b"x" * (1 << 20))
        with pytest.raises(StorageError) as error:
            journal.save([row(number) for number in range(2, 1000)])
        assert error.value.hint == "free some space: running processes go on, and aish catches up by itself"
        filler.unlink()
        journal.save([row(500)])
        journal.close()
    finally:
        subprocess.run(["umount", disk], check=True)


# --- the recorder ---------------------------------------------------------------------------------------------------


class Broken:
    """A journal whose disk can be switched off."""

    def __init__(self, real: Journal) -> None:
        self.real = real
        self.down = False

    def save(self, *args: object) -> None:
        if self.down:
            raise StorageError("the disk is full")
        self.real.save(*args)  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> object:
        return getattr(self.real, name)


def test_a_constant_load_leaves_the_log_short(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint ended only when nobody wrote: under constant load the WAL grew without end."""
    most_bytes = 1 << 20
    monkeypatch.setattr(module, "MOST_WAL_BYTES", most_bytes)

    async def scene() -> int:
        longest = 0
        journal = open_journal(path)
        journal.begin(1)
        recorder = Recorder(journal, asyncio.get_running_loop(), reopen=never, rows=list)
        big = row(1)
        for number in range(4000):
            big.lifecycle = f"{number:x<12000}"
            recorder.change(big)
            assert recorder.flush()
            longest = max(longest, os.stat(f"{path}-wal").st_size)
            await asyncio.sleep(0)
        recorder.close()
        return longest

    assert asyncio.run(scene()) < 24 * most_bytes, "some 80 MB were written"


def never() -> Journal:
    raise AssertionError("the journal is there")


def test_facts_wait_for_the_disk_and_intents_are_refused(path: str) -> None:
    """An exit is acknowledged only once it is written; a spawn that cannot be written never was."""

    async def scene() -> None:
        real = open_journal(path)
        real.begin(1)
        disk = Broken(real)
        recorder = Recorder(disk, asyncio.get_running_loop(), reopen=never, rows=list)  # type: ignore[arg-type]
        recorder.promise(row(1), "created")
        acknowledged: list[str] = []
        disk.down = True
        recorder.event("exited", row(1))
        recorder.change(row(1, lifecycle="exited"), after=lambda: acknowledged.append("p1"))
        assert not recorder.flush()
        assert recorder.failure is not None
        with pytest.raises(StorageError):
            recorder.promise(row(2), "created")
        assert acknowledged == []
        assert [found.lifecycle for found in real.rows()] == ["queued"]
        disk.down = False
        assert recorder.flush()
        assert acknowledged == ["p1"]
        assert recorder.failure is None
        recorder.flush()
        assert [found.lifecycle for found in real.rows()] == ["exited"]
        kinds = [found.kind for found in real.events(0, 100)]
        assert kinds == ["created", "exited", "storage-failed", "storage-back"]
        assert [found.number for found in real.events(0, 100)] == [1, 2, 3, 4]
        recorder.close()

    asyncio.run(scene())


def test_followers_get_what_is_not_in_memory_from_the_journal(path: str) -> None:
    async def scene() -> None:
        real = open_journal(path)
        real.begin(1)
        recorder = Recorder(real, asyncio.get_running_loop(), reopen=never, rows=list)
        for _ in range(5000):
            recorder.event("started", row(1))
        numbers = [0]
        while page := recorder.after(numbers[-1], 700):
            numbers += [found.number for found in page]
        assert numbers == list(range(5001))
        assert [found.number for found in recorder.after(4998, 10)] == [4999, 5000]
        recorder.close()

    asyncio.run(scene())


# --- with everything around it --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("home")
def test_a_full_disk_under_a_running_daemon(up: Supervised) -> None:
    """RLIMIT_FSIZE stands in for a full disk: the daemon's files cannot grow. Children and their logs can."""
    runs = up.spawn("sh", "-c", "sleep 1; echo fine; exit 4", name="job")
    _, hard = resource.prlimit(up.daemon_pid, resource.RLIMIT_FSIZE)
    resource.prlimit(up.daemon_pid, resource.RLIMIT_FSIZE, (0, hard))
    with pytest.raises(StorageError) as error:
        up.spawn("true")
    assert error.value.exit_status == 74
    assert up.code("job") == 4
    assert up.log("job")[0] == "fine\n"
    assert any("is not written" in alert for alert in up.view().alerts)
    assert [row.name for row in up.view(all=True).processes] == ["job"], "the refused one left a trace"
    resource.prlimit(up.daemon_pid, resource.RLIMIT_FSIZE, (hard, hard))
    up.until("it is written again", lambda: up.view().alerts == [])
    up.kill_daemon()
    up.next_daemon()
    row_ = up.row(runs.id)
    assert row_.exit is not None
    assert row_.exit.code == 4
    assert up.spawn("true").id == "p2"


@pytest.mark.usefixtures("home")
def test_exits_outlive_a_daemon_that_could_not_write_them(up: Supervised) -> None:
    """Not written, so not acknowledged, so the holder still has them for the next daemon."""
    started = up.spawn("sh", "-c", "read x; exit 4", fds={0: (ends := os.pipe())[0]})
    os.close(ends[0])
    resource.prlimit(up.daemon_pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    os.close(ends[1])
    assert up.code(started.id) == 4
    up.kill_daemon()
    up.next_daemon()
    assert up.code(started.id) == 4
    assert up.row(started.id).state == "exited"


@pytest.mark.usefixtures("home")
def test_a_damaged_table_is_rebuilt_from_what_runs(up: Supervised) -> None:
    """Nothing running is lost or started twice, ids are not given again, and a person is told."""
    _, holder = up.holder_pids()
    started = up.spawn("sh", "-c", "exec sleep 62", name="job")
    up.wait(up.spawn("true").id)
    epoch = up.client.welcome.epoch
    late = up.python("import time; time.sleep(0.5); raise SystemExit(9)")
    os.kill(holder, signal.SIGSTOP)
    try:
        up.kill_daemon()
        up.until("it has ended meanwhile", lambda: gone(late.pid or 0))
        for tail in ("-wal", "-shm"):
            (up.home.state / f"processes.db{tail}").unlink(missing_ok=True)
        (up.home.state / "processes.db").write_bytes(b"\xa5" * 40_000)
    finally:
        os.kill(holder, signal.SIGCONT)
    up.next_daemon()
    row_ = up.row(started.id)
    assert (row_.pid, row_.state, row_.argv) == (started.pid, "running", [b"sleep", b"62"])
    assert up.client.welcome.epoch == epoch, "its key at the gateway would be void"
    assert any("is damaged" in alert and "rebuilt" in alert for alert in up.view().alerts)
    assert len(list(up.home.state.glob("processes.db.damaged-*"))) >= 1
    assert up.code(late.id) == 9, "the holder kept its exit"
    assert up.spawn("true").id == "p4"
    os.kill(started.pid or 0, signal.SIGTERM)
    end = up.wait(started.id).exit
    assert end is not None
    assert end.signal == signal.SIGTERM


@pytest.mark.usefixtures("home")
def test_no_table_at_all(up: Supervised) -> None:
    """The state folder cannot hold one: what runs is shown and can be stopped; nothing new is promised."""
    _, holder = up.holder_pids()
    started = up.spawn("sleep", "62", name="job")
    os.kill(holder, signal.SIGSTOP)
    path = up.home.state / "processes.db"
    try:
        up.kill_daemon()
        for tail in ("", "-wal", "-shm"):
            Path(f"{path}{tail}").unlink(missing_ok=True)
        path.mkdir()
    finally:
        os.kill(holder, signal.SIGCONT)
    up.next_daemon()
    assert up.row(started.id).state == "running"
    assert any("is not written" in alert for alert in up.view().alerts)
    with pytest.raises(StorageError):
        up.spawn("true")
    from aish.wire.message import Stop

    up.client.request(Stop(target=started.id))
    assert up.wait(started.id).state == "exited"


def test_a_journal_that_comes_back_gets_everything(tmp_path: Path) -> None:
    """Without one nothing was ever written again, until the next daemon."""
    path = str(tmp_path / "processes.db")
    old = open_journal(path)
    old.begin(7)
    old.save([row(1)], [EventPart(number=1, time_s=1.0, kind="created")])
    old.close()
    rows = [row(1, lifecycle="exited"), row(2)]

    async def scene() -> None:
        recorder = Recorder(
            None,
            asyncio.get_running_loop(),
            StorageError("full"),
            reopen=lambda: open_journal(path),
            rows=lambda: rows,
        )
        recorder.event("exited", rows[0])
        told: list[str] = []
        recorder.change(rows[1], after=lambda: told.append("may be acknowledged"))
        assert not recorder.flush()
        assert told == []
        recorder._again()
        assert told == ["may be acknowledged"]
        assert recorder.failure is None
        recorder.close()

    asyncio.run(scene())
    again = open_journal(path)
    assert [(found.id, found.lifecycle) for found in again.rows()] == [("p1", "exited"), ("p2", "queued")]
    assert [event.kind for event in again.events(0, 10)][:2] == ["created", "exited"]
    again.close()


def test_of_a_journal_that_cannot_be_opened_what_it_has_is_read_elsewhere(path: str, tmp_path: Path) -> None:
    """Its events were not, so that their numbers were given again; nor were the ids that stay used."""
    journal = open_journal(path)
    journal.begin(1)
    journal.save([row(1), row(9)], [event(number) for number in range(1, 6)])
    journal.save(meta={LAST_NUMBER: "9"}, gone=[9])
    other = tmp_path / "other"
    other.mkdir()
    found = salvage(path, str(other), 2)
    assert ([each.id for each in found.rows], [each.number for each in found.events]) == (["p1"], [4, 5])
    assert found.next_number == 10
    assert list(other.iterdir()) == []


def test_events_go_on_after_those_of_a_journal_that_is_away_and_after_those_that_were_told(tmp_path: Path) -> None:
    """They began with 1, and were numbered anew when it came back: who follows got them a second time."""
    path = str(tmp_path / "processes.db")
    old = open_journal(path)
    old.begin(7)
    past = [event(number) for number in range(1, 6)]
    old.save([row(1)], past)
    old.close()
    told = Told(lambda: str(tmp_path))
    told.note(8)  # by the daemon before, which could not write any more

    async def scene() -> None:
        recorder = Recorder(
            None,
            asyncio.get_running_loop(),
            StorageError("full"),
            reopen=lambda: open_journal(path),
            rows=list,
            past=past[2:],
            told=told,
        )
        assert recorder.event("exited", row(1)).number == 9
        assert [found.number for found in recorder.after(3, 10)] == [4, 5, 9]
        assert told.number() == 9
        recorder._again()
        recorder.flush()
        assert [found.number for found in recorder.after(0, 10)] == [1, 2, 3, 4, 5, 9, 10]
        recorder.close()

    asyncio.run(scene())


def test_a_journal_that_was_damaged_for_a_moment_does_not_double_the_numbers(path: str) -> None:
    async def scene() -> None:
        real = open_journal(path)
        real.begin(1)
        recorder = Recorder(real, asyncio.get_running_loop(), reopen=lambda: open_journal(path), rows=list)
        recorder.event("started", row(1))
        recorder.flush()
        recorder._failed(CorruptError("it is damaged"))
        recorder._again()
        recorder.flush()
        assert recorder.journal is not None
        kinds = [(found.number, found.kind) for found in recorder.journal.events(0, 10)]
        assert kinds == [(1, "started"), (2, "storage-failed"), (3, "storage-back")]
        recorder.close()

    asyncio.run(scene())


def test_nothing_is_written_to_open_a_table_that_is_all_there(path: str) -> None:
    """On a full disk it could not be opened, and nothing be read."""
    journal = open_journal(path)
    journal.begin(1)
    size = os.stat(path + "-wal").st_size
    open_journal(path).close()
    assert os.stat(path + "-wal").st_size == size


def test_a_journal_of_before_the_history_gets_it(tmp_path: Path) -> None:
    """Made by an earlier program: its rows and events stay, and runs are kept from now on."""
    path = str(tmp_path / "processes.db")
    old = open_journal(path)
    old.begin(7)
    old.save([row(1)], [EventPart(number=1, time_s=1.0, kind="created")])
    old.close()
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE runs")
    again = open_journal(path)
    assert (again.epoch, again.runs(1, 10)) == (7, [])
    assert [found.id for found in again.rows()] == ["p1"]
    again.save(runs=[(1, RunPart(number=number, ended_s=2.0)) for number in (1, 2)])
    assert [run.number for run in again.runs(1, 10)] == [2, 1]
    assert [run.number for run in again.runs(1, 1)] == [2]
    again.save(gone=[1])
    assert again.runs(1, 10) == []
    again.close()
