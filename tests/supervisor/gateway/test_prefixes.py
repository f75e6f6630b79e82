"""Which server has seen the beginning of a prompt, pure."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aish.supervisor.gateway.dialects.anthropic.dialect import Anthropic
from aish.supervisor.gateway.dialects.call import Call, parse
from aish.supervisor.gateway.dialects.openai import CHAT, COMPLETIONS, EMBEDDINGS
from aish.supervisor.gateway.prefixes import BLOCK_BYTES, LEAST_BYTES, MOST_MARKS, Prefixes, marks
from aish.supervisor.gateway.routes import Server

LONG = "word " * 400
SYSTEM = {"role": "system", "content": LONG}


def said(*texts: str) -> list[dict[str, Any]]:
    return [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(texts)]


def chat(*messages: dict[str, Any], **fields: object) -> Call:
    return parse(CHAT, json.dumps({"model": "m", "messages": list(messages), **fields}).encode())


def servers() -> tuple[Server, Server]:
    return Server("p1", "small", "unix:/x"), Server("p2", "small", "unix:/x")


def test_a_conversation_that_goes_on_finds_its_server() -> None:
    one, other = both = servers()
    prefixes = Prefixes()
    prefixes.put(one, marks(chat(SYSTEM, *said("a"))))
    prefixes.put(other, marks(chat(SYSTEM, *said("b"))))
    assert prefixes.homes(both, marks(chat(SYSTEM, *said("b", "yes", "and?")))) == {other}
    assert prefixes.homes(both, marks(chat(SYSTEM, *said("a", "yes", "and?")))) == {one}


def test_what_all_agents_of_a_kind_share_is_no_home() -> None:
    one, _ = both = servers()
    prefixes = Prefixes()
    prefixes.put(one, marks(chat(SYSTEM, *said("a"))))
    assert prefixes.homes(both, marks(chat(SYSTEM, *said("c")))) == set()


def test_the_longest_known_beginning_counts_and_equals_are_all_homes() -> None:
    one, other = both = servers()
    prefixes = Prefixes()
    for server in both:
        prefixes.put(server, marks(chat(SYSTEM, *said("a"))))
    longer = marks(chat(SYSTEM, *said("a", "b", "c")))
    assert prefixes.homes(both, longer) == {one, other}
    prefixes.put(other, longer)
    assert prefixes.homes(both, marks(chat(SYSTEM, *said("a", "b", "c", "d", "e")))) == {other}
    prefixes.forget(other)
    assert prefixes.homes(both, longer) == {one}


def test_other_tools_or_instructions_are_another_prompt() -> None:
    one, _ = both = servers()
    prefixes = Prefixes()
    tools = [{"type": "function", "function": {"name": "a", "parameters": {}}}]
    prefixes.put(one, marks(chat(SYSTEM, *said("a"), tools=tools)))
    assert prefixes.homes(both, marks(chat(SYSTEM, *said("a")))) == set()
    assert prefixes.homes(both, marks(chat({"role": "system", "content": LONG + "!"}, *said("a")))) == set()
    assert prefixes.homes(both, marks(chat(SYSTEM, *said("a"), tools=tools, temperature=1))) == {one}


def test_a_short_beginning_is_not_worth_a_wait() -> None:
    assert marks(chat(*said("hi", "ho"))) == ()
    assert len(marks(chat(*said("x" * LEAST_BYTES, "ho")))) == 2


def test_cache_marks_that_move_on_change_nothing() -> None:
    """Anthropic's clients mark the newest message, and take the mark from the one before."""

    def message(text: str, *, marked: bool) -> dict[str, Any]:
        block = {"type": "text", "text": text, **({"cache_control": {"type": "ephemeral"}} if marked else {})}
        return {"role": "user", "content": [block]}

    def ask(*messages: dict[str, Any]) -> Call:
        body = {"model": "m", "max_tokens": 5, "system": LONG, "messages": list(messages)}
        return Anthropic().parse("/messages", json.dumps(body).encode())

    before = marks(ask(message("a", marked=True)))
    after = marks(ask(message("a", marked=False), *said("x", "b")[1:], message("c", marked=True)))
    assert after[:1] == before


def test_text_has_a_mark_for_every_block_and_a_text_to_embed_none() -> None:
    text = "x" * (3 * BLOCK_BYTES)
    shorter, longer = (marks(parse(COMPLETIONS, json.dumps({"prompt": text + end}).encode())) for end in ("", "yz"))
    assert len(shorter) == len(longer) == 3
    assert shorter == longer
    assert marks(parse(EMBEDDINGS, json.dumps({"input": text}).encode())) == ()


def test_what_is_remembered_is_bounded() -> None:
    one, _ = both = servers()
    prefixes = Prefixes()
    first = marks(chat(SYSTEM, *said("first")))
    prefixes.put(one, first)
    for number in range(MOST_MARKS):
        prefixes.put(one, (str(number).encode(),))
    assert prefixes.homes(both, first) == set()
    assert prefixes.homes(both, (b"0", b"x")) == {one}


@given(st.lists(st.one_of(st.none(), st.text(), st.dictionaries(st.text(), st.text())), min_size=1))
def test_anything_that_is_no_message_is_taken_as_it_is(items: list[object]) -> None:
    body = json.dumps({"messages": [SYSTEM, *items]}).encode()
    found = marks(parse(CHAT, body))
    assert len(found) <= len(items)
