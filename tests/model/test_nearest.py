"""Suggestions help and never mislead."""

from __future__ import annotations

from aish.model.nearest import edit_distance, nearest

VERBS = ("ps", "spawn", "stop", "pause", "inspect", "shutdown")


def test_a_typo_finds_its_word() -> None:
    assert [nearest(word, VERBS) for word in ("spwan", "stpo", "inspct", "shut")] == [
        "spawn",
        "stop",
        "inspect",
        "shutdown",
    ]


def test_a_word_that_only_says_more_finds_the_shorter_one() -> None:
    assert nearest("upstream_name", ("url", "upstream", "key_file")) == "upstream"
    assert nearest("keyword_x", ("key",)) is None


def test_what_is_far_from_everything_has_no_suggestion() -> None:
    assert nearest("kubernetes", VERBS) is None


def test_a_swap_of_neighbours_is_one_edit() -> None:
    assert edit_distance("stpo", "stop") == 1
    assert edit_distance("", "abc") == 3
    assert edit_distance("kitten", "sitting") == 3
