"""Observed processes at the gateway: logs of sessions count, exactly once, and budgets and windows hold by them."""

from __future__ import annotations

import os
import sqlite3
import time
from typing import TYPE_CHECKING

import pytest

from aish.wire.link import Hold, Release, SessionsRead, Warn
from aish.wire.message import Limit, UsageQuery, WindowList, WindowSet
from aish.wire.part import SessionPart
from aish.wire.spec import BudgetPart

from .rollouts import context, count, limits, meta, record, tokens

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import World

LONG_AGO_S = 5000.0


class Session:
    """A log that a test writes, and the process that it is of."""

    def __init__(self, world: World, folder: Path, name: str = "s1", **member: object) -> None:
        self.world = world
        self.path = folder / f"rollout-{name}.jsonl"
        self.began_s = time.time()
        self.total = (0, 0)
        self.answers = 0
        self.id, _ = world.agent(observe="codex", **member)
        self.path.write_bytes(meta(self.began_s, name) + context(self.began_s))

    def known(self, *, from_s: float | None = None, **fields: object) -> Session:
        """The daemon has found out whose it is."""
        since_s = self.began_s - 1 if from_s is None else from_s
        part = SessionPart(path=os.fsencode(self.path), session="s1", from_s=since_s)
        self.world.daemon.change(self.id, sessions=[part], **fields)
        return self

    def write(self, *lines: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(b"".join(lines))

    def answer(self, read: int = 100, wrote: int = 10, *, at_s: float | None = None, percent: float = 1.0) -> None:
        self.answers += 1
        self.total = self.total[0] + read, self.total[1] + wrote
        moment_s = time.time() if at_s is None else at_s
        self.write(count(moment_s, tokens(*self.total), tokens(read, wrote), limits(percent)))


@pytest.fixture
def session(shared: World, tmp_path: Path) -> Session:
    return Session(shared, tmp_path)


def test_what_is_in_the_log_is_the_usage_of_the_process(session: Session) -> None:
    session.answer(100, 10)
    session.known()
    session.answer(200, 20)
    settled = session.world.daemon.settled(session.id, 2)
    total = settled.tokens
    assert (total.input, total.output, total.observed, total.estimated) == (300, 30, 330, 0)
    assert settled.model == "gpt-6"
    rows = session.world.gateway.rows(f"process = '{session.id}'")
    assert [(row["endpoint"], row["dialect"], row["model"], row["input"]) for row in rows] == [
        ("observed", "codex", "gpt-6", 100),
        ("observed", "codex", "gpt-6", 200),
    ]
    table = session.world.daemon.ask(UsageQuery(by="process"))
    (row,) = [row for row in table.rows if row.key == session.id]
    assert (row.tokens.observed, row.tokens.requests, row.failures) == (330, 2, 0)


def test_both_kinds_of_lines_and_lines_that_are_cut_count_once(session: Session) -> None:
    session.known()
    line = record(time.time(), "resp_1", tokens(50, 5), thread="s1")
    session.write(line[:40])
    session.write(line[40:], count(time.time(), tokens(50, 5), tokens(50, 5)))
    assert session.world.daemon.settled(session.id, 1).tokens.input == 50
    session.write(count(time.time(), tokens(60, 6), tokens(10, 1)))
    assert session.world.daemon.settled(session.id, 2).tokens.input == 60


def test_what_a_resumed_session_had_before_is_not_counted(session: Session) -> None:
    session.answer(90_000, 900, at_s=session.began_s - LONG_AGO_S)
    session.known()
    session.answer(100, 10)
    assert session.world.daemon.settled(session.id, 1).tokens.input == 100


@pytest.mark.slow
def test_kill_9_of_the_reader_loses_nothing_and_counts_nothing_twice(world: World, tmp_path: Path) -> None:
    world.start()
    session = Session(world, tmp_path).known()
    for number in range(1, 4):
        session.answer(100, 10)
        world.daemon.settled(session.id, number)
    world.gateway.kill()
    session.answer(1000, 100)
    session.answer(10, 1)
    world.gateway.start()
    session.answer(1, 1)
    total = world.daemon.settled(session.id, 6).tokens
    assert (total.input, total.output, total.requests) == (1311, 132, 6)
    for _ in range(3):
        world.gateway.kill()
        world.gateway.start()
    session.answer(1, 1)
    assert world.daemon.settled(session.id, 7).tokens.input == 1312


def test_the_last_lines_of_one_that_has_ended_are_counted_before_that_is_told(world: World, tmp_path: Path) -> None:
    world.start()
    session = Session(world, tmp_path).known()
    session.answer()
    world.daemon.settled(session.id, 1)
    world.gateway.kill()
    session.answer()
    session.known(alive=False, sessions_known=True)
    world.gateway.start()
    read = world.daemon.event(SessionsRead, lambda event: event.id == session.id)
    settled = world.daemon.settled(session.id, 2)
    assert settled.number < read.number


def test_a_run_that_is_over_before_anybody_saw_it_is_read_too(session: Session) -> None:
    """It was taken for the run before, of which all was read."""
    for run, pid in enumerate((100, 101), 1):
        session.answer()
        session.known(alive=False, sessions_known=True, sessions_run=(pid, 7))
        read = session.world.daemon.event(SessionsRead, lambda event, pid=pid: event.run == (pid, 7))  # type: ignore[misc]
        assert session.world.daemon.settled(session.id, run).number < read.number


def test_a_log_that_cannot_be_read_keeps_nobody_waiting(session: Session) -> None:
    session.path.unlink()
    session.path.symlink_to("/etc/passwd")
    session.known(alive=False, sessions_known=True)
    session.world.daemon.event(SessionsRead, lambda event: event.id == session.id)
    assert (
        "is no file of yours" in session.world.gateway.read_log() or "cannot read" in session.world.gateway.read_log()
    )


def test_a_budget_that_is_spent_holds_the_process_until_it_is_raised(session: Session) -> None:
    daemon = session.world.daemon
    session.known(budget_tokens=200)
    session.answer(150, 15)
    assert daemon.event(Warn, lambda event: event.id == session.id).used == 165
    assert not [event for event in daemon.events(Hold) if event.id == session.id]
    session.answer(50, 5)
    hold = daemon.event(Hold, lambda event: event.id == session.id)
    assert (hold.owner, hold.what, hold.used, hold.budget) == (session.id, "tokens", 220, 200)
    daemon.change(session.id, budget_tokens=500)
    assert daemon.event(Release, lambda event: event.id == session.id).why == "raised"


def test_a_budget_above_it_counts_what_it_used_and_holds_who_asks_the_gateway(shared: World, tmp_path: Path) -> None:
    parent, key = shared.agent()
    shared.daemon.change(parent, budget=BudgetPart(requests=2))
    session = Session(shared, tmp_path, parent=parent).known()
    session.answer()
    session.answer()
    assert shared.daemon.event(Hold, lambda event: event.id == session.id).owner == parent
    shared.daemon.change(parent, budget=BudgetPart(requests=2, hard=True))
    assert shared.gateway.chat(key, "say 1")[0] == 402


def test_its_windows_are_known_and_reserved_for_the_foreground(world: World, tmp_path: Path) -> None:
    world.start()
    behind = Session(world, tmp_path, "behind", background=True).known()
    front = Session(world, tmp_path, "front").known()
    front.answer(percent=61.0)
    world.daemon.settled(front.id, 1)
    (window,) = world.daemon.ask(WindowList()).windows
    assert (window.account, window.window, window.used, window.source) == ("codex", "5h", 0.61, "log")
    world.daemon.ask(WindowSet(target="codex", changes={"reserve": "40%"}))
    hold = world.daemon.event(Hold, lambda event: event.id == behind.id)
    assert (hold.owner, hold.what) == ("window:codex/5h", "window_reserve")
    assert world.daemon.ask(WindowList()).windows[0].held == [behind.id]
    world.daemon.ask(WindowSet(target="codex", changes={"reserve": "10%"}))
    assert world.daemon.event(Release, lambda event: event.id == behind.id).why == "window"
    assert not [event for event in world.daemon.events(Hold) if event.id == front.id]


def test_who_has_used_its_share_is_held_and_others_are_not(world: World, tmp_path: Path) -> None:
    world.start()
    greedy, modest = Session(world, tmp_path, "greedy").known(), Session(world, tmp_path, "modest").known()
    for session, read in ((greedy, 900), (modest, 100)):
        session.answer(read, 0, percent=50.0)
        world.daemon.settled(session.id, 1)
    shares = {f"share.@{session.id}": "40%" for session in (greedy, modest)}
    world.daemon.ask(WindowSet(target="codex", changes=shares))
    hold = world.daemon.event(Hold)
    assert (hold.id, hold.what, round(hold.used, 2), hold.budget) == (greedy.id, "window_share", 0.45, 0.4)
    (window,) = world.daemon.ask(WindowList()).windows
    assert {subject: round(part or 0, 2) for subject, part in window.shares.items()} == {
        f"@{greedy.id}": 0.45,
        f"@{modest.id}": 0.05,
    }


def test_records_that_were_lost_do_not_count_what_the_daemon_knows_a_second_time(
    world: World, tmp_path: Path
) -> None:
    world.start()
    session = Session(world, tmp_path).known()
    session.answer(100, 10)
    total = world.daemon.settled(session.id, 1).tokens
    world.gateway.kill()
    world.daemon.used = {session.id: total}
    world.daemon.spent = {session.id: 110}
    for tail in ("", "-wal", "-shm"):
        (world.gateway.state / f"gateway.db{tail}").unlink(missing_ok=True)
    world.daemon.heard.clear()
    world.gateway.start()
    world.daemon.ready("p1")
    session.answer(7, 1)
    assert world.daemon.settled(session.id, 2).tokens.input == 107


def test_of_a_process_that_nobody_knows_any_more_no_place_is_kept(world: World, tmp_path: Path) -> None:
    world.start()
    session, other = Session(world, tmp_path, "s1").known(), Session(world, tmp_path, "s2").known()
    for each in (session, other):
        each.answer()
        world.daemon.settled(each.id, 1)
    world.daemon.stop()
    del world.daemon.members[session.id]
    world.daemon.start()
    assert world.daemon.ask(WindowList()).windows  # it has heard who there is
    db = sqlite3.connect(f"file:{world.gateway.state}/gateway.db?mode=ro", uri=True)
    try:
        assert db.execute("SELECT process FROM sessions").fetchall() == [(other.id,)]
    finally:
        db.close()


def test_a_key_of_it_is_metered_as_ever_beside_its_log(session: Session) -> None:
    """What it asks the gateway itself is metered, what it asks elsewhere observed: both count."""
    session.known()
    session.answer(100, 10)
    key = session.world.daemon.key(session.id)
    assert session.world.gateway.chat(key, "say 5")[0] == 200
    total = session.world.daemon.settled(session.id, 2).tokens
    assert (total.observed, total.output) == (110, 15)
    assert session.world.daemon.ask(Limit(target="key:none", tokens="1")).code == "not-found"
