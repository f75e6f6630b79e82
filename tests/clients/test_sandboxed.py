"""Claude Code and Codex in a sandbox with a network of its own: the gateway's door is all that they ask their models
by, and what their tools do stays within."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from aish.client import connect
from aish.wire.message import Inspect
from aish.wire.reply import Inspected

from .conftest import DEADLINE_S

if TYPE_CHECKING:
    from aish.client import Process
    from aish.wire.question import QuestionPart

    from .conftest import Client

pytestmark = [
    pytest.mark.clients,
    pytest.mark.parametrize("client", ["claude", "codex"], indirect=True),
    pytest.mark.timeout(180),
]


def until_asked(client: Client, process: Process, title: str) -> QuestionPart:
    """Its sandbox may ask, too, in `dev`: Codex reaches for a host by itself."""
    for event in client.home.client.events(follow=True, names=[process.id]):
        assert event.kind not in ("exited", "failed", "lost"), client.log(process)
        if event.kind == "asked":
            for found in client.home.client.questions(process.id):
                if found.title.startswith(title):
                    return found
    raise AssertionError("events ended")


@pytest.mark.parametrize("profile", ["closed", "dev"])
def test_a_whole_turn_with_a_tool_in_a_network_of_its_own(client: Client, profile: str) -> None:
    work = client.home.root / "work"
    work.mkdir()
    outside = client.home.root / "outside"
    command = f"touch made; touch {outside}; readlink /proc/self/ns/net > net"
    words = ("spawn", "--json", "--model", client.model, "--sandbox", profile, "--", f"@{client.name}")
    done = client.home.aish(*words, client.tool(command), cwd=work)
    if "sandbox" in done.stderr and done.returncode == 69:
        pytest.skip(f"no tier of a sandbox holds here: {done.stderr}")
    assert done.returncode == 0, done.stderr
    process = client.home.client.process(json.loads(done.stdout)["id"])
    with connect(start=False, program="test") as line:
        tier = line.ask(Inspected, Inspect(target=process.id)).sandbox_tier
    if tier != "bwrap":
        pytest.skip(f"bwrap does not hold here, but {tier}, which gives no network of its own")
    question = until_asked(client, process, f"{client.shell}: touch made")
    assert client.home.aish("answer", f"q{question.number}", "allow").returncode == 0
    assert process.wait(timeout_s=DEADLINE_S).code == 0, client.log(process)
    assert (work / "made").exists()
    assert not outside.exists()
    assert (work / "net").read_text().strip() != os.readlink("/proc/self/ns/net")
    assert client.log(process, "stdout").split() == ["w0", "w1", "w2"]
    assert len(client.asked()) == 2
    assert client.counted(process) == client.told_tokens(), "it is metered by its door"


def test_its_conversation_goes_on_there_and_is_forked(client: Client) -> None:
    work = client.home.root / "work"
    work.mkdir()
    words = ("spawn", "--json", "--model", client.model, "--sandbox", "closed", "--", f"@{client.name}")
    done = client.home.aish(*words, cwd=work)
    assert done.returncode == 0, done.stderr
    id = json.loads(done.stdout)["id"]
    for prompt in ("say 1 ALPHA", "say 1 BETA"):
        done = client.home.aish("ask", id, prompt, cwd=work, input="")
        assert done.returncode == 0, done.stderr
    assert b"ALPHA" in client.asked()[-1].body
    done = client.home.aish("fork", id, "--as", "other", cwd=work)
    assert done.returncode == 0, done.stderr
    done = client.home.aish("ask", "@other", "say 1 GAMMA", cwd=work, input="")
    assert done.returncode == 0, done.stderr
    body = client.asked()[-1].body
    assert [word in body for word in (b"ALPHA", b"BETA", b"GAMMA")] == [True] * 3
    assert not [path for path in client.home.root.glob(".c*/*") if "projects" in path.name], "nor in the person's own"
