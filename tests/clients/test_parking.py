"""Claude Code and Codex as they are, parked in the middle of a turn by a usage window, and gone on with."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aish.plugins.simprovider.thread import Running

from .conftest import DEADLINE_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Client

pytestmark = [
    pytest.mark.clients,
    pytest.mark.parametrize("client", ["claude", "codex"], indirect=True),
    pytest.mark.timeout(180),
]
PREFIX = "anthropic-ratelimit-unified-7d-"


@pytest.fixture
def running() -> Iterator[Running]:
    """Not of this machine's own address: of a subscription windows are only heard of from elsewhere."""
    made = Running(address="127.0.0.2")
    yield made
    made.stop()


def alive(id: str, root: str) -> list[str]:
    """The command lines of what has its id and is of that home."""
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            environ = (folder / "environ").read_bytes().split(b"\0") if folder.name.isdecimal() else []
            if f"AISH_ID={id}".encode() in environ and f"HOME={root}".encode() in environ:
                found.append((folder / "cmdline").read_text())
    return found


def test_it_goes_on_with_its_session_and_nothing_is_done_twice_by_one_permission(client: Client) -> None:
    home = client.home
    client.agent_file("fix", "when_reserved: park\n")
    done = home.aish("spawn", "--json", "--model", client.model, "--", "@fix", cwd=home.root)
    assert done.returncode == 0, done.stderr
    process = home.client.process(json.loads(done.stdout)["id"])
    assert home.aish("window", "set", client.model, "reserve=40%").returncode == 0
    ends_s = time.time() + 3 * 86400
    client.running.provider.told = {f"{PREFIX}utilization": "0.9", f"{PREFIX}reset": f"{ends_s:.0f}"}
    assert home.aish("send", process.id, client.tool("echo line >> log && echo say 4")).returncode == 0
    client.until(process, "asked")
    key = client.key(process)
    assert home.aish("answer", process.id, "allow").returncode == 0
    client.until(process, "parked")
    row = process.row()
    assert (row.state, row.pid, row.parked.owner) == ("parked", None, f"window:{client.model}/7d")
    assert not alive(process.id, str(home.root)), "something of it still runs"
    session = [entry["id"] for entry in client.entries(process) if entry["kind"] == "session"]
    assert len(session) == 1
    lines = (home.root / "log").read_text()
    assert lines == "line\n"
    asked = len(client.asked())
    assert home.aish("window", "unset", client.model).returncode == 0
    client.until_again(process, "asked", 2)  # the scripted model calls its tool once more: that is another permission
    assert (home.root / "log").read_text() == "line\n", "what was allowed once was done twice"
    assert home.aish("answer", process.id, "deny").returncode == 0
    deadline_s = time.monotonic() + DEADLINE_S
    while (mail := home.client.mail(process)[-1]).state != "answered":
        assert time.monotonic() < deadline_s, (mail.state, process.row().state, client.log(process))
        time.sleep(0.1)
    assert mail.deliveries == 2
    body = client.asked()[asked].body
    assert b"echo line >> log" in body, "in the same conversation"
    assert b"do not do again what is done already" in body
    assert key == client.key(process)
