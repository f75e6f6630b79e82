"""What is Claude Code's alone: its own login, which passes untouched, and changes of files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .conftest import DEADLINE_S

if TYPE_CHECKING:
    from .conftest import Client

pytestmark = [
    pytest.mark.clients,
    pytest.mark.parametrize("client", ["claude"], indirect=True),
    pytest.mark.timeout(180),
]
BEARER = "sk-ant-oat01-a-bearer-of-a-test"


def test_its_own_login_passes_untouched_and_is_metered(client: Client) -> None:
    origin = client.running.url.removesuffix("/v1")
    words = ("--url", origin, "--dialect", "anthropic", "--login", "client", "--upstream-name", "claude-*")
    assert client.home.aish("model", "serve", "claude", *words).returncode == 0
    client.agent_file("mine", "login: own\nmodel: claude-sim-1\n")
    client.home.environ["CLAUDE_CODE_OAUTH_TOKEN"] = BEARER
    before = len(client.running.provider.requests)
    done = client.home.aish("run", "--json", "@mine", "say 4", cwd=client.home.root)
    assert done.stdout.split() == ["w0", "w1", "w2", "w3"], done.stderr
    came = client.running.provider.requests[before:]
    asked = [
        each for each in came if each.headers.get("user-agent") != "aish-gateway"
    ]  # that looks whether it answers
    assert asked
    for request in asked:
        assert request.headers.get("authorization") == f"Bearer {BEARER}"
        assert "x-aish-key" not in request.headers
        assert "x-api-key" not in request.headers
    (row,) = [each for each in client.home.client.processes(all=True) if each.name == "mine"]
    counted = [each for each in client.home.client.requests() if each.process == row.id]
    assert sum(each.output for each in counted) == 4
    transcript = next((client.home.state / "agents").glob(f"*-{row.id}/transcript.jsonl")).read_text()
    assert BEARER not in transcript + str(row.argv)


def test_a_file_is_changed_by_a_diff_that_was_seen(client: Client) -> None:
    path = client.home.root / "poem.txt"
    path.write_text("roses\nviolets\n")
    (client.home.root / ".claude").mkdir()
    read = f'call Read {{"file_path": "{path}"}}'
    edit = f'call Edit {{"file_path": "{path}", "old_string": "violets", "new_string": "tulips"}}'
    process = client.spawn(f"{read} {edit}")
    client.until(process, "asked")
    question = client.question(process)
    assert (question.title, question.form) == (f"Edit: {path}", "diff")
    assert question.body == f"--- {path}\n+++ {path}\n@@ -1,2 +1,2 @@\n roses\n-violets\n+tulips"
    assert client.home.aish("answer", process.id, "allow").returncode == 0
    assert process.wait(timeout_s=DEADLINE_S).code == 0, client.log(process)
    assert path.read_text() == "roses\ntulips\n"


def test_why_it_is_not_allowed_is_heard(client: Client) -> None:
    process = client.spawn(client.tool("touch made"))
    client.until(process, "asked")
    question = client.question(process)
    client.home.client.answer(question.number, words="say 6")
    assert process.wait(timeout_s=DEADLINE_S).code == 0, client.log(process)
    assert "say 6" in [entry.get("text") for entry in client.entries(process)]
    assert not (client.home.root / "made").exists()


def test_nothing_is_written_into_its_settings(client: Client) -> None:
    process = client.spawn(client.tool("touch made"))
    client.until(process, "asked")
    assert client.home.aish("answer", process.id, "allow", "--always").returncode == 0
    assert process.wait(timeout_s=DEADLINE_S).code == 0, client.log(process)
    for place in (client.home.root, client.home.root / ".claude"):
        assert not list(place.glob("settings*.json"))
