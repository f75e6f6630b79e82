"""Labels as people type them, and what is refused."""

from __future__ import annotations

import pytest

from aish.errors import InputError, UsageError
from aish.model import label


def test_as_typed() -> None:
    assert label.parse(["a=1", "b/c.d_e-f=x=y", "empty="]) == {"a": "1", "b/c.d_e-f": "x=y", "empty": ""}
    assert label.parse_wanted(["a=1", "b", "c="]) == {"a": "1", "b": None, "c": ""}
    assert label.parse_changes(["a=1-", "old-", "b="]) == ({"a": "1-", "b": ""}, ["old"])


@pytest.mark.parametrize(
    "labels",
    [
        {"": "x"},
        {"k" * 64: "x"},
        {"two words": "x"},
        {"ключ": "x"},
        {"k": "v" * 257},
        {"k": "a\nb"},
        {"k": "\x1b[2J"},
        {"k": "\udcff"},
        {f"k{number}": "" for number in range(33)},
    ],
)
def test_what_no_process_may_have(labels: dict[str, str]) -> None:
    """A label is shown on terminals and kept in the journal: bounded and harmless."""
    with pytest.raises(InputError) as error:
        label.check(labels)
    assert error.value.field == "labels"


@pytest.mark.parametrize("words", [["novalue"], ["=x"], ["k=\x07"]])
def test_wrong_words(words: list[str]) -> None:
    with pytest.raises(UsageError):
        label.parse(words)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [({}, True), ({"a": "1"}, True), ({"a": None}, True), ({"a": "2"}, False), ({"b": None}, False)],
)
def test_matches(wanted: dict[str, str | None], found: bool) -> None:
    assert label.matches({"a": "1"}, wanted) is found
