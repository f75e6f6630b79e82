"""`--schema` on the whole way: the answer of a model, of an agent's file and of one that reads mail is JSON by it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from aish.plugins.simprovider.thread import Running

if TYPE_CHECKING:
    from conftest import Home

TITLE = json.dumps({"properties": {"title": {"type": "string"}}, "required": ["title"]})
FITS = 'json {"title": "one"}'


@pytest.fixture
def up(sim: Running, shared_home: Home) -> Home:
    folder = shared_home.root / ".aish" / "agents"
    folder.mkdir(parents=True)
    (folder / "talks.md").write_text("---\nmodel: sim\n---\nAnswer.")
    (folder / "joins.md").write_text("---\nmodel: sim\nmap_reduce: {reduce: join}\n---\nAnswer.")
    (shared_home.root / "title.json").write_text(TITLE)
    return shared_home


@pytest.mark.slow
def test_a_model_answers_by_a_schema_and_what_does_not_fit_is_65(up: Home) -> None:
    done = up.aish("run", "--schema", TITLE, "--", "@sim", FITS, cwd=up.root)
    assert (json.loads(done.stdout), done.returncode) == ({"title": "one"}, 0), done.stderr
    done = up.aish("run", "--schema", TITLE, "--", "@sim", 'json {"title": 1}', cwd=up.root)
    assert (done.stdout, done.returncode) == ("", 65)
    assert "the answer is not by the schema, twice" in done.stderr


@pytest.mark.slow
def test_an_agents_file_does_in_the_shell_too(up: Home) -> None:
    done = up.aish("-c", f"echo '{FITS}' | @talks --schema title.json", cwd=up.root)
    assert (done.stdout, done.returncode) == ('{"title": "one"}\n', 0), done.stderr
    done = up.aish("ask", "--schema", "title.json", "talks", FITS, cwd=up.root)
    assert (done.stdout, done.returncode) == ('{"title": "one"}\n', 0), done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("run", "--schema", "wrong.json", "--", "@talks", "x"), "wrong.json:2:1: not JSON"),
        (("run", "--schema", '{"type": 5}', "--", "@talks", "x"), "--schema: the answer has to be an object"),
        (("ask", "--schema", "nowhere.json", "talks", "x"), "--schema nowhere.json: cannot be read"),
        (("run", "--schema", "title.json", "--", "@joins", "x"), "@joins cannot answer by a schema as its file is"),
        (("run", "--schema", "title.json", "--", "@program", "x"), "program has no answer by a schema"),
        (("run", "--schema", "title.json", "--", "true"), "--schema and --session are for agents and models"),
        (("run", "--session", "last", "--", "@talks", "x"), "@talks turns text into text"),
        (("run", "--session", "last", "--continue", "--", "@builtin", "x"), "builtin keeps none"),
        (("run", "--session", "s1", "--continue", "--", "@builtin", "x"), "--continue is --session last"),
    ],
)
def test_what_cannot_be_is_refused_before_a_model_is_asked(
    up: Home, sim: Running, words: tuple[str, ...], told: str
) -> None:
    before = len(sim.provider.requests)
    (up.root / "wrong.json").write_text("{\n")
    done = up.aish(*words, cwd=up.root)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert told in done.stderr
    assert len(sim.provider.requests) == before


@pytest.mark.slow
def test_one_that_reads_mail_is_asked_by_a_schema_for_one_message(up: Home) -> None:
    (up.root / ".aish" / "agents" / "acts.md").write_text("---\nmodel: sim\ntools: []\n---\nAnswer.")
    done = up.aish("spawn", "--name", "acts", "--", "@acts", cwd=up.root)
    assert done.returncode == 0, done.stderr
    done = up.aish("ask", "--schema", "title.json", "acts", FITS, cwd=up.root)
    assert (done.stdout, done.returncode) == ('{"title": "one"}\n', 0), done.stderr
    assert up.aish("ask", "acts", "say 2", cwd=up.root).stdout == "w0 w1\n", "the schema was of one message"
    done = up.aish("ask", "--schema", "title.json", "acts", 'json {"title": 2}', cwd=up.root)
    assert (done.returncode, "not by the schema" in done.stdout) == (65, True)
