"""What is no name."""

from __future__ import annotations

import pytest

from aish.model.name import is_id


@pytest.mark.parametrize("word", ["p1", "p12", "p999999999999"])
def test_an_id_is_p_and_a_number(word: str) -> None:
    assert is_id(word)


@pytest.mark.parametrize(
    "word", ["", "p", "1", "P1", "p1x", "pp1", "p-1", "p1234567890123", "p\N{ARABIC-INDIC DIGIT ONE}"]
)
def test_other_words_are_names(word: str) -> None:
    """A name that is taken for an id could not be used."""
    assert not is_id(word)
