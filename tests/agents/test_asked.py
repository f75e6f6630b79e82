"""What is asked of a run of an agent: options before its words, a schema that is one, an agent that can keep it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aish.agents import schema
from aish.agents.adapters import load
from aish.agents.agent import Agent, MapReduce
from aish.agents.asked import LAST, Asked, by_schema, parted
from aish.errors import SourceError, UsageError
from aish.spi.acting import Acting

TITLE = {"properties": {"title": {"type": "string"}}, "required": ["title"]}


@pytest.mark.parametrize(
    ("words", "asked", "rest"),
    [
        (["fix", "it"], Asked(), ["fix", "it"]),
        (["--schema", "a.json", "fix"], Asked("a.json"), ["fix"]),
        (["--schema=a.json", "--continue", "fix", "--schema", "x"], Asked("a.json", LAST), ["fix", "--schema", "x"]),
        (["--session", "s7", "--", "--continue"], Asked(None, "s7"), ["--continue"]),
        (["--", "--schema", "x"], Asked(), ["--schema", "x"]),
        (["--verbose", "--schema", "x"], Asked(), ["--verbose", "--schema", "x"]),
        ([], Asked(), []),
    ],
)
def test_options_stand_before_the_first_word(words: list[str], asked: Asked, rest: list[str]) -> None:
    assert parted(words) == (asked, rest)


def test_what_was_typed_elsewhere_stays() -> None:
    assert parted(["--schema", "b"], Asked("a", LAST)) == (Asked("b", LAST), [])


@pytest.mark.parametrize("words", [["--schema"], ["--session"], ["--schema="]])
def test_an_option_without_its_value(words: list[str]) -> None:
    with pytest.raises(UsageError, match=r"--s\w+ (needs a value|is empty)"):
        parted(words)


def test_a_schema_of_a_file_and_on_the_line(tmp_path: Path) -> None:
    (tmp_path / "title.json").write_text(json.dumps(TITLE))
    assert schema.of_word("title.json", str(tmp_path)) == TITLE
    assert schema.of_word(json.dumps(TITLE), "/nowhere") == TITLE


@pytest.mark.parametrize(
    ("content", "place", "message"),
    [
        ('{\n "type": "object",\n "properties": }', ":3:16: ", "not JSON"),
        ("[]", ": ", "schema: no object"),
        ('{"type": "array"}', ": ", "the answer has to be an object"),
        (
            '{"$ref": "#/$defs/X", "$defs": {"X": {"type": "array"}}}',
            ": ",
            "the answer has to be an object",
        ),
        ('{"properties": {"title": {"type": "strin"}}}', ": ", "$.properties.title.type: 'strin' is not valid"),
        ('{"properties": {"a": {"$ref": "#/$defs/b"}}}', ": ", "$.properties.a: $ref '#/$defs/b' leads nowhere"),
        ("[" * 100_000, ": ", "nested too deep"),
    ],
)
def test_a_wrong_schema_is_refused_with_its_place(tmp_path: Path, content: str, place: str, message: str) -> None:
    """A model was asked, and paid, before anybody saw that the answer could never be by it."""
    path = tmp_path / "wrong.json"
    path.write_text(content)
    with pytest.raises(SourceError) as caught:
        schema.of_word("wrong.json", str(tmp_path))
    assert str(caught.value).startswith(f"{path}{place}")
    assert message in caught.value.message
    if content.startswith("{"):
        with pytest.raises(UsageError, match="--schema: "):
            schema.of_word(content, str(tmp_path))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--schema nowhere\.json: cannot be read: No such file"):
        schema.of_word("nowhere.json", str(tmp_path))


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('{"title": "x"}', None),
        ('{"title": 1}', "$.title: 1 is not of type 'string'"),
        ("{}", "$: 'title' is a required property"),
        ("[]", "$: [] is not of type 'object'"),
        ("no", "it is no JSON"),
    ],
)
def test_an_answer_by_it(text: str, wrong: str | None) -> None:
    assert schema.flaw(TITLE, text) == wrong


def test_another_adapter_may_have_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was the name of the adapter that decided, which a plugin cannot have."""
    made = load("program")
    monkeypatch.setattr(type(made), "answers_by_schema", True, raising=False)
    agent = by_schema(Agent("a", adapter="program"), TITLE)
    assert (agent.adapter, agent.acting and agent.acting.schema) == ("program", TITLE)


def test_who_turned_text_into_text_acts_by_it() -> None:
    agent = by_schema(Agent("a", instructions="Sort."), TITLE)
    assert agent.adapter == "builtin"
    assert agent.acting is not None
    assert (agent.acting.schema, agent.acting.tools) == (TITLE, ())
    acting = by_schema(Agent("b", adapter="builtin", acting=Acting(tools=("read",), schema={"x": 1})), TITLE).acting
    assert acting is not None
    assert (acting.schema, acting.tools) == (TITLE, ("read",))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"adapter": "claude"}, "claude has no answer by a schema"),
        ({"whole_sentences": True}, "@a cannot answer by a schema as its file is"),
        ({"map_reduce": MapReduce(reduce="join")}, "@a cannot answer by a schema as its file is"),
    ],
)
def test_who_cannot_is_refused(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        by_schema(Agent("a", **fields), TITLE)
