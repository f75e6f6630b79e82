"""Real keys out of commands: run seldom, by one at a time, anew when refused, and never for long."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

import openai
import pytest

from aish.errors import StorageError
from aish.supervisor.gateway.key_command import KeyCommands
from aish.wire.link import Readiness
from aish.wire.spec import SecretPart

from .claude import KEY, Claude

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .conftest import World


def sh(line: str) -> SecretPart:
    return SecretPart(command=[b"sh", b"-c", line.encode()])


def fetched(commands: KeyCommands, source: SecretPart) -> str:
    asyncio.run(commands.fetch(source, "far"))
    return commands.text(source)


def test_it_runs_once_for_many_and_again_when_it_is_old(tmp_path: Path) -> None:
    count = tmp_path / "count"
    source = sh(f"echo x >>{count}; sleep 0.2; echo ' sk-1 '; echo second")

    async def many(commands: KeyCommands) -> None:
        await asyncio.gather(*(commands.fetch(source, "far") for _ in range(20)))

    commands = KeyCommands()
    asyncio.run(many(commands))
    assert (commands.text(source), count.read_text()) == ("sk-1", "x\n")
    commands.refused(source)
    assert fetched(commands, source) == "sk-1"
    assert count.read_text() == "x\nx\n"
    old = KeyCommands(keep_s=0)
    assert [fetched(old, source) for _ in range(2)] == ["sk-1", "sk-1"]
    assert count.read_text() == "x\n" * 4


def test_one_that_fails_is_not_run_at_each_request_and_its_words_are_told_to_nobody(tmp_path: Path) -> None:
    """A keyring may ask a person each time, and what is printed before a failure may be the key."""
    count = tmp_path / "count"
    source = sh(f"echo x >>{count}; echo sk-1; echo sk-2 >&2; exit 3")
    commands = KeyCommands()
    for _ in range(3):
        with pytest.raises(StorageError, match=r"the key of far cannot be had from command:.*: it ended with 3$"):
            asyncio.run(commands.fetch(source, "far"))
    assert (count.read_text(), commands.text(source)) == ("x\n", "")
    mended = KeyCommands(again_s=0)
    with pytest.raises(StorageError):
        asyncio.run(mended.fetch(source, "far"))
    with pytest.raises(StorageError):
        asyncio.run(mended.fetch(source, "far"))
    assert count.read_text() == "x\n" * 3


def test_one_that_nobody_waited_for_to_the_end_left_no_key(tmp_path: Path) -> None:
    """A client that hung up while a person was asked for the PIN made an empty key good for five minutes."""
    ready = tmp_path / "ready"
    source = sh(f"until test -e {ready}; do sleep 0.05; done; echo sk-1")

    async def hung_up(commands: KeyCommands) -> None:
        task = asyncio.create_task(commands.fetch(source, "far"))
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    commands = KeyCommands()
    asyncio.run(hung_up(commands))
    ready.touch()
    assert fetched(commands, source) == "sk-1"


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (SecretPart(command=[b"/nowhere/at/all"]), "No such file or directory"),
        (sh("kill -9 $$"), "it ended with 137"),
        (sh("seq 30000"), "it printed more than 64 KiB"),
        (sh("yes"), "it printed more than 64 KiB"),
    ],
)
def test_what_may_go_wrong(source: SecretPart, why: str) -> None:
    with pytest.raises(StorageError, match=why):
        asyncio.run(KeyCommands().fetch(source, "far"))


def test_one_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    source = sh(f"sleep 1000 & echo $! >{pid}; wait")
    with pytest.raises(StorageError, match="did not end within"):
        asyncio.run(KeyCommands(answer_s=0.5).fetch(source, "far"))
    deadline_s = time.monotonic() + 10
    while os.path.exists(f"/proc/{pid.read_text().strip()}") and not _zombie(pid):
        assert time.monotonic() < deadline_s


def _zombie(pid: Path) -> bool:
    try:
        with open(f"/proc/{pid.read_text().strip()}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture
def far(shared: World) -> Iterator[Claude]:
    server = Claude(f"unix:{shared.root}/far.sock")
    server.start()
    yield server
    if "p40" in shared.daemon.members:
        shared.daemon.change("p40", alive=False)
    server.stop()


def test_it_goes_to_its_server_and_nowhere_else(shared: World, far: Claude) -> None:
    store = shared.root / "store0"
    store.write_text(KEY + "\n")
    shared.daemon.model("p40", "far", far.route, dialect="anthropic", key=sh(f"cat {store}"))
    shared.daemon.ready("p40")
    sdk = openai.OpenAI(base_url=f"{shared.gateway.url}/v1", api_key=shared.agent()[1], max_retries=0)

    def ask(text: str) -> str | None:
        answer = sdk.chat.completions.create(model="far", messages=[{"role": "user", "content": text}])
        return answer.choices[0].message.content

    assert ask("say 1") == "w "
    store.write_text("sk-old\n")
    assert ask("say 1") == "w "  # it is not asked for at each request
    assert {headers["x-api-key"] for headers in far.headers} == {KEY}
    with pytest.raises(openai.BadRequestError) as caught:
        ask("echo")
    assert "what is ***?" in str(caught.value)
    assert KEY not in shared.gateway.read_log()


def test_a_refused_one_is_fetched_again(shared: World, far: Claude) -> None:
    store = shared.root / "store1"
    store.write_text("sk-old\n")
    shared.daemon.model("p40", "far", far.route, dialect="anthropic", key=sh(f"cat {store}"))
    event = shared.daemon.event(Readiness, lambda e: e.id == "p40" and "refuses the key" in e.text)
    assert "sk-old" not in event.text
    store.write_text(KEY + "\n")
    shared.daemon.ready("p40")
    assert shared.gateway.chat(shared.agent()[1], "say 1", model="far")[0] == 200


def test_a_command_that_fails_is_told_where_the_model_waits(shared: World, far: Claude) -> None:
    store = shared.root / "missing"
    store.unlink(missing_ok=True)
    shared.daemon.model("p40", "far", far.route, dialect="anthropic", key=sh(f"cat {store}"))
    event = shared.daemon.event(Readiness, lambda e: e.id == "p40" and "cannot be had" in e.text)
    assert event.text.endswith("it ended with 1")
    assert not far.requests
    store.write_text(KEY + "\n")
    shared.daemon.ready("p40")
