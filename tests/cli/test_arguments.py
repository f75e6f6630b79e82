"""Words of a verb: options stand anywhere, what follows -- is plain."""

from __future__ import annotations

import pytest

from aish.cli.arguments import Parser, json_option, targets
from aish.errors import UsageError


def parser() -> Parser:
    made = Parser("verb", "Do something.")
    targets(made, labels=True)
    json_option(made)
    return made


@pytest.mark.parametrize(
    ("words", "names", "labels"),
    [
        ("a b --json", ["a", "b"], []),
        ("a --json b", ["a", "b"], []),
        ("a -l k=v b --json c", ["a", "b", "c"], ["k=v"]),
        ("--json -l k", [], ["k"]),
        ("--json -- a b", ["a", "b"], []),
        ("--json -- -a", ["-a"], []),
    ],
)
def test_options_stand_anywhere(words: str, names: list[str], labels: list[str]) -> None:
    """`aish signal web --json HUP` was: unrecognized arguments: HUP."""
    found = parser().parse_args(words.split())
    assert (found.target, found.label, found.json) == (names, labels, True)


def test_a_wrong_option_is_told_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="unrecognized arguments: --jsn") as error:
        parser().parse_args(["a", "--jsn", "b"])
    assert "did you mean --json?" in (error.value.hint or "")
    one = Parser("verb", "Do something.")
    targets(one, many=False)
    with pytest.raises(UsageError, match="the following arguments are required: PROCESS"):
        one.parse_args([])
