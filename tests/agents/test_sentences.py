"""Whole sentences, each once: nothing of a good answer is lost, and a loop is not shown."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aish.agents.sentences import Sentences


def shown(*pieces: str, cut: bool) -> str:
    sentences = Sentences()
    text = "".join(sentences.feed(piece) for piece in pieces)
    return text + sentences.end(cut)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One is here. Two is he", "One is here. "),
        ("One is here. Two is here.", "One is here. Two is here."),
        ('He said "stop." Then he', 'He said "stop." '),
        ("Half a sentence only, ", "Half a sentence only …"),
        ("It has 2.5 litres, e.g. of wat", "It has 2.5 litres, e.g. of wat …"),
        ("A quoted\nline ends. And hal", "A quoted\nline ends. "),
        ("A heading\n\nAnd half a", "A heading\n\n"),
        ("Is it? Yes! It i", "Is it? Yes! "),
        ("一二三四。五六七", "一二三四。"),
        ("It was J. S. Bach. He w", "It was J. S. Bach. "),
    ],
)
def test_half_sentences_are_dropped_where_the_limit_cut(text: str, expected: str) -> None:
    assert shown(text, cut=True) == expected
    assert shown(*text, cut=True) == expected, "the same, a character at a time"
    assert shown(text, cut=False) == text, "a model that stopped by itself has said what it wanted"


LOOP = "A card spins while it waits, and another card spins while it waits. "


def test_a_loop_is_shown_once() -> None:
    assert shown("The job stood still. ", LOOP * 5, cut=True) == "The job stood still. " + LOOP


def test_a_loop_that_varies_a_little_is_a_loop() -> None:
    text = (
        "I had to decide how to use data, and how to use it. "
        "And then I had to decide how to use data, and how to use it. "
        "I went to bed early."
    )
    assert shown(text, cut=False) == "I had to decide how to use data, and how to use it. I went to bed early."


def test_sentences_that_share_a_phrase_are_not_a_loop() -> None:
    text = "The eastern hive has eight frames of brood. The western hive has four frames and hardly any brood. "
    assert shown(text, cut=False) == text


def test_short_answers_are_never_taken_for_loops() -> None:
    assert shown("No. No. No.", cut=False) == "No. No. No."


def test_they_stream() -> None:
    sentences = Sentences()
    assert sentences.feed("One is he") == ""
    assert sentences.feed("re. Tw") == "One is here. "
    assert sentences.feed("o is here. ") == "Two is here. "
    assert sentences.end(cut=True) == ""


@given(st.text(st.sampled_from("abcdefgh .!?\n\"'2。"), max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_how_it_was_cut_into_pieces_makes_no_difference(text: str, cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(text)]
    pieces = [text[a:b] for a, b in pairwise(edges)]
    for cut in (True, False):
        assert shown(*pieces, cut=cut) == shown(text, cut=cut)


@given(st.lists(st.integers(0, 10**6), unique=True, max_size=12))
def test_a_finished_answer_without_repetition_is_whole(numbers: list[int]) -> None:
    text = " ".join(f"Item {number} stands {number + 1} apart." for number in numbers)
    assert shown(*text, cut=False) == text


def test_a_long_answer_without_a_sentence_costs_linear_time() -> None:
    """Each piece is searched once: code or a table may have thousands of words and no full stop."""
    sentences = Sentences()
    for _ in range(20_000):
        assert sentences.feed("word ") == ""
    assert len(sentences.end(cut=True)) > 90_000
