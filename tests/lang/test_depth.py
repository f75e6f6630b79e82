"""Room for the language's recursion is not left open for other code, whose C stack Python's limit protects."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from aish.lang.depth import DEEP, deep
from aish.lang.ordinary_depth import ordinary
from aish.lang.script import parse


def test_parsing_leaves_the_limit_as_it_was() -> None:
    """Raised for good, it made deeply nested JSON crash the process."""
    before = sys.getrecursionlimit()
    assert parse("(" * 150 + "true" + ")" * 150).errors == []
    assert sys.getrecursionlimit() == before
    with pytest.raises(RecursionError):
        json.loads("[" * 100_000)


def test_other_code_within_the_language_has_the_ordinary_room() -> None:
    code = """
import json, sys
from aish.lang.depth import deep
from aish.lang.ordinary_depth import ordinary
def down(levels):
    if levels:
        return down(levels - 1)
    with ordinary():
        try:
            json.loads("[" * 100_000)
        except RecursionError:
            print("refused")
    print(sys.getrecursionlimit())
with deep():
    down(5_000)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.returncode) == (f"refused\n{DEEP}\n", 0)


def test_nothing_is_lowered_within_a_low_limit() -> None:
    before = sys.getrecursionlimit()
    with ordinary():
        assert sys.getrecursionlimit() <= before
    with deep(), deep():
        assert sys.getrecursionlimit() >= DEEP
    assert sys.getrecursionlimit() == before
