"""What `@name` stands for where it is the name or the id of a process that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aish.agents import invocation, stub
from aish.errors import NotFoundError
from aish.wire.spec import BudgetPart

if TYPE_CHECKING:
    from conftest import Home


def test_a_model_that_runs_is_asked_by_its_id(home: Home) -> None:
    """`echo hi | @p1` did not know what ps shows."""
    done = home.aish("model", "serve", "away", "--url", "http://127.0.0.1:1/v1", "--no-wait")
    assert done.stdout.startswith("p1 "), done.stderr
    for word in ("@p1", "@away"):
        spec = stub.resolve(word, ["say", "it"])
        assert (spec.name, spec.model) == ("ask-away", "away")
        assert spec.argv == [w.encode() for w in invocation.command(["say", "it"], direct_model="away")]


def test_a_running_agent_s_id_is_another_run_of_it(home: Home) -> None:
    (home.config / "agents").mkdir(parents=True)
    (home.config / "agents" / "brief.md").write_text("---\nmodel: away\n---\nBe brief.")
    for name in ("brief", "brief-2"):
        home.aish("spawn", "--kind", "agent", "--name", name, "--", "sleep", "60")
    for word in ("@p1", "@p2"):
        assert stub.resolve(word, []).name == "brief"


def test_what_has_an_input_of_its_own_is_told_as_such(home: Home) -> None:
    home.aish("spawn", "--name", "job", "--", "sleep", "60")
    for word in ("@p1", "@job"):
        with pytest.raises(NotFoundError, match="with an input of its own") as error:
            stub.resolve(word, [])
        assert "aish logs -f p1" in (error.value.hint or "")


def test_what_a_file_says_of_limits_and_secrets_is_in_the_spec(home: Home) -> None:
    """A budget that stands in a file and nowhere else would hold nobody."""
    folder = home.config / "agents"
    folder.mkdir(parents=True)
    head = "model: away\nsecrets: [GH_TOKEN]\nlimits: {tokens: 5k, usd: 0.5, requests: 7, context: 2k}"
    (folder / "text.md").write_text(f"---\n{head}\n---\nBe brief.")
    (folder / "acts.md").write_text(f"---\n{head}\ntools: [read]\n---\nBe brief.")
    for word in ("@text", "@acts"):
        spec = stub.resolve(word, [])
        assert spec.budget_tokens == 5000
        assert spec.budget == BudgetPart(usd=0.5, requests=7, context_tokens=2000)
        assert spec.secrets == ["GH_TOKEN"]


def test_with_a_slash_it_is_the_path_of_a_file(home: Home) -> None:
    folder = home.root / "my agents"
    folder.mkdir()
    (folder / "tidy.md").write_text("---\nmodel: away\nlimits: {tokens: 5k}\n---\nTidy.")
    for word in ("@./tidy.md", f"@{folder}/tidy.md"):
        part = stub.resolve(word, [], cwd=str(folder))
        assert (part.name, part.budget_tokens) == ("tidy", 5000)
        assert str(folder / "tidy.md").encode() in part.argv
    with pytest.raises(NotFoundError, match=r"no agent file .*none\.md"):
        stub.resolve("@./none.md", [], cwd=str(folder))
    with pytest.raises(NotFoundError, match="no agent or model is called tidy"):
        stub.resolve("@tidy", [], cwd=str(folder))
