"""An agent file says what it says, or its author is told the line, what was expected and what to write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aish.agents import allowance, limits
from aish.agents.agent import valid_name
from aish.agents.definition import parse
from aish.cli.limit import _OWN
from aish.errors import SourceError
from aish.wire import budget
from aish.wire.spec import BudgetPart, LimitPart

FULL = """---
name: critic
description: Finds what is weak
model: smollm2
input: text
temperature: 0.2
top_p: 0.9
seed: 7
stop: ["END", "\\n\\n"]
frequency_penalty: 0.5
presence_penalty: -1
whole_sentences: true
when_reserved: model:small
limits:
  tokens: 200k
  max_output_tokens: 300
  wall: 90s
prompt: |
  {input}

  What is weak?
map_reduce:
  chunk_prompt: "Part: {input}"
  part_tokens: 1k
  reduce: answer
  reduce_prompt: "Parts: {input}"
---
You are a critic.

Be brief.
"""


def test_every_key() -> None:
    agent = parse(FULL, "/somewhere/file.md")
    assert agent.name == "critic"
    assert agent.description == "Finds what is weak"
    assert agent.model == "smollm2"
    assert agent.instructions == "You are a critic.\n\nBe brief."
    assert agent.prompt == "{input}\n\nWhat is weak?"
    assert (agent.limits.tokens, agent.limits.max_output_tokens, agent.limits.wall_s) == (200_000, 300, 90.0)
    sampling = agent.sampling
    assert (sampling.temperature, sampling.top_p, sampling.seed, sampling.stop) == (0.2, 0.9, 7, ("END", "\n\n"))
    assert (sampling.frequency_penalty, sampling.presence_penalty) == (0.5, -1.0)
    assert agent.whole_sentences is True
    assert agent.when_reserved == "model:small"
    folding = agent.map_reduce
    assert (folding.chunk_prompt, folding.reduce, folding.reduce_prompt) == (
        "Part: {input}",
        "answer",
        "Parts: {input}",
    )
    assert folding.part_tokens == 1000
    assert agent.file == "/somewhere/file.md"


@pytest.mark.parametrize("text", ["Be brief.", "---\n---\nBe brief.", "---\n# only a comment\n---\n\nBe brief.\n"])
def test_instructions_alone_are_an_agent(text: str) -> None:
    agent = parse(text, "brief.md")
    assert (agent.name, agent.model, agent.instructions, agent.prompt) == ("brief", "default", "Be brief.", "{input}")
    assert agent.limits.tokens is None
    assert agent.sampling.temperature is None
    assert agent.sampling.stop == ()


@pytest.mark.parametrize(("word", "worktree"), [("true", ""), ("false", None), ("mine", "mine")])
def test_a_worktree(word: str, worktree: str | None) -> None:
    assert parse(f"---\nworktree: {word}\n---\nBe brief.", "a.md").worktree == worktree


def test_windows_line_ends_and_a_byte_order_mark() -> None:
    agent = parse("\ufeff---\r\nmodel: big\r\n---\r\nBe\r\nbrief.\r\n", "a.md")
    assert (agent.model, agent.instructions) == ("big", "Be\nbrief.")


def test_a_rule_in_the_text_is_no_front_matter() -> None:
    assert parse("Be brief.\n\n---\n\nAnd kind.", "a.md").instructions == "Be brief.\n\n---\n\nAnd kind."


WRONG = {
    # what is wrong: (head lines, line in the file, part of the message, part of the hint)
    "unknown key": (["model: x", "temprature: 0"], 3, "temprature: unknown key", "did you mean temperature?"),
    "unknown, nothing near": (["zzzzzzzz: 1"], 2, "zzzzzzzz: unknown key", "known here: name"),
    "unknown limit": (["limits:", "  token: 5"], 3, "limits.token: unknown key", "did you mean tokens?"),
    "unknown option": (["map_reduce:", "  redcue: join"], 3, "map_reduce.redcue", "did you mean reduce?"),
    "instructions in the head": (["instructions: be brief"], 2, "instructions", "text below the front matter"),
    "a worktree that is no name": (["worktree: a/b"], 2, "worktree: a/b cannot be a name", "true, or a name"),
    "a worktree without a word": (["worktree:"], 2, "worktree: has no value", "drop the line"),
    "a size without a unit": (["limits:", "  vram: 5"], 3, "limits.vram: expected a text", "quotes"),
    "a size that is none": (["limits:", "  vram: much"], 3, "limits.vram: not a size: 'much'", "8G"),
    "devices without memory on them": (
        ["limits:", "  gpus: 2"],
        3,
        "limits.gpus: says nothing without vram",
        "vram: 8G",
    ),
    "no device": (["limits:", "  vram: 8G", "  gpus: 0"], 4, "limits.gpus: expected a whole number from 1", None),
    "hardly any memory": (["limits:", "  memory: 1K"], 3, "limits.memory: expected 64K or more", None),
    "a time without a unit": (["limits:", "  wall: 90"], 3, "limits.wall: expected a text, found a number", None),
    "a time that is none": (["limits:", "  wall: soon"], 3, "limits.wall: not a duration: 'soon'", "5m"),
    "no time at all": (["limits:", "  wall: 0s"], 3, "limits.wall: expected a time above 0", "30m"),
    "seconds as they were": (["limits:", "  wall_s: 90"], 3, "limits.wall_s: is called wall", "wall: 30m"),
    "less than no children": (["limits:", "  children: -1"], 3, "limits.children: expected a whole number", None),
    "a day's unknown": (["limits:", "  day: {rpm: 5}"], 3, "limits.day.rpm: unknown key", "known here"),
    "a day that is none": (["limits:", "  day: 5"], 3, "limits.day: expected a table", None),
    "not dollars": (["limits:", "  usd: none"], 3, "limits.usd: expected a number", None),
    "not a table": (["- a", "- b"], 2, "not a table", "model: smollm2"),
    "a text where a table belongs": (["limits: 200k"], 2, "limits: expected a table", "indented"),
    "a table where a text belongs": (["model:", "  name: x"], 2, "model: expected a text, found a table", "quotes"),
    "a number where a text belongs": (["name: 7"], 2, "name: expected a text, found a number", "quotes"),
    "YAML's no": (["name: no"], 2, "name: expected a text, found true or false", "quotes"),
    "no value": (["seed: 1", "model:"], 3, "model: has no value", "drop the line"),
    "an empty text": (['model: "  "'], 2, "model: is empty", None),
    "two lines where one belongs": (['model: "a\\nb"'], 2, "model: expected one line", None),
    "twice": (["model: a", "seed: 1", "model: b"], 4, "model is there twice", "line 2"),
    "a bad name": (["name: ../evil"], 2, "@../evil cannot be a name", "letters"),
    "a name like an id": (["name: p12"], 2, "@p12 cannot be a name", "id"),
    "too hot": (["temperature: 3"], 2, "temperature: expected a number from 0 to 2", None),
    "not a number": (["temperature: warm"], 2, "temperature: expected a number", None),
    "infinite": (["temperature: .inf"], 2, "not a decimal number", "plain digits"),
    "NaN": (["top_p: .nan"], 2, "not a decimal number", "plain digits"),
    "true as a number": (["seed: true"], 2, "seed: expected a whole number", None),
    "a fraction as a seed": (["seed: 1.5"], 2, "seed: expected a whole number", None),
    "an endless number": (["seed: " + "9" * 5000], 2, "not a decimal number", None),
    "sixty-based": (["limits:", "  cpus: 1:30"], 3, "not a decimal number: 1:30", "plain digits"),
    "no tokens": (["limits:", "  tokens: 0"], 3, "limits.tokens: expected a count above 0", "200k"),
    "not a count": (["limits:", "  tokens: many"], 3, "limits.tokens: not a size: 'many'", "200k"),
    "a negative count": (["limits:", "  max_output_tokens: -5"], 3, "limits.max_output_tokens", "200k"),
    "too many stops": (["stop: [a, b, c, d, e]"], 2, "stop: expected a text, or a list of 1 to 4", "END"),
    "an empty stop": (['stop: [""]'], 2, "stop: expected a text", "END"),
    "another input": (["input: json"], 2, "input: expected text, found 'json'", None),
    "a prompt without a place": (
        ["prompt: Summarise."],
        2,
        "prompt: needs {input} exactly once",
        "where the text goes",
    ),
    "a prompt with two": (["prompt: '{input} {input}'"], 2, "prompt: needs {input} exactly once", None),
    "another reduce": (["map_reduce:", "  reduce: jion"], 3, "map_reduce.reduce: expected answer or join", "join?"),
    "reduce twice over": (
        ["map_reduce:", "  reduce: join", "  reduce_prompt: '{input}'"],
        4,
        "map_reduce.reduce_prompt: is never used",
        "drop one",
    ),
    "not a flag": (["whole_sentences: 1"], 2, "whole_sentences: expected true or false, found a number", None),
    "not YAML": (["model: x", "stop: [a, b"], None, "not YAML", None),
    "a colon": (["description: a: b"], 2, "not YAML", 'texts that hold ":"'),
    "a tab": (["limits:", "\ttokens: 5"], 3, "not YAML", "tab"),
    "a control character": (["model: x", "description: a\x07b"], 3, "control character", "remove it"),
    "an alias": (["model: &m x", "description: *m"], 3, "aliases are not supported", "*m"),
    "a tag": (["model: !!python/object/apply:os.system [id]"], 2, "expected a text", None),
    "a tagged scalar": (["model: !secret x"], 2, "the tag !secret is not supported", None),
    "two documents": (["model: x", "...", "model: y"], 4, "", None),
    "a way out that is none": (["when_reserved: models:x"], 2, "expected hold, park or model:NAME", None),
    "deep": (["stop: " + "[" * 20 + "]" * 20], 2, "nested deeper than 6", None),
    "wide": (["stop: [" + "a, " * 3000 + "a]"], 2, "more than 1000 values", None),
    "a merge key": (["<<: {model: x}"], 2, "<<: unknown key", None),
    "a complex key": (["? [a]", ": b"], 2, "a key must be a word", None),
    "long": (["# " + "x" * 40_000], 1, "the front matter is longer than", None),
}


@pytest.mark.parametrize(("head", "line", "message", "hint"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_told_with_its_line(
    head: list[str], line: int | None, message: str, hint: str | None
) -> None:
    with pytest.raises(SourceError) as caught:
        parse("\n".join(["---", *head, "---", "Be brief."]), "dir/a.md")
    error = caught.value
    assert message in error.message
    assert str(error).startswith(f"dir/a.md:{line or error.line}: ")
    if line is not None:
        assert error.line == line
        assert error.source_line == ["---", *head][line - 1]
    if hint is not None:
        assert error.hint is not None
        assert hint in error.hint


def test_an_alias_bomb_costs_nothing() -> None:
    bomb = ["a: &a [x,x,x,x,x,x,x,x,x]"]
    bomb += [
        f"{b}: &{b} [*{a},*{a},*{a},*{a},*{a},*{a},*{a},*{a}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    with pytest.raises(SourceError, match="aliases are not supported"):
        parse("\n".join(["---", *bomb, "---", "x"]), "a.md")


def test_front_matter_without_an_end() -> None:
    with pytest.raises(SourceError, match=r"a\.md:1: the front matter has no end"):
        parse("---\nmodel: x\nBe brief.", "a.md")


@pytest.mark.parametrize("text", ["", "\n\n", "---\nmodel: x\n---\n", "---\nmodel: x\n---"])
def test_no_instructions(text: str) -> None:
    """An agent that says nothing would be the bare model under another name."""
    with pytest.raises(SourceError, match="the agent has no instructions"):
        parse(text, "a.md")


def test_a_prompt_is_instruction_enough() -> None:
    assert parse("---\nprompt: 'Translate: {input}'\n---\n", "a.md").prompt == "Translate: {input}"


def test_a_file_whose_own_name_is_no_name() -> None:
    with pytest.raises(SourceError, match="cannot be a name"):
        parse("Be brief.", "/x/two words.md")


def test_every_limit_by_the_words_of_aish_limit() -> None:
    """children, depth and vram were refused, rpm and the rest unknown: a fan-out had no bound."""
    text = """---
limits: {input: 1k, output: 2k, usd: 0.5, requests: 9, rpm: 30, concurrent: 2, context: 32k, hard: true,
  day: {usd: 5, tokens: 2M}, wall: 2h, children: 8, depth: 0, vram: 8G, gpus: 2, memory: 1G, cpus: 1.5,
  pids: 200}
---
Be brief."""
    found = allowance.fields(parse(text, "a.md").limits)
    assert found["budget"] == BudgetPart(
        input_tokens=1000,
        output_tokens=2000,
        usd=0.5,
        requests=9,
        requests_per_minute=30,
        concurrent=2,
        context_tokens=32_000,
        hard=True,
        usd_per_day=5.0,
        tokens_per_day=2_000_000,
    )
    assert found["limits"] == LimitPart(children=8, depth=0, memory_bytes=1 << 30, cpus=1.5, pids=200)
    assert (found["vram_bytes"], found["gpu_count"], found["run_timeout_s"]) == (8 << 30, 2, 7200.0)


def test_no_limit_is_forgotten() -> None:
    """What `aish limit` can change an agent file can say, by the same word."""
    of_a_file = {*limits.KEYS, *(f"{word}/day" for word in limits.DAY_KEYS)}
    # of a disk and a shell, not of an agent
    assert {*_OWN, *budget.WORDS} - of_a_file == {"read", "write", "nice"}


@given(st.text(max_size=300))
def test_any_text_is_an_agent_or_a_source_error(text: str) -> None:
    for source in (text, f"---\n{text}\n---\nx", f"---\nmodel: {text}\n---\nx", f"---\nlimits:\n  {text}\n---\nx"):
        try:
            parse(source, "a.md")
        except SourceError as error:
            assert error.line is None or error.line >= 1  # noqa: PT017  any agent is right, too


@pytest.mark.parametrize(
    ("name", "valid"),
    [
        ("summarise", True),
        ("my-agent_2.1", True),
        ("A", True),
        ("p", True),
        ("p2x", True),
        ("p12", False),
        ("", False),
        ("2nd", False),
        ("-x", False),
        (".hidden", False),
        ("a/b", False),
        ("naïve", False),
        ("a b", False),
        ("a" * 65, False),
    ],
)
def test_names(name: str, valid: bool) -> None:
    assert valid_name(name) is valid


def test_hosts_of_a_sandbox_are_read_where_they_are_written() -> None:
    text = "---\nadapter: program\nsandbox: {profile: dev, hosts: [a.org, '*.b.org']}\n---\nx"
    found = parse(text, "/x/a.md").sandbox
    assert found is not None
    assert found.hosts == ("a.org", "*.b.org")
    with pytest.raises(SourceError, match=r"no name of a host|a port is"):
        parse(text.replace("a.org", "'a.org:x'"), "/x/a.md")
