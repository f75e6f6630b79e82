"""Each built-in has a reference page, which says how it is called in the words of `help`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aish.lang.builtins import TOPIC_OF
from aish.lang.builtins.enabling import synopsis

if TYPE_CHECKING:
    from tests.lang.conftest import Aish

PAGES = Path(__file__).resolve().parents[3] / "docs" / "reference" / "builtins"
_NAMED = {":": "colon", ".": "dot", "source": "dot", "[": "test", "typeset": "declare", "readarray": "mapfile"}


@pytest.mark.parametrize("name", sorted(TOPIC_OF))
def test_the_page_says_how_it_is_called(name: str) -> None:
    page = (PAGES / f"{_NAMED.get(name, name)}.md").read_text(encoding="utf-8")
    how, what = synopsis(name)
    words = how.replace(";", " ").split()
    assert name in words or _NAMED[name] in words  # another name of the same
    assert what
    assert f"\n{how}\n" in page


def test_no_page_is_of_something_else() -> None:
    names = {_NAMED.get(name, name) for name in TOPIC_OF}
    assert {page.stem for page in PAGES.glob("*.md")} <= names


def test_help_says_the_same(aish: Aish) -> None:
    found = aish("help shift; help -s -- umask; help -d :; help 'pop*' | head -1; help nosuch; echo $?")
    assert found.out == (
        "shift: shift [n]\n    Drop the first n positional parameters; status 1 where there are fewer.\n"
        "umask: umask [-p] [-S] [mask]\n: - Do nothing, and succeed.\npopd: popd [-n] [+N | -N]\n1\n"
    )
    assert "nosuch" in found.err


def test_help_lists_all(aish: Aish) -> None:
    assert len(aish("help").out.splitlines()) == len(TOPIC_OF)
