"""What is Codex's alone: its own login is observed by the logs of its sessions; its patches are diffs."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from .conftest import DEADLINE_S

if TYPE_CHECKING:
    from .conftest import Client

pytestmark = [
    pytest.mark.clients,
    pytest.mark.parametrize("client", ["codex"], indirect=True),
    pytest.mark.timeout(180),
]


def test_its_own_login_is_observed(client: Client) -> None:
    """A provider of its own settings stands for its vendor: nothing of it passes the gateway."""
    settings = client.home.root / ".codex" / "config.toml"
    settings.parent.mkdir()
    settings.write_text(
        f'model = "its-own"\nmodel_provider = "vendor"\n'
        f'[model_providers.vendor]\nname = "vendor"\nbase_url = "{client.running.url}"\nwire_api = "responses"\n'
    )
    client.agent_file("mine", "login: own\n")
    done = client.home.aish("run", "@mine", "say 4", cwd=client.home.root)
    assert done.stdout.split() == ["w0", "w1", "w2", "w3"], done.stderr
    assert [each.fields["model"] for each in client.asked()] == ["its-own"]
    (row,) = [each for each in client.home.client.processes(all=True) if each.name == "mine"]
    passed = [each for each in client.home.client.requests() if each.process == row.id and each.bytes_in]
    assert passed == [], "what is read in its log is a row, too, and has no bytes"
    deadline_s = time.monotonic() + DEADLINE_S
    while (tokens := client.home.client.process(row.id).row().tokens) is None or not tokens.observed:
        assert time.monotonic() < deadline_s, "its log was not read"
    assert (tokens.input, tokens.output) == client.told_tokens()


def test_a_patch_is_a_diff(client: Client) -> None:
    patch = "*** Begin Patch\n*** Add File: poem.txt\n+roses\n*** End Patch"
    command = f"apply_patch <<'EOF'\n{patch}\nEOF"
    more = {"yield_time_ms": 30000, "sandbox_permissions": "require_escalated", "justification": "May I?"}
    process = client.spawn("call exec_command " + json.dumps({"cmd": command, **more}))
    client.until(process, "asked")
    question = client.question(process)
    path = client.home.root / "poem.txt"
    assert (question.title, question.form) == (f"patch: {path}", "diff")
    assert question.body == f"--- /dev/null\n+++ {path}\n+roses"
    assert client.home.aish("answer", process.id, "allow").returncode == 0
    assert process.wait(timeout_s=DEADLINE_S).code == 0, client.log(process)
    assert path.read_text() == "roses\n"
