"""The tool that finds passages: the right ones, within the agent's folders; a plain word where there is no model."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aish.plugins.builtin.declined import DeclinedError
from aish.plugins.builtin.files import Files
from aish.plugins.builtin.nearest import FILES_MOST, Nearest
from aish.plugins.builtin.places import OutsideError, Places
from aish.spi.agent_adapter import Gateway

from .vectors import Vectors

if TYPE_CHECKING:
    from collections.abc import Iterator

FILLER = "\n".join(["nothing of interest stands in this line of text"] * 12)


@pytest.fixture
def vectors() -> Iterator[Vectors]:
    server = Vectors()
    yield server
    server.close()


def tool(folder: Path, server: Vectors) -> Nearest:
    places = Places(str(folder))
    return Nearest(places, Files(places), Gateway(base_url=server.url, key="its key"))


def test_the_nearest_passage_comes_first_with_its_place(tmp_path: Path, vectors: Vectors) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "one.md").write_text(f"{FILLER}\n\nhow the cache is cleared\nby a signal\n")
    (tmp_path / "docs" / "two.md").write_text(FILLER)
    (tmp_path / "docs" / "picture").write_bytes(b"\x89PNG\0\0")
    (tmp_path / ".hidden").write_text("how the cache is cleared")
    nearest = tool(tmp_path, vectors)
    text = asyncio.run(nearest.nearest("when is the cache cleared", ["."], count=1))
    place, *rest = text.splitlines()
    assert place.startswith("docs/one.md:14-15 (0.")
    assert rest == ["how the cache is cleared", "by a signal"]
    assert set(vectors.keys) == {"Bearer its key"}
    embedded = len(vectors.texts)
    asyncio.run(nearest.nearest("another question", ["docs"], count=1))
    assert len(vectors.texts) == embedded + 1, "the same passages are paid for twice"


def test_it_stays_within_the_folders_of_the_agent(tmp_path: Path, vectors: Vectors) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "secret").write_text("the key is under the mat")
    (inner / "link").symlink_to(tmp_path / "secret")
    (inner / "own").write_text("own words")
    nearest = tool(inner, vectors)
    for path in ("../secret", "..", "link"):
        with pytest.raises(OutsideError):
            asyncio.run(nearest.nearest("key", [path]))
    assert "mat" not in asyncio.run(nearest.nearest("the key", ["."]))
    assert not any("mat" in text for text in vectors.texts)


def test_what_is_too_much_is_refused_whole(tmp_path: Path, vectors: Vectors) -> None:
    """A part of the files, looked at without a word, would be taken for all of them."""
    for number in range(FILES_MOST + 1):
        (tmp_path / f"f{number}").write_text("x")
    with pytest.raises(DeclinedError, match="more than 300 files"):
        asyncio.run(tool(tmp_path, vectors).nearest("x", ["."]))
    (tmp_path / "long").mkdir()
    (tmp_path / "long" / "text").write_text("word " * 400_000)
    (tmp_path / "long" / "many").write_text(f"{FILLER}\n" * 4000)
    with pytest.raises(DeclinedError, match="more than 1500 passages"):
        asyncio.run(tool(tmp_path, vectors).nearest("x", ["long/many"]))
    with pytest.raises(DeclinedError, match="query"):
        asyncio.run(tool(tmp_path, vectors).nearest(" ", ["f1"]))
    (tmp_path / "binary").write_bytes(b"\0")
    with pytest.raises(DeclinedError, match="is no text"):
        asyncio.run(tool(tmp_path, vectors).nearest("x", ["binary"]))
    assert vectors.texts == []


def test_without_a_model_for_it_it_says_so(tmp_path: Path, vectors: Vectors, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f").write_text("words")
    monkeypatch.setenv("AISH_EMBED_MODEL", "chat")
    with pytest.raises(DeclinedError, match=r"no model has embedded these texts: embed: .*501.*other models"):
        asyncio.run(tool(tmp_path, vectors).nearest("x", ["f"]))


def test_a_turn_that_is_cancelled_does_not_wait_for_the_model(tmp_path: Path, vectors: Vectors) -> None:
    """A model that is loaded for minutes would hold Ctrl-C as long."""
    (tmp_path / "f").write_text("words")
    vectors.held.clear()

    async def go() -> None:
        asking = asyncio.ensure_future(tool(tmp_path, vectors).nearest("x", ["f"]))
        assert await asyncio.to_thread(vectors.asked.wait, 30.0)
        asking.cancel()
        async with asyncio.timeout(60):
            with pytest.raises(asyncio.CancelledError):
                await asking

    asyncio.run(go())
