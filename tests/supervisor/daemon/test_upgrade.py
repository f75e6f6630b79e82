"""Replaced files: the daemon leaves for one that is made of them, and what runs does not notice."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from aish.supervisor.daemon import build, upgrade

if TYPE_CHECKING:
    from pathlib import Path


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


@pytest.mark.parametrize("file", ["one.py", "inner/two.py", "inner/three.py"])
def test_a_replaced_or_new_file_is_noticed_when_all_stand_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    folder = program(tmp_path, monkeypatch)

    async def scene() -> str:
        told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        looking = upgrade.Upgrade(build.fingerprint(), told.set_result)
        looking.look()
        assert looking._task is None, "nothing has changed"
        new = folder / f"{file}.new"
        new.write_text("x = 1\n")
        new.rename(folder / file)  # as installers do
        while not told.done():
            looking.look()
            await asyncio.sleep(0.02)
        return told.result()

    before = build.fingerprint()
    assert asyncio.run(asyncio.wait_for(scene(), 10)) == build.fingerprint() != before


def test_compiled_files_are_no_upgrade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = program(tmp_path, monkeypatch)

    async def scene() -> None:
        looking = upgrade.Upgrade(build.fingerprint(), lambda _: pytest.fail("nothing was replaced"))
        (folder / "__pycache__").mkdir()
        looking.look()
        assert looking._task is not None
        await looking._task

    asyncio.run(scene())
