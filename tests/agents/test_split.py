"""Splitting loses nothing, repeats nothing, and every part fits; whatever the text and the tokenizer."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aish.agents.split import boundary, split
from aish.errors import LimitError


def by_bytes(text: str) -> int:
    """The worst tokenizer: a token a byte."""
    return len(text.encode("utf-8", "surrogatepass"))


def by_words(text: str) -> int:
    return len(text.split()) + text.count("\n") + len(text) // 40


def by_thirds(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass")) // 3 + 1


COUNTS: list[Callable[[str], int]] = [by_bytes, by_words, by_thirds]
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=2000) | st.text(
    st.sampled_from("ab .\n\n\t!?。\0é́👩\u200d🏽日"), max_size=2000
)


@settings(max_examples=300)
@given(TEXTS, st.integers(4, 300), st.sampled_from(COUNTS), st.none() | st.integers(0, 5000))
def test_nothing_lost_nothing_twice_and_all_fit(
    text: str, room: int, count: Callable[[str], int], estimate: int | None
) -> None:
    """A wrong estimate of the whole costs questions, never a part that does not fit."""
    parts = split(text, room, count, count(text) if estimate is None else estimate)
    assert "".join(parts) == text
    assert all(parts)
    assert all(count(part) <= room for part in parts)


PATHOLOGICAL = {
    "one word of a megabyte": "x" * (1 << 20),
    "only line ends": "\n" * 300_000,
    "only spaces": " " * 300_000,
    "NULs": "\0" * 100_000,
    "emoji": "👩🏽‍🚀" * 20_000,
    "endless accents": "e" + "\u0301" * 50_000,
    "one long line": "word " * 100_000,
    "dense after loose": " " * 200_000 + "日" * 50_000,
}


@pytest.mark.parametrize("text", PATHOLOGICAL.values(), ids=PATHOLOGICAL.keys())
@pytest.mark.parametrize("count", COUNTS)
def test_pathological_input_ends(text: str, count: Callable[[str], int]) -> None:
    calls = 0

    def counted(part: str) -> int:
        nonlocal calls
        calls += 1
        return count(part)

    parts = split(text, 900, counted, count(text))
    assert "".join(parts) == text
    assert all(count(part) <= 900 for part in parts)
    assert calls <= 5 * len(parts) + 20, "each question goes over the network"


def test_the_work_grows_with_the_text_not_with_its_square() -> None:
    """A question never carries more than a few parts' worth of text, so a long input is not sent again and again."""
    longest = total = 0

    def counted(part: str) -> int:
        nonlocal longest, total
        longest, total = max(longest, len(part)), total + len(part)
        return by_thirds(part)

    text = "A sentence of some words. " * 40_000
    split(text, 1000, counted, by_thirds(text))
    assert longest <= 4 * 3000 + 4
    assert total <= 4 * len(text)


def test_a_character_that_does_not_fit_is_refused_and_not_looped_over() -> None:
    with pytest.raises(LimitError, match="one character needs 4 tokens"):
        split("ab🦊", 3, by_bytes, 6)


def test_empty() -> None:
    assert split("", 10, by_bytes, 0) == []


@pytest.mark.parametrize(
    ("window", "before_the_cut"),
    [
        ("one two three.\n\nfour\nsix s", "one two three.\n\n"),
        ("one two three four.\nfive. six s", "one two three four.\n"),
        ("one two three four. five six", "one two three four. "),
        ("一二三四。五六七", "一二三四。"),
        ("one two three four fi", "one two three four "),
        ("onetwothreefour", "onetwothreefou"),
    ],
    ids=["paragraph", "line", "sentence", "CJK sentence", "word", "character"],
)
def test_the_best_boundary_wins(window: str, before_the_cut: str) -> None:
    assert window[: boundary(window)] == before_the_cut


def test_a_paragraph_far_back_does_not_make_a_tiny_part() -> None:
    window = "Title\n\n" + "a sentence of words " * 20
    assert boundary(window) > len(window) // 2


def test_characters_keep_their_marks() -> None:
    """An accent or the second half of an emoji at the head of a part would be noise to the model."""
    for text in ("abcde\u0301" * 50, "👩🏽\u200d🚀" * 50):
        for part in split(text, 20, by_bytes, by_bytes(text))[1:]:
            assert part[0] not in "\u0301\u200d🏽🚀"


def test_parts_are_even() -> None:
    """A last part of a few words makes a poor answer."""
    text = "One two three four five. " * 41
    parts = split(text, len(text) - 30, by_bytes, len(text))
    assert len(parts) == 2
    assert len(parts[1]) > len(text) // 3
