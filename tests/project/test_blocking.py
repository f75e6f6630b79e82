"""aish.toml from Python, against a real supervisor: what the verbs `up`, `reload` and `down` do."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from aish.client import Aish, AsyncAish
from aish.errors import (
    ConflictError,
    NotFoundError,
    NotRunningError,
    SourceError,
    UnavailableError,
    UsageError,
)
from aish.project import AsyncProject, Project
from aish.project.turn import Turn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Home

TWO = """
[services.db]
shell = "echo listening; exec sleep 600"
ready = { log = "listening", every = "0.05s" }
[services.web]
command = "sleep 600"
needs = ["db"]
[services.extra]
command = "sleep 600"
profiles = ["more"]
"""


class Shop:
    """A project in a folder of its own."""

    def __init__(self, aish: Aish, folder: Path) -> None:
        self.aish = aish
        self.file = folder / "aish.toml"
        self.put(TWO)
        self.project = Project(aish, folder)

    def put(self, text: str) -> None:
        self.file.write_text(text)

    def pids(self) -> dict[str, int | None]:
        return {row.name: row.pid for row in self.aish.processes()}


@pytest.fixture
def shop(shared_home: Home, tmp_path: Path) -> Iterator[Shop]:
    with Aish(program="test") as aish:
        yield Shop(aish, tmp_path)


def test_a_project_from_its_plan_to_its_end(shop: Shop) -> None:
    """`up` and `reload` were for the command line alone."""
    plan = shop.project.plan()
    assert [(step.action, step.name, step.reason) for step in plan.steps] == [
        ("start", "db", "not there yet"),
        ("start", "web", "not there yet"),
    ]
    assert shop.aish.processes() == [], "a plan starts nothing"
    assert [(each.name, each.what, each.state) for each in shop.project.up(timeout_s=60)] == [
        ("db", "started", "running"),
        ("web", "started", "running"),
    ]
    pids = shop.pids()
    assert {each.what for each in shop.project.up()} == {"kept"}
    shop.put(TWO.replace('command = "sleep 600"\nneeds', 'command = "sleep 601"\nneeds'))
    assert [(step.action, step.reason) for step in shop.project.plan().steps] == [
        ("keep", "running"),
        ("restart", "command changed"),
    ]
    assert [each.what for each in shop.project.reload()] == ["kept", "restarted"]
    assert shop.pids()["db"] == pids["db"]
    assert shop.pids()["web"] != pids["web"]
    assert [row.name for row in shop.project.ending()] == ["web", "db"]
    assert [(row.name, row.state) for row in shop.project.down("web")] == [("web", "exited")]
    assert [row.name for row in shop.project.down(grace_s=0)] == ["db"]
    assert shop.project.down() == []


def test_what_is_not_declared_any_more_is_ended_by_reload_alone(shop: Shop) -> None:
    shop.project.up()
    shop.put(TWO.partition("[services.web]")[0])
    assert [step.name for step in shop.project.plan().stops] == ["web"]
    assert [each.name for each in shop.project.up()] == ["db"]
    assert set(shop.pids()) == {"db", "web"}
    assert [(each.name, each.what) for each in shop.project.reload()] == [("web", "stopped"), ("db", "kept")]
    assert set(shop.pids()) == {"db"}
    shop.file.unlink()
    assert [row.name for row in Project(shop.aish, shop.file).down()] == ["db"], "its file is gone, it is not"


def test_names_and_profiles_choose_what_takes_part(shop: Shop) -> None:
    assert [step.name for step in shop.project.plan("extra").steps] == ["extra"]
    assert [each.name for each in shop.project.up("web")] == ["db", "web"]
    assert {each.name for each in shop.project.up(profiles=["more"])} == {"db", "web", "extra"}
    with pytest.raises(NotFoundError, match="no wbe") as told:
        shop.project.up("wbe")
    assert told.value.hint == "did you mean web?"
    with pytest.raises(UsageError, match="mroe"):
        shop.project.plan(profiles=["mroe"])
    with pytest.raises(NotFoundError, match="wbe"):
        shop.project.down("wbe")
    shop.project.down(grace_s=0)


def test_what_fails_is_raised_when_the_others_are_up(shop: Shop) -> None:
    """Errors that stand in a list are looked at by nobody."""
    more = '[services.bad]\ncommand = "/no/such/program"\n[services.worse]\nshell = "echo why >&2; exit 3"\n'
    shop.put(TWO + more + 'ready = { log = "never" }\nrestart = "never"\n')
    with pytest.raises(UnavailableError) as told:
        shop.project.up(timeout_s=60)
    words = "\n".join([str(told.value), *told.value.__notes__])
    assert "bad" in words
    assert "worse" in words
    assert "why" in words
    assert set(shop.pids()) == {"db", "web"}
    shop.project.down(grace_s=0)


def test_a_time_out_says_what_is_awaited(shop: Shop) -> None:
    shop.put('[services.slow]\ncommand = "sleep 600"\nready = { exec = "false" }\n')
    with pytest.raises(UnavailableError, match=r"slow .* is loading after 0\.2 s"):
        shop.project.up(timeout_s=0.2)
    assert [each.state for each in shop.project.up(wait=False)] == ["loading"]
    shop.project.down(grace_s=0)


def test_a_file_that_is_wrong_tells_all_of_it_and_changes_nothing(shop: Shop) -> None:
    shop.put('[services.web]\ncomand = "x"\nrestart = "sometimes"\n')
    for act in (shop.project.up, shop.project.reload, shop.project.plan):
        with pytest.raises(SourceError) as told:
            act()
        assert any("restart" in note for note in told.value.__notes__)
    with pytest.raises(SourceError):
        Project(shop.aish, shop.file.parent / "nothing.toml").up()


def test_a_name_of_somebody_else_is_told_before_anything_is_done(shop: Shop) -> None:
    shop.aish.spawn(["sleep", "600"], name="web")
    assert [name for name, _ in shop.project.plan().taken] == ["web"]
    with pytest.raises(ConflictError, match="web is p"):
        shop.project.up()
    assert set(shop.pids()) == {"web"}
    shop.aish.stop("web")


def test_a_plan_starts_no_supervisor(home: Home, tmp_path: Path) -> None:
    (tmp_path / "aish.toml").write_text(TWO)
    aish = Aish(start=False)
    project = Project(aish, tmp_path)
    assert [step.action for step in project.plan().steps] == ["start", "start"]
    assert project.ending() == project.down() == []
    with pytest.raises(NotRunningError):
        project.up()
    assert not (home.runtime / "daemon.sock").exists()


def test_two_at_once_give_one_of_each(shop: Shop) -> None:
    done: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda: done.append([each.what for each in shop.project.up()])) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(done) == [["kept", "kept"], ["started", "started"]]
    shop.project.down(grace_s=0)


def test_asyncio_has_the_same_and_waits_for_its_turn_without_holding_the_loop(shop: Shop) -> None:
    async def main() -> list[list[tuple[str, str]]]:
        async with AsyncAish(program="test") as aish:
            project = AsyncProject(aish, shop.file)
            assert [step.action for step in (await project.plan()).steps] == ["start", "start"]
            with Turn(str(shop.file)):
                up = asyncio.create_task(project.up(timeout_s=60))
                assert await aish.processes() == []
                done, _ = await asyncio.wait([up], timeout=0.2)
                assert not done, "another one has the turn"
            found = [await up, await project.reload()]
            assert [row.name for row in await project.ending()] == ["web", "db"]
            assert {row.name for row in await project.down(grace_s=0)} == {"web", "db"}
            return [[(each.name, each.what) for each in outcomes] for outcomes in found]

    assert asyncio.run(main()) == [
        [("db", "started"), ("web", "started")],
        [("db", "kept"), ("web", "kept")],
    ]


def test_in_asyncio_too_what_is_not_ready_in_time_goes_on(shop: Shop) -> None:
    names = [f"slow-{number}" for number in range(40)]
    entry = '[services.{0}]\ncommand = "sleep 600"\nready = {{ exec = "false", every = "60s" }}\n'
    shop.put("".join(entry.format(name) for name in names))

    async def main() -> None:
        async with AsyncAish(program="test") as aish:
            project = AsyncProject(aish, shop.file)
            with pytest.raises(UnavailableError, match=r"is loading after 0\.2 s") as told:
                await project.up(timeout_s=0.2)
            assert sum("is loading after" in note for note in told.value.__notes__) == len(names) - 1
            assert len(await project.down(grace_s=0)) == len(names)

    asyncio.run(main())
