"""The plan for a long input comes to an end, fits the context in every round, and drops no answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aish.agents.agent import Agent, MapReduce
from aish.agents.mapreduce import MARGIN_TOKENS, Room, fits, groups, left, parts, room, told
from aish.errors import LimitError


def words(text: str) -> int:
    return len(text.split())


def by_bytes(text: str) -> int:
    return len(text.encode())


@given(
    st.integers(1, 200_000),
    st.integers(0, 5000),
    st.none() | st.integers(1, 100_000),
    st.sampled_from(["answer", "join"]),
)
def test_a_request_never_exceeds_the_context(context: int, fixed: int, most: int | None, reduce: str) -> None:
    try:
        shared = room(context, fixed, most, reduce)
    except LimitError as error:
        assert error.hint is not None  # noqa: PT017  a small context is refused, any other is shared out
        assert context - fixed < 1000
        return
    assert fixed + shared.input_tokens + shared.output_tokens + MARGIN_TOKENS <= context
    assert shared.output_tokens <= (most or context)
    if reduce == "answer":
        assert shared.output_tokens * 3 <= shared.input_tokens + 3


def test_a_joined_answer_may_be_as_long_as_its_text() -> None:
    """A translation that gets a quarter of the context for three quarters of text would always be cut."""
    shared = room(4096, 100, 4000, "join")
    assert shared.output_tokens > shared.input_tokens


def test_instructions_that_fill_the_context_are_refused() -> None:
    with pytest.raises(LimitError, match=r"the instructions \(4,000 tokens\) leave no room"):
        room(4096, 4000, None, "answer")


def test_fits_leaves_room_for_the_answer() -> None:
    assert fits(4096 - MARGIN_TOKENS - 100, 4096, 100, "answer")
    assert not fits(4096 - MARGIN_TOKENS - 99, 4096, 100, "answer")
    assert not fits(4096, 4096, None, "answer")
    assert not fits(2000, 4096, None, "join"), "its translation would not fit"


def test_a_generous_limit_does_not_split_a_short_text() -> None:
    """max_output_tokens is a bound, not a wish: it may be as long as the context."""
    assert fits(400, 4096, 4000, "answer")
    assert fits(400, 4096, 4000, "join")


def test_an_answer_never_asks_for_more_than_is_left() -> None:
    """Some servers refuse a request whose max_tokens do not fit beside the input."""
    assert left(400, 4096, 4000) == 4096 - 400 - MARGIN_TOKENS
    assert left(400, 4096, 100) == 100
    assert left(400, 4096, None) is None
    assert left(5000, 4096, 100) == 1


def test_blank_parts_are_not_asked() -> None:
    shared = Room(1000, 10, 3)
    made = parts("one two\n\n" + "\n" * 100 + "three four", shared, by_bytes, 120, None)
    assert "".join("".join(part.split()) for part in made) == "onetwothreefour"
    assert all(part.strip() for part in made)


def test_an_agent_can_ask_for_smaller_parts_not_for_larger_ones() -> None:
    text = "word " * 400
    assert max(map(words, parts(text, Room(1000, 300, 30), words, 400, 100))) <= 100
    assert max(map(words, parts(text, Room(1000, 300, 30), words, 400, 5000))) <= 300


def test_too_many_parts_are_refused() -> None:
    with pytest.raises(LimitError, match=r"would need [56],\d\d\d requests"):
        parts("x" * 50_000, Room(100, 10, 3), by_bytes, 50_000, None)


@given(st.lists(st.text(st.sampled_from("ab \n"), max_size=80), max_size=40), st.integers(30, 200))
def test_rounds_at_least_halve_and_keep_every_short_answer(answers: list[str], input_tokens: int) -> None:
    shared = Room(10_000, input_tokens, input_tokens // 4)
    made = groups(answers, shared, by_bytes)
    kept = [answer.strip() for answer in answers if answer.strip()]
    assert len(made) <= (len(kept) + 1) // 2
    assert all(by_bytes(text) <= input_tokens for text in made)
    if all(by_bytes(answer) <= input_tokens // 3 for answer in kept):
        assert "\n\n".join(made).split() == " ".join(kept).split()


def test_an_answer_without_bound_is_clipped() -> None:
    """A server that ignores max_tokens would otherwise make the reduction grow in every round."""
    made = groups(["word " * 1000, "short"], Room(1000, 90, 30), words)
    assert len(made) == 1
    assert made[0].endswith("short")
    assert words(made[0]) <= 90


def test_nothing_said_about_nothing() -> None:
    assert groups(["", " \n"], Room(1000, 90, 30), words) == []


def test_the_line_for_people() -> None:
    agent = Agent("s", model="smollm2")
    assert told(9812, True, 4096, 3, agent) == (
        "input is 9,812 tokens, the context of smollm2 is 4,096: split into 3 parts, then joined"
    )
    agent = Agent("s", map_reduce=MapReduce(reduce="join"))
    assert told(9812, False, 4096, 3, agent) == (
        "input is about 9,812 tokens, the context of the model is 4,096: split into 3 parts, one after the other"
    )
