"""Texts of requests: kept where a person asked for it and nowhere else, without keys, within bounds, for a while."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from aish.errors import AishError
from aish.supervisor.gateway import texts
from aish.supervisor.gateway.provider_key import Scrub
from aish.supervisor.gateway.redaction import redacted
from aish.wire.message import KeepText, KeyNew, RequestsQuery, TextQuery
from aish.wire.reply import Failure, KeyMade, RequestList, RequestText, TextsKept

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import World

REAL = "sk-real-0123456789abcdef"


def number(world: World, process: str) -> int:
    """Of its newest request."""
    told = world.daemon.ask(RequestsQuery(who=[process]))
    assert isinstance(told, RequestList)
    return told.requests[-1].number


def read(world: World, number: int) -> RequestText | None:
    told = world.daemon.ask(TextQuery(number=number))
    if isinstance(told, Failure):
        assert told.code == "not-found"
        return None
    assert isinstance(told, RequestText)
    return told


def keep(world: World, target: str, *, keep: bool = True) -> list[str]:
    told = world.daemon.ask(KeepText(target=target, keep=keep))
    assert isinstance(told, TextsKept), told
    return told.accounts


def test_nothing_is_kept_that_nobody_asked_for(shared: World) -> None:
    id, key = shared.agent()
    other, _ = shared.agent()
    assert other in keep(shared, other)
    assert shared.gateway.chat(key, "say 2")[0] == 200
    assert read(shared, number(shared, id)) is None
    assert not (shared.gateway.state / "texts" / f"1-{id}").exists()
    keep(shared, other, keep=False)


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_kept_is_what_the_client_said_and_got(shared: World, *, stream: bool) -> None:
    """Of a process and of what it started; in a file that nobody else can read."""
    above, _ = shared.agent()
    id, key = shared.agent(parent=above)
    keep(shared, above)
    body = {"model": "small", "stream": stream, "messages": [{"role": "user", "content": "say 3"}]}
    if stream:
        import urllib.request

        request = urllib.request.Request(
            f"{shared.gateway.url}/v1/chat/completions",
            json.dumps(body).encode(),
            {"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as reply:
            got: Any = reply.read().decode()
    else:
        got = shared.gateway.call("/v1/chat/completions", body, key)[1]
    kept = read(shared, number(shared, id))
    assert kept is not None
    assert json.loads(kept.asked) == body
    assert (kept.answered if stream else json.loads(kept.answered)) == got
    assert (kept.process, kept.epoch, kept.model, kept.status) == (id, 1, "small", 200)
    (file,) = (shared.gateway.state / "texts" / f"1-{id}").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert keep(shared, above, keep=False) == []
    assert read(shared, kept.number) is None


def test_no_key_is_in_a_text(world: World, tmp_path: Path) -> None:
    """Neither the caller's, nor that of a server, which answers with it, nor one that stands in a prompt."""
    world.start()
    file = tmp_path / "key"
    file.write_text(REAL)
    file.chmod(0o600)
    world.daemon.model("p1", "small", world.upstream.route, key_file=str(file))
    world.daemon.ready("p1")
    made = world.daemon.ask(KeyNew(name="ci"))
    assert isinstance(made, KeyMade)
    keep(world, "key:ci")
    said = f"{made.key} {REAL} Authorization: Bearer abcdefghij0123456789 AIza{'x' * 35} say 1 leak"
    world.gateway.chat(made.key, said)
    kept = read(world, number(world, "key:ci"))
    assert kept is not None
    for secret in (made.key, REAL, "abcdefghij0123456789", "AIza"):
        assert secret not in kept.asked + kept.answered
    assert "say 1 leak" in kept.asked
    assert "your Bearer ***" in kept.answered


def test_what_is_to_be_kept_outlives_the_gateway_and_not_the_process_table(world: World) -> None:
    world.start()
    id, key = world.agent()
    keep(world, id)
    world.gateway.kill()
    world.gateway.start()
    world.daemon.ready("p1")
    assert world.gateway.chat(key, "say 1")[0] == 200
    assert read(world, number(world, id)) is not None
    world.daemon.stop()
    world.daemon.epoch = 2
    world.daemon.start()
    told = world.daemon.ask(KeepText())
    assert isinstance(told, TextsKept)
    assert told.accounts == []


def test_a_long_text_is_cut_and_says_so() -> None:
    text = texts.Text(b"b" + b"x" * (3 << 20) + b"e")
    for _ in range(3):
        text.add(b"y" * (1 << 19))
    assert len(text.asked) < (1 << 20) + 100
    assert (text.asked[:1], text.asked[-1:], text.asked_bytes) == (b"b", b"e", (3 << 20) + 2)
    assert (len(text.answered), text.answered_bytes) == (1 << 20, 3 << 19)


def test_old_texts_go_and_the_oldest_of_too_many(tmp_path: Path) -> None:
    now_s = time.time()
    for place in range(6):
        folder = tmp_path / f"1-p{place}"
        folder.mkdir()
        (folder / str(place)).write_bytes(b"x" * 100)
        written_s = now_s - (texts.RETAINED_S + 1 if place == 0 else 60 - place)
        os.utime(folder / str(place), (written_s, written_s))
    texts.prune(str(tmp_path), now_s)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"1-p{place}" for place in range(1, 6)]
    texts.prune(str(tmp_path), now_s, files=4)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"1-p{place}" for place in range(2, 6)]
    texts.prune(str(tmp_path), now_s, most_bytes=250)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1-p4", "1-p5"]
    texts.prune(str(tmp_path / "none"), now_s)


@pytest.mark.parametrize(
    "secret",
    [
        "sk-ant-api03-abcdefghijklmnop",
        "sk-aish-abcdefghijklmnop",
        "aish-p12-3-abcdefghij",
        "gsk_abcdefghijklmnopq",
        "hf_abcdefghijklmnopq",
        "ghp_abcdefghijklmnopq",
        "AKIAABCDEFGHIJKLMNOP",
        "Bearer abc.def.ghijklmnop",
    ],
)
def test_what_looks_like_a_key_is_taken_out(secret: str) -> None:
    found = redacted(f'{{"content": "it is {secret}, ok"}}'.encode(), [])
    assert secret.rpartition(" ")[2].encode() not in found
    assert json.loads(found)["content"].startswith("it is ")


def test_words_stay() -> None:
    said = b"the task-force asked the bearer of bad news; risk-averse-people-like-this-one"
    assert redacted(said, [Scrub("ollama")]) == said


def test_a_text_that_nobody_may_see_is_like_one_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(AishError, match="no text is kept of a request 7"):
        texts._read(str(tmp_path / "none"), 7)
